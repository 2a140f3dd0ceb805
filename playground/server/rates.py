"""How much one reader may ask in a second: enough for every page, too little to keep the others waiting.

Each workspace of a class (of programs without a key, each address) has a bucket that requests are taken out of and that
fills again steadily. Pages themselves come over a websocket and are not counted here.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from playground import home
from playground.server.views import refused

BURST, A_SECOND = 300, 60.0
"""Requests below /api at once, and each second from then on: scrubbing through a training asks for 60 frames a second.
"""
MOST_KEPT = 10_000


class Buckets:
    """What is left for each asker."""

    def __init__(self, burst: int = BURST, a_second: float = A_SECOND, clock: Callable[[], float] = time.monotonic):
        self.burst, self.a_second, self.clock = burst, a_second, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, asker: str) -> bool:
        """Take one request out of an asker's bucket; whether there was one."""
        now = self.clock()
        left, when = self._left.pop(asker, (float(self.burst), now))
        left = min(float(self.burst), left + (now - when) * self.a_second)
        self._left[asker] = (left - 1 if left >= 1 else left, now)
        while len(self._left) > MOST_KEPT:
            self._left.popitem(last=False)
        return left >= 1


def address_of(scope: Scope) -> str:
    """The address that a request comes from; "" where the server does not know."""
    return str(scope["client"][0]) if scope.get("client") else ""


def asker(scope: Scope) -> str:
    """In a class, who asks: the workspace, or of programs without a key the address."""
    place = home.home()
    return address_of(scope) if place == home.shared() else place.name  # a made-up key is no asker


class Rates:
    """In a class, refuses who asks too much below /api."""

    def __init__(self, app: ASGIApp, buckets: Buckets | None = None):
        self.app, self.buckets = app, buckets or Buckets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counts = scope["type"] == "http" and "/api/" in scope["path"] and home.is_class()
        if counts and not self.buckets.take(asker(scope)):
            response = refused(429, "That is too much at once: ask again in a second.")
            response.headers["Retry-After"] = "1"
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)
