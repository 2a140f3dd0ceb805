"""What the server answers beside Streamlit's pages: routes of our own, on the same port.

    GET  /api/view/{token}/{what}?...    bytes to draw, computed once for all who ask at the same moment
    POST /api/view/{token}/{what}        a JSON object from a page of ours
    GET  /api/class                      where a class is led: see `class_state`
    /api/models/...                      the trained models for programs: see `playground.server.models`
    /join/{key}, /teach/{key}            a workspace of a class, the teacher's browser: see `workspaces`
    GET  /api/runtime/{version}/{file}   onnxruntime-web for browsers: see `playground.server.runtime`

Errors are JSON with one sentence: {"error": "..."}.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from playground.server import class_state, runtime
from playground.server.closed import Closed
from playground.server.discreet import keep_discreet
from playground.server.headers import Headers
from playground.server.hosts import KnownHosts
from playground.server.models import MOST_AT_ONCE, Json, ModelRoutes
from playground.server.node import Node
from playground.server.rates import Rates
from playground.server.sentences import Sentences
from playground.server.single_flight import SingleFlight
from playground.server.upload_share import UploadShare
from playground.server.views import Packed, Views, nothing_there
from playground.server.workspaces import Links, Workspaces, WrongKeys, expiring

__all__ = ["lifespan", "middleware", "routes"]

_work: SingleFlight[Packed] = SingleFlight()
_predicting: SingleFlight[Json] = SingleFlight(most=MOST_AT_ONCE)
_reading: SingleFlight[Json] = SingleFlight()
_wrong = WrongKeys()
"""Of links and of programs together."""


def routes(base: str = "") -> list[BaseRoute]:
    """All routes, below BASE/api where the app is served below a path.

    >>> [route.path for route in routes("/play/")][:3]
    ['/play/api/view/{token}/{what}', '/play/api/openapi.json', '/play/api/models']
    """
    above = f"/{base.strip('/')}".rstrip("/")
    return [Route(f"{above}/api/view/{{token}}/{{what}}", Views(_work)),
            *ModelRoutes(_predicting, _reading, above).routes(), class_state.route(above), *runtime.routes(above),
            Mount(f"{above}/api", nothing_there), *Links(above, _wrong).routes()]


def middleware(held: Callable[[], Mapping[str, int]] = dict, wrong: WrongKeys = _wrong) -> list[Middleware]:
    """What every answer goes through, Streamlit's too. `held` says how many bytes of sent files each session holds."""
    return [Middleware(Headers), Middleware(KnownHosts), Middleware(Closed), Middleware(Node),
            Middleware(Workspaces, wrong), Middleware(Rates), Middleware(UploadShare, held), Middleware(Sentences)]


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """From the start of the server to its end."""
    keep_discreet()
    expires = asyncio.create_task(expiring())
    yield
    expires.cancel()
    _work.close()
    _predicting.close()
    _reading.close()
