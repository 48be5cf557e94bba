"""WASI 0.3 HTTP from Python: an async handler that streams its answer after a short wait."""

import sys

import componentize_py_async_support
import wit_world
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import monotonic_clock
from wit_world.imports.wasi_http_types import Fields, Response


class Handler(exports.Handler):
    async def handle(self, request):
        path = request.get_path_with_query()
        await monotonic_clock.wait_for(2_000_000)
        writer, reader = wit_world.byte_stream()
        _, trailers = (
            wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(
                lambda: Ok(None)
            )
        )
        componentize_py_async_support.spawn(write(writer, path))
        headers = Fields.from_list([("content-type", b"text/plain")])
        return Response.new(headers, reader, trailers)[0]


async def write(writer, path):
    with writer:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        await writer.write_all(f"Python {version} at {path}\n".encode())
