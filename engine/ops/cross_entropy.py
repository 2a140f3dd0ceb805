"""The losses of classification: the negative log-likelihood, and cross entropy, which starts from plain scores."""

import math
from typing import Any

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.kernels import class_loss
from engine.onnx_spec import Node, Refused, Situation, Spelled
from engine.ops.activation import real


def _laid_out(name: str, x: Array, weight: Array | None) -> Array:
    """The scores, checked beside the weights, as (N, C, P), P being all places after the classes.

    Scores (N, C) are laid out as (1, C, N), the samples as places: adding up rows is fast, within rows it is not.
    """
    real(name, x)
    if x.ndim < 1:
        raise ShapeError(f"{name} takes scores (N, C, ...), not a single number")
    c = x.shape[1] if x.ndim > 1 else x.shape[0]  # one sample: (C,)
    if weight is not None and weight.shape != (c,):
        raise ShapeError(f"{name}: {c} classes take {c} weights, not {weight.shape}")
    if x.ndim == 2:
        return _turned(x)
    return x.reshape(x.shape[0] if x.ndim > 1 else 1, c, math.prod(x.shape[2:]))


def _turned(x: Array) -> Array:
    return np.ascontiguousarray(x.T)[None]


def _as_given(laid_out: Array, x: Array) -> Array:
    """The way back from `_laid_out`."""
    return laid_out[0].T if x.ndim == 2 else laid_out.reshape(x.shape)


def _look_up(
    name: str, x: Array, scores: Array, target: Array, weight: Array | None, ignore_index: int
) -> tuple[Array, Array, Array, Any]:
    """Class numbers, ready to be looked up in scores laid out as (N, C, P):

    at (N, P)       where the scores of the classes stand in the scores' memory order
    taken (N, P)    0 where the target is ignored, 1 elsewhere; one 1 for all where none is
    counts (N, P)   taken times the weight of the class
    norm            what 'mean' divides by: the sum of counts
    """
    if target.shape != (x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()):
        raise ShapeError(f"{name}: scores {x.shape} are (N, C, ...), so class numbers are (N, ...), not {target.shape}")
    n, c, p = scores.shape
    wanted = target.astype(np.int64, copy=False).reshape(n, p)
    taken = _ONE[x.dtype]
    # read as numbers without a sign, negative ones are larger than any class: one question instead of two
    unsigned = wanted.view(np.uint64)  # and where the largest stands takes a quarter of the time of what it is
    if wanted.size and (0 <= ignore_index < c or unsigned.item(unsigned.argmax()) >= c):
        asked = wanted != ignore_index
        wanted = np.where(asked, wanted, 0)
        if wanted.min() < 0 or wanted.max() >= c:
            raise ValueError(f"{name}: class numbers go from 0 to {c - 1}, found {wanted.min()} to {wanted.max()}")
        taken = asked.astype(x.dtype)
    counts = taken if weight is None else taken * weight[wanted]
    norm = np.add.reduce(counts, axis=None) if counts.ndim else n * p
    at = wanted * p
    at += _COUNTED[:p] if p <= len(_COUNTED) else np.arange(p)
    if n > 1:
        at += (np.arange(n) * (c * p))[:, None]
    return at, taken, counts, norm


_COUNTED = np.arange(1024)  # of a small batch, counting costs more than the rest of a look-up
_ONE = {np.dtype(kind): np.ones((), kind) for kind in (np.float16, np.float32, np.float64, np.longdouble)}


def _reduced(losses: Array, norm: Any, shape: tuple[int, ...], reduction: str) -> Array:
    if reduction == "none":
        return losses.reshape(shape)
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    total = np.add.reduce(losses, axis=None)
    if reduction == "mean":
        total = total / norm if norm else total * np.nan  # nothing to average is nan, as in torch
    return np.asarray(total)


def _share(g: Array, norm: Any, losses: tuple[int, ...], reduction: str) -> Array:
    """What each of the (N, P) losses gets of the gradient of the result: its own, or one number for all."""
    if reduction == "none":
        return g.reshape(losses)
    if reduction == "sum":
        return g
    return g[()] / norm if norm else np.zeros_like(g)  # nothing was counted, so nothing matters


def _spell_nll(s: Situation) -> Spelled:
    return _spell_class_loss("NegativeLogLikelihoodLoss", s)


def _spell_class_loss(operator: str, s: Situation) -> Spelled:
    if len(s.shapes[0] or ()) < 2:
        return Refused("A loss of a single sample has no ONNX spelling: give it as a batch of one.")
    attributes = {"reduction": s.options["reduction"], "ignore_index": int(s.options["ignore_index"])}
    return Node(operator, attributes=attributes)


@op(onnx=_spell_nll, selective=True)
def nll_loss(
    x: Array, target: Array, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """Minus the log-probability of the right class.

    x (N, C, ...) log-probabilities, target (N, ...) class numbers, weight (C,) -> () or (N, ...); or (C,) and one
    number.

        loss = -weight[target] * x[target];  'mean' divides by the sum of the weights that were used

    A target of `ignore_index` counts nothing. Target and weight have no gradient. Raises ValueError for a class that is
    not there.

    >>> y, vjp = nll_loss.rule(np.log([[0.25, 0.75]]), np.array([1]))
    >>> round(y.item(), 4), vjp(np.array(1.0))[0]
    (0.2877, array([[ 0., -1.]]))
    """
    scores = _laid_out("nll_loss", x, weight)
    at, _, counts, norm = _look_up("nll_loss", x, scores, target, weight, ignore_index)
    losses = -counts * scores.take(at)
    if counts.ndim:  # an ignored -inf is 0, not nan
        np.copyto(losses, 0, where=counts == 0)

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        dx = np.zeros(scores.size, scores.dtype)
        dx[at] = -counts * _share(g, norm, losses.shape, reduction)
        return (_as_given(dx.reshape(scores.shape), x), None, None)[: len(needs)]

    return _reduced(losses, norm, target.shape, reduction), vjp


def _spell_cross_entropy(s: Situation) -> Spelled:
    if s.options["label_smoothing"] or np.dtype(s.dtypes[1]).kind == "f":
        return Refused("cross_entropy with label smoothing or soft targets has no ONNX spelling: export the scores.")
    return _spell_class_loss("SoftmaxCrossEntropyLoss", s)


@op(onnx=_spell_cross_entropy, selective=True)
def cross_entropy(
    x: Array, target: Array, weight: Array | None = None, *,
    ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0,
) -> tuple[Array, Vjp]:
    """The surprise of the right class, given scores: nll_loss of log_softmax, in one.

    x (N, C, ...) scores, target (N, ...) class numbers or (N, C, ...) shares that sum to 1, weight (C,) -> () or
    (N, ...); or (C,) and one target.

        loss = -sum over c of weight[c] * t[c] * log_softmax(x)[c],    t = one_hot(target) or target
        t becomes (1 - label_smoothing) * t + label_smoothing / C

    'mean' divides by the sum of weight[target], or by N for shares. A class number of `ignore_index` counts nothing.
    Class numbers and weights have no gradient, shares have. Source: torch.nn.functional.cross_entropy.

    >>> y, vjp = cross_entropy.rule(np.array([[0.0, 0.0]]), np.array([1]))
    >>> round(y.item(), 4), vjp(np.array(1.0))[0]
    (0.6931, array([[ 0.5, -0.5]]))
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is a share between 0 and 1, not {label_smoothing}")
    if weight is None and not label_smoothing and class_loss.fits(x, target, ignore_index, reduction):
        fast = class_loss.cross_entropy(x, target)  # the usual case
        if fast is not None:
            return fast
    scores = _laid_out("cross_entropy", x, weight)
    if target.dtype.kind == "f":
        return _to_shares(x, scores, target, weight, reduction, label_smoothing)
    at, taken, counts, norm = _look_up("cross_entropy", x, scores, target, weight, ignore_index)
    z, e, total = _exponentials(scores)
    log_total = np.log(total)
    losses = log_total[:, 0] - z.take(at)
    if label_smoothing or counts.ndim:
        c = max(scores.shape[1], 1)
        sharp = counts * counts.dtype.type(1 - label_smoothing)
        losses *= sharp
        smooth = taken * counts.dtype.type(label_smoothing / c)
    if label_smoothing:
        others = log_total[:, 0] * c - z.sum(axis=1) if weight is None else _along(weight, log_total - z)
        losses += smooth * others

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        pull = each = _share(g, norm, losses.shape, reduction)
        if label_smoothing or counts.ndim:
            spread = each * smooth
            each = each * sharp
            pull = each + spread * (c if weight is None else weight.sum())
        # in C order, whatever order the scores lie in: `at` counts in it, and `flat` must be a view
        dx = np.multiply(e, (pull[:, None] if pull.ndim else pull) / total, order="C")
        if label_smoothing:
            spread = spread[:, None] if spread.ndim else spread
            dx -= spread if weight is None else spread * weight[:, None]
        flat = dx.reshape(-1)
        flat[at] -= each
        return (_as_given(dx, x), None, None)[: len(needs)]

    return _reduced(losses, norm, target.shape, reduction), vjp


def _to_shares(
    x: Array, scores: Array, target: Array, weight: Array | None, reduction: str, smoothing: float
) -> tuple[Array, Vjp]:
    if target.shape != x.shape:
        raise ShapeError(
            f"cross_entropy: targets are shares of the scores' shape {x.shape}, or class numbers, which are whole "
            f"numbers; not {target.dtype} of shape {target.shape}"
        )
    n, c, p = scores.shape
    t = _turned(target) if x.ndim == 2 else target.reshape(scores.shape)
    if smoothing:
        t = t * (1 - smoothing) + smoothing / c
    if weight is not None:
        t = t * weight[:, None]
    z, e, total = _exponentials(scores)
    logs = z - np.log(total)
    losses = -(t * logs).sum(axis=1)  # (n, p)
    norm = n * p

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        share = _share(g, norm, losses.shape, reduction)
        each = share[:, None] if share.ndim else share
        dx = (e * (t.sum(axis=1, keepdims=True) / total) - t) * each
        dt = None
        if needs[1]:
            dt = logs * (each * (smoothing - 1)) * (1 if weight is None else weight[:, None])
            dt = _as_given(dt, x)
        return (_as_given(dx, x), dt, None)[: len(needs)]

    return _reduced(losses, norm, x.shape[:1] + x.shape[2:] if x.ndim > 1 else (), reduction), vjp


def _exponentials(scores: Array) -> tuple[Array, Array, Array]:
    """scores (N, C, P) less their largest, e to that power, and the sum of that over the classes (N, 1, P)."""
    z = scores - np.maximum.reduce(scores, axis=1, keepdims=True)
    e = np.exp(z)
    return z, e, np.add.reduce(e, axis=1, keepdims=True)


def _along(weight: Array, logs: Array) -> Array:
    """The sum over classes of weight * logs, (N, P)."""
    return np.asarray((logs * weight[:, None]).sum(axis=1))
