"""Computing in a few threads, so that the event loop goes on, and once for all who ask for the same meanwhile."""

import asyncio
import contextvars
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

THREADS = 2
MOST_WAITING = 100
"""Computations under way or in the queue, beyond which nobody is let in: who asks again later waits less."""


class BusyError(Exception):
    """Too much is being computed already."""


class SingleFlight(Generic[T]):
    """Runs functions in `threads` threads. To be asked by coroutines of one event loop."""

    def __init__(self, threads: int = THREADS, most: int = MOST_WAITING):
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="view")
        self._flights: dict[Hashable, asyncio.Future[T]] = {}
        self._most = most

    async def do(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What `compute` gives, or raises; where the same key is being computed, what that comes to.

        Who no longer waits (his browser has gone) leaves the others waiting. Raises BusyError.
        """
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= self._most:
                raise BusyError
            flight = asyncio.get_running_loop().run_in_executor(self._threads, contextvars.copy_context().run, compute)
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: Hashable, flight: asyncio.Future[T]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # seen, even where nobody waits for it any more

    def close(self) -> None:
        """Let go what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
