"""A run on a cluster is followed to its end whatever becomes of nodes. Here the cluster is a script, without Ray."""

import io
import json
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from playground import home
from playground.errors import PlaygroundError
from playground.training.cluster import attempt, following, on_node, photos, ray_driver, run_files, telling
from playground.training.cluster.attempt import Attempt
from playground.training.cluster.following import MOST_LOST, Answer, LostError, follow
from playground.training.cluster.run_files import Changes, Paths
from playground.training.cluster.telling import Told
from playground.training.runs import runs, turns
from playground.training.runs.events import (
    Cancelled,
    Epoch,
    Event,
    Exported,
    Failed,
    Finished,
    Queued,
    RateChanged,
    Resumed,
    Saved,
    Stage,
    Started,
    from_json,
    to_json,
)
from playground.training.runs.log import read
from playground.training.runs.runs import RunSpec
from playground.training.scratch import live_files, settings
from tests.waiting import ended, until

STARTED = Started("digits", 3, 2, 10, ("0", "1"), {"train": 8}, "cpu", 1.0)
FINISHED = Finished("completed", 3, None, 0, 1.0, (), 5.0)
EXPORTED = Exported("mine", "/there/model.onnx", 0.0, 3, 6.0)
CHECKPOINT = following.CHECKPOINT
Step = Answer | LostError | None


def epoch(number: int, state: bytes) -> tuple[Told, Told]:
    """An epoch is over and saved."""
    return (Told(Epoch(number, 1.0, 0.5, 1.0, 0.5, 0.1, 2.0)),
            Told(Saved("w", number, 2.0), {CHECKPOINT: state, "history/1": state}))


def told(number: int, *what: Told, over: str | None = None) -> Answer:
    return Answer(number, what, over)


class Script:
    """A cluster whose attempts do what is written."""

    def __init__(self, folder: Path, *attempts: list[Step], room: Callable[[], int] = lambda: 1, waits: int = 0):
        self.folder, self.attempts, self.room, self.waits = folder, attempts, room, waits
        self.begun_from: list[bytes | None] = []
        self.dropped: list[int] = []
        self.hanging: list[int] = []
        self.said: list[Mapping[str, Any]] = []

    def begin(self, number: int) -> "Scripted":
        there = self.folder / CHECKPOINT
        self.begun_from.append(there.read_bytes() if there.is_file() else None)
        return Scripted(self, number, iter(self.attempts[number - 1]))


class Scripted:
    host = "node-x"

    def __init__(self, script: Script, number: int, steps: Iterator[Step]):
        self.script, self.number, self.steps = script, number, steps

    def begun(self, seconds: float) -> bool:
        self.script.waits -= 1
        return self.script.waits < 0

    def ask(self, said: Mapping[str, Any], seconds: float) -> Answer | None:
        assert seconds == following.QUIET_SECONDS
        self.script.said.append(said)
        step = next(self.steps)
        if isinstance(step, LostError):
            raise step
        return step

    def avoid(self) -> None:
        self.script.hanging.append(self.number)

    def drop(self) -> None:
        self.script.dropped.append(self.number)


def followed(script: Script, stop: Callable[[], bool] = lambda: False, ahead: Callable[[], int] = lambda: 0,
             begun: Callable[[], None] = lambda: None) -> list[Event]:
    def keep(what: Told, started: Started, finished: Finished) -> Event:
        assert (started, finished) == (STARTED, FINISHED)
        return Exported("mine", f"/here/{what.model.decode()}", 0.0, 3, 6.0)

    return list(follow(script, script.folder, stop, ahead, begun, keep))


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_what_is_told_is_kept_before_it_is_said(tmp_path: Path) -> None:
    script = Script(tmp_path, [
        told(1), told(1, Told(STARTED), *epoch(1, b"one")),
        told(1, Told(FINISHED, {"model.json": b"{}"}, [CHECKPOINT])), told(1, Told(EXPORTED, model=b"onnx"), over="")])
    seen = []
    for event in follow(script, tmp_path, lambda: False, lambda: 0, lambda: None, lambda *_: EXPORTED):
        seen.append(type(event).__name__)
        if isinstance(event, Saved):
            assert (tmp_path / CHECKPOINT).read_bytes() == (tmp_path / "history/1").read_bytes() == b"one"
    assert seen == ["Stage", "Started", "Epoch", "Saved", "Finished", "Exported"]
    assert not (tmp_path / CHECKPOINT).exists()
    assert script.dropped[0] == 1


@pytest.mark.parametrize(("end", "hanging"), [(None, [1]), (LostError("node-x is gone"), []),
                                             (told(1, over="The process that trained ended with 11."), [])])
def test_a_lost_attempt_goes_on_elsewhere_from_its_checkpoint(end: Step, hanging: list[int], tmp_path: Path) -> None:
    script = Script(tmp_path, [told(1, Told(STARTED), *epoch(1, b"one")), end],
                    [told(2, Told(STARTED), *epoch(2, b"two"), Told(FINISHED), Told(EXPORTED, model=b"m"), over="")])
    events = followed(script)
    assert kinds(events) == ["Stage", "Started", "Epoch", "Saved", "Resumed", "Stage", "Stage", "Started", "Epoch",
                             "Saved", "Finished", "Exported"]
    assert script.begun_from == [None, b"one"]
    assert script.hanging == hanging
    assert 1 in script.dropped
    assert isinstance(events[5], Stage)
    assert "goes on from what was saved" in events[5].text
    assert events[-1] == Exported("mine", "/here/m", 0.0, 3, 6.0)
    view = runs.fold("id", RunSpec("digits", {}, 0, "mine"), events, False, False)
    assert (view.state, [one.epoch for one in view.epochs]) == ("completed", [2])


def test_what_an_attempt_tells_that_was_given_up_is_not_heard(tmp_path: Path) -> None:
    script = Script(tmp_path, [None], [told(1, *epoch(9, b"stale")), told(2, Told(STARTED), Told(
        Failed("That was it.", "", 3.0)), over="")])
    events = followed(script)
    assert "Epoch" not in kinds(events)
    assert not (tmp_path / CHECKPOINT).exists()
    assert kinds(events)[-1] == "Failed"


def test_what_is_lost_while_it_is_exported_is_not_trained_again(tmp_path: Path) -> None:
    script = Script(tmp_path, [told(1, Told(STARTED), *epoch(3, b"x"), Told(FINISHED)), None],
                    [told(2, Told(EXPORTED, model=b"m"), over="")])
    events = followed(script)
    assert [event.finishing for event in events if isinstance(event, Resumed)] == [True]
    assert runs.fold("id", RunSpec("digits", {}, 0, "mine"), events, False, False).state == "completed"


def test_a_run_that_is_lost_again_and_again_fails_and_keeps_what_was_saved(tmp_path: Path) -> None:
    saving: list[list[Step]] = [[told(k, *epoch(k, b"%d" % k)), None] for k in range(1, MOST_LOST + 2)]
    nothing: list[list[Step]] = [[None]] * MOST_LOST
    script = Script(tmp_path, *saving, *nothing)
    with pytest.raises(PlaygroundError, match=f"lost this training {MOST_LOST} times in a row"):
        followed(script)
    assert (tmp_path / CHECKPOINT).read_bytes() == b"%d" % (MOST_LOST + 1)  # progress counts anew
    assert len(script.begun_from) == len(saving) + MOST_LOST - 1


def test_it_waits_for_its_turn_and_says_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.0)
    places, left = iter([3, 3, 1, 0]), []
    script = Script(tmp_path, [told(1, Told(Failed("It.", "", 1.0)), over="")], waits=2)
    events = followed(script, ahead=lambda: next(places), begun=lambda: left.append(len(script.begun_from)))
    assert [event.place for event in events if isinstance(event, Queued)] == [4, 2, 0, 1, 0]
    assert left == [1]


@pytest.mark.parametrize("waits", ["for its turn", "for room"])
def test_who_waits_can_be_cancelled(waits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.0)
    first = waits == "for its turn"
    script = Script(tmp_path, [], waits=0 if first else 99)
    events = followed(script, stop=lambda: True, ahead=lambda: 5 if first else 0)
    assert isinstance(events[-1], Cancelled)
    assert script.dropped == ([] if first else [1])


def test_a_wish_to_stop_and_what_pages_ask_reach_the_node_once(tmp_path: Path) -> None:
    (tmp_path / settings.RATE).write_bytes(b'{"factor": 0.5}\n')
    script = Script(tmp_path, [told(1), told(1, over="")])
    followed(script, stop=lambda: len(script.said) > 0)
    assert [(said["stop"], list(said["asked"])) for said in script.said] == [(False, [settings.RATE]), (True, [])]
    assert run_files.ASKED == (settings.RATE, live_files.WATCHED)


def test_only_what_changed_is_sent_and_nothing_leads_out_of_the_folder(tmp_path: Path) -> None:
    run_files.write(tmp_path, {"a": b"1", "history/b": b"2"})
    (tmp_path / "events.jsonl").touch()
    changes = Changes(tmp_path)
    assert changes.since() == ({}, [])
    run_files.write(tmp_path, {"a": b"3", "c": b"4"}, ["history/b"])
    (tmp_path / "c.incoming").touch()
    assert changes.since() == ({"a": b"3", "c": b"4"}, ["history/b"])
    for name in ("../x", "/x", "events.jsonl", ""):
        with pytest.raises(ValueError, match="no file of a run"):
            run_files.write(tmp_path, {}, [name])


def test_paths_become_those_of_the_other_machine_and_back() -> None:
    paths = Paths([("/home/Zoë's \"pets\"", "/tmp/p/1/x"), ("/home", "/tmp/h"), ("/", "/never")])
    listed = '["/home/Zoë\'s \\"pets\\"/a.png", "/home/b", "/homes", "/tmp"]'
    here = {"photographs.json": listed.encode(), "w": b"/home"}
    there = paths.files_there(here)
    assert there["photographs.json"].decode() == '["/tmp/p/1/x/a.png", "/tmp/h/b", "/homes", "/tmp"]'
    assert there["w"] == b"/home"
    assert paths.files_here(there) == here


def test_what_is_told_comes_as_it_was_written_and_a_half_of_it_is_left_out() -> None:
    out = io.BytesIO()
    first = Told(STARTED, {"a/b": b"\n\n", "c": b""}, ["d"])
    for one in (first, Told(EXPORTED, model=b"onnx", card=b"{}")):
        telling.write(out, one)
    assert list(telling.read(io.BytesIO(out.getvalue()))) == [first, Told(EXPORTED, model=b"onnx", card=b"{}")]
    assert list(telling.read(io.BytesIO(out.getvalue()[:-1]))) == [first]


def test_a_folder_is_sent_once_to_all_who_need_it_and_removed_by_the_last(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "PIECE_BYTES", 1000)
    folder, top = tmp_path / "pets", tmp_path / "node"
    for name, content in {"Réd/1.png": b"r" * 3000, "blue/1.png": b"b", ".hidden/x": b"", "Thumbs.db": b""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "empty").mkdir()
    (folder / "loop").symlink_to(folder)
    digest, pieces = photos.packed(folder, lambda piece: piece)
    assert len(pieces) > 3
    assert photos.packed(folder, lambda piece: piece)[0] == digest
    with photos.unpacked(top, digest, "pets", pieces) as one:
        assert sorted(str(path.relative_to(one)) for path in one.rglob("*")) == [
            "Réd", "Réd/1.png", "blue", "blue/1.png", "empty"]
        assert (one / "Réd/1.png").read_bytes() == b"r" * 3000
        with photos.unpacked(top, digest, "pets", iter(())) as two:  # asks for no piece
            assert two == one
        assert one.is_dir()
        photos.clear(top)
        assert one.is_dir()
    assert not one.exists()
    (folder / "blue/1.png").write_bytes(b"other")
    assert photos.packed(folder, lambda piece: piece)[0] != digest
    (top / "left").mkdir()
    (top / "left.lock").touch()
    photos.clear(top)
    assert not (top / "left").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("playground_home")
def test_a_node_trains_on_its_own_copy_and_tells_of_the_apps(tmp_path: Path) -> None:
    """The process on the node, here without a cluster around it: a photo that it cannot use is named as it is here."""
    there, run_dir = tmp_path / "copy" / "pets", tmp_path / ".runs" / "20260101-000000-000000-abcd"
    run_dir.mkdir(parents=True)
    (there / "blue").mkdir(parents=True)
    runs.write_spec(run_dir, RunSpec("transfer", {"data": "/app/pets"}, 0, "x"), "auto")
    order = tmp_path / "order.json"
    moved = ["/app/pets", str(there)]
    order.write_text(json.dumps({"paths": [moved], "moved": moved, "kept": False}))
    out = io.BytesIO()
    assert on_node.train(run_dir, order, out) == 1
    failed = list(telling.read(io.BytesIO(out.getvalue())))[-1].event
    assert isinstance(failed, Failed)
    assert "/app/pets" in failed.message
    assert str(there) not in to_json(failed)
    with home.moved(Path("/app/pets"), there):
        assert home.located(Path("/app/pets")) == there != home.located(Path("/app/other"))


@pytest.fixture
def on_a_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An attempt can be made in this process, as if it were a node's; where it keeps everything."""
    monkeypatch.setattr(attempt, "_node_id", lambda: "this")
    monkeypatch.setattr(attempt, "_fetched", iter)
    monkeypatch.setattr(attempt, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    return tmp_path / "node"


def begun(folder: Path, app: Path, **request: Any) -> Attempt:
    """An attempt to train on a folder of the app's."""
    digest, pieces = photos.packed(folder, lambda piece: piece)
    made = Attempt(4)
    made.next({"stop": False, "asked": {settings.RATE: b'{"factor": 0.5}\n'}})  # told once, before it has a folder
    spec = RunSpec("digits", {"data": f"photos:32:{folder}", "network": "lenet5", **request}, 0, "mine")
    made.begin({
        "spec": asdict(spec), "run_id": "20260101-000000-000000-abcd", "run_dir": str(app / "run"), "home": str(app),
        "log": "", "kept": False, "threads": 1, "folder": {
            "named": str(folder), "path": str(folder), "name": folder.name, "digest": digest, "pieces": pieces}}, {})
    return made


def answers(made: Attempt) -> Iterator[dict[str, Any]]:
    """What an attempt answers, to its end."""
    over = None
    while over is None:
        answer = made.next({"stop": False, "asked": {}})
        assert answer["attempt"] == 4
        yield from answer["told"]
        over = answer["over"]
    yield {"over": over}


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    for name, level in (("black", 10), ("white", 240)):
        (tmp_path / "app/colours" / name).mkdir(parents=True)
        for k in range(10):
            Image.new("RGB", (32, 32), (level, level, level + k)).save(tmp_path / f"app/colours/{name}/{k}.png")
    return tmp_path / "app/colours"


@pytest.mark.slow
def test_an_attempt_trains_on_what_it_was_sent_and_leaves_nothing_behind(
        on_a_node: Path, colours: Path, tmp_path: Path) -> None:
    made = begun(colours, tmp_path / "app", epochs=2)
    *told, last = answers(made)
    assert last == {"over": ""}
    events = [from_json(one["event"]) for one in told]
    assert kinds(events)[0] == "Started"
    assert kinds(events)[-1] == "Exported"
    assert any(isinstance(event, RateChanged) for event in events)
    saved = next(event for event in events if isinstance(event, Saved))
    assert saved.path == str(tmp_path / "app/run/model.safetensors")
    files = {name for one in told for name in one["files"]}
    assert {CHECKPOINT, "model.safetensors", "model.json"} <= files
    card = json.loads(told[-1]["card"])
    assert card["data"]["source"] == "the photographs in colours, 32 × 32 pixels"
    assert str(on_a_node) not in "".join(one["event"] for one in told)
    assert len(told[-1]["model"]) == card["size_bytes"]
    assert list(on_a_node.rglob("*.png"))
    made.close()
    assert [path for path in on_a_node.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


@pytest.mark.slow
def test_a_process_that_dies_is_said_to_and_one_that_is_given_up_ends(
        on_a_node: Path, colours: Path, tmp_path: Path) -> None:
    made = begun(colours, tmp_path / "app", epochs=5000)
    found = answers(made)
    next(found)
    assert made._process is not None
    made._process.kill()
    assert "ended with 9" in list(found)[-1]["over"]
    made.close()
    other = begun(colours, tmp_path / "app", epochs=5000)
    next(answers(other))
    process = other._process
    assert process is not None and process.stdin is not None  # noqa: PT018
    process.stdin.close()  # as when its parent dies
    until(lambda: process.poll() is not None)
    other.close()


@pytest.mark.usefixtures("playground_home")
def test_who_has_less_under_way_on_the_cluster_comes_first() -> None:
    with ray_driver.under_way("ann"), ray_driver.under_way("bob"), ray_driver.under_way("ann"):
        assert turns.training() == {"ann": 2, "bob": 1}
    with ray_driver.under_way("bob"):
        assert turns.training() == {"bob": 1}
    assert not turns.training()


@pytest.mark.slow
@pytest.mark.usefixtures("playground_home")
@pytest.mark.parametrize(("address", "sentence"), [
    ("nowhere", "names the Ray cluster as HOST:PORT"), ("closed", "cannot be reached"),
    ("open", "Ray is not installed")])
def test_a_cluster_that_cannot_be_used_is_said_in_a_sentence_and_nothing_is_lost(
        address: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "no_ray").mkdir()
    (tmp_path / "no_ray" / "ray.py").write_text("raise ImportError('planted')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "no_ray"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = f"127.0.0.1:{server.getsockname()[1]}"
        if address == "closed":
            server.close()
        monkeypatch.setenv(ray_driver.ADDRESS, "nowhere" if address == "nowhere" else at)
        view = ended(runs.start(RunSpec("digits", {"data": "digits", "epochs": 1}, 0, "mine")))
    assert view.failed is not None
    assert sentence in view.failed.message
    assert "Traceback" not in view.failed.message
    assert view.can_go_on
    assert list(turns.queue_dir().iterdir()) == []
    assert read(runs.run_dir(view.run_id) / "events.jsonl")[0] == [view.failed]
