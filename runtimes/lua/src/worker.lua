-- What a worker finds beside Lua's own libraries. Evaluates to the functions that the host calls.
local host = ...

-- Standard output is the response's.
local function shown(...)
  local texts = table.pack(...)
  for at = 1, texts.n do
    texts[at] = tostring(texts[at])
  end
  return texts
end
function print(...)
  host.log(table.concat(shown(...), "\t") .. "\n")
end
function io.write(...)
  host.log(table.concat(shown(...)))
  return io.stderr
end

-- What depends on the request's instance is not to be asked for before there is one. The functions may be
-- kept, though.
local early = true
local variables = {}
local function late(library, names)
  for _, name in ipairs(names) do
    local original = library[name]
    library[name] = function(...)
      if early then
        error(name .. " can be used only while a request is answered", 2)
      end
      return original(...)
    end
  end
end
function os.getenv(name)
  return variables[name]
end
late(_G, { "dofile", "loadfile", "require" })
late(io, { "close", "input", "lines", "open", "output", "popen", "read", "tmpfile" })
late(os, { "exit", "getenv", "remove", "rename", "tmpname" })

-- The key-value map.
local entries = {}
Cache = {}
function Cache.get(key)
  return entries[tostring(key)]
end
function Cache.set(key, value)
  entries[tostring(key)] = value
end
function Cache.delete(key)
  entries[tostring(key)] = nil
end

json = { encode = host.encode, decode = host.decode }

Response = {}
Response.__index = Response
function Response.new(body, status, headers)
  return setmetatable({ body = body or "", status = status or 200, headers = headers or {} }, Response)
end

local handler
local functions = {}

-- What answers: the function `worker`, or what the script returned.
function functions.handle(returned)
  handler = returned or worker
  if type(handler) ~= "function" then
    error("nothing answers requests: define a function `worker(request)`, or return one", 0)
  end
end

function functions.begin(environment)
  early = false
  variables = environment
end

function functions.serve(request, kv)
  entries = kv
  local answer = handler(request)
  if type(answer) == "string" then
    answer = Response.new(answer)
  end
  if type(answer) ~= "table" then
    error("a worker returns text or a response, not " .. type(answer), 0)
  end
  return tostring(answer.body or ""), answer.status or 200, answer.headers or {}, entries
end

return functions
