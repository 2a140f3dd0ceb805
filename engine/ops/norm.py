"""Normalisation: values shifted and scaled to mean 0 and variance 1 over some axes, then scaled and shifted again."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.kernels import standard
from engine.onnx_spec import Node, Refused, Situation, Value


def batch_moments(x: Array) -> tuple[Array, Array]:
    """The mean and the biased variance of every channel of x (N, C, ...): two arrays (C,).

    >>> batch_moments(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 0.]))
    """
    if not x.size:
        return np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    axes, lanes = _others(x), standard.fits(x)
    if lanes is not None:
        mean, var = standard.moments(x, lanes)
        return mean.astype(x.dtype), var.astype(x.dtype)
    mean = x.mean(axis=axes)
    return mean, np.square(x - _along(mean, x)).mean(axis=axes)


@op(
    onnx=Refused("Batch norm in training mode depends on the batch it is in: export the model in eval mode instead."),
    selective=True,
)
def batch_norm_training(
    x: Array, w: Array | None = None, b: Array | None = None, *,
    eps: float = 1e-5, moments: tuple[Array, Array] | None = None,
) -> tuple[Array, Vjp]:
    """Every channel brought to mean 0 and variance 1 over the batch, then scaled by w and shifted by b.

    x (N, C, ...), w (C,), b (C,) -> (N, C, ...)

        y = (x - mean) / sqrt(var + eps) * w + b

    mean and the biased variance are the batch's own, so gradients flow through them too. `moments` hands over
    `batch_moments(x)` where the caller has it already (running statistics are the caller's affair; torch keeps the
    *unbiased* variance there). Raises ValueError when a channel has one value only. Source: Ioffe and Szegedy, 2015.

    >>> y, vjp = batch_norm_training.rule(np.array([[1.0], [3.0]]), eps=0.0)
    >>> y.ravel(), vjp(np.array([[1.0], [0.0]]))[0].ravel()     # two values always become -1 and 1
    (array([-1.,  1.]), array([0., 0.]))
    """
    _check(x, w, b)
    if x.size == x.shape[1] > 0:
        raise ValueError(f"batch norm in training needs more than one value a channel, got input {x.shape}")
    mean, var = batch_moments(x) if moments is None else moments
    lanes = standard.fits(x)
    if lanes is not None:
        y, back = standard.training(x, w, b, eps, mean, var, lanes)
    else:
        y, back = _batch_norm_training(x, w, b, eps, mean, var)

    def vjp(g: Array, needs: tuple[bool, ...] = (True, w is not None, b is not None)) -> tuple[Array | None, ...]:
        dx, dw, db = back(g, needs[0])
        return (dx, None if w is None else dw, None if b is None else db)[: len(needs)]

    return y, vjp


def _batch_norm_training(
    x: Array, w: Array | None, b: Array | None, eps: float, mean: Array, var: Array
) -> tuple[Array, Vjp]:
    """The plain way; back to (dx, dw, db)."""
    axes, count = _others(x), x.size // x.shape[1]
    inv = (1.0 / np.sqrt(var + eps)).astype(x.dtype)
    scale = inv if w is None else inv * w
    y = (x - _along(mean, x)) * _along(scale, x)
    if b is not None:
        y += _along(b, x)

    def vjp(g: Array, need_dx: bool) -> tuple[Array | None, ...]:
        sum_g = g.sum(axis=axes)
        normal = (x - _along(mean, x)) * _along(inv, x)
        sum_gn = (g * normal).sum(axis=axes)
        dx = None
        if need_dx:
            dx = (g - _along(sum_g / count, x) - normal * _along(sum_gn / count, x)) * _along(scale, x)
        return dx, sum_gn, sum_g

    return y, vjp


def _spell_batch_norm(s: Situation) -> Node:
    x = s.shapes[0]
    assert x is not None
    w: Value = 3 if _given(s, 3) else np.ones(x[1], s.dtypes[0])
    b: Value = 4 if _given(s, 4) else np.zeros(x[1], s.dtypes[0])
    return Node("BatchNormalization", inputs=(0, w, b, 1, 2), attributes={"epsilon": float(s.options.get("eps", 1e-5))})


@op(onnx=_spell_batch_norm, selective=True)
def batch_norm_inference(
    x: Array, mean: Array, var: Array, w: Array | None = None, b: Array | None = None, *, eps: float = 1e-5
) -> tuple[Array, Vjp]:
    """Every channel shifted and scaled by statistics that were kept from training.

    x (N, C, ...), mean (C,), var (C,), w (C,), b (C,) -> (N, C, ...)

        y = (x - mean) / sqrt(var + eps) * w + b

    Nothing is computed from the batch, so one image's answer does not depend on its neighbours.

    >>> y, _ = batch_norm_inference.rule(np.array([[3.0]]), np.array([1.0]), np.array([4.0]), eps=0.0)
    >>> y
    array([[1.]])
    """
    _check(x, mean, var, w, b)
    axes = _others(x)
    inv = (1.0 / np.sqrt(var + eps)).astype(x.dtype)
    scale = inv if w is None else inv * w
    lanes = standard.fits(x) if x.size >= standard.MUCH else None
    if lanes is not None:
        y = standard.inference(x, mean, var, scale, b, lanes)
    else:
        y = (x - _along(mean, x)) * _along(scale, x)
        if b is not None:
            y += _along(b, x)

    def vjp(
        g: Array, needs: tuple[bool, ...] = (True, True, True, w is not None, b is not None)
    ) -> tuple[Array | None, ...]:
        sum_g = g.sum(axis=axes)
        dx = g * _along(scale, x) if needs[0] else None
        dmean = -sum_g * scale if needs[1] else None
        dvar = dw = None
        if needs[2] or any(needs[3:4]):
            sum_gc = (g * (x - _along(mean, x))).sum(axis=axes)
            dvar = -0.5 * sum_gc * scale * inv * inv
            dw = sum_gc * inv if w is not None else None
        return (dx, dmean, dvar, dw, sum_g if b is not None else None)[: len(needs)]

    return y, vjp


# --- statistics of one sample, not of the batch: over its last axes, its channel groups, or each of its channels ---


def _standardise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Callable[[Array], Array]]:
    """x brought to mean 0 and variance 1 over `axes`, and the way back (the statistics depend on x too)."""
    centred = x - x.mean(axis=axes, keepdims=True)
    inv = (1.0 / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + eps)).astype(x.dtype)
    normal = centred * inv

    def back(g: Array) -> Array:
        along = (g * normal).mean(axis=axes, keepdims=True)
        return inv * (g - g.mean(axis=axes, keepdims=True) - normal * along)  # type: ignore[no-any-return]

    return normal, back


def _scaled(
    normal: Array, back: Callable[[Array], Array], w: Array | None, b: Array | None, shape: tuple[int, ...],
    axes: tuple[int, ...],
) -> tuple[Array, Vjp]:
    """normal * w + b with w and b of `shape`, shared over `axes`; back continues from normal to x."""
    y = normal if w is None else normal * w.reshape(shape)
    if b is not None:
        y = y + b.reshape(shape)

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        dx = back(g if w is None else g * w.reshape(shape)) if needs[0] else None
        dw = (g * normal).sum(axis=axes).reshape(w.shape) if w is not None and any(needs[1:2]) else None
        db = g.sum(axis=axes).reshape(b.shape) if b is not None and any(needs[2:3]) else None
        return (dx, dw, db)[: len(needs)]

    return y, vjp


def _spell_layer_norm(s: Situation) -> Node:
    shape = tuple(_as_shape(s.options["normalized_shape"]))
    w: Value = 1 if _given(s, 1) else np.ones(shape, s.dtypes[0])
    attributes = {"axis": -len(shape), "epsilon": float(s.options.get("eps", 1e-5))}
    return Node("LayerNormalization", inputs=(0, w, 2) if _given(s, 2) else (0, w), attributes=attributes)


@op(onnx=_spell_layer_norm, selective=True)
def layer_norm(
    x: Array, w: Array | None = None, b: Array | None = None, *,
    normalized_shape: int | Sequence[int] = (), eps: float = 1e-5,
) -> tuple[Array, Vjp]:
    """Every sample brought to mean 0 and variance 1 over its last axes, then scaled by w and shifted by b.

    x (..., *normalized_shape), w and b normalized_shape -> the shape of x

        y = (x - mean) / sqrt(var + eps) * w + b

    with the biased variance. Raises ShapeError when x does not end in normalized_shape. Source: Ba et al., 2016.

    >>> y, vjp = layer_norm.rule(np.array([[1.0, 3.0], [10.0, 30.0]]), normalized_shape=2, eps=0.0)
    >>> y
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    shape = _as_shape(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(f"layer_norm over {shape} needs an input that ends in it, not {x.shape}")
    for v in (w, b):
        if v is not None and v.shape != shape:
            raise ShapeError(f"layer_norm over {shape} takes a weight and a bias of that shape, not {v.shape}")
    leading, axes = tuple(range(x.ndim - len(shape))), tuple(range(x.ndim - len(shape), x.ndim))
    normal, back = _standardise(x, axes, eps)
    return _scaled(normal, back, w, b, shape, leading)


def _spell_group_norm(s: Situation) -> list[Node]:
    x = s.shapes[0]
    assert x is not None
    dtype, groups = s.dtypes[0], int(s.options["num_groups"])
    ones, zeros = np.ones(groups, dtype), np.zeros(groups, dtype)
    nodes = [  # opset 20's GroupNormalization scales groups, not channels; every runtime knows InstanceNormalization
        Node("Reshape", inputs=(0, np.array([0, groups, -1])), output="groups"),
        Node("InstanceNormalization", inputs=("groups", ones, zeros),
             attributes={"epsilon": float(s.options.get("eps", 1e-5))}, output="standard"),
        Node("Reshape", inputs=("standard", np.array([0, *x[1:]])), output="normal"),
    ]
    column = np.array([x[1], *[1] * (len(x) - 2)])
    last = "normal"
    for position, kind in ((1, "Mul"), (2, "Add")):
        if _given(s, position):
            nodes.append(Node("Reshape", inputs=(position, column), output=f"column{position}"))
            nodes.append(Node(kind, inputs=(last, f"column{position}"), output=kind))
            last = kind
    nodes[-1] = replace(nodes[-1], output="result")
    return nodes


@op(onnx=_spell_group_norm, selective=True)
def group_norm(
    x: Array, w: Array | None = None, b: Array | None = None, *, num_groups: int = 1, eps: float = 1e-5
) -> tuple[Array, Vjp]:
    """Every group of channels of every sample brought to mean 0 and variance 1, then each channel scaled and shifted.

    x (N, C, ...), w (C,), b (C,) -> (N, C, ...)

        y = (x - mean) / sqrt(var + eps) * w + b

    mean and the biased variance are those of C/num_groups neighbouring channels of one sample, so the batch does not
    matter. Raises ShapeError when the groups do not divide the channels. Source: Wu and He, 2018.

    >>> y, vjp = group_norm.rule(np.array([[[1.0], [3.0], [5.0], [5.0]]]), num_groups=2)
    >>> y[0, :, 0].round(4)
    array([-1.,  1.,  0.,  0.])
    """
    _check(x, w, b)
    n, c = x.shape[:2]
    if num_groups < 1 or c % num_groups:
        raise ShapeError(f"{c} channels of {x.shape} do not split into {num_groups} groups")
    if x.size == num_groups:
        raise ValueError(f"group norm needs more than one value a group, got {x.shape} in {num_groups} groups")
    split = (n, num_groups, c // num_groups * int(np.prod(x.shape[2:])))
    normal, back = _standardise(x.reshape(split), (2,), eps)

    def way_back(g: Array) -> Array:
        return back(g.reshape(split)).reshape(x.shape)

    return _scaled(normal.reshape(x.shape), way_back, w, b, (c, *(1,) * (x.ndim - 2)), _others(x))


def _spell_instance_norm(s: Situation) -> Node:
    x = s.shapes[0]
    assert x is not None
    w: Value = 1 if _given(s, 1) else np.ones(x[1], s.dtypes[0])
    b: Value = 2 if _given(s, 2) else np.zeros(x[1], s.dtypes[0])
    return Node("InstanceNormalization", inputs=(0, w, b), attributes={"epsilon": float(s.options.get("eps", 1e-5))})


@op(onnx=_spell_instance_norm, selective=True)
def instance_norm(x: Array, w: Array | None = None, b: Array | None = None, *, eps: float = 1e-5) -> tuple[Array, Vjp]:
    """Every channel of every sample brought to mean 0 and variance 1 over its pixels, then scaled and shifted.

    x (N, C, ...), w (C,), b (C,) -> (N, C, ...)

        y = (x - mean) / sqrt(var + eps) * w + b

    with the biased variance. Raises ValueError when a channel has one pixel only. Source: Ulyanov et al., 2016.

    >>> y, vjp = instance_norm.rule(np.array([[[1.0, 3.0], [10.0, 30.0]]]))
    >>> y[0].round(4)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    _check(x, w, b)
    if int(np.prod(x.shape[2:])) == 1:
        raise ValueError(f"instance norm needs more than one pixel a channel, got input {x.shape}")
    normal, back = _standardise(x, tuple(range(2, x.ndim)), eps)
    return _scaled(normal, back, w, b, (x.shape[1], *(1,) * (x.ndim - 2)), _others(x))


def _as_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(int(n) for n in shape) if isinstance(shape, Sequence) else (int(shape),)


def _given(s: Situation, position: int) -> bool:
    return len(s.shapes) > position and s.shapes[position] is not None


def _others(x: Array) -> tuple[int, ...]:
    """Every axis but the channels'."""
    return (0, *range(2, x.ndim))


def _along(v: Array, x: Array) -> Array:
    """One number a channel, shaped to meet x (N, C, ...)."""
    return v.reshape(-1, *(1,) * (x.ndim - 2))


def _check(x: Array, *vectors: Array | None) -> None:
    if x.ndim < 2:
        raise ShapeError(f"batch norm takes (N, C, ...), not {x.shape}")
    if not x.shape[1]:
        raise ShapeError(f"a norm needs at least one channel, not {x.shape}")
    for v in vectors:
        if v is not None and v.shape != (x.shape[1],):
            raise ShapeError(f"{x.shape[1]} channels of {x.shape} take {x.shape[1]} numbers each, not {v.shape}")
