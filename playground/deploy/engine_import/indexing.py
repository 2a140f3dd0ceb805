"""Where the largest numbers are, and numbers taken from and put to places given by indices."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import helper

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import Array, is_float, operator, refuse, whole

# --- the largest and the smallest ---


def _arg(pick: Callable[..., Any], x: Tensor, axis: int, keepdims: int, last: int) -> Tensor:
    """Of several that are equal the first, or with `last` the last."""
    data = np.flip(x.data, axis) if last else x.data
    places = pick(data, axis=axis, keepdims=bool(keepdims))
    return Tensor(np.asarray(x.shape[axis] - 1 - places if last else places, np.int64))


@operator("ArgMax")
def argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _arg(np.argmax, x, axis, keepdims, select_last_index)


@operator("ArgMin")
def argmin(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _arg(np.argmin, x, axis, keepdims, select_last_index)


@operator("TopK", since=10)
def topk(x: Tensor, k: Tensor, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:
    """The k largest or smallest, in order, and where they are; of equal ones the first comes first."""
    count = whole(k)[0]
    if largest:  # backwards and then turned round, so that of equal ones the first still comes first
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x.data, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(x.data, axis=axis, kind="stable")
    places = np.take(order, np.arange(count), axis=axis).astype(np.int64)
    return x[_beside(places, axis)], Tensor(places)


@operator("TopK")
def topk_1(x: Tensor, *, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    return topk(x, Tensor(np.array([k])), axis=axis)


@operator("Hardmax", since=13)
def hardmax(x: Tensor, *, axis: int = -1) -> Tensor:
    best = np.argmax(x.data, axis=axis, keepdims=True)
    y = np.zeros_like(x.data)
    np.put_along_axis(y, best, 1, axis)
    return Tensor(y)


@operator("NonZero", since=9)
def nonzero(x: Tensor) -> Tensor:
    return Tensor(np.array(np.nonzero(x.data), np.int64).reshape(x.ndim, -1))


# --- taking ---


def _beside(places: Array, axis: int) -> tuple[Array, ...]:
    """The index that takes, along `axis`, `places`, and stays where it is along the others."""
    index: list[Array] = list(np.indices(places.shape, sparse=True))
    index[axis] = places
    return tuple(index)


def _nd(indices: Array, batch_dims: int = 0) -> tuple[Array, ...]:
    """The index that a last axis of coordinates is, behind `batch_dims` axes that are gone through together."""
    batch = np.indices(indices.shape[:batch_dims], sparse=True)
    rest = indices.ndim - 1 - batch_dims
    return (*(b.reshape(b.shape + (1,) * rest) for b in batch), *np.moveaxis(indices, -1, 0))


@operator("GatherElements", since=11)
def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    return x[_beside(indices.data, axis)]


@operator("GatherND", since=11)
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    return x[_nd(indices.data, batch_dims)]


@operator("Compress", since=9)
def compress(x: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    kept = np.flatnonzero(condition.data)
    return x.reshape(-1)[kept] if axis is None else x[(*(slice(None),) * (axis % x.ndim), kept)]


# --- putting ---

_JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "max": F.maximum,
    "min": F.minimum,
}


def _put(x: Tensor, index: tuple[Array, ...], updates: Tensor, reduction: str) -> Tensor:
    """x with `updates` at the places x[index]. A place that is named several times gets one update after another: as
    many rounds as the most named place has updates, each a choice between the old number and the joined one."""
    if reduction not in _JOINS:
        raise refuse(f"it scatters with the reduction {reduction!r}")
    places = np.arange(x.size).reshape(x.shape)[index].reshape(-1)
    if not places.size:
        return x
    new = updates.reshape(-1)
    order = np.argsort(places, kind="stable")
    ranked = places[order]
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    turn = np.empty_like(places)
    turn[order] = np.arange(places.size) - np.repeat(first, np.diff(np.r_[first, places.size]))
    y = x.reshape(-1)
    for round_ in range(int(turn.max()) + 1):
        now = np.flatnonzero(turn == round_)
        source = np.zeros(x.size, np.int64)
        source[places[now]] = now
        named = np.zeros(x.size, bool)
        named[places[now]] = True
        y = F.where(Tensor(named), _JOINS[reduction](y, new[source]), y)
    return y.reshape(x.shape)


@operator("ScatterND", since=11)
def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    return _put(x, _nd(indices.data), updates, reduction)


@operator("ScatterElements", since=11)
def scatter_elements(x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none") -> Tensor:
    return _put(x, _beside(indices.data, axis), updates, reduction)


@operator("Scatter", since=9)
def scatter(x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0) -> Tensor:
    return scatter_elements(x, indices, updates, axis=axis)


# --- triangles ---


@operator("Trilu", since=14)
def trilu(x: Tensor, k: Tensor | None = None, *, upper: int = 1) -> Tensor:
    """The upper or lower triangle of the last two axes, from the k-th diagonal on; the rest is 0."""
    rows, columns = x.shape[-2:]
    kept = np.tri(rows, columns, (0 if k is None else whole(k)[0]) - bool(upper), dtype=bool) ^ bool(upper)
    if not is_float(x):
        return Tensor(np.where(kept, x.data, np.zeros((), x.dtype)))
    return F.where(Tensor(kept), x, Tensor(np.zeros((), x.dtype)))


@operator("EyeLike", since=9)
def eye_like(x: Tensor, *, dtype: int | None = None, k: int = 0) -> Tensor:
    kind = x.dtype if dtype is None else helper.tensor_dtype_to_np_dtype(dtype)
    rows, columns = x.shape
    return Tensor(np.eye(rows, columns, k).astype(kind))
