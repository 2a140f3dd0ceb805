"""More photographs, a better head: draws of every number, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.training.runs.events import Event, Finished, Measured, Started
from playground.training.runs.runs import EXPERIMENT, RunSpec
from playground.training.scratch import experiments
from playground.training.transfer import photo_count as torch_photo_count


@pytest.fixture
def spec(playground_home: Path) -> RunSpec:
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (70, 80, 160)), ("red", (160, 80, 70))):
        (playground_home / "data" / "colours" / name).mkdir(parents=True)
        for k in range(10):
            noise = np.clip(colour + rng.normal(0, 60, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(playground_home / "data" / "colours" / name / f"{k}.png")
    data = str(playground_home / "data" / "colours")
    return RunSpec(EXPERIMENT, {"experiment": experiments.PHOTO_COUNT, "data": data}, 0, "photo-count")


def test_every_number_is_drawn_several_times_and_the_same_again(spec: RunSpec, tmp_path: Path) -> None:
    def run(stop_after: int = 10**6) -> list[Event]:
        events: list[Event] = []
        def enough() -> bool:
            return sum(isinstance(event, Measured) for event in events) >= stop_after

        for event in experiments.fit(spec, tmp_path, enough):
            events.append(event)
        return events

    events = run()
    measured = [event for event in events if isinstance(event, Measured)]
    assert [int(event.contestant) for event in measured] == [2] * 5 + [5] * 5 + [8] * 5
    assert torch_photo_count.DRAWS == 5
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.total_epochs == len(measured)
    assert started.samples == {"train": 16, "validation": 4}
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "completed"
    again = [event.test_loss for event in run() if isinstance(event, Measured)]
    assert again == [event.test_loss for event in measured]
    assert len(set(again[:5])) == 5, "draws of few photos differ"
    stopped = run(stop_after=3)[-1]
    assert isinstance(stopped, Finished)
    assert stopped.reason == "stopped"
