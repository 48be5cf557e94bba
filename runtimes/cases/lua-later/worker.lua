-- What only a request has is asked for at once; the answer is bytes.
local greeting = assert(os.getenv("GREETING"))
return function(request)
  return "\xff" .. greeting .. tostring(math.random() < 1)
end
