-- A counter, a variable, a header that is sent twice, a message to the log.
local getenv = os.getenv

function worker(request)
  local count = (Cache.get("count") or 0) + 1
  Cache.set("count", count)
  print("asked for", request.url)
  local body = json.encode({ id = request.params.id, agent = request.headers["user-agent"] })
  return Response.new(body .. getenv("GREETING"), 201, { ["set-cookie"] = { "a=1", "b=2" }, ["x-count"] = count })
end
