"""The route of onnxruntime-web, for pages that run a model in a reader's browser.

    GET /api/runtime/{version}/{file}     one of its three files, where they were fetched
"""

from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from playground.browser import runtime
from playground.server.asked import RefusedError
from playground.server.models import Endpoint, pieces

LASTING = "public, max-age=31536000, immutable"
"""The version is in the address: another one has another address."""


def routes(base: str = "") -> list[BaseRoute]:
    """
    >>> [route.path for route in routes("/play")]
    ['/play/api/runtime/{version}/{file}']
    """
    return [Route(f"{base}/api/runtime/{{version}}/{{file}}", Endpoint(("GET", "HEAD"), answer))]


async def answer(request: Request) -> Response:
    """A file by its name, compressed where the browser takes that and it lies there compressed."""
    wanted = next((file for file in runtime.FILES if file.name == request.path_params["file"]), None)
    if wanted is None or request.path_params["version"] != runtime.VERSION:
        raise RefusedError(404, f"There is no such file: of onnxruntime-web {runtime.VERSION}, and of no other "
                                f"version, there are {', '.join(file.name for file in runtime.FILES)}.")
    folder = await run_in_threadpool(runtime.folder)
    if folder is None:
        raise RefusedError(404, f"onnxruntime-web is not on this server: {runtime.COMMAND} fetches it.")
    takes = [one.partition(";")[0].strip() for one in request.headers.get("accept-encoding", "").lower().split(",")]
    packed = "gzip" in takes and (folder / f"{wanted.name}{runtime.PACKED}").is_file()
    file = await run_in_threadpool(opened, folder / (f"{wanted.name}{runtime.PACKED}" if packed else wanted.name))
    size = file.seek(0, 2)
    file.seek(0)
    headers = {"Cache-Control": LASTING, "Vary": "Accept-Encoding", "Content-Length": str(size),
               "Content-Encoding": "gzip" if packed else "identity"}  # said, or Streamlit would compress it each time
    if request.method == "HEAD":
        file.close()
        return Response(None, 200, headers, wanted.media_type)
    return StreamingResponse(pieces(file, size), headers=headers, media_type=wanted.media_type)


def opened(path: Path) -> BinaryIO:
    return open(path, "rb")
