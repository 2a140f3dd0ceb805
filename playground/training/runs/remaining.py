"""How far a run is, and how long it will still take, as soon as that can be known and not before."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from playground.training.runs.events import Batch, Epoch, Event, Finished, Measured, Stage, Started

STAGES_SHARE = 0.8
"""How much of the progress bar the counted stages take where there are any: computing features once takes far longer
than the epochs on them."""
LEAST_SECONDS, LEAST_SHARE, AGREEMENT = 3.0, 0.05, 1.5


def progress(events: Sequence[Event], request: Mapping[str, Any]) -> float:
    """The share 0..1 of the work that is done: counted stages before the first batch first, then the epochs."""
    total_epochs, staged, share, epochs_done = 0, False, 0.0, 0.0
    for event in events:
        if isinstance(event, Started):
            total_epochs = event.total_epochs
        elif isinstance(event, Stage) and event.total > 1 and not epochs_done:
            staged, share = True, max(share, min(1.0, event.done / event.total))
        else:
            epochs_done = _epochs_done(event, epochs_done)
    trained = min(1.0, epochs_done / total_epochs) if total_epochs > 0 else 0.0
    before = _stages_share(request) if staged else 0.0
    return before * (1.0 if epochs_done else share) + (1 - before) * trained


def remaining_seconds(events: Sequence[Event], request: Mapping[str, Any]) -> float | None:
    """The seconds that are left of what is counted now, or None while nobody can know.

    Known is only how long the counting under way will take, at the pace it has. In the epochs that is the training. In
    a counted stage it is told where nothing long comes after it, which is so for computing features and for a download,
    and not where the epochs are what takes long. What may end early (`patience`, `early_stopping`) has no known end.
    Once there are a few whole epochs they are the pace: at an epoch's end something is measured, which batches do not
    tell.
    """
    kind, points, whole = _counting(events)
    if kind == "stage" and _stages_share(request) < STAGES_SHARE:
        return None
    if kind == "epochs" and (request.get("patience") or request.get("early_stopping")):
        return None
    if kind == "epochs" and (told := left(whole)) is not None:
        return max(0.0, told - (points[-1][0] - whole[-1][0]))
    return left(points)


def left(points: Sequence[tuple[float, float]]) -> float | None:
    """The seconds until 1 at the pace of late: points are (time, share done), in order.

    The first points are often slow (a cold cache, a library that is loaded), so the pace is that of the later half, and
    it is told only when the two halves of that half agree to a factor of 1.5, three seconds have gone by and a
    twentieth is done.

    >>> left([(0, 0), (10, 0.5)])
    10.0
    >>> left([(0, 0), (1, 0.2)]), left([(0, 0), (40, 0.04)])     # too soon, too little
    (None, None)
    >>> left([(0, 0), (10, 0.01), (12, 0.06)])                   # it has only begun to be fast
    """
    if len(points) < 2:
        return None
    (began, first), (now, done) = points[0], points[-1]
    elapsed = now - began
    if elapsed < LEAST_SECONDS or done - first < LEAST_SHARE:
        return None
    middle, late = (_at(points, began + elapsed * part) for part in (0.5, 0.75))
    older, newer = late - middle, done - late
    if min(older, newer) <= 0 or max(older, newer) > AGREEMENT * min(older, newer):
        return None
    return max(0.0, 1 - done) * (elapsed / 2) / (done - middle)


def _at(points: Sequence[tuple[float, float]], moment: float) -> float:
    """The share done at a moment, on a straight line between two points."""
    for (t0, s0), (t1, s1) in pairwise(points):
        if moment <= t1:
            return s0 + (s1 - s0) * (max(0.0, moment - t0) / (t1 - t0) if t1 > t0 else 1.0)
    return points[-1][1]


def _counting(events: Sequence[Event]) -> tuple[str, list[tuple[float, float]], list[tuple[float, float]]]:
    """What is being counted now, "stage", "epochs" or "" for nothing, how far it was when, and how far at each end of
    an epoch."""
    kind, text, total, done, began, points = "", "", 0, 0.0, 0.0, list[tuple[float, float]]()
    whole: list[tuple[float, float]] = []
    for event in events:
        if isinstance(event, Started):
            total, began = event.total_epochs, event.time
        elif isinstance(event, Finished):
            kind, points = "", []
        elif isinstance(event, Stage):
            if event.total <= 1:
                kind, points = ("", []) if kind == "stage" else (kind, points)
            else:
                if kind != "stage" or text != event.text:
                    kind, text, points = "stage", event.text, []
                points.append((event.time, min(1.0, event.done / event.total)))
        elif isinstance(event, Batch | Epoch | Measured):
            done = _epochs_done(event, done)
            if kind != "epochs":
                kind, points = "epochs", []
            if event.time >= began and total > 0:  # what a checkpoint tells again was done before
                points.append((event.time, min(1.0, done / total)))
                if isinstance(event, Epoch):
                    whole.append(points[-1])
    return kind, points, whole


def _epochs_done(event: Event, before: float) -> float:
    if isinstance(event, Batch):
        return event.epoch - 1 + event.batch / max(event.batches, 1)
    if isinstance(event, Epoch):
        return event.epoch
    return before + 1 if isinstance(event, Measured) else before


def _stages_share(request: Mapping[str, Any]) -> float:
    return STAGES_SHARE if request.get("mode", "frozen") == "frozen" else 0.2  # there, epochs are what takes long
