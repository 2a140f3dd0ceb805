"""Losses: how far predictions are from what was wanted, one number a sample (reduction 'none') or one in all."""

from collections.abc import Callable

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.onnx_spec import Node, Situation, Spelled, Spelling
from engine.ops.activation import logistic
from engine.ops.elementwise import BOTH, signs, sum_to


def _reduced(losses: Array, reduction: str) -> tuple[Array, Callable[[Array], Array]]:
    """The losses reduced, and what one loss gets of the gradient g that arrives at the result."""
    if reduction == "none":
        return losses, lambda g: g
    total = np.asarray(np.add.reduce(losses, axis=None))
    if reduction == "sum":
        return total, lambda g: g
    if reduction != "mean":
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    with np.errstate(invalid="ignore"):
        share = losses.dtype.type(1) / losses.dtype.type(losses.size) if losses.size else losses.dtype.type(np.nan)
    return np.asarray(total * share), lambda g: np.asarray(g * share)


def _same(name: str, x: Array, target: Array) -> None:
    if x.shape != target.shape:
        raise ShapeError(f"{name} compares number by number: predictions {x.shape} and targets {target.shape} differ")


def _spelled(*loss: Node) -> Spelling:
    """A spelling: the nodes of one loss a number (the last one's output is 'losses'), then the reduction."""

    def spell(s: Situation) -> Spelled:
        reduction = s.options["reduction"]
        if reduction == "none":
            return [*loss, Node("Identity", inputs=("losses",))]
        operator = {"mean": "ReduceMean", "sum": "ReduceSum"}[reduction]
        return [*loss, Node(operator, inputs=("losses",), attributes={"keepdims": 0})]

    return spell


# --- numbers wanted ---


@op(onnx=_spelled(Node("Sub", output="gap"), Node("Mul", inputs=("gap", "gap"), output="losses")), selective=True)
def mse_loss(x: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, Vjp]:
    """The squared difference from the target, averaged.

    >>> y, vjp = mse_loss.rule(np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    >>> y, vjp(np.array(1.0))[0]
    (array(5.), array([1., 3.]))
    """
    _same("mse_loss", x, target)
    gap = x - target
    y, share = _reduced(gap * gap, reduction)
    return y, lambda g, needs=BOTH: _to_both((share(g) * 2) * gap, needs)


def _to_both(dx: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    return dx if needs[0] else None, -dx if needs[1] else None


@op(onnx=_spelled(Node("Sub", output="gap"), Node("Abs", inputs=("gap",), output="losses")), selective=True)
def l1_loss(x: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, Vjp]:
    """The distance from the target, averaged; slope 0 where it is met.

    >>> y, vjp = l1_loss.rule(np.array([1.0, -3.0]), np.array([0.0, 0.0]))
    >>> y, vjp(np.array(1.0))[0]
    (array(2.), array([ 0.5, -0.5]))
    """
    _same("l1_loss", x, target)
    gap = x - target
    y, share = _reduced(np.absolute(gap), reduction)
    return y, lambda g, needs=BOTH: _to_both(share(g) * signs(gap), needs)


def _spell_rounded(s: Situation) -> Spelled:
    """huber_loss and smooth_l1_loss: k * (0.5 * d² / r if d < r else d - 0.5 * r)."""
    number = np.dtype(s.dtypes[0]).type
    r = float(s.options["delta" if "delta" in s.options else "beta"])
    k = r if "delta" in s.options else 1.0
    if r == 0:
        spelled = _spelled(Node("Sub", output="gap"), Node("Abs", inputs=("gap",), output="losses"))
    else:
        spelled = _spelled(
            Node("Sub", output="gap"),
            Node("Abs", inputs=("gap",), output="far"),
            Node("Mul", inputs=("gap", "gap"), output="square"),
            Node("Mul", inputs=("square", number(0.5 * k / r)), output="bowl"),
            Node("Sub", inputs=("far", number(0.5 * r)), output="beyond"),
            Node("Mul", inputs=("beyond", number(k)), output="line"),
            Node("Less", inputs=("far", number(r)), output="inside"),
            Node("Where", inputs=("inside", "bowl", "line"), output="losses"),
        )
    assert callable(spelled)
    return spelled(s)


@op(onnx=_spell_rounded, selective=True)
def smooth_l1_loss(x: Array, target: Array, *, beta: float = 1.0, reduction: str = "mean") -> tuple[Array, Vjp]:
    """l1_loss with its corner rounded: d²/(2 beta) where the distance d is below beta, d - beta/2 beyond.

    Source: Girshick, Fast R-CNN, 2015.

    >>> y, vjp = smooth_l1_loss.rule(np.array([0.5, 3.0]), np.array([0.0, 0.0]), reduction="none")
    >>> y, vjp(np.ones(2))[0]
    (array([0.125, 2.5  ]), array([0.5, 1. ]))
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss's beta cannot be negative: {beta}")
    _same("smooth_l1_loss", x, target)
    if beta == 0:
        gap = x - target
        y, share = _reduced(np.absolute(gap), reduction)
        return y, lambda g, needs=BOTH: _to_both(share(g) * signs(gap), needs)
    return _rounded(x, target, beta, 1.0, reduction)


@op(onnx=_spell_rounded, selective=True)
def huber_loss(x: Array, target: Array, *, delta: float = 1.0, reduction: str = "mean") -> tuple[Array, Vjp]:
    """The squared distance where it is below delta, a straight line beyond: delta * smooth_l1_loss with beta = delta.

    Source: Huber, 1964.

    >>> y, vjp = huber_loss.rule(np.array([1.0, 3.0]), np.array([0.0, 0.0]), delta=2.0, reduction="none")
    >>> y, vjp(np.ones(2))[0]
    (array([0.5, 4. ]), array([1., 2.]))
    """
    if delta <= 0:
        raise ValueError(f"huber_loss's delta must be positive, not {delta}")
    _same("huber_loss", x, target)
    return _rounded(x, target, delta, delta, reduction)


def _rounded(x: Array, target: Array, r: float, k: float, reduction: str) -> tuple[Array, Vjp]:
    gap = x - target
    far = np.absolute(gap)
    y, share = _reduced(k * np.where(far < r, (0.5 / r) * gap * gap, far - 0.5 * r), reduction)
    return y, lambda g, needs=BOTH: _to_both(share(g) * (k * np.clip(gap / r, -1, 1)), needs)


# --- yes or no wanted ---


def _spell_bce(s: Situation) -> Spelled:
    number = np.dtype(s.dtypes[0]).type
    one = number(1)
    nodes = [
        Node("Log", inputs=(0,), output="log yes 0"),
        Node("Max", inputs=("log yes 0", number(-100)), output="log yes"),
        Node("Sub", inputs=(one, 0), output="no"),
        Node("Log", inputs=("no",), output="log no 0"),
        Node("Max", inputs=("log no 0", number(-100)), output="log no"),
        Node("Mul", inputs=(1, "log yes"), output="said yes"),
        Node("Sub", inputs=(one, 1), output="wanted no"),
        Node("Mul", inputs=("wanted no", "log no"), output="said no"),
        Node("Add", inputs=("said yes", "said no"), output="likely"),
        Node("Neg", inputs=("likely",), output="plain"),
        Node("Mul", inputs=("plain", 2 if len(s.shapes) > 2 and s.shapes[2] is not None else one), output="losses"),
    ]
    spelled = _spelled(*nodes)
    assert callable(spelled)
    return spelled(s)


@op(onnx=_spell_bce, selective=True)
def binary_cross_entropy(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """The surprise of yes-or-no answers: -(t * log(x) + (1 - t) * log(1 - x)) for a predicted probability x.

    x and target of one shape, both from 0 to 1; weight broadcasts to them. Logarithms end at -100, as in torch, so
    a confident mistake costs 100 and not infinity. Raises ValueError for an x outside 0 to 1.

    >>> y, vjp = binary_cross_entropy.rule(np.array([0.5, 0.0]), np.array([1.0, 1.0]), reduction="none")
    >>> y.round(4), vjp(np.array([1.0, 0.0]))[0][:1]
    (array([  0.6931, 100.    ]), array([-2.]))
    """
    _same("binary_cross_entropy", x, target)
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError("binary_cross_entropy takes probabilities from 0 to 1; scores want the one with_logits")
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    plain = -(target * yes + (1 - target) * no)
    y, share = _reduced(_weighted(plain, weight), reduction)

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        one = share(g)
        each = _weighted(np.broadcast_to(one, x.shape), weight)
        dx = each * ((x - target) / np.maximum((1 - x) * x, 1e-12)) if needs[0] else None
        dt = each * (no - yes) if needs[1] else None
        dw = sum_to(one * plain, weight.shape) if weight is not None and needs[2] else None
        return (dx, dt, dw)[: len(needs)]

    return y, vjp


def _weighted(losses: Array, weight: Array | None) -> Array:
    if weight is None:
        return losses
    try:
        y = np.asarray(losses * weight)
    except ValueError:
        y = np.empty(0)
    if y.shape != losses.shape:
        raise ShapeError(f"weights of shape {weight.shape} do not spread over losses of shape {losses.shape}")
    return y


def _spell_bce_with_logits(s: Situation) -> Spelled:
    number = np.dtype(s.dtypes[0]).type
    one = number(1)
    given = [len(s.shapes) > k and s.shapes[k] is not None for k in (2, 3)]
    nodes = [
        Node("Neg", inputs=(0,), output="against"),
        Node("Softplus", inputs=("against",), output="soft"),
        Node("Sub", inputs=(one, 1), output="wanted no"),
        Node("Mul", inputs=("wanted no", 0), output="slope"),
        Node("Sub", inputs=(3 if given[1] else one, one), output="extra"),
        Node("Mul", inputs=("extra", 1), output="extra yes"),
        Node("Add", inputs=("extra yes", one), output="times"),
        Node("Mul", inputs=("times", "soft"), output="bent"),
        Node("Add", inputs=("slope", "bent"), output="plain"),
        Node("Mul", inputs=("plain", 2 if given[0] else one), output="losses"),
    ]
    spelled = _spelled(*nodes)
    assert callable(spelled)
    return spelled(s)


@op(onnx=_spell_bce_with_logits, selective=True)
def binary_cross_entropy_with_logits(
    x: Array, target: Array, weight: Array | None = None, pos_weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """binary_cross_entropy of sigmoid(x), computed from the score x itself so that nothing overflows.

        y = weight * ((1 - t) * x + (1 + (pos_weight - 1) * t) * log(1 + e**-x))

    x and target of one shape; weight and pos_weight (how much more a yes counts) broadcast to them.

    >>> y, vjp = binary_cross_entropy_with_logits.rule(np.array([0.0, -1000.0]), np.array([1.0, 1.0]), reduction="none")
    >>> y.round(4), vjp(np.ones(2))[0]
    (array([6.931e-01, 1.000e+03]), array([-0.5, -1. ]))
    """
    _same("binary_cross_entropy_with_logits", x, target)
    soft = np.logaddexp(0, -x)
    times = None if pos_weight is None else _weighted(target, pos_weight - 1) + 1
    plain = (1 - target) * x + (soft if times is None else times * soft)
    y, share = _reduced(_weighted(plain, weight), reduction)

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True, True)) -> tuple[Array | None, ...]:
        one = share(g)
        each = _weighted(np.broadcast_to(one, x.shape), weight)
        dx = dt = dw = dp = None
        if needs[0]:
            against = logistic(-x)
            dx = each * (1 - target - (against if times is None else times * against))
        if needs[1]:
            dt = each * (-x if pos_weight is None else (pos_weight - 1) * soft - x)
        if weight is not None and needs[2]:
            dw = sum_to(one * plain, weight.shape)
        if pos_weight is not None and needs[3]:
            dp = sum_to(each * target * soft, pos_weight.shape)
        return (dx, dt, dw, dp)[: len(needs)]

    return y, vjp
