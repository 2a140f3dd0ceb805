"""Why the training loss of a run may lie above its validation loss: it is asked for less than certainty."""

import math

from playground.errors import PlaygroundError
from playground.numbers import number, percent
from playground.training.runs.runs import RunView
from playground.training.transfer.recipe import RECIPES, Request


def why_above(view: RunView) -> str:
    """A sentence for the curves of a run with label smoothing, mixup or cutmix; nothing for any other."""
    if view.spec.kind != "transfer" or view.started is None:
        return ""
    try:
        request = Request.of(view.spec.request)
    except PlaygroundError:
        return ""
    reasons = []
    smooth = request.label_smoothing if "label_smoothing" in RECIPES[request.mode] else 0.0
    if smooth > 0:
        sure, least = softened(smooth, len(view.started.classes))
        reasons.append(f"Training asks for {percent(sure)} instead of {percent(1)} (label smoothing "
                       f"{number(smooth)}), so its loss cannot fall below {number(least, 3)}.")
    if how := next((name for name in ("mixup", "cutmix") if request.augment.get(name)), ""):
        reasons.append(f"Training pictures are mixed of two ({how}), which nobody can name for certain.")
    if not reasons:
        return ""
    reasons.append("The validation loss is measured without that, on photos as they are: it may lie below the training "
                   "loss, and nothing is wrong.")
    return " ".join(reasons)


def softened(smooth: float, classes: int) -> tuple[float, float]:
    """The probability that label smoothing asks for, and the cross-entropy of a network that gives just that.

        p = 1 - s + s/K, q = s/K;   least = -p ln p - (K - 1) q ln q

    >>> [round(value, 3) for value in softened(0.1, 2)]
    [0.95, 0.199]
    """
    others = smooth / classes
    sure = 1 - smooth + others
    return sure, -sure * math.log(sure) - (classes - 1) * others * math.log(others)
