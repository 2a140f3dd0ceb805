"""Under which names the server answers, and which it does not know."""

import doctest
import socket
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from playground.server import hosts
from playground.server.closed import Closed
from playground.server.hosts import KnownHosts


async def _page(_: object) -> PlainTextResponse:
    return PlainTextResponse("a page")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(socket, "gethostname", lambda: "Teacher-PC.school.example")
    monkeypatch.setenv(hosts.CONFIGURED, " play.school.example, Other.example. ,")
    app = Starlette(routes=[Route("/{rest:path}", _page), WebSocketRoute("/socket", _socket)],
                    middleware=[Middleware(KnownHosts), Middleware(Closed)])
    with TestClient(app) as opened:
        yield opened


def lets_in(client: TestClient, host: str) -> bool:
    """Whether a page and a websocket are answered under a name: both or none."""
    found = client.get("/", headers={"Host": host}).status_code
    try:
        with client.websocket_connect("/socket", headers={"Host": host}):
            opened = True
    except WebSocketDisconnect:
        opened = False
    assert (found == 200) == opened
    return opened


@pytest.mark.parametrize("host", [
    "localhost:8501", "LOCALHOST", "localhost.", "app.localhost", "127.0.0.1:8501", "192.168.0.7", "10.1.2.3:80",
    "[::1]:8501", "[fe80::1]", "teacher-pc.school.example:8501", "teacher-pc.local:8501", "play.school.example",
    "other.example:443",
])
def test_our_names_and_all_addresses_of_numbers_are_answered(client: TestClient, host: str) -> None:
    assert lets_in(client, host)


@pytest.mark.parametrize("host", [
    "evil.example", "", "localhost.evil.example", "127.0.0.1.evil.example", "evilocalhost", "teacher-pc.evil.example",
    "x.play.school.example", "0x7f.1", "*", "school.example", ".local",
])
def test_other_names_are_not(client: TestClient, host: str) -> None:
    assert not lets_in(client, host)


def test_the_refusal_says_what_to_do_and_shows_no_more_of_the_name_than_fits(client: TestClient) -> None:
    found = client.get("/", headers={"Host": "evil.example:80"})
    assert found.status_code == 400
    assert found.text == ("This server does not answer under the name 'evil.example'. Ask for it by its address of "
                          "numbers, or start it with PLAYGROUND_HOSTS=evil.example.\n")
    assert len(client.get("/", headers={"Host": "a" * 5000}).text) < 400


def test_any_name_where_it_is_asked_for(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hosts.answered("anything.example", {"*"})
    monkeypatch.setenv(hosts.CONFIGURED, "*")
    assert "*" in hosts.names()


def test_metrics_are_closed_below_any_path(client: TestClient) -> None:
    for path in ("/_stcore/metrics", "/play/_stcore/metrics", "/_stcore/metrics/"):
        assert client.get(path, headers={"Host": "localhost"}).status_code == 404
    assert client.get("/_stcore/health", headers={"Host": "localhost"}).text == "a page"


def test_the_examples_run() -> None:
    tried = doctest.testmod(hosts)
    assert (tried.failed, tried.attempted > 1) == (0, True)
