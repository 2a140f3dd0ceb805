"""What every browser of a class asks about every few seconds: whether it is led to a page, or has something new.

    GET /api/class     {"tour": null or {"started", "step", "address"}, "changed": {"<page>": <moment>}}
                       and "refused": {"at": <moment>, "sentence"} where a file of this reader was, a moment ago

It reads one small file, and says with an ETag that nothing changed; it names nobody. Who asks has a page open before
him, which is noted in his workspace now and then.
"""

import hashlib
import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from playground import home
from playground.classroom import state, workspaces
from playground.server.rates import asker
from playground.server.refusals import LATELY
from playground.server.views import known, refused


def route(base: str = "") -> Route:
    """The one route."""
    return Route(f"{base}/api/class", now, methods=["GET"])


async def now(request: Request) -> Response:
    """What is set now, or that it is what the browser knows."""
    if not home.is_class():
        return refused(404, "There is no class on this server.")
    place = home.home()
    if place != home.shared() and workspaces.is_to_be_seen(place):
        await run_in_threadpool(workspaces.still_here, place)
    said = state.public(state.read())
    if (refusal := LATELY.of(asker(request.scope))) is not None:
        said["refused"] = refusal
    body = json.dumps(said, separators=(",", ":")).encode()
    etag = hashlib.blake2s(body, digest_size=12).hexdigest()
    headers = {"ETag": f'W/"{etag}"', "Cache-Control": "no-cache", "Content-Encoding": "identity"}
    if known(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
