"""The middleware that gives every browser of a class a workspace, and the links that open one elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from playground import home
from playground.classroom import keys, workspaces
from playground.classroom.keys import COOKIE, TEACHER
from playground.server import inference, middleware
from playground.server.models import ModelRoutes
from playground.server.rates import Buckets, Rates
from playground.server.single_flight import SingleFlight
from playground.server.workspaces import MOST_WRONG, Links, Workspaces, WrongKeys, expiring
from tests.a_class import class_home, place_of, working
from tests.pages.on_a_page import put_model
from tests.waiting import on_a_loop

__all__ = ["class_home"]

PAGE = {"Accept": "text/html,application/xhtml+xml"}
SAME = {"Origin": "http://localhost"}


def app() -> Starlette:
    """Routes that say whose they are, behind the whole middleware of the server."""
    async def whose(_: object) -> PlainTextResponse:
        return PlainTextResponse(str(home.home()))

    async def socket(one: WebSocket) -> None:
        await one.accept()
        await one.send_text(f"{home.home()} {one.headers.get('cookie', '')}")
        await one.close()

    models, wrong = ModelRoutes(SingleFlight(), SingleFlight(), models=lambda: inference), WrongKeys()
    return Starlette(routes=[Route("/", whose), WebSocketRoute("/socket", socket), *models.routes(),
                             *Links(wrong=wrong).routes()], middleware=middleware(wrong=wrong))


@pytest.fixture
def client(class_home: Path) -> Iterator[TestClient]:
    with TestClient(app(), base_url="http://localhost", follow_redirects=False) as opened:
        yield opened


def test_a_browser_gets_a_key_with_its_first_page_and_keeps_it(client: TestClient) -> None:
    first = client.get("/", headers=PAGE)
    said = first.headers["set-cookie"]
    assert re.fullmatch(rf"{COOKIE}=\S+; Path=/; Max-Age=\d+; HttpOnly; SameSite=Lax", said)
    key = client.cookies[COOKIE]
    assert first.text == str(place_of(key))
    again = client.get("/", headers=PAGE)
    assert "set-cookie" not in again.headers
    assert again.text == first.text
    client.cookies.clear()
    assert client.get("/", headers=PAGE).text != first.text
    secure = client.get("/", headers={**PAGE, "X-Forwarded-Proto": "https", "Cookie": "a=b"})
    assert secure.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize("shown", ["", "made-up", "a.b", "\"", "=", "x" * 5000])
def test_a_made_up_key_is_none(client: TestClient, shown: str) -> None:
    found = client.get("/", headers={**PAGE, "Cookie": f"other=1; {COOKIE}={shown}"})
    assert found.text == str(place_of(client.cookies[COOKIE]))


def test_who_asks_for_no_page_and_shows_no_key_sees_what_all_have_in_common(client: TestClient) -> None:
    found = client.get("/", headers={"Accept": "application/json"})
    assert found.text == str(home.shared())
    assert "set-cookie" not in found.headers
    key = keys.new()
    assert client.get("/", headers={"Authorization": f"Bearer {key}"}).text == str(place_of(key))


def test_a_websocket_has_its_browsers_workspace_or_a_new_one(client: TestClient) -> None:
    key = keys.new()
    with client.websocket_connect("ws://localhost/socket", headers={"Cookie": f"{COOKIE}={key}"}) as socket:
        assert socket.receive_text() == f"{place_of(key)} {COOKIE}={key}"
    with client.websocket_connect("ws://localhost/socket", headers={"Cookie": "a=b"}) as socket:
        place, _, cookie = socket.receive_text().partition(" ")
        assert cookie.startswith(f"a=b; {COOKIE}=")
        assert place == str(place_of(cookie.rpartition("=")[2]))
        assert cookie.rpartition("=")[2] in str(socket.extra_headers)


def test_without_a_class_nobody_gets_anything(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.new()
    monkeypatch.delenv(home.CLASS)
    assert "set-cookie" not in client.get("/", headers=PAGE).headers
    for link in (f"/join/{key}", f"/teach/{keys.teacher_key()}"):
        assert client.get(link).status_code == 404


def test_the_link_of_a_key_opens_its_workspace_after_asking(client: TestClient) -> None:
    client.get("/", headers=PAGE)
    own = client.cookies[COOKIE]
    key = keys.new()
    asked = client.get(f"/join/{key}", headers=PAGE)
    assert asked.status_code == 200
    assert "<form method=\"post\">" in asked.text
    assert client.cookies[COOKIE] == own  # a link alone changes nothing
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert client.post(f"/join/{key}", headers=origin).status_code == 403
    assert client.cookies[COOKIE] == own
    opened = client.post(f"/join/{key}", headers=SAME)
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    client.cookies.clear()
    client.cookies.set(COOKIE, key)
    assert client.get("/", headers=PAGE).text == str(place_of(key))


def test_the_teachers_link_makes_a_browser_the_teachers(client: TestClient) -> None:
    assert client.get(f"/teach/{keys.teacher_key()}").status_code == 200
    opened = client.post(f"/teach/{keys.teacher_key()}", headers=SAME)
    assert opened.headers["location"] == "/class"
    assert keys.is_teacher_cookie(re.search(rf"{TEACHER}=(\S+);", opened.headers["set-cookie"])[1])  # type: ignore[index]
    for wrong in (keys.teacher_cookie(), keys.new(), "x"):
        assert client.post(f"/teach/{wrong}", headers=SAME).status_code == 404


def test_who_guesses_keys_is_not_listened_to_for_a_minute(client: TestClient) -> None:
    answers = [client.get(f"/join/guess-{k}").status_code for k in range(MOST_WRONG + 2)]
    assert answers == [404] * MOST_WRONG + [429, 429]
    now = [0.0]
    wrong = WrongKeys(lambda: now[0])
    assert all(wrong.may_try("1.2.3.4") for _ in range(MOST_WRONG))
    assert (wrong.may_try("1.2.3.4"), wrong.may_try("1.2.3.5")) == (False, True)
    now[0] = 61.0
    assert wrong.may_try("1.2.3.4")


def test_a_right_link_or_key_opens_however_many_wrong_ones_came_from_its_address(client: TestClient) -> None:
    mine = keys.new()
    for k in range(MOST_WRONG + 1):
        client.get(f"/join/guess-{k}")
    for link in (f"/join/{mine}", f"/teach/{keys.teacher_key()}"):
        assert client.get(link).status_code == 200
        assert client.post(link, headers=SAME).status_code == 303
    client.cookies.clear()
    assert client.get("/api/models", headers={"Authorization": f"Bearer {mine}"}).status_code == 200


def test_a_program_hears_that_its_key_is_none_and_guesses_no_more_than_links(client: TestClient) -> None:
    for shown in ("guess", "", "made.up", place_of(keys.new()).name):
        for ask in (lambda said: client.get("/api/models/secret", headers=said),
                    lambda said: client.post("/api/models/secret/predict", content=bytes(1000), headers=said)):
            found = ask({"Authorization": f"Bearer {shown}"})
            assert found.status_code == 401
            assert found.headers["www-authenticate"].startswith("Bearer ")
            assert "no key" in found.json()["error"]
    assert [client.get(f"/join/guess-{k}").status_code for k in range(3)] == [404, 404, 429]
    found = client.get("/api/models", headers={"Authorization": "Bearer guess"})
    assert (found.status_code, found.headers["retry-after"]) == (429, "60")
    assert "wrong keys" in found.json()["error"]
    assert client.get("/api/models").status_code == 200, "who shows none sees what all have in common"


def test_a_sign_in_before_the_app_may_send_a_token_of_its_own(client: TestClient) -> None:
    token = {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}
    page = client.get("/", headers={**PAGE, **token})
    assert page.text == str(place_of(client.cookies[COOKIE]))
    assert client.get("/", headers={**PAGE, **token}).text == page.text
    assert client.get("/", headers=token).text == page.text


def test_the_models_of_one_are_nobody_elses_over_http(client: TestClient) -> None:
    mine, other = keys.new(), keys.new()
    with working(mine) as place:
        put_model("secret")
    paths = ("/api/models/secret", "/api/models/secret/model.onnx",
             f"/api/models/..%2F..%2F{place.name}%2Fexports%2Fsecret", f"/api/models/%2F{place}")
    for shown in (mine, other, ""):
        headers = {"Cookie": f"{COOKIE}={shown}"} if shown else {}
        names = [one["name"] for one in client.get("/api/models", headers=headers).json()["models"]]
        assert ("secret" in names) == (shown == mine)
        assert "digits-example" in names
        statuses = [client.get(path, headers=headers).status_code for path in paths]
        assert statuses == ([200, 200, 404, 404] if shown == mine else [404] * 4)
        sent = client.post("/api/models/secret/predict", content=b"no picture", headers=headers)
        assert sent.status_code == (400 if shown == mine else 404)


def test_workspaces_go_by_themselves_while_the_server_runs(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []

    def expire() -> list[str]:
        looked.append(True)
        if len(looked) == 2:
            monkeypatch.delenv(home.CLASS)  # that ends it
        raise OSError("the disk fails")

    monkeypatch.setattr(workspaces, "expire", expire)
    on_a_loop(expiring(0.001, 0.001))
    assert looked == [True, True]


def test_one_reader_cannot_ask_for_ever(class_home: Path) -> None:
    now = [0.0]
    buckets = Buckets(burst=3, a_second=2.0, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [True, True, True, False, False]
    assert buckets.take("b")
    now[0] = 1.0
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]

    limited = Starlette(routes=[Route("/api/x", lambda _: PlainTextResponse("well")),
                                Route("/x", lambda _: PlainTextResponse("well"))],
                        middleware=[Middleware(Workspaces), Middleware(Rates, Buckets(burst=2, a_second=0.0))])
    with TestClient(limited, base_url="http://localhost") as asked:
        one, two = ({"Cookie": f"{COOKIE}={keys.new()}"} for _ in range(2))
        assert [asked.get("/api/x", headers=one).status_code for _ in range(3)] == [200, 200, 429]
        assert "ask again" in asked.get("/api/x", headers=one).json()["error"]
        assert asked.get("/api/x", headers=two).status_code == 200
        assert asked.get("/x", headers=one).status_code == 200
        made_up = [asked.get("/api/x", headers={"Cookie": f"{COOKIE}=guess-{k}"}).status_code for k in range(3)]
        assert made_up == [200, 200, 429]
