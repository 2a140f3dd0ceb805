"""Runs: a folder each, a worker each, and a view that is a fold of what happened."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from playground.deploy import registry
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.events import (
    Batch,
    Cancelled,
    Epoch,
    Event,
    Exported,
    Failed,
    Finished,
    Queued,
    Resumed,
    Saved,
    Stage,
    Started,
)
from playground.training.runs.log import EventLog
from playground.training.runs.runs import RunSpec
from tests.waiting import until

SPEC = RunSpec("digits", {"data": "digits", "epochs": 4}, 0, "mine")
LONG = RunSpec("digits", {"data": "digits", "epochs": 9999}, 0, "mine")
"""A run that no machine is quick enough to end before somebody stops or kills it."""
NO_DATA = RunSpec("digits", {"data": "/nowhere/at all", "epochs": 1}, 0, "mine")
STARTED = Started("digits", 4, 10, 99, ("0", "1"), {"train": 10}, "cpu", 100.0)
FINISHED = Finished("completed", 4, 0.5, 2, 9.0, ((1, 0), (1, 0)), 140.0)
EXPORTED = Exported("mine", "/exports/mine/model.onnx", 1e-6, 9, 141.0)


def batch(epoch: int, number: int, moment: float) -> Batch:
    return Batch(epoch, number, 10, 1.0, 0.5, 1e-3, moment)


def epoch(number: int, moment: float) -> Epoch:
    return Epoch(number, 1.0, 0.5, 1.0, 0.5, 10.0, moment)


def fold(*events: Event, alive: bool = True, stop_asked: bool = False) -> runs.RunView:
    return runs.fold("id", SPEC, list(events), alive, stop_asked)


@pytest.mark.parametrize(("events", "alive", "stop_asked", "state"), [
    ([], True, False, "starting"),
    ([], True, True, "stopping"),
    ([], False, False, "lost"),
    ([STARTED], True, False, "running"),
    ([STARTED], True, True, "stopping"),
    ([STARTED], False, True, "lost"),
    ([STARTED, FINISHED], True, False, "running"),
    ([STARTED, FINISHED], False, False, "lost"),
    ([STARTED, FINISHED, EXPORTED], True, False, "completed"),
    ([STARTED, FINISHED, EXPORTED], False, True, "completed"),
    ([STARTED, Finished("stopped", 1, None, 0, 1.0, (), 1.0), EXPORTED], False, True, "stopped"),
    ([Failed("It broke.", "", 1.0)], False, False, "failed"),
    ([STARTED, FINISHED, Failed("It broke.", "", 1.0)], True, False, "failed"),
])
def test_the_state_follows_from_the_events_and_whether_the_worker_lives(
        events: list[Event], alive: bool, stop_asked: bool, state: str) -> None:
    view = fold(*events, alive=alive, stop_asked=stop_asked)
    assert view.state == state
    assert view.ended == (state in ("completed", "stopped", "failed", "lost"))


def test_a_view_holds_what_happened() -> None:
    failed = Failed("It broke.", "why", 142.0)
    saved = Saved("a", 1, 120.0)
    view = fold(STARTED, batch(1, 1, 101.0), epoch(1, 110.0), saved, FINISHED, failed)
    assert (view.started, view.batches, view.epochs) == (STARTED, [batch(1, 1, 101.0)], [epoch(1, 110.0)])
    assert (view.saved, view.finished, view.failed, view.exported) == (saved, FINISHED, failed, None)


def test_a_stage_is_shown_while_it_is_the_last_thing_that_happened() -> None:
    stage = Stage("computing features", 1, 9, 101.0)
    assert fold(STARTED, stage).stage == stage
    assert fold(STARTED, stage, batch(1, 1, 102.0)).stage is None


def test_progress_grows_from_0_to_1_and_the_time_left_is_in_proportion() -> None:
    assert fold().progress == 0
    half = fold(STARTED, batch(1, 1, 101.0), epoch(1, 110.0), epoch(2, 120.0))
    assert half.progress == 0.5
    assert half.remaining_seconds == 20.0
    later = fold(STARTED, epoch(2, 120.0), batch(3, 5, 125.0))
    assert later.progress == 0.625
    assert later.remaining_seconds == pytest.approx(15.0)
    assert fold(STARTED, epoch(4, 140.0), FINISHED, EXPORTED).progress == 1
    assert fold(STARTED, epoch(1, 140.0), alive=False).remaining_seconds is None


def test_progress_never_goes_back_when_stages_come_first() -> None:
    story = [STARTED, *(Stage("computing features", i, 4, 100.0 + i) for i in range(5)),
             *(Stage("computing features of validation", i, 2, 105.0 + i) for i in range(3)),
             batch(1, 1, 110.0), epoch(1, 111.0), epoch(4, 115.0), FINISHED, Stage("exporting", 0, 1, 116.0), EXPORTED]
    shares = [fold(*story[:n]).progress for n in range(len(story) + 1)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert 0.3 < shares[4] < 0.7


def test_a_run_has_a_folder_of_its_own_that_says_what_it_was(playground_home: Path) -> None:
    run_id = runs.start(NO_DATA)
    spec = json.loads((playground_home / ".runs" / run_id / "spec.json").read_text())
    assert spec["request"] == NO_DATA.request
    assert (spec["kind"], spec["seed"], spec["name"]) == ("digits", 0, "mine")
    assert spec["device"] == "cpu"
    assert spec["versions"]["python"] == sys.version.split()[0]
    assert spec["versions"]["numpy"]
    assert runs.view(run_id).spec == NO_DATA
    until(lambda: runs.view(run_id).ended)


@pytest.mark.slow
def test_what_goes_wrong_in_the_worker_is_told_in_one_sentence(playground_home: Path) -> None:
    run_id = runs.start(NO_DATA)
    until(lambda: runs.view(run_id).ended)
    view = runs.view(run_id)
    assert view.state == "failed"
    assert view.failed is not None
    assert "/nowhere/at all" in view.failed.message
    assert "\n" not in view.failed.message
    assert "Traceback" in view.failed.detail
    until(lambda: not runs.is_alive(runs.run_dir(run_id)))
    assert "Traceback" in (runs.run_dir(run_id) / "worker.log").read_text()


def test_a_run_that_was_asked_for_nonsense_is_not_started(playground_home: Path) -> None:
    with pytest.raises(PlaygroundError, match="no training of the kind"):
        runs.start(RunSpec("poetry", {}, 0, "mine"))
    assert runs.run_ids() == []


@pytest.mark.slow
def test_a_worker_that_was_killed_is_lost_and_leaves_no_zombie(playground_home: Path) -> None:
    run_id = runs.start(LONG)
    pid = int((runs.run_dir(run_id) / "worker").read_text())
    assert runs.view(run_id).state in ("starting", "running")
    os.kill(pid, signal.SIGKILL)
    until(lambda: runs.view(run_id).state == "lost")

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False
    until(gone)


@pytest.mark.slow
def test_a_lost_run_goes_on_in_its_own_folder(playground_home: Path) -> None:
    run_id = runs.start(LONG)
    with pytest.raises(PlaygroundError, match="Only a training that died or failed can go on"):
        runs.resume(run_id)
    os.kill(int((runs.run_dir(run_id) / "worker").read_text()), signal.SIGKILL)
    until(lambda: runs.view(run_id).state == "lost")
    runs.write_spec(runs.run_dir(run_id), replace(LONG, request=LONG.request | {"epochs": 1}), "cpu")
    runs.resume(run_id)
    assert runs.view(run_id).state != "lost"
    until(lambda: runs.view(run_id).ended)
    assert runs.view(run_id).state == "completed"
    assert [one.epoch for one in runs.view(run_id).epochs] == [1]


def test_a_resumed_run_counts_an_epoch_once_and_the_time_it_lay_dead_not() -> None:
    view = fold(STARTED, batch(1, 10, 105), epoch(1, 110), batch(2, 5, 115),
                Resumed(990), replace(STARTED, time=1000.0), epoch(1, 1000), batch(2, 5, 1010))
    assert [one.epoch for one in view.epochs] == [1]
    assert [(one.epoch, one.batch) for one in view.batches] == [(2, 5)]
    assert view.remaining_seconds is not None
    assert view.remaining_seconds < 60


def test_what_a_new_worker_goes_on_with_is_no_longer_failed() -> None:
    failed = Failed("It broke.", "", 120.0)
    assert fold(STARTED, failed, alive=False).can_go_on
    assert fold(STARTED, failed, Resumed(130.0)).state == "starting"
    assert fold(STARTED, failed, Resumed(130.0), Queued(1, 131.0)).state == "queued"
    assert fold(STARTED, failed, Resumed(130.0), STARTED).state == "running"
    assert fold(STARTED, failed, Resumed(130.0), Cancelled(131.0), alive=False).can_go_on
    assert not fold(STARTED, FINISHED, EXPORTED, alive=False).can_go_on


def test_a_run_that_cannot_be_written_down_is_not_listed(playground_home: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runs, "write_spec", full)
    with pytest.raises(PlaygroundError, match="could not be started: No space left on device"):
        runs.start(SPEC)
    assert list((playground_home / ".runs").glob("2*")) == []


def test_a_dead_workers_process_id_given_to_somebody_else_does_not_revive_it(playground_home: Path) -> None:
    folder = playground_home / ".runs" / "20260101-000000-000000-abcd"
    folder.mkdir(parents=True)
    runs.write_spec(folder, SPEC, "cpu")
    (folder / "worker").write_text(str(os.getpid()))  # alive, and not the worker
    EventLog(folder / "events.jsonl").append(STARTED)
    assert runs.view(folder.name).state == "lost"


def test_a_worker_that_died_is_dead_even_as_a_zombie(tmp_path: Path) -> None:
    with open(tmp_path / "worker", "w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.buffer.raw.read(); input()"],
                                   stdin=lock, stdout=subprocess.PIPE)
    process.kill()  # and nobody waits for it
    until(lambda: not runs.is_alive(tmp_path))
    assert process.returncode is None
    process.communicate()


@pytest.mark.slow
def test_a_worker_outlives_the_process_that_started_it_and_its_interrupt(playground_home: Path) -> None:
    code = ("import sys; from playground.training.runs import runs; print(runs.start(runs.RunSpec('digits', "
            "{'data': '/nowhere', 'epochs': 1}, 0, 'mine')))")
    starter = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=900,
                             cwd=Path(__file__).resolve().parents[2], start_new_session=True)
    run_id = starter.stdout.strip()
    pid = int((runs.run_dir(run_id) / "worker").read_text())
    with contextlib.suppress(ProcessLookupError):  # it may be that quick
        assert os.getsid(pid) == pid
    until(lambda: runs.view(run_id).state == "failed")


@pytest.mark.slow
def test_runs_started_at_the_same_moment_are_runs_of_their_own(playground_home: Path) -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(runs.start(NO_DATA, suggested=True))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 4
    assert runs.run_ids() == sorted(ids, reverse=True)
    until(lambda: all(runs.view(run_id).state == "failed" for run_id in ids))


@pytest.mark.slow
def test_a_run_that_has_ended_can_be_deleted_and_its_name_is_free_again(playground_home: Path) -> None:
    run_id = runs.start(replace(LONG, name="mine"))
    folder = runs.run_dir(run_id)
    with pytest.raises(PlaygroundError, match="stop it first"):
        runs.remove(run_id)
    assert runs.free_name("mine") == "mine-2"
    runs.stop(run_id)
    until(lambda: not runs.is_alive(folder))
    (folder.parent / f"{runs.GONE}left-by-a-kill").mkdir()
    made = runs.view(run_id).exported is not None  # what was learnt before the stop
    runs.remove(run_id)
    assert runs.run_ids() == []
    assert not [path for path in folder.parent.rglob("*") if run_id in path.name or runs.GONE in path.name]
    if made:  # the model stays until it is removed itself
        registry.remove("mine")
    assert runs.free_name("mine") == "mine"
    for ask in (runs.remove, runs.view):
        with pytest.raises(PlaygroundError, match="no training run"):
            ask(run_id)


@pytest.mark.slow
def test_asking_a_run_to_stop_shows(playground_home: Path) -> None:
    run_id = runs.start(LONG)
    runs.stop(run_id)
    asked = ("stopping", "stopped", "failed")  # failed: nothing was learnt until then
    assert runs.view(run_id).state in asked
    until(lambda: runs.view(run_id).ended)
    assert runs.view(run_id).state in asked


@pytest.mark.parametrize("run_id", ["", "..", "../..", "20260101-000000-000000-abcd", "/etc", "x" * 300])
def test_a_run_that_does_not_exist_is_said_not_to(playground_home: Path, run_id: str) -> None:
    (playground_home / "spec.json").write_text("{}")
    for ask in (runs.view, runs.stop, runs.run_dir):
        with pytest.raises(PlaygroundError, match="There is no training run"):
            ask(run_id)


def test_a_worker_shares_the_processor_and_finds_the_project_and_its_home(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.chdir(playground_home)
    monkeypatch.setenv("PLAYGROUND_HOME", ".")
    environment = runs._environment()
    assert 1 <= int(environment["OMP_NUM_THREADS"]) <= 4
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["PLAYGROUND_HOME"] == str(playground_home)
    found = subprocess.run([sys.executable, "-c", "import playground; print(playground.__file__)"], env=environment,
                           capture_output=True, text=True, check=True, timeout=900, cwd=playground_home)
    assert found.stdout.strip().endswith("playground/__init__.py")
