"""The sentence under the curves: the loss that label smoothing leaves is the one torch computes."""

from typing import Any

import pytest
import torch

from playground.training.runs.events import Started
from playground.training.runs.runs import RunSpec, RunView
from playground.ui.studio import soft_targets


@pytest.mark.parametrize(("smooth", "classes"), [(0.1, 2), (0.1, 10), (0.5, 3)])
def test_no_answer_has_a_smaller_loss_than_the_one_that_is_asked_for(smooth: float, classes: int) -> None:
    sure, least = soft_targets.softened(smooth, classes)
    asked = torch.full((1, classes), smooth / classes, dtype=torch.float64)
    asked[0, 0] = sure
    loss = torch.nn.CrossEntropyLoss(label_smoothing=smooth)
    assert loss(asked.log(), torch.tensor([0])).item() == pytest.approx(least)
    assert loss(asked.log() * 1.1, torch.tensor([0])).item() > least


def said(kind: str = "transfer", **request: Any) -> str:
    spec = RunSpec(kind, {"data": "x", **request}, 0, "x")
    started = Started(kind, 1, 1, 1, ("a", "b"), {}, "cpu", 0.0)
    return soft_targets.why_above(RunView("x", spec, "running", started=started))


def test_only_runs_that_are_asked_for_less_than_certainty_are_explained() -> None:
    smoothed = said(mode="fine-tune")
    assert "95.0\u202f% instead of 100\u202f% (label smoothing 0.1), so its loss cannot fall below 0.199." in smoothed
    assert said(mode="fine-tune", label_smoothing=0.0) == ""
    mixed = said(mode="scratch", label_smoothing=0.0, augment={"mixup": 0.2})
    assert "(mixup)" in mixed
    assert "smoothing" not in mixed
    assert said() == ""
    assert said("digits") == ""
    assert said(mode="nonsense") == ""
