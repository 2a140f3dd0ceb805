"""A look at a training under way: its answers are computed once a version, and never those of another one."""

import numpy as np
import pytest

from playground.view import frames, looks
from playground.view.looks import Look
from playground.view.sources import Design, Source
from tests.playground.view.small_networks import design


class Training:
    """A network whose weights are others at every step; it counts how often it is run."""

    def __init__(self) -> None:
        self.step, self.designs = 0, dict[int, Design]()

    def source(self, epoch: str) -> tuple[Source, str]:
        step = self.step if epoch == looks.LIVE else int(epoch)
        if step not in self.designs:
            self.designs[step] = design("c4-r-g-d3", seed=step)
        return self.designs[step], f"step {step}"


def test_a_version_is_drawn_once_and_another_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training()
    drawn: list[int] = []
    really = frames.frame
    monkeypatch.setattr(frames, "frame", lambda *rest, **more: (drawn.append(training.step), really(*rest, **more))[1])
    look = Look("a training", training.source, np.ones((1, 1, 8, 8), np.float32), np.zeros((8, 8, 3), np.uint8),
                epochs=(1, 2))
    token = looks.opened(look)
    asked = {"epoch": "live", "parts": "0.1"}
    first = looks.answer(token, "frame", asked)
    assert looks.answer(token, "frame", asked) == first
    assert not first.lasting
    assert drawn == [0]
    held = looks.answer(token, "frame", asked | {"hold": "1"})
    assert looks.answer(token, "frame", asked | {"hold": "1"}) == held
    assert looks.answer(token, "frame", asked | {"hold": "2"}).etag != held.etag
    assert drawn == [0, 0, 0]
    training.step = 7
    later = looks.answer(token, "frame", asked)
    assert (later.etag != first.etag, later.body != first.body) == (True, True)
    assert looks.answer(token, "frame", asked) == later
    assert drawn == [0, 0, 0, 7]
    lasting = looks.answer(token, "frame", {"epoch": "1", "parts": "0.1"})
    assert lasting.lasting
