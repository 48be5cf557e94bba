def worker(request)
  request.nothing
end
