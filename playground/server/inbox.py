"""What is sent to the server on its way into memory: each within a limit, and all together within another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.requests import Request

from playground.server.asked import RefusedError
from playground.server.single_flight import BusyError

PASSED_OVER_BYTES, PASSED_OVER_SECONDS = 256 * 2**20, 30.0


class Inbox:
    """Bodies of requests, of at most `each` bytes, together at most `together`, `most` at once.

    A body has `seconds` to arrive. To be used by coroutines of one event loop.
    """

    def __init__(self, each: int, together: int, most: int, seconds: float):
        self.each, self.together, self.most, self.seconds = each, together, most, seconds
        self.held = 0
        self.senders = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """A request's body, counted as held until the block ends. Raises BusyError where there is no room for it, and
        RefusedError where it is too large (413) or too slow (408)."""
        if self.senders >= self.most:
            raise BusyError
        self.senders += 1
        kept: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self.seconds):
                    await self._read(request, kept)
            except TimeoutError as error:
                raise RefusedError(408, f"The picture did not arrive within {self.seconds:g} seconds.") from error
            kept[:] = [b"".join(kept)]
            yield kept[0]
        finally:
            self.senders -= 1
            self.held -= sum(map(len, kept))

    async def _read(self, request: Request, kept: list[bytes]) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and len(declared) < 20:
            self._demand_room(int(declared), 0)
        came = 0
        async for chunk in request.stream():
            request.state.has_begun = True
            came += len(chunk)
            self._demand_room(came, len(chunk))
            kept.append(chunk)
            self.held += len(chunk)

    def _demand_room(self, came: int, more: int) -> None:
        if came > self.each:
            raise RefusedError(413, f"That is too large: a picture may have at most {self.each} bytes.")
        if self.held + more > self.together:
            raise BusyError


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
