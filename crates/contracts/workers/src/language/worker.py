# Runs one worker: `python -c THIS NAME SCRIPT`, with a request on standard input. What a script finds:
# Request, Response and Cache, as Wasm Workers Server gives them.
import base64, builtins, json, linecache, sys


class Cache:
    """The key-value map."""

    _entries = {}

    @classmethod
    def get(cls, key):
        return cls._entries.get(str(key))

    @classmethod
    def set(cls, key, value):
        cls._entries[str(key)] = str(value)

    @classmethod
    def delete(cls, key):
        cls._entries.pop(str(key), None)

    @classmethod
    def init(cls, entries):
        cls._entries = dict(entries)

    @classmethod
    def dump(cls):
        return cls._entries


class Request:
    def __init__(self, input):
        self.method = input["method"]
        self.url = input["url"]
        self.body = input["body"]
        if "body_base64" in input:
            self.body = base64.b64decode(input["body_base64"])
        self.headers = input["headers"]
        self.params = input.get("params") or {}
        Cache.init(input.get("kv") or {})


class Response:
    def __init__(self, body="", status_code=200, headers=None):
        self.body = body
        self.status_code = status_code
        self.headers = dict(headers or {})

    def to_json(self):
        body = "" if self.body is None else self.body
        binary = isinstance(body, (bytes, bytearray, memoryview))
        return json.dumps({
            "data": base64.b64encode(bytes(body)).decode() if binary else str(body),
            "status": self.status_code,
            "headers": self.headers,
            "kv": Cache.dump(),
            "base64": binary,
        })


def _run():
    name, source = sys.argv[1:3]
    sys.argv = [name]
    # Standard output is the response's: what a script prints goes to the log.
    output, sys.stdout = sys.stdout, sys.stderr
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    names = {"__name__": "__main__", "__file__": name, "__builtins__": builtins, "json": json, "sys": sys}
    names.update(Cache=Cache, Request=Request, Response=Response)
    exec(compile(source, name, "exec"), names)
    if not callable(names.get("worker")):
        sys.exit("nothing answers requests: define the function worker(request)")
    request = Request(json.loads(sys.stdin.buffer.read()))
    response = names["worker"](request)
    if not isinstance(response, Response):
        sys.exit(f"a Response is expected, not {type(response).__name__}")
    output.write(response.to_json())
    output.flush()


_run()
