"""WASI 0.2 HTTP from Python: answers with JSON about itself and the request."""

import json
import sys

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        report = {
            "language": "Python",
            "version": f"{sys.version_info.major}.{sys.version_info.minor}",
            "path": request.path_with_query(),
        }
        headers = Fields.from_list([("content-type", b"application/json")])
        response = OutgoingResponse(headers)
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush((json.dumps(report) + "\n").encode())
        OutgoingBody.finish(body, None)
