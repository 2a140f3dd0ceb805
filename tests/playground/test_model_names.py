"""A model's name is one run's from its start on, and what was learnt is never lost for a name."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from playground import home, jobs, model_names
from playground.commands.run import main
from playground.datasets import named
from playground.deploy import export, registry
from playground.errors import PlaygroundError
from playground.training.runs import names, runs, worker
from playground.training.runs.events import Epoch, Event, Failed, Finished, Resumed, Saved, Started
from playground.training.runs.log import EventLog, read
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from tests.playground.test_numpy_fit import blobs
from tests.waiting import HOPE_SECONDS, until

ROOT = Path(__file__).resolve().parents[2]
SPEC = RunSpec("digits", {"data": "digits", "epochs": 3, "batch_size": 8}, 0, "mine")

STARTER = """
import sys
from playground.errors import PlaygroundError
from playground.training.runs import runs
print("ready", flush=True)
sys.stdin.read()  # until all four are ready
try:
    print(runs.start(runs.RunSpec("digits", {"data": "digits", "epochs": 1}, int(sys.argv[1]), "digits"), %s))
except PlaygroundError as error:
    print("refused:", error)
"""


def four_at_once(suggested: bool) -> list[str]:
    """What four processes say that start a run called digits in the same moment."""
    started = [subprocess.Popen([sys.executable, "-c", STARTER % suggested, str(seed)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, env=home.importable()) for seed in range(4)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None  # communicate would close it again
    return [process.communicate(timeout=HOPE_SECONDS)[0].strip() for process in started]


@pytest.mark.slow
def test_four_that_start_in_the_same_moment_with_the_suggested_name_get_four_models(playground_home: Path) -> None:
    ids = four_at_once(suggested=True)
    until(lambda: all(runs.view(run_id).ended for run_id in ids))
    assert [runs.view(run_id).state for run_id in ids] == ["completed"] * 4
    own = [entry for entry in registry.entries() if not entry.shipped]
    assert sorted(entry.name for entry in own) == ["digits", "digits-2", "digits-3", "digits-4"]
    assert {entry.card["training"]["run"] for entry in own} == set(ids)


@pytest.mark.slow
def test_of_four_that_insist_on_one_name_three_hear_it_before_anything_trains(playground_home: Path) -> None:
    said = four_at_once(suggested=False)
    ids = [one for one in said if not one.startswith("refused")]
    assert len(ids) == 1
    assert runs.run_ids() == ids
    assert all("digits is taken" in one or "already a model called digits" in one for one in said if one not in ids)
    until(lambda: runs.view(ids[0]).ended)
    assert runs.view(ids[0]).state == "completed"


@pytest.fixture
def worked_here(monkeypatch: pytest.MonkeyPatch, playground_home: Path) -> Path:
    """A home in which whoever starts or resumes a run waits for it, on small pictures."""
    def worked(folder: Path, spec: RunSpec, queued: bool = True) -> None:
        runs.write_spec(folder, spec, "cpu")
        worker.work(folder, jobs.events, signals=False)

    monkeypatch.setattr(runs, "_launch", worked)
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
    return playground_home


def left_by(*events: Event, name: str = "mine") -> str:
    """A run that somebody started and that died after these events."""
    folder = runs.new_folder()
    with names.locked():
        names.take(name, folder.name, runs.holds)
    runs.write_spec(folder, replace(SPEC, name=name), "cpu")
    log = EventLog(folder / "events.jsonl")
    for event in events:
        log.append(event)
    log.close()
    return folder.name


STARTED = Started("digits", 3, 10, 99, ("0", "1"), {"train": 10}, "cpu", 100.0)
EPOCH = Epoch(1, 1.0, 0.5, 1.0, 0.5, 10.0, 110.0)
SAVED = Saved("a", 1, 110.0)


def test_a_suggested_name_is_one_that_nobody_has(worked_here: Path) -> None:
    assert runs.free_name("digits") == "digits"
    left_by(STARTED, EPOCH, SAVED, Failed("It broke.", "", 111.0), name="digits")  # has something to be finished
    assert runs.free_name("digits") == "digits-2"
    left_by(STARTED, Failed("It broke.", "", 111.0), name="digits-2")  # learnt nothing: nothing is kept for it
    assert runs.free_name("digits") == "digits-2"
    runs.start(replace(SPEC, name="digits-2"))
    assert runs.free_name("digits") == "digits-3"
    assert runs.free_name("digits-2") == "digits-3"
    assert runs.free_name("digits-example") == "digits-example-2"  # comes with the playground
    (worked_here / "exports" / "digits-3").mkdir()  # damaged, and there
    assert runs.free_name("digits") == "digits-4"
    assert len(runs.free_name("x" * 60)) == 60


@pytest.mark.parametrize("name", ["../mine", "", "Ä", "-x", "x" * 61])
def test_what_no_model_can_be_called_is_refused_before_anything_trains(worked_here: Path, name: str) -> None:
    with pytest.raises(PlaygroundError, match="cannot be called"):
        runs.start(replace(SPEC, name=name))
    assert runs.run_ids() == []
    assert not [path for path in (worked_here / ".runs").iterdir() if path.name.startswith("2")]


def test_a_name_that_a_living_or_unfinished_run_has_is_refused_at_the_command_line_too(
        worked_here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = left_by(STARTED, EPOCH, SAVED)
    assert main(["train", "--name", "mine", "--json"]) == 2
    assert "The name mine is taken by another training" in json.loads(capsys.readouterr().out)["error"]
    assert main(["train", "--name", "mine", "--replace"]) == 2  # allows a model to go, not a training
    assert runs.run_ids() == [run_id]


def test_the_name_of_a_shipped_model_is_never_free(worked_here: Path) -> None:
    for replaced in (False, True):
        with pytest.raises(PlaygroundError, match="comes with the playground"):
            runs.start(replace(SPEC, name=model_names.SHIPPED[0], replace=replaced))
    assert runs.run_ids() == []


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(*_: object) -> None:
    raise PlaygroundError("The exported file does not give the model's own answers.")


@pytest.mark.parametrize(("where", "what"), [((registry, "put"), full), ((export, "demand"), refused)])
def test_a_run_whose_export_failed_is_finished_under_another_name_without_training(
        where: tuple[object, str], what: Callable[..., None], worked_here: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(*where, what)
        run_id = runs.start(SPEC)
    failed = runs.view(run_id)
    assert (failed.state, failed.can_be_finished) == ("failed", True)
    assert runs.free_name("mine") == "mine-2"
    weights = (runs.run_dir(run_id) / numpy_fit.WEIGHTS).read_bytes()

    monkeypatch.setattr(numpy_fit, "fit", lambda *_: pytest.fail("trained again"))
    runs.finish(run_id, "other")
    view = runs.view(run_id)
    assert (view.state, view.spec.name, view.can_be_finished) == ("completed", "other", False)
    assert (view.epochs, view.finished, view.failed) == (failed.epochs, failed.finished, None)
    assert len(view.epochs) == 3
    assert (runs.run_dir(run_id) / numpy_fit.WEIGHTS).read_bytes() == weights
    assert [entry.name for entry in registry.entries() if not entry.shipped] == ["other"]
    assert runs.free_name("mine") == "mine"
    with pytest.raises(PlaygroundError, match="this one is completed"):
        runs.finish(run_id)


def test_trying_again_after_a_failed_export_does_not_train_again(
        worked_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(registry, "put", full)
        run_id = runs.start(SPEC)
        runs.resume(run_id)  # still full: nothing of what was learnt goes
        assert [one.epoch for one in runs.view(run_id).epochs] == [1, 2, 3]
        assert runs.view(run_id).can_be_finished
    monkeypatch.setattr(numpy_fit, "fit", lambda *_: pytest.fail("trained again"))
    runs.resume(run_id)
    assert runs.view(run_id).state == "completed"


def test_a_name_that_was_lost_meanwhile_is_said_and_another_one_does(worked_here: Path) -> None:
    run_id = left_by(STARTED, EPOCH, SAVED, Finished("completed", 3, 0.5, 2, 9.0, ((1, 0), (1, 0)), 140.0))
    list(numpy_fit.fit(SPEC, runs.run_dir(run_id), lambda: False))
    (worked_here / ".runs" / "names" / "mine").unlink()  # as with a run of before there were held names
    runs.start(SPEC)
    with pytest.raises(PlaygroundError, match="already a model called mine"):
        runs.finish(run_id)
    view = runs.view(run_id)
    assert (view.can_be_finished, len(view.epochs)) == (True, 1)
    runs.finish(run_id, "mine-2")
    assert sorted(entry.name for entry in registry.entries() if not entry.shipped) == ["mine", "mine-2"]


def test_a_run_that_broke_off_between_two_epochs_can_be_made_a_model_of_what_it_had_learnt(
        worked_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = left_by()
    log = EventLog(runs.run_dir(run_id) / "events.jsonl")
    for event in numpy_fit.fit(SPEC, runs.run_dir(run_id), lambda: False):
        log.append(event)
        if isinstance(event, Saved) and event.epoch == 2:
            break
    log.close()
    assert runs.view(run_id).state == "lost"
    monkeypatch.setattr(numpy_fit, "fit", lambda *_: pytest.fail("trained on"))
    runs.finish(run_id)
    view = runs.view(run_id)
    assert view.state == "stopped"
    assert [one.epoch for one in view.epochs] == [1, 2]
    assert view.finished is not None
    assert (view.finished.epochs, view.finished.test_count) == (2, 21)
    (entry,) = [one for one in registry.entries() if not one.shipped]
    assert entry.card["accuracy"] is not None
    trained = numpy_fit.load_trained(runs.run_dir(run_id))
    right = np.mean(export.answers(trained, list(np.repeat(blobs(21).images[..., None], 3, 3))).argmax(1)
                    == blobs(21).labels)
    assert entry.card["accuracy"]["value"] == view.finished.test_accuracy == pytest.approx(right)


def test_what_has_learnt_nothing_cannot_be_finished(worked_here: Path) -> None:
    run_id = left_by(STARTED, Failed("It broke.", "", 111.0))
    assert not runs.view(run_id).can_be_finished
    with pytest.raises(PlaygroundError, match="before its first epoch was saved"):
        runs.finish(run_id)


def test_an_experiment_is_never_finished_to_a_model() -> None:
    view = runs.fold("id", RunSpec("experiment", {}, 0, "race"), [STARTED, SAVED], False, False)
    assert not view.can_be_finished


def test_a_resumed_run_shows_the_curves_that_its_weights_have_until_it_has_learnt_itself() -> None:
    story: list[Event] = [STARTED, EPOCH, SAVED, Failed("It broke.", "", 120.0), Resumed(130.0)]

    def shown(*more: Event, alive: bool = True) -> runs.RunView:
        return runs.fold("id", SPEC, [*story, *more], alive, False)

    assert shown().epochs == [EPOCH]
    assert shown(replace(STARTED, time=131.0)).epochs == [EPOCH]
    again = shown(Failed("It broke again.", "", 132.0), alive=False)
    assert (again.epochs, again.saved, again.can_be_finished) == ([EPOCH], SAVED, True)
    assert again.failed == Failed("It broke again.", "", 132.0)
    twice = shown(Failed("Again.", "", 132.0), Resumed(133.0), Failed("And again.", "", 134.0), alive=False)
    assert (twice.epochs, twice.can_be_finished) == ([EPOCH], True)
    learnt = replace(EPOCH, validation_accuracy=0.9, time=140.0)
    assert shown(replace(STARTED, time=131.0), learnt).epochs == [learnt]
    finishing = shown(Failed("Again.", "", 132.0), Resumed(133.0, True))
    assert (finishing.state, finishing.finishing, finishing.failed) == ("running", True, None)
    assert finishing.epochs == [EPOCH]


def test_a_run_says_how_long_it_worked_and_neither_how_long_it_waited_nor_lay_dead() -> None:
    from datetime import UTC, datetime

    from playground.training.runs.events import Queued

    began = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
    run_id = "20261129-120000-000000-abcd"
    story: list[Event] = [Queued(1, began + 2), Queued(0, began + 60), replace(STARTED, time=began + 70),
                          replace(EPOCH, time=began + 100), Resumed(began + 1000),
                          Finished("completed", 1, 0.5, 2, 8.0, (), began + 1030)]
    view = runs.fold(run_id, SPEC, story, False, False)
    assert view.seconds == pytest.approx(100 - 58 + 30)


def test_a_numpy_training_that_was_killed_goes_on_to_the_same_weights(worked_here: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    list(numpy_fit.fit(SPEC, whole, lambda: False))
    for until_epoch in (1, 2):
        for event in numpy_fit.fit(SPEC, killed, lambda: False):
            if isinstance(event, Saved) and event.epoch == until_epoch:
                break
    events = list(numpy_fit.fit(SPEC, killed, lambda: False))
    assert [event.epoch for event in events if isinstance(event, Epoch)] == [1, 2, 3]
    assert (killed / numpy_fit.WEIGHTS).read_bytes() == (whole / numpy_fit.WEIGHTS).read_bytes()
    again = list(numpy_fit.fit(SPEC, killed, lambda: False))  # killed between the last epoch and the last word
    assert isinstance(again[-1], Finished)
    assert again[-1].epochs == 3


def test_a_numpy_checkpoint_of_other_pictures_or_a_damaged_one_is_said_to_be(
        worked_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(numpy_fit.fit(SPEC, tmp_path, lambda: False))
    with monkeypatch.context() as others:
        others.setattr(named, "load", lambda data: (blobs(66), blobs(21)))
        with pytest.raises(PlaygroundError, match="no longer those this training began with"):
            list(numpy_fit.fit(SPEC, tmp_path, lambda: False))
    path = tmp_path / "checkpoint.safetensors"
    data = path.read_bytes()
    nan = np.full(4, np.nan, np.float32).tobytes()
    for spoilt in (b"", data[:100], b"x" * len(data), data[:-len(nan)] + nan):
        path.write_bytes(spoilt)
        with pytest.raises(PlaygroundError, match="checkpoint of this run is damaged"):
            list(numpy_fit.fit(SPEC, tmp_path, lambda: False))


def test_resume_takes_another_name_at_the_command_line(
        worked_here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(registry, "put", full)
        run_id = runs.start(SPEC)
    assert main(["resume", run_id, "--name", "digits-example"]) == 2
    assert "comes with the playground" in capsys.readouterr().err
    assert main(["resume", run_id, "--name", "other", "--finish", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "other"
    assert len(read(runs.run_dir(run_id) / "events.jsonl")[0]) > 4
