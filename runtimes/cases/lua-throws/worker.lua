function worker(request)
  return request.nothing.here
end
