"""The worker: every event on disk in order, and every way to break ends in one sentence."""

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors import SafetensorError

from playground.errors import PlaygroundError
from playground.training.runs import runs, worker
from playground.training.runs.events import Event, Failed, Saved, Started
from playground.training.runs.log import read
from playground.training.runs.runs import RunSpec

SPEC = RunSpec("digits", {"data": "digits", "epochs": 3}, 7, "mine")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    runs.write_spec(tmp_path, SPEC, device="auto")
    return tmp_path


@pytest.fixture(autouse=True)
def _sigterm_as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def logged(run_dir: Path) -> list[Event]:
    return read(run_dir / "events.jsonl")[0]


def three_saved(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    for epoch in (1, 2, 3):
        if should_stop():
            return
        yield Saved(spec.name, epoch, float(spec.seed))


def test_writes_down_every_event_before_it_asks_for_the_next(run_dir: Path) -> None:
    seen = []

    def fit(spec: RunSpec, folder: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in three_saved(spec, folder, should_stop):
            yield event
            seen.append(logged(folder)[-1] == event)

    assert worker.work(run_dir, fit) == 0
    assert logged(run_dir) == [Saved("mine", epoch, 7.0) for epoch in (1, 2, 3)]
    assert seen == [True] * 3


def test_tells_the_trainer_when_somebody_asked_it_to_stop(run_dir: Path) -> None:
    def fit(spec: RunSpec, folder: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in three_saved(spec, folder, should_stop):
            yield event
            (folder / "stop").touch()

    assert worker.work(run_dir, fit) == 0
    assert len(logged(run_dir)) == 1


def test_takes_being_told_to_end_as_being_asked_to_stop(run_dir: Path) -> None:
    def fit(spec: RunSpec, folder: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in three_saved(spec, folder, should_stop):
            yield event
            os.kill(os.getpid(), signal.SIGTERM)

    assert worker.work(run_dir, fit) == 0
    assert len(logged(run_dir)) == 1
    assert (run_dir / "stop").exists()


def test_writes_into_the_spec_what_it_really_runs_on(run_dir: Path) -> None:
    def fit(*_: object) -> Iterator[Event]:
        yield Started("digits", 1, 1, 1, (), {}, "NVIDIA H200", 0.0)

    worker.work(run_dir, fit)
    assert json.loads((run_dir / "spec.json").read_text())["device"] == "NVIDIA H200"
    assert runs.read_spec(run_dir) == SPEC


@pytest.mark.parametrize(("error", "says"), [
    (PlaygroundError("The folder holds no pictures."), "The folder holds no pictures."),
    (MemoryError(), "ran out of memory"),
    (RuntimeError("CUDA error: out of memory\nlots of detail"), "ran out of memory"),
    (OSError(28, "No space left on device", "/x/model"), "The disk is full: what was saved before is kept"),
    (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "The disk is full"),
    (OSError(13, "Permission denied", "/x/model"), r"Permission denied \(/x/model\)"),
    (ValueError("bad\nsecond line"), r"ValueError: bad$"),
    (AssertionError(), "AssertionError"),
    (KeyboardInterrupt(), "interrupted"),
    (SystemExit(3), "SystemExit: 3"),
])
def test_every_way_to_break_ends_in_one_sentence_and_the_traceback(
        run_dir: Path, error: BaseException, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fit(*_: object) -> Iterator[Event]:
        yield Saved("a", 1, 0.0)
        raise error

    assert worker.work(run_dir, fit) == 1
    first, last = logged(run_dir)
    assert first == Saved("a", 1, 0.0)
    assert isinstance(last, Failed)
    assert re.search(says, last.message)
    assert "\n" not in last.message
    assert "in fit" in last.detail
    assert "in fit" in capsys.readouterr().out


def test_a_damaged_spec_ends_in_one_sentence_too(run_dir: Path) -> None:
    (run_dir / "spec.json").write_text("{")
    assert worker.work(run_dir, three_saved) == 1
    (last,) = logged(run_dir)
    assert isinstance(last, Failed)
    assert "spec.json" in last.message


def test_works_outside_the_main_thread_too(run_dir: Path) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(worker.work(run_dir, three_saved)))
    thread.start()
    thread.join()
    assert codes == [0]
