"""The routes of the models: which there are, their files, and what they say of a picture that is sent.

    GET  /api/models                       all of them
    GET  /api/models/{name}                one
    GET  /api/models/{name}/model.onnx     its file
    POST /api/models/{name}/predict        the bytes of a picture; labels and probabilities come back
    GET  /api/opened/{digest}.onnx         a file that a reader opened, for the page that runs it in his browser
    GET  /api/openapi.json                 the same for programs (OpenAPI 3.1)

What is sent is looked at and kept nowhere.
"""

import functools
import importlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from playground import home
from playground.datasets.picture import MOST_BYTES
from playground.errors import PlaygroundError
from playground.server import asked, openapi
from playground.server.asked import RefusedError
from playground.server.inbox import Inbox, pass_over
from playground.server.rates import asker
from playground.server.single_flight import BusyError, SingleFlight
from playground.server.views import busy, known, refused

Json = dict[str, Any]

log = logging.getLogger(__name__)

MOST_BYTES_TOGETHER, MOST_AT_ONCE = 4 * MOST_BYTES, 100
"""Of the pictures that are on their way, wait, or are looked at."""
SHARE = 4
"""One in so many of them, of the bytes as of the pictures, may be of one asker in a class."""
ARRIVAL_SECONDS, WAIT_SECONDS = 120.0, 30.0
"""How long a picture may be on its way, and how long it may wait for its turn."""
CHUNK_BYTES = 256 * 1024


class Models(Protocol):
    """What the routes ask: `playground.server.inference`. Raises RefusedError and PlaygroundError."""

    def listed(self, base: str) -> Json: ...

    def described(self, name: str, base: str) -> Json: ...

    def opened(self, name: str) -> BinaryIO: ...

    def opened_file(self, digest: str) -> BinaryIO: ...

    def predicted(self, name: str, content: bytes, top: int | None, as_it_is: bool) -> Json: ...


def the_models() -> Models:
    """Loaded when somebody asks first, after all that pages need (as `views.the_looks`)."""
    importlib.import_module("playground.ui.preload")
    return cast(Models, importlib.import_module("playground.server.inference"))


@dataclass
class Endpoint:
    """One address as an ASGI app: other methods are refused, every error is a sentence."""

    methods: tuple[str, ...]
    answer: Callable[[Request], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            try:
                response = await self._answered(request)
            except ClientDisconnect:
                raise
            except Exception as error:
                response = failed(error, scope["path"])
            if response.status_code >= 400:
                await pass_over(request)
        except ClientDisconnect:
            return
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        if request.method in self.methods:
            return await self.answer(request)
        response = refused(405, f"This address is asked with {' or '.join(self.methods)} and nothing else.")
        response.headers["Allow"] = ", ".join(self.methods)
        return response


class ModelRoutes:
    """The answers: where they are computed and read, and `base`, the path that the app is served below."""

    def __init__(self, predicting: SingleFlight[Json], reading: SingleFlight[Json], base: str = "",
                 models: Callable[[], Models] = the_models, inbox: Inbox | None = None,
                 wait_seconds: float = WAIT_SECONDS):
        self.predicting, self.reading, self.base, self.models = predicting, reading, base, models
        self.inbox = inbox or Inbox(MOST_BYTES, MOST_BYTES_TOGETHER, MOST_AT_ONCE, ARRIVAL_SECONDS, SHARE)
        self.wait_seconds = wait_seconds

    def routes(self) -> list[BaseRoute]:
        """In the order in which they are to be tried."""
        one, look = f"{self.base}/api/models/{{name}}", ("GET", "HEAD")
        return [Route(f"{self.base}/api/openapi.json", Endpoint(look, self.document)),
                Route(f"{self.base}/api/models", Endpoint(look, self.listed)),
                Route(one, Endpoint(look, self.described)),
                Route(f"{one}/model.onnx", Endpoint(look, self.file)),
                Route(f"{one}/predict", Endpoint(("POST",), self.predict)),
                Route(f"{self.base}/api/opened/{{digest}}.onnx", Endpoint(look, self.opened_file))]

    async def document(self, _: Request) -> Response:
        return as_json(openapi.document(self.base, self.inbox.each, home.is_class()))

    async def listed(self, _: Request) -> Response:
        return as_json(await self.reading.do(object(), lambda: self.models().listed(self.base)))

    async def described(self, request: Request) -> Response:
        name = request.path_params["name"]
        return as_json(await self.reading.do(object(), lambda: self.models().described(name, self.base)))

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        return streamed(request, await run_in_threadpool(lambda: self.models().opened(name)), name)

    async def opened_file(self, request: Request) -> Response:
        digest = request.path_params["digest"]
        return streamed(request, await run_in_threadpool(lambda: self.models().opened_file(digest)), digest)

    async def predict(self, request: Request) -> Response:
        """What the model says of a picture. A picture waits for its turn `wait_seconds` at most, then it is let go."""
        name = request.path_params["name"]
        if "origin" in request.headers and not asked.same_origin(request.scope):
            raise RefusedError(403, "A page of another site may not ask here: only pages of this server, and programs "
                                    "that are no browsers.")
        top, as_it_is = settings(asked.query(request.scope["query_string"]))
        is_a_picture(request.headers.get("content-type", ""))
        await self.reading.do(object(), lambda: self.models().described(name, self.base))  # before a picture travels
        async with self.inbox.body(request, asker(request.scope) if home.is_class() else None) as content:
            if not content:
                raise RefusedError(400, "Nothing was sent: the bytes of a picture are wanted as the body.")
            latest = time.monotonic() + self.wait_seconds
            compute = functools.partial(self._predict, latest, name, content, top, as_it_is)
            return as_json(await self.predicting.do(object(), compute), {"Cache-Control": "no-store"})

    def _predict(self, latest: float, *what: Any) -> Json:
        if time.monotonic() > latest:
            raise BusyError
        return self.models().predicted(*what)


def settings(query: dict[str, str]) -> tuple[int | None, bool]:
    """How many labels are wanted (None: all), and whether digits are to be seen as they are. Raises RefusedError.

    >>> settings({"top": "3"}), settings({"as_it_is": "true"})
    ((3, False), (None, True))
    """
    if unknown := sorted(query.keys() - {"top", "as_it_is"}):
        raise RefusedError(400, f"{unknown[0]!r} means nothing here: only top and as_it_is are known.")
    top, as_it_is = query.get("top"), query.get("as_it_is", "false")
    if top is not None and not (top.isascii() and top.isdecimal() and 1 <= int(top) <= openapi.MOST_LABELS):
        raise RefusedError(400, f"top says how many labels are wanted: a whole number from 1 to {openapi.MOST_LABELS}.")
    if as_it_is not in ("true", "false"):
        raise RefusedError(400, "as_it_is is true or false.")
    return top if top is None else int(top), as_it_is == "true"


def is_a_picture(content_type: str) -> None:
    """Raises RefusedError where what is sent says that it is something else. A program may say nothing."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind and not kind.startswith("image/") and kind != "application/octet-stream":
        raise RefusedError(415, "The bytes of a picture are wanted as they are, with the content type image/jpeg, "
                                "image/png or the like, or application/octet-stream; no form.")


def streamed(request: Request, file: BinaryIO, name: str) -> Response:
    """A file as it is now, piece by piece, and not at all to who has it."""
    found = os.fstat(file.fileno())
    tag = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    had = known(request.headers.get("if-none-match", ""), tag)
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache",
               "Content-Encoding": "identity"}  # said, because Streamlit would compress it each time
    if not had:
        headers |= {"Content-Length": str(found.st_size),
                    "Content-Disposition": f'attachment; filename="{name}.onnx"'}
    if had or request.method == "HEAD":
        file.close()
        return Response(None, 304 if had else 200, headers, "application/octet-stream")
    return StreamingResponse(pieces(file, found.st_size), headers=headers, media_type="application/octet-stream")


async def pieces(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    """`size` bytes of a file, each piece read in a thread; then it is closed."""
    with file:
        while size > 0 and (piece := await run_in_threadpool(file.read, min(size, CHUNK_BYTES))):
            size -= len(piece)
            yield piece


def as_json(said: Json, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    return Response(body, 200, headers or {"Cache-Control": "no-cache"}, "application/json")


def failed(error: Exception, path: str) -> Response:
    """An error as one sentence; one that nobody expected is told to the log as well."""
    if isinstance(error, RefusedError):
        return refused(error.status, home.public(str(error)))
    if isinstance(error, BusyError):
        return busy()
    if isinstance(error, PlaygroundError):  # a model that is damaged, say: not the fault of who asks
        return refused(500, home.public(str(error)))
    log.error("request failed: %r", path, exc_info=error)
    return refused(500, "Something went wrong: the server's log has the details.")
