"""Every event survives its line of JSON."""

import dataclasses
import json
from typing import get_args

import pytest

from playground.training.runs import events
from playground.training.runs.events import (
    Batch,
    Cancelled,
    Epoch,
    Exported,
    Failed,
    Finished,
    Measured,
    Measures,
    NotFinite,
    PartMeasures,
    Queued,
    RateChanged,
    Resumed,
    Saved,
    Stage,
    Started,
)

ONE_OF_EACH = [
    Queued(2, 0.5),
    Cancelled(0.7),
    Resumed(0.8),
    Started("digits", 15, 46, 9_000, ("0", "ä", "猫"), {"train": 1_200, "validation": 240, "test": 355}, "cpu", 1.0),
    Stage("computing features", 120, 799, 2.0),
    Batch(1, 2, 46, 2.3, 0.125, 1e-3, 3.0),
    Epoch(1, 1.5, 0.5, 1.2, 0.625, 0.75, 4.0),
    RateChanged(2, 46, 5e-4, 4.2),
    Measured("CNN", 1, 1.5, 0.5, 1.2, 0.625, 4.5),
    Measures(2, 47, 1.0, 0.5, (PartMeasures((0,), "conv", 0.5, 0.1, 1e-3, 0.0, 0.0),
                               PartMeasures((4, 1, 0), "relu", None, None, None, 0.5, 0.5, None, 0.25)),
             NotFinite((0,), "conv2d", "step"), 4.6),
    Measures(2, 48, None, None, (), None, 4.7),
    Saved("/somewhere/model.safetensors", 1, 5.0),
    Finished("stopped", 1, None, 0, 6.5, (), 6.0),
    Finished("completed", 2, 0.5, 4, 6.5, ((1, 1), (1, 1)), 6.0),
    Exported("digits", "/exports/digits/model.onnx", 1e-6, 37, 7.0),
    Failed("It broke.", "Traceback\n  line\n", 8.0),
]


def test_every_kind_of_event_is_asked() -> None:
    assert {type(event) for event in ONE_OF_EACH} == set(events.KINDS.values()) == set(get_args(events.Event))


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: type(event).__name__)
def test_an_event_is_one_line_and_comes_back_equal(event: events.Event) -> None:
    line = events.to_json(event)
    assert "\n" not in line
    assert json.loads(line)["event"] == type(event).__name__
    assert events.from_json(line) == event
    assert events.from_json(line.encode()) == event


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: type(event).__name__)
def test_an_event_cannot_be_changed(event: events.Event) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.time = 0.0  # type: ignore[misc]


def test_a_diverged_loss_comes_back_as_what_it_was() -> None:
    back = events.from_json(events.to_json(Batch(1, 1, 1, float("nan"), 0.0, 1.0, 0.0)))
    assert isinstance(back, Batch)
    assert back.loss != back.loss


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"event": "Exploded", "time": 1}', '{"event": [1]}',
                                  '{"event": "Saved", "time": 1}',
                                  '{"event": "Saved", "path": "p", "epoch": 1, "time": 1, "x": 1}'])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a|Expecting"):
        events.from_json(line)
