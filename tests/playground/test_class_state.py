"""What the teacher sets for a class: written whole, read cheaply, strict about what the file says, told to browsers."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from playground import home
from playground.classroom import keys, state, workspaces
from playground.classroom.state import Collection, Tour
from playground.errors import PlaygroundError
from playground.server import class_state
from playground.server.refusals import SAID_SECONDS, Refusals
from playground.server.workspaces import Workspaces
from tests.a_class import class_home, place_of

__all__ = ["class_home"]


def test_a_tour_goes_on_and_ends(class_home: Path) -> None:
    assert state.read() == state.NOTHING
    state.lead("pooling", {"stride": "3"})
    first = state.read().tour
    assert first is not None
    assert (first.url, first.query, first.address) == ("pooling", {"stride": "3"}, "pooling?stride=3")
    state.lead("loss", {})
    second = state.read().tour
    assert second is not None
    assert second.started == first.started, "still the same tour"
    assert second.step > first.step
    state.end_tour()
    assert state.read().tour is None
    assert state.read().mark("loss") != f"{second.step}.0", "who looks at it is told"
    state.lead("loss", {})
    third = state.read().tour
    assert third is not None
    assert third.started > second.step, "who left the last one follows this one"


@pytest.mark.parametrize(("url", "query"), [
    ("../x", {}), ("//evil.example", {}), ("", {}), ("pooling", {"a": "x" * 1001}),
    ("pooling", {f"k{k}": "1" for k in range(41)}),
])
def test_nobody_is_led_to_what_is_no_page_of_ours(url: str, query: dict[str, str], class_home: Path) -> None:
    with pytest.raises(PlaygroundError, match="no address of a page"):
        state.lead(url, query)
    assert state.read().tour is None


def test_what_changes_marks_its_own_page_alone(class_home: Path) -> None:
    before = {page: state.read().mark(page) for page in ("pooling", "loss")}
    state.reveal("q", "pooling")
    assert state.read().revealed == {"q": "pooling"}
    assert state.read().mark("pooling") != before["pooling"]
    assert state.read().mark("loss") == before["loss"]
    shown = state.read().mark("pooling")
    state.reveal("q", "pooling", False)
    assert state.read().revealed == {}
    assert state.read().mark("pooling") != shown


def test_of_many_changes_at_once_none_is_lost(class_home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: state.reveal(f"q{k}", f"page{k}"), range(24)))
    assert set(state.read().revealed) == {f"q{k}" for k in range(24)}
    assert len(set(state.read().changed.values())) == 24, "every moment is later than those before"


@pytest.mark.parametrize("content", [
    "", "{", "[]", '{"tour": 3}', '{"tour": {"started": 1, "step": NaN, "url": "loss"}}',
    '{"tour": {"started": 1, "step": 2, "url": "../../evil"}}', '{"tour": {"started": "1", "step": 2, "url": "loss"}}',
    '{"revealed": ["a"], "changed": "x", "collection": {"name": 3, "labels": []}}',
])
def test_a_damaged_file_says_nothing(content: str, class_home: Path) -> None:
    home.shared().mkdir(parents=True)
    (home.shared() / state.STATE).write_text(content)
    assert state.read() == state.NOTHING
    state.reveal("q", "loss")
    assert state.read().revealed == {"q": "loss"}


def test_the_file_is_read_when_it_changed_and_not_before(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    parse = state._parsed
    monkeypatch.setattr(state, "_parsed", lambda path: (read.append(path), parse(path))[1])
    state.lead("loss", {})
    for _ in range(5):
        assert state.read().tour is not None
    assert len(read) == 1
    state.collect(Collection("cups", ("a", "b")), "class")
    assert state.read().collection == Collection("cups", ("a", "b"))


def client() -> TestClient:
    return TestClient(Starlette(routes=[class_state.route("/play")], middleware=[Middleware(Workspaces)]))


def test_a_browser_is_told_where_the_class_is_and_nothing_of_anybody(class_home: Path) -> None:
    state.lead("pooling", {"stride": "3"})
    state.collect(Collection("cups", ("cup", "no cup")), "class")
    state.reveal("0123", "loss")
    answer = client().get("/play/api/class")
    said = answer.json()
    assert set(said) == {"tour", "changed"}
    assert said["tour"]["address"] == "pooling?stride=3"
    assert set(said["changed"]) == {"class", "loss"}
    known = client().get("/play/api/class", headers={"If-None-Match": answer.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    state.end_tour()
    changed = client().get("/play/api/class", headers={"If-None-Match": answer.headers["etag"]})
    assert (changed.status_code, changed.json()["tour"]) == (200, None)


def test_who_was_refused_a_file_is_told_why_and_nobody_else(
        class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    refusals = Refusals(lambda: now[0])
    monkeypatch.setattr(class_state, "LATELY", refusals)
    one, another = keys.new(), keys.new()
    cookies = [{"Cookie": f"{keys.COOKIE}={key}"} for key in (one, another)]
    before = client().get("/play/api/class", headers=cookies[0]).headers["etag"]
    refusals.note(place_of(one).name, "That is too much.")
    told, other = (client().get("/play/api/class", headers=cookie | {"If-None-Match": before}) for cookie in cookies)
    assert told.json()["refused"] == {"at": 1_000_000, "sentence": "That is too much."}
    assert other.status_code == 304
    now[0] += SAID_SECONDS + 1
    assert client().get("/play/api/class", headers=cookies[0] | {"If-None-Match": before}).status_code == 304


def test_who_only_reads_is_still_here(class_home: Path) -> None:
    key = keys.new()
    place, cookie = place_of(key), {"Cookie": f"{keys.COOKIE}={key}"}
    long = 2 * workspaces.HERE_SECONDS

    def asks() -> float:
        assert client().get("/play/api/class", headers=cookie).status_code == 200
        return workspaces.at(place).seen

    asks()
    assert not place.exists(), "no page of it was opened yet, or it was deleted since"
    workspaces.seen(place, "loss")
    workspaces.rename(place, "Ada")
    assert asks() == workspaces.at(place).seen, "seen a moment ago"
    before = time.time() - long
    (place / workspaces.WHO).write_text(json.dumps({"name": "Ada", "page": "loss", "seen": before}))
    os.utime(place / workspaces.WHO, (before, before))
    assert not workspaces.at(place).is_here
    asks()
    found = workspaces.at(place)
    assert (found.is_here, found.name, found.page) == (True, "Ada", "loss")
    noted = (place / workspaces.WHO).stat().st_mtime_ns
    asks()
    assert (place / workspaces.WHO).stat().st_mtime_ns == noted, "not written with every question"
    assert client().get("/play/api/class").status_code == 200
    assert [one.id for one in workspaces.all_of_them()] == [place.name]


def test_a_name_given_while_its_owner_is_seen_is_kept(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, read, both = place_of(keys.new()), home.read_json, Barrier(2)

    def read_by_both(path: Path) -> object:
        said = read(path)
        with suppress(BrokenBarrierError):  # the other one waits for its turn
            both.wait(0.3)
        return said

    workspaces.seen(place, "mlp")
    monkeypatch.setattr(home, "read_json", read_by_both)
    with ThreadPoolExecutor(2) as pool:
        for noting in [pool.submit(workspaces.seen, place, "loss"), pool.submit(workspaces.rename, place, "Ada")]:
            noting.result()
    found = workspaces.at(place)
    assert (found.name, found.page) == ("Ada", "loss")


def test_without_a_class_there_is_nothing_to_ask(playground_home: Path) -> None:
    answer = client().get("/play/api/class")
    assert answer.status_code == 404
    assert "no class" in answer.json()["error"]


def test_another_file_of_the_same_size_and_moment_is_seen(class_home: Path) -> None:
    state.lead("loss", {})
    path = home.shared() / state.STATE
    stat, text = path.stat(), json.loads(path.read_text())
    assert state.read().tour is not None
    with home.whole(path) as incoming:
        incoming.write_text(json.dumps({**text, "tour": {**text["tour"], "url": "mlpx"}}, ensure_ascii=False))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    tour = state.read().tour
    assert isinstance(tour, Tour)
    assert tour.url == "mlpx"
