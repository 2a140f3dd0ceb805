"""What the server answers beside Streamlit's pages: routes of our own, on the same port.

    GET  /api/view/{token}/{what}?...    bytes to draw, computed once for all who ask at the same moment
    POST /api/view/{token}/{what}        a JSON object from a page of ours

Errors are JSON with one sentence: {"error": "..."}.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from playground.server.headers import Headers
from playground.server.single_flight import SingleFlight
from playground.server.views import Packed, Views, nothing_there

__all__ = ["lifespan", "middleware", "routes"]

_work: SingleFlight[Packed] = SingleFlight()


def routes() -> list[BaseRoute]:
    """All routes below /api."""
    return [Route("/api/view/{token}/{what}", Views(_work)), Mount("/api", nothing_there)]


def middleware() -> list[Middleware]:
    """What every answer goes through, Streamlit's too."""
    return [Middleware(Headers)]


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """From the start of the server to its end."""
    yield
    _work.close()
