"""The routes of the views, asked over a whole app with a stand-in for what computes the pictures."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from playground.errors import PlaygroundError
from playground.home import home
from playground.server.headers import Headers
from playground.server.single_flight import SingleFlight
from playground.server.views import Views, nothing_there
from playground.view.answer import Answer, NotThereError
from tests.waiting import HOPE_SECONDS, on_a_loop

NOISE = bytes((k * k * 31 + k // 7 * 89) % 251 for k in range(400))
FRAME = bytes(range(40)) * 100
POST = {"Origin": "http://testserver", "Content-Type": "application/json"}


class Stand:
    """Answers as it is told to, and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        self.lasting = False
        self.go_on = threading.Event()
        self.go_on.set()

    def answer(self, token: str, what: str, query: Mapping[str, str]) -> Answer:
        self.asked.append((token, what, query))
        number = len(self.asked) if what == "live" else 0
        assert self.go_on.wait(HOPE_SECONDS)
        if what == "gone":
            raise NotThereError("This view is gone.")
        if what == "wrong":
            raise PlaygroundError(f"There is no such epoch in {home()}/data.")
        if what == "broken":
            raise ZeroDivisionError("secret detail")
        body = {"noise": NOISE * 5, "short": FRAME[:900]}.get(what, FRAME)
        return Answer(body, "application/octet-stream", f"{what}-{number}", self.lasting)

    def change(self, token: str, what: str, body: Mapping[str, Any]) -> Answer:
        self.asked.append((token, what, body))
        if what == "wrong":
            raise PlaygroundError("A weight is a number.")
        return Answer(json.dumps(body).encode(), "application/json", "x", False)


def app_of(stand: Stand, most: int = 100) -> Starlette:
    """The routes as the server has them, the stand-in behind them."""
    views = Views(SingleFlight(most=most), lambda: stand)
    return Starlette(routes=[Route("/api/view/{token}/{what}", views), Mount("/api", nothing_there)],
                     middleware=[Middleware(Headers)])


@pytest.fixture
def stand() -> Stand:
    return Stand()


@pytest.fixture
def client(stand: Stand) -> Iterator[TestClient]:
    with TestClient(app_of(stand)) as opened:
        yield opened


def test_a_frame_comes_as_it_is_with_what_a_browser_has_to_know(client: TestClient, stand: Stand) -> None:
    found = client.get("/api/view/r-7~a.b_C/frame?epoch=3&photo=a%20c%C3%A4t&of=", headers={"Accept-Encoding": "br"})
    assert (found.status_code, found.content) == (200, FRAME)
    assert stand.asked == [("r-7~a.b_C", "frame", {"epoch": "3", "photo": "a cät", "of": ""})]
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["content-encoding"] == "identity"
    assert found.headers["content-length"] == str(len(FRAME))
    assert found.headers["cache-control"] == "no-cache"
    assert found.headers["x-content-type-options"] == "nosniff"
    stand.lasting = True
    assert client.get("/api/view/a/frame").headers["cache-control"] == "private, max-age=604800, immutable"


def test_who_has_the_frame_is_told_so(client: TestClient) -> None:
    tag = client.get("/api/view/a/frame").headers["etag"]
    for said in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = client.get("/api/view/a/frame", headers={"If-None-Match": said})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert client.get("/api/view/a/frame", headers={"If-None-Match": '"other"'}).content == FRAME


def test_it_is_compressed_where_that_is_smaller_and_understood(client: TestClient) -> None:
    def raw(what: str, accepts: str) -> tuple[str, bytes]:
        with client.stream("GET", f"/api/view/a/{what}", headers={"Accept-Encoding": accepts}) as found:
            content = b"".join(found.iter_raw())
            assert found.headers["content-length"] == str(len(content))
            assert found.headers["vary"] == "Accept-Encoding"
            return found.headers["content-encoding"], content

    coding, content = raw("frame", "gzip, deflate")
    assert coding == "gzip"
    assert len(content) < len(FRAME) / 10
    assert gzip.decompress(content) == FRAME
    assert raw("frame", "gzip;q=0, br") == ("identity", FRAME)
    assert raw("frame", "identity") == ("identity", FRAME)
    assert raw("short", "gzip") == ("identity", FRAME[:900])
    assert raw("noise", "gzip")[0] == "gzip"  # it comes again
    assert raw("frame", "gzip;q=0.5")[0] == "gzip"


def test_a_head_is_a_get_without_a_body(client: TestClient) -> None:
    got = client.get("/api/view/a/frame", headers={"Accept-Encoding": "identity"})
    head = client.head("/api/view/a/frame", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == got.headers
    assert client.head("/api/view/a/frame", headers={"If-None-Match": got.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(("what", "status", "sentence"), [
    ("gone", 404, "This view is gone."),
    ("wrong", 422, "There is no such epoch in data."),  # without where the server keeps it
    ("broken", 500, "Something went wrong. Reload the page; if it happens again, the server's log has the details "
                    "under “view failed: broken”."),
])
def test_an_error_is_a_sentence(
        client: TestClient, caplog: pytest.LogCaptureFixture, what: str, status: int, sentence: str) -> None:
    found = client.get(f"/api/view/a/{what}")
    assert (found.status_code, found.json()) == (status, {"error": sentence})
    assert found.headers["content-type"] == "application/json"
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert ("secret detail" in caplog.text) == (status == 500)


@pytest.mark.parametrize("address", [
    "/api/view/a%20b/frame", "/api/view/a/fr%C3%A4me", f"/api/view/{'a' * 129}/frame", "/api/view/a/frame?x",
    "/api/view/a/frame?" + "&".join(f"k{k}=1" for k in range(13)), "/api/view/a/frame?k=1&k=2",
    f"/api/view/a/frame?{'k' * 41}=1", f"/api/view/a/frame?k={'1' * 1001}", "/api/view/a/frame?k=%FF",
    "/api/view/a/frame?k=%00", "/api/view/a/frame?k=a%0Ab", "/api/view/a/frame?a=1&&b=2",
    "/api/view/a/frame?" + "&".join(f"k{k}={'1' * 900}" for k in range(5)),
])
def test_what_is_malformed_is_a_sentence_and_asks_nobody(client: TestClient, stand: Stand, address: str) -> None:
    found = client.get(address)
    assert found.status_code == 400
    assert found.json()["error"].endswith((".", "%", ")"))
    assert stand.asked == []


@pytest.mark.parametrize(("method", "address", "status"), [
    ("PUT", "/api/view/a/frame", 405), ("DELETE", "/api/view/a/frame", 405), ("OPTIONS", "/api/view/a/frame", 405),
    ("GET", "/api/view/a/b/c", 404), ("GET", "/api/", 404), ("GET", "/api/view/a/", 404), ("POST", "/api/else", 404),
])
def test_nothing_else_is_there(client: TestClient, stand: Stand, method: str, address: str, status: int) -> None:
    found = client.request(method, address)
    assert found.status_code == status
    assert "error" in found.json()
    assert found.headers.get("allow") == ("GET, HEAD, POST" if status == 405 else None)
    assert stand.asked == []


# --- changes ---


def test_a_page_of_ours_changes_something(client: TestClient, stand: Stand) -> None:
    found = client.post("/api/view/a/weight", headers=POST, content='{"layer": 0, "value": -0.5}')
    assert (found.status_code, found.json()) == (200, {"layer": 0, "value": -0.5})
    assert stand.asked == [("a", "weight", {"layer": 0, "value": -0.5})]
    assert found.headers["cache-control"] == "no-store"
    refused = client.post("/api/view/a/wrong", headers=POST, content="{}")
    assert (refused.status_code, refused.json()) == (422, {"error": "A weight is a number."})


@pytest.mark.parametrize(("headers", "content", "status"), [
    ({"Origin": "http://elsewhere.org"}, "{}", 403), ({"Origin": "null"}, "{}", 403), ({"Origin": ""}, "{}", 403),
    ({"Origin": "http://testserver:81"}, "{}", 403), ({"Origin": "http://testserver.elsewhere.org"}, "{}", 403),
    ({"Origin": "http://[testserver"}, "{}", 403), ({"Content-Type": "text/plain"}, "{}", 415),
    ({}, "[]", 400), ({}, "{", 400), ({}, '{"a": NaN}', 400), ({}, '{"a": 1e999}', 400), ({}, "[" * 9999, 400),
    ({}, b'{"a": "\xff"}', 400), ({}, "", 400), ({}, json.dumps({"a": "1" * 65536}), 413),
])
def test_a_change_that_is_none_of_ours_or_none_at_all_is_refused(
        client: TestClient, stand: Stand, headers: dict[str, str], content: str, status: int) -> None:
    found = client.post("/api/view/a/weight", headers=POST | headers, content=content)
    assert found.status_code == status
    assert "error" in found.json()
    assert stand.asked == []


def test_the_origin_is_compared_with_the_host_and_its_port(client: TestClient) -> None:
    def status(host: str, origin: str) -> int:
        headers = POST | {"Host": host, "Origin": origin}
        return client.post("/api/view/a/weight", headers=headers, content="{}").status_code

    assert status("192.168.0.7:8501", "http://192.168.0.7:8501") == 200
    assert status("[::1]:8501", "http://[::1]:8501") == 200
    assert status("Class.Local", "https://class.local") == 200
    assert status("192.168.0.7:8501", "http://192.168.0.7:8502") == 403
    assert status("192.168.0.7:8501", "http://user@192.168.0.7:8501") == 403


# --- many at once ---


async def _together(app: Starlette, stand: Stand, addresses: list[str], computed: int) -> list[httpx2.Response]:
    """Ask for all at once, and have the stand-in answer only when all are there and so many computations began."""
    stand.go_on.clear()
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        asking = [asyncio.ensure_future(client.get(address)) for address in addresses]
        async with asyncio.timeout(HOPE_SECONDS):
            while len(stand.asked) < computed:
                await asyncio.sleep(0.005)
            for _ in range(20 * len(addresses)):  # turns of the loop, in which everybody comes to where he waits
                await asyncio.sleep(0)
        stand.go_on.set()
        return await asyncio.gather(*asking)


def test_thirty_who_ask_for_the_same_at_once_cause_one_computation(stand: Stand) -> None:
    addresses = ["/api/view/a/live?epoch=3&of=x", "/api/view/a/live?of=x&epoch=3"] * 15
    found = on_a_loop(_together(app_of(stand), stand, addresses, 1))
    assert len(stand.asked) == 1
    assert {(one.status_code, one.content, one.headers["etag"]) for one in found} == {(200, FRAME, 'W/"live-1"')}
    broken = on_a_loop(_together(app_of(stand), stand, ["/api/view/a/broken"] * 30, 2))
    assert [one.status_code for one in broken] == [500] * 30
    assert len(stand.asked) == 2


def test_different_frames_are_computed_two_at_a_time_and_the_loop_goes_on(stand: Stand) -> None:
    addresses = [f"/api/view/a/live?epoch={k}" for k in range(6)]
    found = on_a_loop(_together(app_of(stand), stand, [*addresses, "/api/nothing"], 2))
    assert [one.status_code for one in found] == [200] * 6 + [404]
    assert len(stand.asked) == 6


def test_no_more_than_two_are_computed_at_once() -> None:
    running, most = 0, 0
    lock, go_on = threading.Lock(), threading.Event()

    def compute() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert go_on.wait(HOPE_SECONDS)
        with lock:
            running -= 1
        return 7

    async def all_of_them() -> list[int]:
        work: SingleFlight[int] = SingleFlight()
        asking = [asyncio.ensure_future(work.do(k, compute)) for k in range(8)]
        async with asyncio.timeout(HOPE_SECONDS):
            while running < 2:
                await asyncio.sleep(0.005)
        go_on.set()
        return await asyncio.gather(*asking)

    assert on_a_loop(all_of_them()) == [7] * 8
    assert most == 2


def test_where_too_many_wait_one_more_is_told_to_come_again(stand: Stand) -> None:
    addresses = [f"/api/view/a/live?epoch={k}" for k in range(3)]
    found = on_a_loop(_together(app_of(stand, most=2), stand, addresses, 2))
    assert sorted(one.status_code for one in found) == [200, 200, 503]
    late = next(one for one in found if one.status_code == 503)
    assert late.headers["retry-after"] == "1"
    assert "busy" in late.json()["error"]


def test_who_leaves_leaves_the_others_waiting() -> None:
    go_on = threading.Event()

    async def one_leaves() -> str:
        work: SingleFlight[str] = SingleFlight()
        first, second = (asyncio.ensure_future(work.do("key", lambda: str(go_on.wait(HOPE_SECONDS)))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        return await second

    assert on_a_loop(one_leaves()) == "True"


async def _change_while_looking(app: Starlette, stand: Stand) -> list[str]:
    stand.go_on.clear()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver") as client:
        before = asyncio.ensure_future(client.get("/api/view/a/live"))
        async with asyncio.timeout(HOPE_SECONDS):
            while not stand.asked:
                await asyncio.sleep(0.005)
            await client.post("/api/view/a/weight", headers=POST, content="{}")
            after = asyncio.ensure_future(client.get("/api/view/a/live"))
            while len(stand.asked) < 3:
                await asyncio.sleep(0.005)
        stand.go_on.set()
        return [(await one).headers["etag"] for one in (before, after)]


def test_who_looks_after_a_change_does_not_see_what_was_begun_before(stand: Stand) -> None:
    before, after = on_a_loop(_change_while_looking(app_of(stand), stand))
    assert before != after


# --- the contract ---


@pytest.mark.parametrize("etag", ["", 'a"b', "a b", "ä", "a\n"])
def test_what_cannot_be_an_etag_is_refused(etag: str) -> None:
    with pytest.raises(ValueError, match="no ETag"):
        Answer(b"", "application/json", etag, False)
