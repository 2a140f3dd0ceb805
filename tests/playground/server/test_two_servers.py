"""Two servers of a class on one home: one is killed while trainings of its readers run and wait, and the other goes on
with everything; a worker is killed, and its reader is told so at the other server and lets it go on there."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import onnx
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets import Subprotocol
from websockets.asyncio.client import ClientConnection, connect

from bench.served import Served, served
from playground.classroom import keys
from playground.classroom.keys import COOKIE
from playground.training.runs import runs, turns
from playground.training.runs.events import Epoch
from playground.training.runs.log import read
from tests.a_class import class_home, working
from tests.waiting import HOPE_SECONDS, on_a_loop, until

__all__ = ["class_home"]

LOST = b"ended without a last word: it was killed"


class Page:
    """A page of a server as a browser shows it: what it said, and its buttons."""

    def __init__(self, socket: ClientConnection, name: str, query: str):
        self.socket, self.name, self.query = socket, name, query
        self.said, self.buttons = b"", dict[str, tuple[str, str]]()

    async def run(self, pressed: tuple[str, str] | None = None) -> None:
        """Have the page run to its end, a button of it pressed."""
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = self.name, self.query
        if pressed is not None:
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.trigger_value = pressed[0], True
            message.rerun_script.fragment_id = pressed[1]
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(HOPE_SECONDS):
            await self._heard()

    async def press(self, label: str) -> None:
        await self.run(self.buttons[label])

    async def _heard(self) -> None:
        begun = False
        async for content in self.socket:
            assert isinstance(content, bytes)
            message = ForwardMsg.FromString(content)
            kind = message.WhichOneof("type")
            begun = begun or kind == "new_session"
            if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                self.said += element.SerializeToString()
                if element.WhichOneof("type") == "button":
                    self.buttons[element.button.label] = element.button.id, message.delta.fragment_id
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif begun and kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return


async def page(url: str, key: str, query: str, press: str = "") -> Page:
    """The page "Build and train" as the owner of a key sees it, after a press."""
    address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    async with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None,
                       additional_headers={"Cookie": f"{COOKIE}={key}"}, ping_timeout=None) as socket:
        shown = Page(socket, "train", query)
        await shown.run()
        if press:
            await shown.press(press)
        return shown


@pytest.fixture
def two(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Served]]:
    """The servers. One training runs at a time."""
    monkeypatch.setenv("PLAYGROUND_RUNS", "1")
    with ExitStack() as stack:
        yield [stack.enter_context(served(class_home, ["--class", "--address", "localhost"])) for _ in "ab"]


def only_run(key: str) -> str:
    with working(key):
        (found,) = runs.run_ids()
        return found


def pid(key: str) -> int:
    with working(key):
        return int((runs.run_dir(only_run(key)) / "worker").read_text())


def kill(key: str) -> None:
    """Kill the worker of a reader's run; a quick machine's may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid(key), signal.SIGKILL)


def view(key: str) -> runs.RunView:
    with working(key):
        return runs.view(only_run(key))


def has_learnt(key: str) -> bool:
    with working(key):
        return any(isinstance(event, Epoch) for event in read(runs.run_dir(only_run(key)) / "events.jsonl")[0])


@pytest.mark.slow
def test_what_one_server_began_the_other_goes_on_with_whoever_is_killed(two: list[Served]) -> None:
    first, second = keys.new(), keys.new()
    a, b = two
    for key in (first, second):
        on_a_loop(page(a.url, key, "epochs=10", "Start training"))
    until(lambda: has_learnt(first))
    before = {key: only_run(key) for key in (first, second)}

    # The server dies: nothing of what it began does, and the other shows it.
    os.kill(a.pid, signal.SIGKILL)
    for key, run_id in before.items():
        shown = on_a_loop(page(b.url, key, f"run={run_id}"))
        assert LOST not in shown.said
        assert view(key).state in ("running", "queued", "starting", "completed")
    until(lambda: view(first).ended)
    assert view(first).state == "completed", view(first).failed

    # The worker dies whose turn has come: its reader is told, and lets it go on at the other server.
    until(lambda: view(second).state != "queued")
    kill(second)
    with working(second):
        until(lambda: not runs.is_alive(runs.run_dir(before[second])))
    if view(second).state == "lost":  # a quick machine may have come to its end before
        assert turns.training() == {}, "nobody waits for the dead"
        shown = on_a_loop(page(b.url, second, f"run={before[second]}", "Go on"))
        assert LOST in shown.said
    until(lambda: view(second).ended)
    assert view(second).state == "completed", view(second).failed
    assert [one.epoch for one in view(second).epochs] == list(range(1, 11))

    # The models are there, whole, each for its own reader.
    names = set()
    for key in (first, second):
        with httpx2.Client(base_url=b.url, timeout=HOPE_SECONDS, headers={"Authorization": f"Bearer {key}"}) as client:
            listed = client.get("/api/models").raise_for_status().json()["models"]
            own = [one["name"] for one in listed if one["name"] != "digits-example"]
            assert len(own) == 1, listed
            names.add((key, own[0]))
            onnx.load_from_string(client.get(f"/api/models/{own[0]}/model.onnx").raise_for_status().content)
    assert len(names) == 2


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_does_so_and_leaves_trainings_that_can_go_on(class_home: Path) -> None:
    key = keys.new()
    options = ["--class", "--address", "localhost"]
    with served(class_home, options) as url:
        on_a_loop(page(url, key, "epochs=200", "Start training"))
        until(lambda: has_learnt(key))
        run_id = only_run(key)
        os.kill(url.pid, signal.SIGTERM)
        until(lambda: Path(f"/proc/{url.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert view(key).state in ("running", "completed"), "it goes on without its server"
        with working(key):  # unless it is ended as well, as in a container that is stopped
            kill(key)
            until(lambda: not runs.is_alive(runs.run_dir(run_id)))
    if view(key).state == "completed":  # a quick machine
        return
    with served(class_home, options) as url:
        shown = on_a_loop(page(url, key, f"run={run_id}"))
        assert LOST in shown.said
        assert "Go on" in shown.buttons
    with working(key):
        assert runs.view(run_id).can_go_on
