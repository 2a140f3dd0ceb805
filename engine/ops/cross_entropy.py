"""The losses of classification: the negative log-likelihood, and cross entropy, which starts from plain scores."""

from dataclasses import dataclass

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.onnx_spec import Node, Refused, Situation, Spelled


@dataclass(frozen=True)
class _Wanted:
    """Class numbers, ready to be looked up in scores laid out as (N, C, P), P being all places after the classes."""

    at: tuple[Array, Array, Array]  # index arrays that meet to (N, P)
    counts: Array  # (N, P): the class's weight, 0 where the target is ignored
    norm: Array  # what 'mean' divides by: the sum of counts


def _look_up(name: str, x: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, _Wanted]:
    """The scores as (N, C, P) and the class numbers to be looked up in them, checked."""
    shape = x.shape if x.ndim > 1 else (1, *x.shape)  # one sample: (C,)
    if x.ndim < 1 or target.shape != (x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()):
        raise ShapeError(f"{name}: scores {x.shape} are (N, C, ...), so class numbers are (N, ...), not {target.shape}")
    scores = x.reshape(*shape[:2], int(np.prod(shape[2:])))
    n, c, p = scores.shape
    if weight is not None and weight.shape != (c,):
        raise ShapeError(f"{name}: {c} classes take {c} weights, not {weight.shape}")
    wanted = target.reshape(n, p)
    taken = wanted != ignore_index
    chosen = wanted if taken.all() else np.where(taken, wanted, 0)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= c):
        raise ValueError(f"{name}: class numbers go from 0 to {c - 1}, found {chosen.min()} to {chosen.max()}")
    counts = taken.astype(x.dtype) if weight is None else taken * weight[chosen]
    return scores, _Wanted((np.arange(n)[:, None], chosen, np.arange(p)), counts, counts.sum())


def _reduced(losses: Array, norm: Array, shape: tuple[int, ...], reduction: str) -> Array:
    if reduction == "none":
        return losses.reshape(shape)
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    total = np.asarray(losses.sum())
    if reduction == "sum":
        return total
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing to average is nan, as in torch
        return np.asarray(total / norm)


def _share(g: Array, norm: Array, losses: tuple[int, ...], reduction: str) -> Array:
    """What each of the (N, P) losses gets of the gradient of the result."""
    if reduction == "none":
        return g.reshape(losses)
    if reduction == "sum":
        return g
    return np.asarray(g / norm) if norm else np.zeros_like(g)  # nothing was counted, so nothing matters


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
    scores, wanted = _look_up("nll_loss", x, target, weight, ignore_index)
    losses = -wanted.counts * scores[wanted.at]
    if not wanted.counts.all():  # an ignored -inf is 0, not nan
        losses[wanted.counts == 0] = 0

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        dx = np.zeros(scores.shape, scores.dtype)
        dx[wanted.at] = -wanted.counts * _share(g, wanted.norm, losses.shape, reduction)
        return (dx.reshape(x.shape), None, None)[: len(needs)]

    return _reduced(losses, wanted.norm, target.shape, reduction), vjp


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
    if target.dtype.kind == "f":
        return _to_shares(x, target, weight, reduction, label_smoothing)
    scores, wanted = _look_up("cross_entropy", x, target, weight, ignore_index)
    c = max(scores.shape[1], 1)
    z, e, total = _exponentials(scores)
    log_total = np.log(total)
    smooth, sharp = x.dtype.type(label_smoothing / c), x.dtype.type(1 - label_smoothing)
    losses = (log_total[:, 0] - z[wanted.at]) * (sharp * wanted.counts)
    taken = wanted.counts != 0 if weight is None else target.reshape(losses.shape) != ignore_index
    if label_smoothing:
        others = log_total[:, 0] * c - z.sum(axis=1) if weight is None else _along(weight, log_total - z)
        losses += smooth * others * taken
    weights = x.dtype.type(c) if weight is None else weight.sum()

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        share = _share(g, wanted.norm, losses.shape, reduction)
        each = share * wanted.counts * sharp  # (n, p)
        pull = each + share * taken * (smooth * weights) if label_smoothing else each
        dx = e * (pull[:, None] / total)
        if label_smoothing:
            spread = (share * taken * smooth)[:, None]
            dx -= spread if weight is None else spread * weight[:, None]
        dx[wanted.at] -= each
        return (dx.reshape(x.shape), None, None)[: len(needs)]

    return _reduced(losses, wanted.norm, target.shape, reduction), vjp


def _to_shares(x: Array, target: Array, weight: Array | None, reduction: str, smoothing: float) -> tuple[Array, Vjp]:
    if x.ndim < 1 or target.shape != x.shape:
        raise ShapeError(f"cross_entropy: shares have the shape of the scores, {x.shape}, not {target.shape}")
    shape = x.shape if x.ndim > 1 else (1, *x.shape)
    scores = x.reshape(*shape[:2], int(np.prod(shape[2:])))
    n, c, p = scores.shape
    if weight is not None and weight.shape != (c,):
        raise ShapeError(f"cross_entropy: {c} classes take {c} weights, not {weight.shape}")
    t = target.reshape(scores.shape)
    if smoothing:
        t = t * (1 - smoothing) + smoothing / c
    if weight is not None:
        t = t * weight[:, None]
    z, e, total = _exponentials(scores)
    logs = z - np.log(total)
    losses = -(t * logs).sum(axis=1)  # (n, p)
    norm = x.dtype.type(n * p)

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        share = _share(g, norm, losses.shape, reduction)
        each = share[:, None] if share.ndim else share
        dx = (e * (t.sum(axis=1, keepdims=True) / total) - t) * each
        dt = None
        if needs[1]:
            dt = logs * (each * (smoothing - 1)) * (1 if weight is None else weight[:, None])
            dt = dt.reshape(x.shape)
        return (dx.reshape(x.shape), dt, None)[: len(needs)]

    return _reduced(losses, norm, x.shape[:1] + x.shape[2:] if x.ndim > 1 else (), reduction), vjp


def _exponentials(scores: Array) -> tuple[Array, Array, Array]:
    """scores (N, C, P) less their largest, e to that power, and the sum of that over the classes (N, 1, P)."""
    with np.errstate(invalid="ignore"):
        z = scores - np.maximum.reduce(scores, axis=1, keepdims=True)
    e = np.exp(z)
    return z, e, np.add.reduce(e, axis=1, keepdims=True)


def _along(weight: Array, logs: Array) -> Array:
    """The sum over classes of weight * logs, (N, P)."""
    return np.asarray((logs * weight[:, None]).sum(axis=1))
