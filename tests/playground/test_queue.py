"""The queue of trainings: first come, first served, and no death of anybody leaves it stuck."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from playground.training.runs import queue, runs
from playground.training.runs.events import Cancelled, Event, Queued, Started
from playground.training.runs.log import read
from playground.training.runs.runs import DOWNLOAD, RunSpec
from playground.training.runs.turns import queue_dir
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NO_DATA = RunSpec("digits", {"data": "/nowhere/at all", "epochs": 1}, 0, "mine")  # ends as soon as its turn has come
OTHERS = tuple(replace(NO_DATA, name=f"mine-{k}") for k in range(3))
STARTED = Started("digits", 4, 10, 99, ("0", "1"), {"train": 10}, "cpu", 100.0)


@pytest.fixture(autouse=True)
def one_place(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PLAYGROUND_RUNS", "1")
    yield
    for run_id in runs.run_ids():
        runs.stop(run_id)
    until(lambda: not any(runs.is_alive(runs.run_dir(run_id)) for run_id in runs.run_ids()))


@contextmanager
def taken() -> Iterator[None]:
    """Somebody trains meanwhile."""
    found = queue.take("digits")
    assert found is not None
    with found[1]:
        yield


def place(run_id: str) -> int:
    return runs.view(run_id).place


def state(run_id: str) -> str:
    return runs.view(run_id).state


def events(run_id: str) -> list[Event]:
    return read(runs.run_dir(run_id) / "events.jsonl")[0]


def pid(run_id: str) -> int:
    return int((runs.run_dir(run_id) / "worker").read_text())


@pytest.mark.slow
def test_who_comes_first_is_served_first_one_after_the_other() -> None:
    with taken():
        ids = [runs.start(spec) for spec in OTHERS]
        until(lambda: [place(run_id) for run_id in ids] == [1, 2, 3])
        assert {state(run_id) for run_id in ids} == {"queued"}
        assert not runs.view(ids[0]).ended
    until(lambda: all(state(run_id) == "failed" for run_id in ids))
    turns = [next(event.time for event in events(run_id) if isinstance(event, Queued) and event.place == 0)
             for run_id in ids]
    assert turns == sorted(turns)
    ends = [events(run_id)[-1].time for run_id in ids]
    assert all(end < turn for end, turn in zip(ends, turns[1:], strict=False)), "two trained at once"
    assert list(queue_dir().iterdir()) == []


@pytest.mark.slow
def test_where_there_is_room_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_RUNS", "2")
    with taken():
        run_id = runs.start(NO_DATA)
        until(lambda: state(run_id) == "failed")
    assert not any(isinstance(event, Queued) for event in events(run_id))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stop", "SIGTERM"])
def test_a_run_that_waits_can_be_cancelled_and_who_waits_behind_moves_up(way: str) -> None:
    with taken():
        first, second = map(runs.start, OTHERS[:2])
        until(lambda: (place(first), place(second)) == (1, 2))
        runs.stop(first) if way == "stop" else os.kill(pid(first), signal.SIGTERM)
        until(lambda: state(first) == "stopped")
        assert isinstance(events(first)[-1], Cancelled)
        assert runs.view(first).started is None
        until(lambda: place(second) == 1)
    until(lambda: state(second) == "failed")


@pytest.mark.slow
def test_who_was_killed_while_waiting_holds_nobody_up() -> None:
    with taken():
        first, second = map(runs.start, OTHERS[:2])
        until(lambda: place(second) == 2)
        os.kill(pid(first), signal.SIGKILL)
        until(lambda: place(second) == 1)
        assert state(first) == "lost"
    until(lambda: state(second) == "failed")
    assert list(queue_dir().iterdir()) == []


@pytest.mark.slow
def test_a_training_that_is_killed_makes_room() -> None:
    long = runs.start(RunSpec("digits", {"data": "digits", "epochs": 5000}, 0, "long"))
    until(lambda: state(long) == "running")
    run_id = runs.start(NO_DATA)
    until(lambda: place(run_id) == 1)
    assert state(long) == "running"
    os.kill(pid(long), signal.SIGKILL)
    until(lambda: state(run_id) == "failed")
    assert state(long) == "lost"


@pytest.mark.slow
def test_a_run_waits_on_when_the_app_that_started_it_is_gone() -> None:
    code = ("from playground.training.runs import runs; print(runs.start(runs.RunSpec('digits', "
            "{'data': '/nowhere', 'epochs': 1}, 0, 'mine')))")
    with taken():
        app = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=900,
                             cwd=ROOT)
        run_id = app.stdout.strip()
        until(lambda: place(run_id) == 1)
    until(lambda: state(run_id) == "failed")


@pytest.mark.slow
def test_a_download_does_not_wait() -> None:
    with taken():
        run_id = runs.start(RunSpec(DOWNLOAD, {"set": "no such set"}, 0, "x"))
        until(lambda: state(run_id) == "failed")


@pytest.mark.slow
def test_who_asks_for_what_waits_already_is_shown_that() -> None:
    with taken():
        run_id = runs.start_once(NO_DATA)
        until(lambda: place(run_id) == 1)
        assert runs.start_once(NO_DATA) == run_id


def test_waiting_is_neither_work_nor_progress() -> None:
    def fold(*events: Event, alive: bool = True, stop_asked: bool = False) -> runs.RunView:
        return runs.fold("id", NO_DATA, list(events), alive, stop_asked)

    waits, turn = Queued(2, 1.0), Queued(0, 90.0)
    assert (fold(waits).state, fold(waits).place, fold(waits).progress) == ("queued", 2, 0.0)
    assert fold(waits, stop_asked=True).state == "stopping"
    assert fold(waits, alive=False).state == "lost"
    assert (fold(waits, turn).state, fold(waits, turn).place) == ("starting", 0)
    assert fold(waits, turn, STARTED).state == "running"
    assert fold(waits, Cancelled(2.0), alive=False).state == "stopped"


@pytest.mark.parametrize(("asked", "count"), [("", 2), ("5", 5), ("0", 1), ("many", 2)])
def test_how_many_train_at_once_can_be_said(asked: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_RUNS", asked)
    assert len(queue.places("digits")) == count


def test_on_a_machine_with_gpus_every_transfer_run_has_one_for_itself(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "gpus", lambda: ["0", "3"])
    assert queue.places("transfer") == ["gpu-0", "gpu-3"]
    assert queue.places("digits") == ["cpu-0"]
    folder = playground_home / ".runs" / "20260101-000000-000000-abcd"
    folder.mkdir(parents=True)
    runs.write_spec(folder, RunSpec("transfer", {}, 0, "x"), "auto")
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: became.append(arguments))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    first = queue.take("transfer")
    assert first is not None
    assert first[0] == "gpu-0"
    queue.main([str(folder)])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert became[0][-2:] == ["playground.jobs", str(folder)]
    first[1].close()


def test_waiting_costs_no_memory_worth_naming() -> None:
    code = ("import sys, playground.training.runs.queue\n"
            "print([name for name in ('numpy', 'torch', 'PIL', 'streamlit') if name in sys.modules])")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert said.stdout.strip() == "[]"
