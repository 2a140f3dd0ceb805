"""Reductions: many numbers become one, along some axes or all of them."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.onnx_spec import Node, Situation, Spelling

Axis: TypeAlias = int | Sequence[int] | None


def _axes(x: Array, axis: Axis) -> tuple[int, ...] | None:
    """The axes as non-negative numbers, None for all of them."""
    if axis is None:
        return None
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    rank = x.ndim or 1  # a single number may be reduced along axis 0 or -1, as in torch
    if any(not -rank <= a < rank for a in axes):
        raise ShapeError(f"an array of shape {x.shape} has no axis {axis}")
    where = tuple(a % rank for a in axes)
    if len(set(where)) < len(where):
        raise ShapeError(f"axis {axis} names the same axis of {x.shape} twice")
    return where if x.ndim else None


def _spread(g: Array, x: Array, axes: tuple[int, ...] | None, keepdims: bool) -> Array:
    """g repeated along the reduced axes: the adjoint of a sum."""
    if axes is None:
        return np.full(x.shape, g.item(), g.dtype)
    if not keepdims:
        shape = list(x.shape)
        for a in axes:
            shape[a] = 1
        g = g.reshape(shape)
    return np.broadcast_to(g, x.shape)


def _spell(operator: str) -> Spelling:
    def spell(s: Situation) -> Node:
        axis = s.options["axis"]
        axes = None if axis is None or s.shapes[0] == () else np.array([axis] if isinstance(axis, int) else [*axis])
        if axes is not None and not axes.size:
            return Node("Identity")
        return Node(operator, inputs=(0, axes), attributes={"keepdims": int(s.options["keepdims"])})

    return spell


@op(onnx=_spell("ReduceSum"))
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> tuple[Array, Vjp]:
    """The sum along `axis` (a number, several, or all); keepdims leaves the reduced axes standing with length 1.

    >>> y, vjp = sum.rule(np.arange(6.0).reshape(2, 3), axis=1)
    >>> y, vjp(np.array([1.0, 10.0]))[0]
    (array([ 3., 12.]), array([[ 1.,  1.,  1.],
           [10., 10., 10.]]))
    """
    axes = _axes(x, axis)
    y = np.asarray(x.sum(axis=axes, keepdims=keepdims))
    return y, lambda g: (_spread(g, x, axes, keepdims),)


@op(onnx=_spell("ReduceMean"))
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> tuple[Array, Vjp]:
    """The average along `axis` (a number, several, or all); of nothing it is nan. Raises ValueError for whole numbers.

    >>> y, vjp = mean.rule(np.arange(4.0).reshape(2, 2), axis=0)
    >>> y, vjp(np.array([1.0, 10.0]))[0]
    (array([1., 2.]), array([[0.5, 5. ],
           [0.5, 5. ]]))
    """
    if x.dtype.kind != "f":
        raise ValueError(f"the mean of {x.dtype} is not a whole number: convert to a floating-point type first")
    axes = _axes(x, axis)
    y = np.asarray(x.sum(axis=axes, keepdims=keepdims))
    share = x.dtype.type(y.size / x.size if x.size else np.nan)
    return np.asarray(y * share), lambda g: (_spread(np.asarray(g * share), x, axes, keepdims),)


@op(onnx=_spell("ReduceMax"))
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> tuple[Array, Vjp]:
    """The largest number along `axis`. Several that are equally large share the gradient, as in torch.amax.

    Raises ValueError when there is nothing to choose from.

    >>> y, vjp = max.rule(np.array([[1.0, 7.0, 7.0], [3.0, 2.0, 0.0]]), axis=1)
    >>> y, vjp(np.array([1.0, 1.0]))[0]
    (array([7., 3.]), array([[0. , 0.5, 0.5],
           [1. , 0. , 0. ]]))
    """
    return _extreme(np.maximum, x, axis, keepdims)


@op(onnx=_spell("ReduceMin"))
def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> tuple[Array, Vjp]:
    """The smallest number along `axis`. Several that are equally small share the gradient, as in torch.amin.

    >>> y, vjp = min.rule(np.array([4.0, 1.0, 1.0]))
    >>> y, vjp(np.array(1.0))[0]
    (array(1.), array([0. , 0.5, 0.5]))
    """
    return _extreme(np.minimum, x, axis, keepdims)


def _extreme(ufunc: np.ufunc, x: Array, axis: Axis, keepdims: bool) -> tuple[Array, Vjp]:
    axes = _axes(x, axis)
    kept = np.asarray(ufunc.reduce(x, axis=axes, keepdims=True))
    y = kept
    if not keepdims:
        y = kept.reshape([n for a, n in enumerate(x.shape) if axes is not None and a not in axes])

    def vjp(g: Array) -> tuple[Array]:
        chosen = x == kept
        share = g.reshape(kept.shape) / np.add.reduce(chosen, axis=axes, keepdims=True, dtype=g.dtype)
        return (chosen * share,)

    return y, vjp
