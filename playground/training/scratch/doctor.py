"""What ails a network that trains badly: findings with the layer, the numbers that say so, and a cure to try.

`diagnose` reads what a training told (Measures, Epoch); `preflight` measures one batch at the first weights before any
training. The limits below were set on seeded runs, sick and healthy (tests/playground/test_doctor.py).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from playground.datasets.named import ImageSet
from playground.errors import PlaygroundError
from playground.network.edits import Edit
from playground.network.kind import Shape
from playground.network.kinds import WEIGHTED
from playground.network.parts import Network, Path
from playground.network.shapes import Row, walk
from playground.network.spelling import network_of
from playground.network.suspicions import SATURATING
from playground.numbers import number, percent
from playground.training.runs.events import Epoch, Event, Measures
from playground.training.runs.runs import RunSpec
from playground.training.scratch.doctor_patient import Patient, spread_of
from playground.training.scratch.losses import CROSS_ENTROPY, HINGE, SQUARED_ERROR, chance
from playground.training.scratch.numpy_fit import assembled
from playground.training.scratch.settings import Settings

NOT_FINITE, EXPLODING, VANISHING, DEAD, SATURATED, TOO_LARGE, IDLE, MEMORISING = (
    "not finite", "exploding", "vanishing", "dead ReLU", "saturated", "step too large", "step idle", "memorising")
LARGE_PICTURES, LARGE_NUMBERS, GROWTH = 10.0, 10.0, 2.5
"""Sizes (root mean square) of what goes in and of what a layer gives, with the norm or activation behind it, at the
first weights, and how much it may enlarge what it takes."""
BACKWARD_GROWTH = 1e3
VANISHED, LOSES = 1e-3, 0.03
"""Size of the gradient at the first layer, as a share of the last one's; what one part alone may take of it."""
DEAD_SHARE, ZEROS, SATURATED_SHARE = 0.9, 0.97, 0.5
LEAP, LARGE_STEP, IDLE_STEP, GOOD_STEP = 0.5, 1e-2, 1e-5, 0.03
"""|Δw| / |w|: of most layers in one step that leaps, over time, too small, and about right to begin with."""
STUCK, RISEN_BY = 0.9, {CROSS_ENTROPY: 2.0, SQUARED_ERROR: 1.5, HINGE: 2.0}
"""Where the loss is still more than this share of the first, nothing was learnt; where it was so many times as large at
any time, a step has gone too far. The squared error of sure and random answers is only twice a guess's."""
SLOW_STEP, A_GUESS, UNSCALED = 1e-3, 0.97, ("sgd", "momentum", "nesterov")
"""|Δw| / |w| that may be too small for the squared error, of the loss of a guess the share that is one still, and the
optimizers whose steps are as large as the gradients."""
RISEN, GAP, BY_HEART = 1.15, 0.1, 0.9
"""By how much the validation loss rises above its best, or the accuracies part, where pictures are learnt by heart."""


@dataclass(frozen=True)
class Finding:
    """One thing that ails a training: its kind, the part it is about (() for the whole), one sentence, the numbers it
    was seen in, and what to try: an edit of the network, or settings to change."""

    kind: str
    path: Path
    sentence: str
    evidence: Mapping[str, float]
    cure: Edit | Mapping[str, Any]


@dataclass(frozen=True)
class Preflight:
    """One batch forward and backward at the first weights, and the first step from there."""

    measures: Measures
    findings: tuple[Finding, ...]


def diagnose(network: str | Network, takes: Shape, events: Sequence[Event],
             settings: Mapping[str, Any] | None = None) -> tuple[Finding, ...]:
    """What ails a training of a network for pictures (C, H, W), the cause before what follows from it.

    `events` are a run's, its Measures and Epochs are read; `settings` are its request. What only follows from another
    finding is left out. Raises PlaygroundError when the network or the settings cannot be read.
    """
    told = network_of(network) if isinstance(network, str) else network
    patient = Patient(told, takes, [event for event in events if isinstance(event, Measures)],
                       [event for event in events if isinstance(event, Epoch)], Settings.from_request(settings or {}))
    found: list[Finding] = []
    for look, unless in _LOOKS:
        if not unless & {finding.kind for finding in found}:
            found += list(look(patient))
    return tuple(found)


def preflight(network: str | Network, takes: Shape, images: np.ndarray, labels: np.ndarray, classes: int,
              settings: Mapping[str, Any] | None = None, seed: int = 0) -> Preflight:
    """The measures of one batch of the first pictures, uint8 (N, H, W) or (N, H, W, 3), at the first weights that a
    training with this seed begins with, and what they say: its augmentation, loss, clipping and first learning rate are
    those of the settings. Raises PlaygroundError where the network does not fit.

    >>> images = np.random.default_rng(0).integers(0, 255, (8, 8, 8)).astype(np.uint8)
    >>> preflight("c4-r-f-d3", (1, 8, 8), images, np.arange(8) % 3, 3).findings
    ()
    """
    told = network_of(network) if isinstance(network, str) else network
    walked = walk(told, takes)
    if not walked.stopped and walked.gives not in ((classes,), (1,)):
        raise PlaygroundError(f"The network does not give a score for each of {classes} classes.")
    shown = ImageSet("first pictures", images, labels, tuple(map(str, range(classes))), "", "")
    spec = RunSpec("digits", dict(settings or {}), seed, "preflight")
    training = assembled(told, spec, shown, shown, np.arange(len(images)), np.arange(0))
    training.model.train()
    with np.errstate(all="ignore"):
        look = training.step(np.arange(min(training.settings.batch_size, len(images))), measure=True).look
    assert look is not None
    measures = look.measures(1, 1, 0.0)
    return Preflight(measures, diagnose(told, takes, [measures], settings))


# --- one look each ---


def _not_finite(patient: Patient) -> Iterator[Finding]:
    broken = next((one for one in patient.measures if one.first is not None), None)
    if broken is None or broken.first is None:
        return
    path, op, way = broken.first.path, broken.first.op, broken.first.way
    where = patient.title(path) if path in patient.rows else "The loss"
    happened = {"forward": f"{where} is the first to give NaN or Inf, in the op {op}",
                "backward": f"The gradient becomes NaN or Inf on its way back through {where}, in the op {op}",
                "step": f"{where} has weights that are NaN or Inf"}[way]
    largest = max((part.activation or 0 for part in broken.parts if not part.not_finite), default=0.0)
    moved = max((part.step or 0 for one in patient.measures if one.step < broken.step for part in one.parts),
                default=0.0)
    cure: Edit | Mapping[str, Any] = {"clip_norm": 1.0}
    if way == "step" and broken.step == 1:
        cure = {"init": "default", "weights_gain": 1.0}
    elif moved >= LEAP or way == "step":
        cure = {"learning_rate": _slower(patient.settings.learning_rate, max(moved, 1.0))}
    elif largest > LARGE_NUMBERS:
        cure = _smaller_numbers(patient, path) if path in patient.rows else {"clip_norm": 1.0}
    yield Finding(NOT_FINITE, path, f"{happened}, at step {number(broken.step, 9)}; up to there, numbers were as large "
                                    f"as {number(largest, 3)}.",
                  {"step": broken.step, "largest": largest, "moved": moved}, cure)


def _leaping(patient: Patient) -> Iterator[Finding]:
    for one in patient.measures:
        steps = {part.path: part.step for part in one.parts if part.step is not None and part.kind in WEIGHTED}
        if steps and median(steps.values()) >= LEAP:
            path, rate = max(steps, key=lambda each: steps[each]), patient.settings.learning_rate
            yield Finding(TOO_LARGE, path, f"Step {number(one.step, 9)} changes the weights of "
                                           f"{patient.title(path, False)} by {number(steps[path], 3)} times their own "
                                           f"size, and most others by more than half: the learning rate of "
                                           f"{number(rate)} is too large.",
                          {"step": steps[path], "median": median(steps.values()), "learning_rate": rate},
                          {"learning_rate": _slower(rate, steps[path])})
            return


def _exploding(patient: Patient) -> Iterator[Finding]:
    if not patient.weighted:
        return
    pictures = patient.measures[0].pictures or 0.0
    first = patient.weighted[0]
    if pictures > LARGE_PICTURES:
        yield Finding(EXPLODING, first, f"The pictures go in with numbers of a size of {number(pictures, 3)} instead "
                                        f"of about 1, and {patient.title(first, False)} hands them on.",
                      {"pictures": pictures}, {"normalize": True})
        return
    sizes = {path: patient.behind(path) for path in patient.weighted}
    growing = {path: sizes[path] / before for path in patient.weighted if (before := patient.before(path))}
    if max(sizes.values()) > LARGE_NUMBERS and (guilty := [path for path, by in growing.items() if by > GROWTH]):
        path = guilty[0]
        yield Finding(EXPLODING, path, f"{patient.title(path)} makes the numbers that go through it "
                                       f"{number(growing[path], 3)} times as large, at the first weights; in the end "
                                       f"they are of a size of {number(max(sizes.values()), 3)}.",
                      {"growth": growing[path], "largest": max(sizes.values())}, _smaller_numbers(patient, path))
        return
    norms = patient.norms()
    if len(norms) > 1 and norms[patient.weighted[-1]] and norms[first] > BACKWARD_GROWTH * norms[patient.weighted[-1]]:
        growth = norms[first] / norms[patient.weighted[-1]]
        yield Finding(EXPLODING, first, f"The gradient that comes back to {patient.title(first, False)} is "
                                        f"{number(growth, 3)} times as large as the one at the last layer.",
                      {"growth": growth}, {"clip_norm": 1.0})


def _risen(patient: Patient) -> Iterator[Finding]:
    """The leap itself may fall between two measured steps; what it did to the loss is seen afterwards."""
    losses = [(one.loss, one.step) for one in patient.measures if one.loss is not None]
    if len(losses) < 2 or max(losses)[0] < RISEN_BY[patient.settings.loss] * losses[0][0]:
        return
    (worst, at), first, rate = max(losses), losses[0][0], patient.settings.learning_rate
    moved = {path: max((part.step or 0.0) for one in patient.measures if one.step <= at for part in one.parts
                       if part.path == path) for path in patient.weighted}
    path = max(moved, key=lambda each: moved[each])
    yield Finding(TOO_LARGE, path, f"The loss has risen from {number(first, 3)} to {number(worst, 3)} at step "
                                   f"{number(at, 9)}, with steps of {percent(moved[path], 0)} of the weights of "
                                   f"{patient.title(path, False)}: the learning rate of {number(rate)} is too large.",
                  {"first_loss": first, "loss": worst, "step": moved[path], "learning_rate": rate},
                  {"learning_rate": _slower(rate, max(moved[path], 1.0))})


def _saturated(patient: Patient) -> Iterator[Finding]:
    for path, part in patient.first.items():
        share = patient.over(path, lambda one: one.saturated, (0.67, 1.0))
        if part.saturated is not None and share is not None and share >= SATURATED_SHARE:
            yield Finding(SATURATED, path, f"{patient.title(path)} is saturated in {percent(share, 0)} of its numbers: "
                                           "there it is flat, and no gradient comes through.",
                          {"saturated": share}, _smaller_numbers(patient, path, before=True))
            return


def _dead(patient: Patient) -> Iterator[Finding]:
    dead = {}
    for path, part in patient.first.items():
        if part.dead is None:
            continue
        share = patient.over(path, lambda one: one.dead, (0.67, 1.0))
        zeros = patient.over(path, lambda one: one.zeros, (0.67, 1.0))
        if share is not None and zeros is not None and share >= DEAD_SHARE and zeros >= ZEROS:
            dead[path] = share
    if dead:
        path = next(iter(dead))
        from_start = (patient.first[path].dead or 0) >= DEAD_SHARE
        bias = patient.settings.first_bias
        cure: Edit | Mapping[str, Any] = Edit("replace", path, text="lr0.1")
        if from_start and bias is not None and bias < 0:
            cure = {"first_bias": 0.0}
        yield Finding(DEAD, path, f"{patient.title(path)} gives 0 on every picture in {percent(dead[path], 0)} of its "
                                  f"units{', from the first weights on' if from_start else ''}: what never answers "
                                  "gets no gradient and never learns.",
                      {"dead": dead[path], "layers": len(dead)}, cure)


def _vanishing(patient: Patient) -> Iterator[Finding]:
    norms = patient.norms()
    if len(norms) < 2:
        return
    first, last = patient.weighted[0], patient.weighted[-1]
    spread = math.prod(spread_of(row) for row in patient.rows.values())
    share = spread * norms[first] / norms[last] if norms[last] else 1.0
    arrives = {path: size for path, part in patient.first.items()
               if (size := patient.norm(path, patient.over(path, lambda one: one.gradient, (0.0, 0.5))))}
    kept = {path: spread * arrives[source] / arrives[path] for path in arrives
            if (found := patient.source(path)) and (source := found[0]) in arrives and (spread := found[1])}
    guilty = min(kept, key=lambda one: kept[one], default=first)
    alone = kept.get(guilty, 1.0) < LOSES
    if share >= VANISHED and not alone:
        return
    path = guilty if alone else first
    if alone:
        sentence = (f"{patient.title(path)} lets only {number(kept[path], 2)} of the gradient through; "
                    f"{patient.title(first, False)} gets {number(share, 2)} of what the last layer gets.")
        cure: Edit | Mapping[str, Any] = _larger_numbers(patient, path)
    else:
        sentence = (f"{patient.title(path)} gets {number(share, 2)} of the gradient that the last layer gets: it is "
                    "lost a little at every layer on its way back.")
        cure = _shortcut(patient)
    yield Finding(VANISHING, path, sentence, {"share": share, "first": norms[first], "last": norms[last]}, cure)


def _idle(patient: Patient) -> Iterator[Finding]:
    moved = patient.moved((0.0, 0.5))
    idle = [path for path, by in moved.items() if by < IDLE_STEP]
    if not idle:
        return
    whole, rate = len(idle) == len(moved), patient.settings.learning_rate
    path = idle[0]
    cure: Edit | Mapping[str, Any] = {"learning_rate": _rounded(rate * 1e-2 / max(moved[path], 1e-9))}
    if not whole:
        cure = _smaller_numbers(patient, path)
    others = ", and those of all others hardly more" if whole else ""
    why = f"the learning rate of {number(rate)} is too small" if whole else "it stands still"
    if whole and _shrinks(patient) > 1 and moved[path] * _shrinks(patient) >= IDLE_STEP:
        why, cure = f"{why} for the squared error, {_shrunk(patient)}", {"loss": CROSS_ENTROPY}
    yield Finding(IDLE, path, f"A step changes the weights of {patient.title(path, False)} by {number(moved[path], 3)} "
                              f"of their size{others}: {why}.", {"step": moved[path], "layers": len(idle)}, cure)


def _flat(patient: Patient) -> Iterator[Finding]:
    """What is a good rate with the cross-entropy leaves a network with the squared error where it began."""
    moved, guess = patient.moved((0.0, 0.5)), chance(patient.settings.loss, patient.classes)
    if _shrinks(patient) == 1 or len(patient.epochs) < 2 or not moved:
        return
    last, path = patient.epochs[-1], max(moved, key=lambda one: moved[one])
    held = last.validation_loss
    if moved[path] < SLOW_STEP and held > A_GUESS * guess:
        yield Finding(IDLE, path, f"After {number(last.epoch, 9)} epochs the squared error is {number(held, 3)}, and "
                                  f"that of a mere guess {number(guess, 3)}. A step changes the weights of "
                                  f"{patient.title(path, False)} by {number(moved[path], 2)} of their size: the "
                                  f"learning rate is too small for this loss, {_shrunk(patient)}.",
                      {"loss": held, "guess": guess, "step": moved[path]}, {"loss": CROSS_ENTROPY})


def _shrinks(patient: Patient) -> float:
    """How many times smaller a guess's gradient is than the cross-entropy's, where steps shrink with it: of the squared
    error K² / 2 times, but for an optimizer that scales every step, as Adam does."""
    settings = patient.settings
    return patient.classes**2 / 2 if settings.loss == SQUARED_ERROR and settings.optimizer in UNSCALED else 1.0


def _shrunk(patient: Patient) -> str:
    return f"whose gradient at a guess is {number(_shrinks(patient), 3)} times smaller than the cross-entropy's"


def _too_large(patient: Patient) -> Iterator[Finding]:
    losses = [one.loss for one in patient.measures if one.loss is not None]
    moved = patient.moved((0.1, 0.6))
    if len(losses) < 4 or not moved:
        return
    last = median(losses[-max(2, len(losses) // 4):])
    path = max(moved, key=lambda one: moved[one])
    if moved[path] > LARGE_STEP and last > STUCK * losses[0]:
        yield Finding(TOO_LARGE, path, f"Steps change the weights of {patient.title(path, False)} by "
                                       f"{percent(moved[path])} of their size each, over a long time, and the loss has "
                                       f"gone from {number(losses[0], 3)} to {number(last, 3)}: the learning rate is "
                                       "too large.", {"step": moved[path], "first_loss": losses[0], "loss": last},
                      {"learning_rate": _rounded(patient.settings.learning_rate / 10)})


def _memorising(patient: Patient) -> Iterator[Finding]:
    if len(patient.epochs) < 2:
        return
    last, best = patient.epochs[-1], min(one.validation_loss for one in patient.epochs)
    gap = last.train_accuracy - last.validation_accuracy
    risen = last.validation_loss > RISEN * best and last.train_loss < last.validation_loss / 2
    if not (risen or (gap >= GAP and last.train_accuracy >= BY_HEART)):
        return
    dense = [path for path in patient.weighted if patient.rows[path].part.kind == "dense"]
    heavy = max(patient.weighted, key=lambda one: patient.rows[one].parameters, default=())
    cure: Edit | Mapping[str, Any] = {"augment": {"rotate": 10.0, "translate": 0.1}}
    if patient.settings.train_pictures:
        cure = {"train_pictures": 0}
    elif dense and not any(row.part.kind == "dropout" for row in patient.rows.values()):
        cure = Edit("insert", dense[-1], text="o0.5")
    yield Finding(MEMORISING, heavy, f"On the pictures it learns from the network is right in "
                                     f"{percent(last.train_accuracy)}, on those kept aside in "
                                     f"{percent(last.validation_accuracy)}, where its loss is "
                                     f"{number(last.validation_loss, 3)} (at best {number(best, 3)}): it learns them "
                                     "by heart.",
                  {"train_accuracy": last.train_accuracy, "validation_accuracy": last.validation_accuracy,
                   "train_loss": last.train_loss, "validation_loss": last.validation_loss, "best": best}, cure)


_LOOKS: tuple[tuple[Callable[[Patient], Iterator[Finding]], frozenset[str]], ...] = (
    (_not_finite, frozenset()),
    (_leaping, frozenset({NOT_FINITE})),
    (_exploding, frozenset({NOT_FINITE, TOO_LARGE})),
    (_risen, frozenset({NOT_FINITE, TOO_LARGE, EXPLODING})),
    (_saturated, frozenset({NOT_FINITE, TOO_LARGE, EXPLODING})),
    (_dead, frozenset({NOT_FINITE, TOO_LARGE, EXPLODING})),
    (_vanishing, frozenset({NOT_FINITE, TOO_LARGE, EXPLODING, SATURATED, DEAD})),
    (_idle, frozenset({NOT_FINITE, TOO_LARGE, SATURATED, DEAD, VANISHING})),
    (_flat, frozenset({NOT_FINITE, TOO_LARGE, EXPLODING, SATURATED, DEAD, VANISHING, IDLE})),
    (_too_large, frozenset({NOT_FINITE, TOO_LARGE, EXPLODING, SATURATED, DEAD, VANISHING, IDLE})),
    (_memorising, frozenset({NOT_FINITE})),
)
"""The looks, causes first, and which earlier findings explain what each would find."""


# --- cures ---


def _smaller_numbers(patient: Patient, path: Path, before: bool = False) -> Edit | Mapping[str, Any]:
    """First weights as usual, pictures as usual, or a batch norm behind (or before) the part."""
    if patient.settings.weights_gain > 1:
        return {"weights_gain": 1.0}
    if not patient.settings.normalize:
        return {"normalize": True}
    return Edit("insert", path if before else (*path[:-1], path[-1] + 1), text="b")


def _larger_numbers(patient: Patient, path: Path) -> Edit | Mapping[str, Any]:
    if patient.settings.weights_gain < 1:
        return {"weights_gain": 1.0}
    if patient.settings.init in ("zeros", "normal"):
        return {"init": "default"}
    if patient.rows[path].part.kind in SATURATING:
        return Edit("replace", path, text="r")
    return Edit("insert", (*path[:-1], path[-1] + 1), text="b")


def _shortcut(patient: Patient) -> Edit:
    """A shortcut round as many parts of the network's own row as give what they take; where there are none, a ReLU for
    the first activation that flattens."""
    outer: list[Row] = sorted((row for path, row in patient.rows.items() if len(path) == 1), key=lambda row: row.path)
    spans = [(end - start + 1, start) for start in range(len(outer)) for end in range(start + 1, len(outer))
             if outer[start].takes == outer[end].gives and any(row.parameters for row in outer[start:end + 1])]
    if spans:
        length, start = max(spans, key=lambda span: (span[0], -span[1]))
        return Edit("wrap", (start,), count=length)
    flat = next((row for row in outer if row.part.kind in SATURATING), None)
    return Edit("replace", flat.path, text="r") if flat else Edit("insert", (outer[0].path[0] + 1,), text="b")


def _slower(rate: float, moved: float) -> float:
    return _rounded(rate * GOOD_STEP / moved)


def _rounded(rate: float) -> float:
    """One digit: a rate to type in."""
    return float(f"{rate:.0e}")
