"""What is sent to the server of a class: no one reader or program takes all the room there is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from websockets import Origin, Subprotocol, connect

from bench.served import served
from playground.classroom import keys
from playground.classroom.keys import COOKIE
from playground.server import inference
from playground.server.asked import RefusedError
from playground.server.inbox import Inbox
from playground.server.models import MOST_AT_ONCE, SHARE, ModelRoutes
from playground.server.refusals import LATELY
from playground.server.single_flight import BusyError, SingleFlight
from playground.server.upload_share import MOST_OF_ONE, UploadShare
from playground.server.workspaces import Workspaces
from playground.ui import held_uploads
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


class Pages:
    """What Streamlit does with files that are sent to its sessions, as an app."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}

    def held(self) -> dict[str, int]:
        return {session: sum(map(len, files.values())) for session, files in self.files.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session, name = scope["path"].split("/")[-2:]
        self.files.setdefault(session, {})[name] = await Request(scope, receive).body()
        await Response(status_code=204)(scope, receive, send)


def test_the_files_a_workspace_sends_to_pages_have_a_limit_together(class_home: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.server.inbox.PASSED_OVER_SECONDS", 0.01)
    pages = Pages()
    app = Starlette(routes=[Mount("/below/_stcore/upload_file", pages)], middleware=[
        Middleware(Workspaces), Middleware(UploadShare, pages.held, 1000, 2500)])
    mine, other, third = ({"Cookie": f"{COOKIE}={keys.new()}"} for _ in range(3))
    with TestClient(app, base_url="http://localhost") as client:
        def put(who: dict[str, str], where: str, content: bytes | Iterator[bytes]) -> int:
            found = client.put(f"/below/_stcore/upload_file/{where}", content=content, headers=who)
            assert found.status_code == 204 or found.json()["error"].endswith(".")
            return found.status_code

        assert [put(mine, f"tab1/{k}", bytes(400)) for k in range(3)] == [204, 204, 413]
        assert put(mine, "tab2/a", bytes(400)) == 413, "another page is no other workspace"
        assert put(mine, "tab2/a", iter([bytes(150)] * 3)) == 413, "nor is a length that is not said none"
        assert put(mine, "tab2/a", iter([bytes(100)] * 2)) == 204
        assert sum(pages.held().values()) == 1000, "nothing of what was refused is held"
        assert put(other, "tab3/a", bytes(1000)) == 204
        assert put(third, "tab4/a", bytes(600)) == 429, "there is no more room for all"
        assert put({}, "tab5/a", bytes(400)) == 204
        del pages.files["tab1"]  # its page was closed
        assert put(mine, "tab6/a", bytes(700)) == 204
        assert LATELY.of("testclient") is None
        assert put({}, "tab5/b", bytes(700)) == 413, "who has no workspace has his address's share"
        assert LATELY.of("testclient") is None, "and nobody else at his address is told"


def test_files_that_are_on_their_way_are_counted(class_home: Path) -> None:
    pages = Pages()
    app = Workspaces(UploadShare(pages, pages.held, 1000, 2500))
    said = {"Authorization": f"Bearer {keys.new()}"}

    async def asked() -> list[int]:
        go_on = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield bytes(100)
            await go_on.wait()
            yield bytes(700)

        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=HOPE_SECONDS) as client:
            known = {**said, "Content-Length": "800"}
            first = asyncio.create_task(client.put("/_stcore/upload_file/a/1", content=slowly(), headers=known))
            second = asyncio.create_task(client.put("/_stcore/upload_file/a/2", content=bytes(300), headers=said))
            found = [(await second).status_code]
            go_on.set()
            found.append((await first).status_code)
            found.append((await client.put("/_stcore/upload_file/a/3", content=bytes(200), headers=said)).status_code)
            return found

    assert on_a_loop(asked()) == [413, 204, 204]


def test_what_streamlit_holds_of_a_session_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    manager, there = MemoryUploadedFileManager("/_stcore/upload_file"), ["a", "b"]
    assert held_uploads.held() == {}, "where there is no server"
    monkeypatch.setattr(held_uploads, "runtime", SimpleNamespace(
        exists=lambda: True, get_instance=lambda: SimpleNamespace(
            uploaded_file_mgr=manager, _session_mgr=SimpleNamespace(
                list_sessions=lambda: [SimpleNamespace(session=SimpleNamespace(id=one)) for one in there]))))
    for session, name, size in (("a", "1", 10), ("a", "2", 20), ("b", "1", 5)):
        manager.add_file(session, UploadedFileRec(name, "x.jpg", "image/jpeg", bytes(size)))
    assert held_uploads.held() == {"a": 30, "b": 5}
    manager.remove_file("b", "1")
    assert held_uploads.held() == {"a": 30}
    there.remove("a")
    assert held_uploads.held() == {}
    assert manager.get_files("a", ["1"]) == [], "of a session that ended nothing is held"


@pytest.mark.slow
def test_the_server_of_a_class_holds_no_more_of_one_reader_than_his_share(tmp_path: Path) -> None:
    async def sent_to(url: str) -> tuple[list[int], str]:
        async with httpx2.AsyncClient(base_url=url, timeout=HOPE_SECONDS) as client:
            await client.get("/", headers={"Accept": "text/html"})
            await client.get("/_stcore/host-config")
            await client.get("/_stcore/health")
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
            async with connect(f"ws{url.removeprefix('http')}/_stcore/stream", subprotocols=[Subprotocol("streamlit")],
                               origin=Origin(url), additional_headers={"Cookie": cookies}, max_size=None) as socket:
                ask = BackMsg()
                ask.rerun_script.page_name = "lab"
                await socket.send(ask.SerializeToString())
                session, said = "", ForwardMsg()
                while not session:
                    said.ParseFromString(bytes(await socket.recv(decode=False)))
                    session = said.new_session.initialize.session_id
                size, found = 80 * 2**20, []
                for k in range(MOST_OF_ONE // size + 1):
                    answer = await client.put(f"/_stcore/upload_file/{session}/{k}",
                                              files={"file": ("a.zip", bytes(size))},
                                              headers={"X-Xsrftoken": client.cookies.get("_streamlit_xsrf", "")})
                    found.append(answer.status_code)
                told = (await client.get("/api/class")).json()["refused"]["sentence"]
                assert told in answer.text, "the field shows a number alone"
                return found, told

    with served(tmp_path, ["--class", "--address", "127.0.0.1"]) as url:
        found, said = on_a_loop(sent_to(url.url))
    assert found == [204, 204, 204, 413]
    assert "300 MB" in said
