"""What is sent to the server on its way into memory: each within a limit, one asker within another, and all together
within a third."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.datastructures import Headers
from starlette.requests import Request

from playground.server.asked import RefusedError
from playground.server.single_flight import BusyError

SHARE_TAKEN = "Too many pictures of yours are on their way: send this one again when one of them is answered."
PASSED_OVER_BYTES, PASSED_OVER_SECONDS = 256 * 2**20, 30.0


class Inbox:
    """Bodies of requests, of at most `each` bytes, together at most `together`, `most` at once; of those of one asker,
    one in `share` at most, so that nobody takes all the room.

    A body has `seconds` to arrive. To be used by coroutines of one event loop.
    """

    def __init__(self, each: int, together: int, most: int, seconds: float, share: int = 1):
        self.each, self.together, self.most, self.seconds, self.share = each, together, most, seconds, share
        self.held = 0
        self.senders = 0
        self._senders_of: Counter[str | None] = Counter()
        self._held_of: Counter[str | None] = Counter()

    @asynccontextmanager
    async def body(self, request: Request, asker: str | None = None) -> AsyncIterator[bytes]:
        """A request's body, counted as held until the block ends; as the asker's, too, unless it is nobody's. Raises
        BusyError where there is no room for it, and RefusedError where it is too large (413), too slow (408), or more
        than the asker's share (429)."""
        if self.senders >= self.most:
            raise BusyError
        if asker is not None and self._senders_of[asker] >= max(1, self.most // self.share):
            raise RefusedError(429, SHARE_TAKEN)
        self.senders += 1
        self._senders_of[asker] += 1
        kept: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self.seconds):
                    await self._read(request, kept, asker)
            except TimeoutError as error:
                raise RefusedError(408, f"The picture did not arrive within {self.seconds:g} seconds.") from error
            kept[:] = [b"".join(kept)]
            yield kept[0]
        finally:
            self.senders -= 1
            self.held -= sum(map(len, kept))
            _take(self._senders_of, asker, 1)
            _take(self._held_of, asker, sum(map(len, kept)))

    async def _read(self, request: Request, kept: list[bytes], asker: str | None) -> None:
        self._demand_room(declared(request.headers), 0, asker)
        came = 0
        async for chunk in request.stream():
            request.state.has_begun = True
            came += len(chunk)
            self._demand_room(came, len(chunk), asker)
            kept.append(chunk)
            self.held += len(chunk)
            self._held_of[asker] += len(chunk)

    def _demand_room(self, came: int, more: int, asker: str | None) -> None:
        if came > self.each:
            raise RefusedError(413, f"That is too large: a picture may have at most {self.each} bytes.")
        if self.held + more > self.together:
            raise BusyError
        if asker is not None and self._held_of[asker] + more > max(self.each, self.together // self.share):
            raise RefusedError(429, SHARE_TAKEN)


def declared(headers: Headers) -> int:
    """How many bytes a request says that it brings; 0 where it does not say, or says nonsense."""
    said = headers.get("content-length", "")
    return int(said) if said.isdecimal() and len(said) < 20 else 0


def _take(counts: Counter[str | None], asker: str | None, count: int) -> None:
    """Count down, and forget who has nothing left."""
    counts[asker] -= count
    if counts[asker] <= 0:
        del counts[asker]


async def pass_over(request: Request) -> None:
    """Let what still comes of a request pass, unkept, before it is refused: a client that sends hears no answer.

    Who waits for a word before he sends (Expect: 100-continue, as curl does) is not kept waiting; nobody is listened to
    for ever.
    """
    waits = request.headers.get("expect", "").lower() == "100-continue" and not hasattr(request.state, "has_begun")
    if waits or not {"content-length", "transfer-encoding"} & set(request.headers):
        return
    passed = 0
    with suppress(TimeoutError, RuntimeError):  # RuntimeError: it came to its end before
        async with asyncio.timeout(PASSED_OVER_SECONDS):
            async for chunk in request.stream():
                passed += len(chunk)
                if passed > PASSED_OVER_BYTES:
                    return
