"""What is sent to the server of a class: no one reader or program takes all the room there is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request

from playground.classroom import keys
from playground.server import inference
from playground.server.asked import RefusedError
from playground.server.inbox import Inbox
from playground.server.models import MOST_AT_ONCE, SHARE, ModelRoutes
from playground.server.single_flight import BusyError, SingleFlight
from playground.server.workspaces import Workspaces
from tests.a_class import class_home
from tests.playground.server.test_model_routes import photo
from tests.waiting import HOPE_SECONDS, on_a_loop

__all__ = ["class_home"]

ASKED = "/api/models/digits-example/predict"


def sent(content: bytes) -> Request:
    """A request whose body has come."""
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    return Request({"type": "http", "headers": []}, receive)


async def statuses(inbox: Inbox, askers: list[str | None], content: bytes) -> list[int]:
    """What becomes of pictures that are all looked at, at the same time."""
    found = []
    async with AsyncExitStack() as held:
        for asker in askers:
            try:
                await held.enter_async_context(inbox.body(sent(content), asker))
                found.append(200)
            except RefusedError as error:
                found.append(error.status)
            except BusyError:
                found.append(503)
    return found


@pytest.mark.parametrize("inbox", [Inbox(100, 10_000, 8, HOPE_SECONDS, 4), Inbox(100, 800, 100, HOPE_SECONDS, 4)])
def test_one_has_a_share_and_leaves_the_rest_to_others(inbox: Inbox) -> None:
    for _ in range(2):  # what was held is forgotten
        askers = ["a", "a", "a", "b", "b", "c", "b", "c", "d", "d", "e", None]
        assert on_a_loop(statuses(inbox, askers, bytes(100))) == [200, 200, 429, 200, 200, 200, 429, 200, 200, 200, 503,
                                                                  503]
    assert on_a_loop(statuses(inbox, [None] * 9, bytes(100))) == [200] * 8 + [503]
    assert (inbox.held, inbox.senders, dict(inbox._held_of), dict(inbox._senders_of)) == (0, 0, {}, {})


def test_slow_pictures_of_one_client_leave_others_answered(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.server.inbox.PASSED_OVER_SECONDS", 0.01)
    models = ModelRoutes(SingleFlight(), SingleFlight(), models=lambda: inference)
    app = Starlette(routes=models.routes(), middleware=[Middleware(Workspaces)])

    async def asked() -> tuple[int, list[int]]:
        never = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"x"
            await never.wait()

        def client(address: str) -> httpx2.AsyncClient:
            transport = httpx2.ASGITransport(app=app, client=(address, 1))
            return httpx2.AsyncClient(transport=transport, timeout=HOPE_SECONDS, base_url="http://localhost")

        async with client("10.0.0.1") as slow, client("10.0.0.2") as other:
            tasks = [asyncio.create_task(slow.post(ASKED, content=slowly())) for _ in range(MOST_AT_ONCE + 1)]
            while sum(task.done() for task in tasks) + models.inbox.senders < len(tasks):
                await asyncio.sleep(0.005)
            most = models.inbox.senders
            found = [(await one.post(ASKED, content=photo(), headers=said)).status_code
                     for one, said in ((other, {}), (slow, {"Authorization": f"Bearer {keys.new()}"}))]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return most, found

    assert on_a_loop(asked()) == (MOST_AT_ONCE // SHARE, [200, 200])
