"""A training that is watched shows its weights as they are, learns the same, and costs nothing when nobody looks."""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine import Tensor
from playground.datasets import named
from playground.errors import PlaygroundError
from playground.training.runs.events import Batch, Event, Measures
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history, live, live_files, numpy_fit
from playground.training.scratch.history_files import digest_of
from playground.training.scratch.live_files import LIVE, WATCHED, Live, Position
from playground.training.scratch.training import Training
from tests.playground.test_numpy_fit import after, blobs, never

BATCHES = 6


def spec(**request: object) -> RunSpec:
    return RunSpec("digits", {"data": "digits", "batch_size": 8, "epochs": 3, "network": "c4n-b-r-o0.3-f-d3",
                              **request}, 3, "mine")


@pytest.fixture
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes so fast that something is shown after every step."""
    ticks = iter(range(10**9))
    monkeypatch.setattr(live_files.Live, "__init__", _with_clock(live_files.Live.__init__, lambda: 1e3 * next(ticks)))
    monkeypatch.setattr(live_files, "SHARE", 1.0)


def _with_clock(really: Callable[..., None], clock: Callable[[], float]) -> Callable[..., None]:
    return lambda self, run_dir: really(self, run_dir, clock)


def looking(monkeypatch: pytest.MonkeyPatch, folder: Path, look: Callable[[Training], None]) -> None:
    """Have somebody look after every step of a training (before the next begins)."""
    really = Training.step

    def step(training: Training, *rest: object) -> object:
        if training.schedule.last_epoch:
            look(training)
        live.watch(folder)
        return really(training, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Training, "step", step)


def test_the_weights_shown_are_those_of_the_step_that_is_named(
        tmp_path: Path, on_blobs: None, at_every_step: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Position] = []

    def look(training: Training) -> None:
        found, where = live.latest(tmp_path)
        assert where == live.position(tmp_path)
        seen.append(where)
        exact, shown = training.model.state_dict(), found.model.state_dict()
        assert exact.keys() == shown.keys()
        for name, array in exact.items():
            np.testing.assert_array_equal(shown[name], np.asarray(array, np.float16 if array.dtype.kind == "f" else
                                                                  array.dtype))
        assert not any(module.training for _, module in found.model.named_modules())

    looking(monkeypatch, tmp_path, look)
    list(numpy_fit.fit(spec(), tmp_path, never))
    steps = range(1, 3 * BATCHES)
    assert [(one.epoch, one.batch, one.step) for one in seen] == [
        ((step - 1) // BATCHES + 1, (step - 1) % BATCHES + 1, step) for step in steps]
    versions = [one.version for one in seen]
    assert versions == sorted(set(versions))


def test_watched_or_not_the_same_is_learnt_and_told(
        tmp_path: Path, on_blobs: None, at_every_step: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, list[Event]] = {}
    with monkeypatch.context() as patch:
        patch.setattr(live_files, "WATCHED_SECONDS", -1.0)
        told["alone"] = list(numpy_fit.fit(spec(), _made(tmp_path / "alone"), never))
    looks: list[Position] = []
    with monkeypatch.context() as patch:
        looking(patch, tmp_path / "watched", lambda _: looks.append(live.latest(tmp_path / "watched")[1]))
        told["watched"] = list(numpy_fit.fit(spec(), _made(tmp_path / "watched"), never))
    assert len(looks) == 3 * BATCHES - 1
    alone, watched = (digest_of(numpy_fit.load_trained(tmp_path / name).model.state_dict()) for name in told)
    assert alone == watched
    assert _without_times(told["alone"]) == _without_times(told["watched"])
    assert sorted(os.listdir(tmp_path / "alone")) == sorted(os.listdir(tmp_path / "watched"))
    assert digest_of(history.replayed(tmp_path / "watched", 9).model.state_dict()) == digest_of(
        history.replayed(tmp_path / "alone", 9).model.state_dict())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _without_times(events: list[Event]) -> list[dict[str, object]]:
    """What was told, but for what depends on the clock: when, how long, and which batches were told of."""
    return [{name: value for name, value in dataclasses.asdict(event).items()
             if name not in ("time", "seconds", "path")} for event in events if not isinstance(event, Batch | Measures)]


@pytest.mark.parametrize("ends", ["completed", "stopped", "failed", "killed"])
def test_nothing_of_it_is_left_when_the_run_ends(
        tmp_path: Path, on_blobs: None, at_every_step: None, monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    shown: list[bool] = []
    looking(monkeypatch, tmp_path, lambda _: shown.append((tmp_path / LIVE).is_file()))
    if ends == "failed":
        with pytest.raises(PlaygroundError, match="no longer a number"), np.errstate(all="ignore"):
            list(numpy_fit.fit(spec(learning_rate=1e30), tmp_path, never))
    else:
        list(numpy_fit.fit(spec(), tmp_path, after(9) if ends == "stopped" else never))
    assert any(shown)
    if ends == "killed":  # nobody could tidy up: the next that trains in this folder does
        for name in (LIVE, WATCHED):
            (tmp_path / name).write_bytes(b"left")
        next(iter(numpy_fit.fit(spec(), tmp_path, never)))
    assert not {LIVE, WATCHED} & set(os.listdir(tmp_path))
    assert not list(tmp_path.glob("*.incoming"))
    assert live.position(tmp_path) is None
    with pytest.raises(PlaygroundError, match="shows no weights just now"):
        live.latest(tmp_path)


class Counting:
    """A model that counts how often it is asked for its weights."""

    def __init__(self, seconds: Callable[[], None] = lambda: None) -> None:
        self.asked, self.seconds = 0, seconds

    def state_dict(self) -> dict[str, np.ndarray]:
        self.asked += 1
        self.seconds()
        return {"w": np.ones(3, np.float32)}


def test_nobody_watching_the_file_is_looked_for_twice_a_second_and_nothing_written(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = 0.0, 0
    really = Live._watched

    def watched(self: Live) -> bool:
        nonlocal looks
        looks += 1
        return really(self)

    monkeypatch.setattr(Live, "_watched", watched)
    shown, model = Live(tmp_path, lambda: now), Counting()
    for step in range(10_000):  # ten seconds
        now = step / 1000
        shown.stepped(model, 1, step, step)  # type: ignore[arg-type]
    assert looks == 20
    assert model.asked == 0
    assert os.listdir(tmp_path) == []


def test_watched_it_is_written_twice_a_second_until_nobody_has_looked_for_a_while(tmp_path: Path) -> None:
    now = 0.0
    shown, model = Live(tmp_path, lambda: now), Counting()
    live.watch(tmp_path)
    for step in range(10_000):
        now = step / 1000
        shown.stepped(model, 1, step, step)  # type: ignore[arg-type]
    assert model.asked == 20  # it is the file's own time that says how long ago somebody looked
    past = time.time() - live_files.WATCHED_SECONDS - 1
    os.utime(tmp_path / WATCHED, (past, past))
    now += 1
    shown.stepped(model, 1, 1, 1)  # type: ignore[arg-type]
    assert model.asked == 20


def test_a_network_that_takes_long_to_write_is_written_less_often(tmp_path: Path) -> None:
    now = 0.0

    def takes_a_second() -> None:
        nonlocal now
        now += 1.0

    shown, model = Live(tmp_path, lambda: now), Counting(takes_a_second)
    live.watch(tmp_path)
    while now < 200:
        now += 0.1
        shown.stepped(model, 1, 1, 1)  # type: ignore[arg-type]
    assert model.asked == 5  # 2.5 % of the time


def test_a_full_disk_does_not_end_the_training(
        tmp_path: Path, on_blobs: None, at_every_step: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live_files, "save_file", full)
    looking(monkeypatch, tmp_path, lambda _: None)
    assert list(numpy_fit.fit(spec(), tmp_path, never))
    assert not list(tmp_path.glob("*.incoming"))


def test_what_is_shown_answers_nearly_as_the_training_would(
        tmp_path: Path, on_blobs: None, at_every_step: None, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    with monkeypatch.context() as patch:
        looking(patch, tmp_path, lambda _: shutil.copyfile(tmp_path / LIVE, kept))
        list(numpy_fit.fit(spec(), tmp_path, never))
    kept.replace(tmp_path / LIVE)
    found, where = live.latest(tmp_path)
    exact = history.replayed(tmp_path, where.step)
    x = exact.preprocessing.apply_all(blobs().images)
    wanted = exact.model(Tensor(x)).data
    np.testing.assert_allclose(found.model(Tensor(x)).data, wanted, atol=0.01 * np.abs(wanted).max())


@pytest.mark.parametrize("damage", ["cut", "none", "negative", "not numbers", "another network"])
def test_damage_is_a_sentence(tmp_path: Path, on_blobs: None, damage: str) -> None:
    list(numpy_fit.fit(spec(), tmp_path, never))
    weights = load_file(tmp_path / numpy_fit.WEIGHTS)
    said = {"live": '{"epoch": 1, "batch": 2, "step": -3, "version": 4}'.replace("-", "-" * (damage == "negative"))}
    if damage == "not numbers":
        weights["0.weight"][:] = np.nan
    if damage == "another network":
        weights = {"w": np.ones(3, np.float32)}
    save_file(weights, tmp_path / LIVE, None if damage == "none" else said)
    if damage == "cut":
        (tmp_path / LIVE).write_bytes((tmp_path / LIVE).read_bytes()[:50])
    with pytest.raises(PlaygroundError, match="damaged"):
        live.latest(tmp_path)


def test_watching_a_run_that_is_gone_is_no_error(tmp_path: Path) -> None:
    live.watch(tmp_path / "gone")
    assert live.position(tmp_path / "gone") is None
