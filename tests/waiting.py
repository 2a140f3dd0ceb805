"""Waiting in tests: for a condition, never for a while. The limit says when hope is lost: no machine is that slow."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from playground.training.runs import runs

T = TypeVar("T")
HOPE_SECONDS = 900


def until(holds: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    limit = time.monotonic() + HOPE_SECONDS
    while not holds():
        assert time.monotonic() < limit, f"waited {HOPE_SECONDS} s in vain"
        time.sleep(0.02)


def shown(page: Any, expression: str, said: object = None) -> None:
    """Wait until an expression holds in a browser's page (a function of what is `said`). Playwright's own waiting has
    the page make code of a text, which the app's pages do not let anybody do. On a page that is on its way to another
    address nothing holds yet."""
    from playwright.sync_api import Error

    def holds() -> bool:
        try:
            return bool(page.evaluate(expression, said))
        except Error as error:
            if "Execution context was destroyed" not in error.message:
                raise
            return False

    until(holds)


def ended(run_id: str) -> runs.RunView:
    """The run once it has ended."""
    until(lambda: runs.view(run_id).ended)
    return runs.view(run_id)


def on_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """What asynchronous work comes to, in a thread of its own: tests of a browser leave a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
