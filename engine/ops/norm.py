"""Normalisation: values shifted and scaled to mean 0 and variance 1 over some axes, then scaled and shifted again."""

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.onnx_spec import Node, Refused, Situation


def batch_moments(x: Array) -> tuple[Array, Array]:
    """The mean and the biased variance of every channel of x (N, C, ...): two arrays (C,).

    >>> batch_moments(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 0.]))
    """
    axes = _others(x)
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
    axes, count = _others(x), x.size // max(x.shape[1], 1)
    if count == 1:
        raise ValueError(f"batch norm in training needs more than one value a channel, got input {x.shape}")
    mean, var = batch_moments(x) if moments is None else moments
    inv = (1.0 / np.sqrt(var + eps)).astype(x.dtype)
    scale = inv if w is None else inv * w
    y = (x - _along(mean, x)) * _along(scale, x)
    if b is not None:
        y += _along(b, x)

    def vjp(g: Array, needs: tuple[bool, ...] = (True, w is not None, b is not None)) -> tuple[Array | None, ...]:
        sum_g = g.sum(axis=axes)
        normal = (x - _along(mean, x)) * _along(inv, x)
        sum_gn = (g * normal).sum(axis=axes)
        dx = None
        if needs[0]:
            dx = (g - _along(sum_g / count, x) - normal * _along(sum_gn / count, x)) * _along(scale, x)
        return (dx, sum_gn if w is not None else None, sum_g if b is not None else None)[: len(needs)]

    return y, vjp


def _spell_batch_norm(s: Situation) -> Node:
    x = s.shapes[0]
    assert x is not None
    absent = [len(s.shapes) <= k or s.shapes[k] is None for k in (3, 4)]
    w = np.ones(x[1], s.dtypes[0]) if absent[0] else 3
    b = np.zeros(x[1], s.dtypes[0]) if absent[1] else 4
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


def _others(x: Array) -> tuple[int, ...]:
    """Every axis but the channels'."""
    return (0, *range(2, x.ndim))


def _along(v: Array, x: Array) -> Array:
    """One number a channel, shaped to meet x (N, C, ...)."""
    return v.reshape(-1, *(1,) * (x.ndim - 2))


def _check(x: Array, *vectors: Array | None) -> None:
    if x.ndim < 2:
        raise ShapeError(f"batch norm takes (N, C, ...), not {x.shape}")
    for v in vectors:
        if v is not None and v.shape != (x.shape[1],):
            raise ShapeError(f"{x.shape[1]} channels of {x.shape} take {x.shape[1]} numbers each, not {v.shape}")
