"""Transfer runs that break off where it hurts: a full disk, photographs that go, a last word that is not written."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from playground import home, jobs
from playground.datasets.photos import open_photo
from playground.deploy import evaluation, export, registry
from playground.errors import PlaygroundError
from playground.training.runs import runs, worker
from playground.training.runs.events import Epoch, Event, Finished, Saved
from playground.training.runs.log import EventLog, read
from playground.training.runs.runs import RunSpec
from playground.training.transfer import fit as torch_fit
from playground.training.transfer import photo_list
from playground.training.transfer import tune as torch_tune
from tests.playground import tiny_models

pytestmark = pytest.mark.slow

SCRATCH = {"mode": "scratch", "image_size": 32, "epochs": 2, "batch_size": 4}


@pytest.fixture
def colours(playground_home: Path) -> Path:
    """Two classes of coloured noise, eight pictures to train on and two kept aside."""
    top, rng = playground_home / "colours", np.random.default_rng(0)
    for name, colour in (("blue", (40, 60, 220)), ("red", (220, 50, 40))):
        (top / name).mkdir(parents=True)
        for k in range(5):
            noise = np.clip(colour + rng.normal(0, 40, (36, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(top / name / f"{k}.png")
    return top


@pytest.fixture
def folder(colours: Path) -> Path:
    """The folder of a run that nobody works on yet."""
    made = runs.new_folder()
    runs.write_spec(made, RunSpec("transfer", {"data": str(colours), **SCRATCH}, 0, "tints"), "cpu")
    return made


@pytest.fixture(autouse=True)
def worked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever resumes a run waits for it."""
    monkeypatch.setattr(runs, "_launch", lambda folder, spec, queued=True: worker.work(folder, jobs.events))


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def trained(folder: Path, after: Callable[[Event], bool] = lambda event: False) -> list[Event]:
    """The run's training, without export; up to an event."""
    events = []
    for event in torch_fit.fit(runs.read_spec(folder), folder, lambda: False):
        events.append(event)
        if after(event):
            break
    return events


def left_behind() -> list[Path]:
    return [path for path in home.home().rglob("*") if "incoming" in path.name]


@pytest.mark.usefixtures("without_shipped")
def test_a_disk_that_is_full_when_the_exported_file_is_asked_is_said_and_the_run_goes_on(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colour = replace(tiny_models.COLOUR, size=(32, 32))
    monkeypatch.setattr(export, "_core", lambda trained: tiny_models.linear_core(colour, 2))
    monkeypatch.setattr(export, "demand", lambda parity: None)
    with monkeypatch.context() as filled:
        filled.setattr(evaluation, "whole", full)
        assert worker.work(folder, jobs.events) == 1
    view = runs.view(folder.name)
    assert view.failed is not None
    assert view.failed.message.startswith("The disk is full: what was saved before is kept")
    assert not left_behind()
    assert [entry.name for entry in registry.entries()] == ["tints"]  # whole: checked before it was put there
    kept = (folder / torch_tune.WEIGHTS).read_bytes()

    monkeypatch.setattr(torch_tune.Trainer, "step", lambda *_: pytest.fail("trained again"))
    runs.resume(folder.name)
    view = runs.view(folder.name)
    assert (view.state, [epoch.epoch for epoch in view.epochs]) == ("completed", [1, 2])
    assert (folder / torch_tune.WEIGHTS).read_bytes() == kept
    found = evaluation.read(folder / evaluation.FILE)
    assert found is not None
    assert len(found.paths) == 2


@pytest.mark.parametrize("written", [1, 4, 5])
def test_a_full_disk_anywhere_leaves_no_half_file_and_the_run_comes_to_the_same_end(
        written: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = runs.new_folder()
    shutil.copy(folder / "spec.json", whole)
    trained(whole)
    calls, really = [], os.replace

    def fills(one: Any, other: Any) -> None:
        calls.append(other)
        full() if len(calls) == written else really(one, other)

    with monkeypatch.context() as filled:
        filled.setattr(os, "replace", fills)
        with pytest.raises(OSError, match="No space left"):
            trained(folder)
    assert not left_behind()
    trained(folder)
    assert (folder / torch_tune.WEIGHTS).read_bytes() == (whole / torch_tune.WEIGHTS).read_bytes()


def test_a_run_does_not_go_on_with_other_photographs(folder: Path, colours: Path) -> None:
    trained(folder, lambda event: isinstance(event, Saved))
    away = colours.parent / "away.png"
    (colours / "blue" / "2.png").rename(away)
    with pytest.raises(PlaygroundError, match=r"no longer those this training began with \(2.png\)"):
        trained(folder)
    away.rename(colours / "blue" / "2.png")
    events = trained(folder)
    assert [event.epoch for event in events if isinstance(event, Epoch)] == [1, 2]
    assert isinstance(events[-1], Finished)


def test_what_is_measured_is_what_was_kept_aside_whatever_happens_to_the_folder(folder: Path, colours: Path) -> None:
    spec = runs.read_spec(folder)
    began = torch_fit.photo_folder(spec)
    for event in torch_fit.fit(spec, folder, lambda: False):
        if isinstance(event, Epoch) and event.epoch == 1:
            began.validation[0][0].unlink()
            (colours / "red" / "0.png").rename(colours / "red" / "9.png")
    assert isinstance(event, Finished)
    assert event.test_count == 1
    listed = torch_fit.photos_of(spec, folder)
    assert (listed.classes, listed.train, listed.validation) == (began.classes, began.train, began.validation)
    assert jobs.own_pictures(spec, folder)[0].shape == open_photo(began.validation[1][0]).shape


def test_a_damaged_list_of_photographs_is_none(folder: Path) -> None:
    (folder / photo_list.FILE).write_text("{")
    assert photo_list.read(folder) is None


def test_half_an_event_on_a_full_disk_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    file = log._file

    class Full:
        name, fileno = file.name, staticmethod(file.fileno)

        def write(self, data: bytes) -> int:
            return file.write(data[:9])

    log._file = Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left"):
        log.append(Saved("a", 1, 0.0))
    log._file = file
    log.append(Saved("b", 2, 0.0))
    log.close()
    assert [json.loads(line)["epoch"] for line in (tmp_path / "events.jsonl").read_text().splitlines()] == [2]
    assert read(tmp_path / "events.jsonl")[0] == [Saved("b", 2, 0.0)]
