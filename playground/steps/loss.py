"""Cross-entropy of one picture's scores, taken one number at a time, forward and backward; binary and squared, too."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from playground.errors import PlaygroundError

SCALE, SHIFT, EXP, SUM, DIVIDE, LOG, LOSS = "temperature", "shift", "exp", "sum", "divide", "log", "loss"
TO_P, TO_SUM, TO_EXP, FROM_SUM, TO_SHIFT, TO_SCORES = "dp", "dS", "de", "de + dS", "dd", "dz"


@dataclass(frozen=True, slots=True)
class LossStep:
    """One number of the way from scores to the loss: which round, which class, and what is held after the step."""

    part: str
    index: int
    value: float


@dataclass(frozen=True)
class LossNumbers:
    """Everything cross-entropy computes of scores z (K,), in the order it is needed; the gradients end in `dz`."""

    scaled: tuple[float, ...]
    largest: float
    shifted: tuple[float, ...]
    exps: tuple[float, ...]
    total: float
    p: tuple[float, ...]
    surprises: tuple[float, ...]
    """-log p."""
    loss: float
    dp: tuple[float, ...]
    dtotal: float
    dexps: tuple[float, ...]
    dz: tuple[float, ...]


def target(label: int, classes: int, smoothing: float = 0.0) -> np.ndarray:
    """What p is to be, (classes,): 1 for the label; with label smoothing 1 - s for it and s / K more for every class.

    Raises PlaygroundError for a label that is not one of the classes, or a share outside 0..1.

    >>> target(1, 4, 0.2).round(3).tolist()
    [0.05, 0.85, 0.05, 0.05]
    """
    if not 0 <= label < classes:
        raise PlaygroundError(f"The label {label} is none of {classes} classes, which count from 0.")
    if not 0 <= smoothing <= 1:
        raise PlaygroundError(f"The share that is spread over all classes is between 0 and 1, not {smoothing:g}.")
    y = np.full(classes, smoothing / classes)
    y[label] += 1 - smoothing
    return y


def loss_numbers(z: Sequence[float], y: Sequence[float], temperature: float = 1.0) -> LossNumbers:
    """Scores z (K,) and what p is to be y (K,), which sums to 1, to the loss and back to the scores.

        u = z / T,  d = u - max u,  e = exp d,  S = sum e,  p = e / S,  L = sum of -y log p

    >>> found = loss_numbers([0.0, 0.0], [1.0, 0.0])
    >>> found.p, round(found.loss, 4), found.dz
    ((0.5, 0.5), 0.6931, (-0.5, 0.5))
    """
    if len(z) != len(y) or not len(z):
        raise PlaygroundError(f"{len(z)} scores do not fit {len(y)} targets.")
    scaled = tuple(float(one) / temperature for one in z)
    largest = max(scaled)
    shifted = tuple(one - largest for one in scaled)
    exps = tuple(math.exp(one) for one in shifted)
    total = sum(exps)
    p = tuple(one / total for one in exps)
    surprises = tuple(-math.log(one) if one > 0 else math.inf for one in p)
    loss = sum(share * one for share, one in zip(y, surprises, strict=True) if share)
    dp = tuple(-share / one if share else 0.0 for share, one in zip(y, p, strict=True))
    dtotal = sum(-slope * one / total for slope, one in zip(dp, p, strict=True))
    dexps = tuple(slope / total + dtotal for slope in dp)
    dz = tuple(slope * one / temperature for slope, one in zip(dexps, exps, strict=True))
    return LossNumbers(scaled, largest, shifted, exps, total, p, surprises, loss, dp, dtotal, dexps, dz)


def loss_steps(z: Sequence[float], y: Sequence[float], temperature: float = 1.0) -> Iterator[LossStep]:
    """Round after round over the classes: (by the temperature,) shift, exp, sum, divide, log, loss.

    z, y (K,) -> 6 K records, 7 K with a temperature other than 1. Raises PlaygroundError when they do not fit.

    >>> [round(step.value, 3) for step in loss_steps([1.0, 1.0], [0.0, 1.0])][-4:]
    [0.693, 0.693, 0.0, 0.693]
    """
    found = loss_numbers(z, y, temperature)
    rounds: list[tuple[str, Sequence[float]]] = [
        (SHIFT, found.shifted), (EXP, found.exps), (SUM, _rising(found.exps)), (DIVIDE, found.p),
        (LOG, found.surprises), (LOSS, _rising([a * b if a else 0.0 for a, b in zip(y, found.surprises, strict=True)]))]
    yield from _rounds([(SCALE, found.scaled), *rounds] if temperature != 1 else rounds)


def loss_backward_steps(z: Sequence[float], y: Sequence[float], temperature: float = 1.0) -> Iterator[LossStep]:
    """The way back, round after round: dL/dp, the sum's share of it, exp's from p and from the sum, and the scores'.

        dp = -y / p,  dS = sum of -dp p / S,  de = dp / S + dS,  dd = de e,  dz = dd / T = (p - y) / T

    The largest score gets nothing for having been taken off all: sum of dd is 0. 5 K records, 6 K with a temperature.

    >>> [round(step.value, 3) for step in loss_backward_steps([1.0, 1.0], [0.0, 1.0])][-2:]
    [0.5, -0.5]
    """
    found = loss_numbers(z, y, temperature)
    direct = [slope / found.total for slope in found.dp]
    arrived = [a * b for a, b in zip(found.dexps, found.exps, strict=True)]
    rounds: list[tuple[str, Sequence[float]]] = [
        (TO_P, found.dp), (TO_SUM, _rising([-a * b / found.total for a, b in zip(found.dp, found.p, strict=True)])),
        (TO_EXP, direct), (FROM_SUM, found.dexps), (TO_SHIFT, arrived)]
    yield from _rounds([*rounds, (TO_SCORES, found.dz)] if temperature != 1 else rounds)


def without_shift(z: Sequence[float], dtype: type = np.float32) -> tuple[np.ndarray, float, np.ndarray]:
    """exp z, their sum and the quotients as a computer has them that takes nothing off first.

    >>> e, total, p = without_shift([100.0, 0.0])
    >>> float(e[0]), total, bool(np.isnan(p[0]))
    (inf, inf, True)
    """
    with np.errstate(all="ignore"):
        e = np.exp(np.asarray(z, dtype))
        total = e.sum()
        return e, float(total), np.asarray(e / total)


def binary_numbers(z: float, y: float) -> tuple[float, float, float]:
    """The probability, the loss and its slope for one score z of "yes" and what is to be said, y in 0..1.

        p = 1 / (1 + exp -z),  L = -y log p - (1 - y) log(1 - p) = max(z, 0) - y z + log(1 + exp -|z|),  dL/dz = p - y

    >>> [round(number, 4) for number in binary_numbers(0.0, 1.0)]
    [0.5, 0.6931, -0.5]
    """
    small = math.exp(-abs(z))
    p = 1 / (1 + small) if z >= 0 else small / (1 + small)
    return p, max(z, 0.0) - y * z + math.log1p(small), p - y


def squared_numbers(z: Sequence[float], y: Sequence[float]) -> tuple[float, np.ndarray]:
    """The sum of (p - y)² with p the softmax of z, and its gradient: dz[i] = 2 p[i] (g[i] - sum of p g), g = p - y.

    >>> loss, slope = squared_numbers([0.0, 0.0], [1.0, 0.0])
    >>> loss, slope.tolist()
    (0.5, [-0.5, 0.5])
    """
    p = np.array(loss_numbers(z, y).p)
    off = p - np.asarray(y, float)
    return float((off**2).sum()), 2 * p * (off - float((p * off).sum()))


def _rounds(rounds: Sequence[tuple[str, Sequence[float]]]) -> Iterator[LossStep]:
    for part, values in rounds:
        for index, value in enumerate(values):
            yield LossStep(part, index, float(value))


def _rising(values: Sequence[float]) -> list[float]:
    return [float(one) for one in np.cumsum(np.asarray(values, float))]
