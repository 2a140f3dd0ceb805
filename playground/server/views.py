"""The routes of the views: who may ask what, in which form the answer goes out, and what a browser may keep of it."""

import functools
import gzip
import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from playground import home
from playground.errors import PlaygroundError
from playground.server import asked
from playground.server.asked import RefusedError
from playground.server.single_flight import BusyError, SingleFlight
from playground.view.answer import Answer, Looks, NotThereError

log = logging.getLogger(__name__)

WORTH_BYTES, WORTH_SHARE = 1024, 0.9
"""What is shorter is sent as it is, and what compression does not make shorter than this share."""
LASTING_SECONDS = 7 * 24 * 3600
COMPRESSED = ("image/", "audio/", "video/", "font/", "application/zip", "application/gzip")


@dataclass(frozen=True)
class Packed:
    """An answer, and its body compressed where that is worth it."""

    answer: Answer
    gzipped: bytes | None


def packed(answer: Answer) -> Packed:
    """Compressed once for all who asked, quickly rather than well: a frame lives half a second."""
    if len(answer.body) < WORTH_BYTES or answer.media_type.startswith(COMPRESSED):
        return Packed(answer, None)
    smaller = gzip.compress(answer.body, 1, mtime=0)
    return Packed(answer, smaller if len(smaller) < WORTH_SHARE * len(answer.body) else None)


def the_looks() -> Looks:
    """What the routes ask, loaded when somebody asks first: after all that pages need, because two threads that load at
    the same time may see each other's modules half loaded (see there)."""
    importlib.import_module("playground.ui.preload")
    return cast(Looks, importlib.import_module("playground.view.looks"))


class Views:
    """/api/view/{token}/{what} as an ASGI app: GET and HEAD look, POST changes, anything else is refused."""

    def __init__(self, work: SingleFlight[Packed], looks: Callable[[], Looks] = the_looks):
        self.work, self.looks = work, looks
        self.changes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answered(request)
        except ClientDisconnect:
            return
        except Exception as error:
            response = failed(error, str(request.path_params.get("what", "")))
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        token, what = asked.name(request.path_params["token"]), asked.name(request.path_params["what"])
        if request.method in ("GET", "HEAD"):
            query = asked.query(request.scope["query_string"])
            key: object = (self.changes, token, what, tuple(sorted(query.items())))
            compute = functools.partial(self._look, token, what, query)
        elif request.method == "POST":
            body = await asked.json_object(request)
            key = object()  # who changes something twice means it twice
            compute = functools.partial(self._change, token, what, body)
        else:
            response = refused(405, "Here can be looked (GET, HEAD) and changed (POST), nothing else.")
            response.headers["Allow"] = "GET, HEAD, POST"
            return response
        found = await self.work.do(key, compute)
        self.changes += request.method == "POST"  # who looks from now on does not join who began before
        return sent(found, request)

    def _look(self, token: str, what: str, query: Mapping[str, str]) -> Packed:
        return packed(self.looks().answer(token, what, query))

    def _change(self, token: str, what: str, body: Mapping[str, Any]) -> Packed:
        return packed(self.looks().change(token, what, body))


async def nothing_there(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to every other address below /api, which would else be a page of Streamlit."""
    await refused(404, "There is nothing at this address.")(scope, receive, send)


def sent(found: Packed, request: Request) -> Response:
    """An answer as this browser takes it: not at all where it still has it, compressed where it understands that."""
    answer, body = found.answer, found.answer.body
    posted = request.method == "POST"
    tag = f'W/"{answer.etag}"'  # weak: the same content, whether compressed or not
    headers = {
        "ETag": tag, "Vary": "Accept-Encoding",
        "Cache-Control": f"private, max-age={LASTING_SECONDS}, immutable" if answer.lasting and not posted
        else "no-store" if posted else "no-cache",
    }
    if not posted and known(request.headers.get("if-none-match", ""), answer.etag):
        return Response(status_code=304, headers=headers)
    headers["Content-Encoding"] = "identity"  # said, because Streamlit would compress it again and again
    if found.gzipped is not None and takes_gzip(request.headers.get("accept-encoding", "")):
        body, headers["Content-Encoding"] = found.gzipped, "gzip"
    headers["Content-Length"] = str(len(body))
    return Response(b"" if request.method == "HEAD" else body, media_type=answer.media_type, headers=headers)


def known(if_none_match: str, etag: str) -> bool:
    """Whether a browser says that it has what has this etag.

    >>> known('"a", W/"b"', "b"), known("*", "b"), known('"bb"', "b")
    (True, True, False)
    """
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return bool({"*", f'"{etag}"'} & tags)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a browser says that it understands gzip.

    >>> takes_gzip("gzip, deflate, br"), takes_gzip("br, gzip;q=0"), takes_gzip("identity")
    (True, False, False)
    """
    said = {}
    for one in accept_encoding.lower().split(","):
        coding, _, quality = one.partition(";")
        said[coding.strip()] = quality.replace(" ", "")
    return "gzip" in said and said["gzip"].rstrip("0") not in ("q=", "q=0.")


def failed(error: Exception, what: str) -> Response:
    """An error as one sentence; one that nobody expected is told to the log as well."""
    if isinstance(error, RefusedError):
        return refused(error.status, str(error))
    if isinstance(error, PlaygroundError):
        return refused(404 if isinstance(error, NotThereError) else 422, home.public(str(error)))
    if isinstance(error, BusyError):
        return busy()
    log.error("view failed: %s", what, exc_info=error)
    return refused(500, f"Something went wrong. Reload the page; if it happens again, the server's log has the details "
                        f"under “view failed: {what}”.")


def busy() -> Response:
    """The answer to one too many."""
    response = refused(503, "The server is busy with other readers: ask again in a moment.")
    response.headers["Retry-After"] = "1"
    return response


def refused(status: int, sentence: str) -> Response:
    """A sentence instead of what was asked for."""
    return Response(asked.sentence_body(sentence), status, {"Cache-Control": "no-store"}, "application/json")
