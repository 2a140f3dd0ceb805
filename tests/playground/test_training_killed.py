"""A training of a class whose worker is killed at any step: while it says what happened, writes a checkpoint, exports.
It is lost, which is said, nobody waits for it, and it goes on to the very same end."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from playground import home, jobs
from playground.classroom import keys, workspaces
from playground.deploy import registry
from playground.training.runs import queue, runs, turns, worker
from playground.training.runs.events import Event, Measures, to_json
from playground.training.runs.log import EventLog
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history_files
from tests.a_class import class_home, place_of, working
from tests.playground.killed import HERE, deaths, killed_at
from tests.waiting import until

__all__ = ["class_home"]

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SPEC = RunSpec("digits", {"data": "digits", "epochs": 2, "network": "f-d10"}, 0, "mine")


@contextmanager
def as_its_process(folder: Path) -> Iterator[None]:
    """As the process of a run has it: the lock of the run, a place in the queue, the environment."""
    environment = home.importable()
    with open(folder / "worker", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken = queue.take(SPEC.kind, turns.workspace_of(folder.name))
        assert taken is not None
        with taken[1], pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.delenv(home.CLASS)
            (turns.queue_dir() / folder.name).unlink(missing_ok=True)
            yield


def works(folder: Path) -> None:
    with as_its_process(folder):
        assert worker.work(folder, jobs.events, signals=False) == 0


def in_steps(log: EventLog, event: Event, append: Any = EventLog.append) -> None:
    """Say an event; one can be killed before, and with half of it said."""
    if not isinstance(event, Measures):
        sys.audit(HERE)
        half = to_json(event).encode()[:9]
        log._file.write(half)
        sys.audit(HERE)
        os.ftruncate(log._file.fileno(), os.fstat(log._file.fileno()).st_size - len(half))
    append(log, event)


def weights(folder: Path) -> bytes:
    return history_files.path_of(folder, history_files.WEIGHTS, 2).read_bytes()


def test_a_training_that_is_killed_anywhere_comes_to_the_very_same_end(
        class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, other = keys.new(), keys.new()
    with working(reader) as place:
        folder = runs.new_folder()
        runs.write_spec(folder, SPEC, "cpu")
        turns.ask(folder, SPEC.kind)
        whole = runs.new_folder()
        runs.write_spec(whole, RunSpec("digits", SPEC.request, 0, "whole"), "cpu")
        works(whole)
    monkeypatch.setattr(EventLog, "append", in_steps)
    monkeypatch.setattr(runs, "_launch", lambda folder, spec, queued=True: works(folder))

    def trains() -> None:
        with working(reader):
            works(folder)

    states = []
    for _ in deaths(class_home, trains, every=3):
        with working(reader):
            view = runs.view(folder.name)
            states.append(view.state)
            assert turns.training() == {}, "its place is free"
            assert [turn.folder for turn in turns.waiting()] == []
            assert registry.damaged() == {}
            if view.state == "completed":
                assert registry.find("mine") is not None
            else:
                assert (view.state, view.can_go_on) == ("lost", True)
                runs.resume(folder.name)
            view = runs.view(folder.name)
            assert (view.state, [one.epoch for one in view.epochs]) == ("completed", [1, 2])
            assert weights(folder) == weights(whole)
            assert {entry.name for entry in registry.entries()} == {"mine", "whole", "digits-example"}
            assert not list(place.rglob(".incoming*"))
        with working(other):
            assert runs.run_ids() == []
    assert states.count("completed") == 1, "the last word is the last thing"
    assert len(states) > 12


def test_a_worker_whose_server_died_as_it_started_it_ends_with_its_workspace(class_home: Path) -> None:
    reader = keys.new()
    really = subprocess.Popen

    def last_words(*arguments: Any, **how: Any) -> None:
        really(*arguments, **how)
        sys.audit(HERE)

    def starts() -> None:
        with working(reader), pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", last_words)
            runs.start(SPEC)

    step = 0
    with working(reader) as place:
        taken = [queue.take(SPEC.kind) for _ in range(queue.AT_ONCE)]  # it waits: there is all the time
        while killed_at(step, class_home, starts) and not any(map(runs.is_alive, (place / ".runs").glob("2*"))):
            step += 1
        (folder,) = [one for one in (place / ".runs").glob("2*") if runs.is_alive(one)]
        assert runs.view(folder.name).state in ("starting", "queued")
    workspaces.remove(place_of(reader))
    until(lambda: not processes(folder))
    assert not place.exists()
    for one in taken:
        assert one is not None
        one[1].close()


def processes(folder: Path) -> list[str]:
    """The processes that were started for a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder) in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found
