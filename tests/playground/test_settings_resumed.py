"""A training that was killed, or whose learning rate was changed in flight, goes on to the same weights."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.datasets import named
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.events import (
    Batch,
    Epoch,
    Event,
    Exported,
    Finished,
    Measures,
    RateChanged,
    Saved,
    Started,
)
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.training.scratch.settings import (
    RATE,
    SCHEDULES,
    Settings,
    ask_rate,
    asked_factors,
    rates,
)
from tests.playground.test_numpy_fit import blobs, fit, never, same, spec, weights
from tests.playground.test_settings import every_batch


@pytest.fixture(autouse=True)
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


# --- killed and gone on ---

SETTINGS: tuple[dict[str, Any], ...] = (
    {"optimizer": "momentum", "schedule": "step", "clip_norm": 0.5},
    {"optimizer": "adamw", "schedule": "warmup", "weight_decay": 0.1},
    {"optimizer": "nesterov", "schedule": "linear", "init": "kaiming", "first_bias": 0.1, "weights_gain": 0.5},
    {"optimizer": "rmsprop", "schedule": "constant", "train_pictures": 30, "normalize": False},
    {"optimizer": "sgd", "schedule": "cosine", "label_smoothing": 0.1, "early_stopping": 3, "augment": {"rotate": 9}},
)


def killed_after(epoch: int, run_dir: Path, asked: RunSpec) -> None:
    """Train until the middle of the epoch after that one."""
    run_dir.mkdir(exist_ok=True)
    begun_: Iterator[Event] = numpy_fit.fit(asked, run_dir, never)
    next(event for event in begun_ if isinstance(event, Saved) and event.epoch == epoch)
    next(begun_)


@pytest.mark.parametrize("more", SETTINGS, ids=lambda more: more["optimizer"])
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
        more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every_batch(monkeypatch)
    asked = spec(epochs=4, batch_size=8, network="c4n-b-r-p2-f-d8-r-o0.3-d3", **more)
    fit(tmp_path / "whole", asked)
    for epoch in (1, 2):
        killed_after(epoch, tmp_path / "killed", asked)
    fit(tmp_path / "killed", asked)
    kept = [(tmp_path / name / numpy_fit.WEIGHTS).read_bytes() for name in ("whole", "killed")]
    assert kept[0] == kept[1]


# --- the learning rate, changed in flight ---


def changing(run_dir: Path, asked: RunSpec, at: dict[int, float]) -> list[Event]:
    """Train, asking for a factor in the middle of some epochs."""
    run_dir.mkdir(exist_ok=True)
    events, told = [], set()
    for event in numpy_fit.fit(asked, run_dir, never):
        events.append(event)
        if isinstance(event, Batch) and event.epoch in at and event.epoch not in told:
            told.add(event.epoch)
            ask_rate(run_dir, at[event.epoch])
    return events


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_changed_rate_counts_from_the_next_epoch_on(
        schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every_batch(monkeypatch)
    asked = spec(epochs=4, batch_size=8, network="linear", schedule=schedule)
    events = changing(tmp_path, asked, {1: 0.5, 3: 4.0})
    planned = rates(Settings(schedule=schedule), 24).reshape(4, 6)
    used = np.array([event.learning_rate for event in events if isinstance(event, Batch)]).reshape(4, 6)
    np.testing.assert_allclose(used, planned * np.array([[1], [0.5], [0.5], [2]]), rtol=1e-12)
    changed = [event for event in events if isinstance(event, RateChanged)]
    assert [(event.epoch, event.step) for event in changed] == [(2, 6), (4, 18)]
    assert [event.rate for event in changed] == [used[1, 0], used[3, 0]]
    kinds = [type(event) for event in events if not isinstance(event, Batch | Saved | Measures)]
    assert kinds == [Started, Epoch, RateChanged, Epoch, Epoch, RateChanged, Epoch, Finished]
    view = runs.fold("20261129-120000-000000-abcd", asked, events, False, False)
    assert view.rate_changes == changed


def test_a_run_with_a_changed_rate_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every_batch(monkeypatch)
    asked = spec(epochs=4, batch_size=8, network="linear", schedule="warmup", optimizer="adamw")
    whole = changing(tmp_path / "whole", asked, {1: 0.3, 2: 0.7})
    killed = tmp_path / "killed"
    killed.mkdir()
    begun_ = numpy_fit.fit(asked, killed, never)
    for event in begun_:
        if isinstance(event, Batch) and event.batch == 1 and event.epoch in (1, 2):
            ask_rate(killed, {1: 0.3, 2: 0.7}[event.epoch])
        if isinstance(event, Saved) and event.epoch == 3:
            break
    (killed / RATE).unlink()  # the checkpoint knows
    events = fit(killed, asked)
    assert (killed / numpy_fit.WEIGHTS).read_bytes() == (tmp_path / "whole" / numpy_fit.WEIGHTS).read_bytes()
    told = [[(event.epoch, event.step, event.rate) for event in story if isinstance(event, RateChanged)]
            for story in (whole, events)]
    assert told[0] == told[1]
    fit(tmp_path / "plain", asked)
    assert not same(weights(tmp_path / "plain"), weights(killed))


def test_a_factor_that_is_none_is_refused_and_a_damaged_line_changes_nothing(tmp_path: Path) -> None:
    for factor in (0, -1, math.nan, math.inf, 1e9, True):
        with pytest.raises(PlaygroundError, match=r"factor from 0\.001 to 1000"):
            ask_rate(tmp_path, factor)
    with pytest.raises(PlaygroundError, match="no run nothing"):
        ask_rate(tmp_path / "nothing", 0.5)
    assert asked_factors(tmp_path) == []
    ask_rate(tmp_path, 0.5)
    (tmp_path / RATE).write_bytes((tmp_path / RATE).read_bytes() + b'\xff\nnull\n{"factor": "2"}\n{"factor": 0}\n')
    ask_rate(tmp_path, 2)
    assert asked_factors(tmp_path) == [0.5, 1, 1, 1, 1, 2]


def test_a_run_whose_rate_was_changed_is_nobody_elses(playground_home: Path) -> None:
    asked = spec(epochs=1, network="linear")
    story = [Started("digits", 1, 1, 1, ("a", "b"), {"train": 2}, "cpu", 1.0), RateChanged(1, 0, 0.1, 2.0),
             Finished("completed", 1, 0.5, 2, 1.0, (), 3.0), Exported("mine", "model.onnx", 0.0, 1, 4.0)]
    for run_id, events in (("20261129-120000-000000-abcd", [one for one in story if not isinstance(one, RateChanged)]),
                           ("20261129-120001-000000-abcd", story)):
        folder = runs.home.runs_dir() / run_id
        folder.mkdir(parents=True)
        runs.write_spec(folder, asked, "cpu")
        for event in events:
            runs._append(folder, event)
    assert [runs.view(run_id).state for run_id in runs.run_ids()] == ["completed", "completed"]
    assert runs.same(asked) == "20261129-120000-000000-abcd"
