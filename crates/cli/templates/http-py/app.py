"""An HTTP handler."""

from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        target = urlsplit(request.path_with_query() or "/")
        if target.path == "/":
            name = parse_qs(target.query).get("name", ["world"])[0]
            answer(response_out, 200, f"Hello, {name}!\n")
        else:
            answer(response_out, 404, "There is nothing here.\n")


def answer(response_out, status, text):
    """Sends a whole answer."""
    headers = Fields.from_list([("content-type", b"text/plain; charset=utf-8")])
    response = OutgoingResponse(headers)
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    data = text.encode()
    with body.write() as stream:
        # A stream takes up to 4096 bytes at once.
        for start in range(0, len(data), 4096):
            stream.blocking_write_and_flush(data[start : start + 4096])
    OutgoingBody.finish(body, None)
