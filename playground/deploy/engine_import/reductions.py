"""Reductions and running sums. The axes were an attribute once: until opset 13 for the sum, 18 for the others."""

from collections.abc import Callable, Sequence

import numpy as np

from engine import OPS, Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import is_float, operator, whole

Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _axes(x: Tensor, axes: Sequence[int], noop_with_empty_axes: int) -> tuple[int, ...]:
    if axes:
        return tuple(axis % x.ndim for axis in axes)
    return () if noop_with_empty_axes else tuple(range(x.ndim))


def _basic(name: str) -> Reduction:
    """One that the engine has."""

    def reduced(x: Tensor, places: tuple[int, ...], keepdims: bool) -> Tensor:
        if not places:
            return x
        if is_float(x) and all(x.shape[axis] for axis in places):
            return OPS[name](x, axis=places, keepdims=keepdims)
        if name in ("sum", "mean"):
            return Tensor(getattr(np, name)(x.data, axis=places, dtype=x.dtype, keepdims=keepdims))
        info = np.iinfo(x.dtype) if x.dtype.kind in "iu" else np.finfo(x.dtype) if is_float(x) else None
        nothing = {"max": -np.inf if is_float(x) else info.min if info else False,
                   "min": np.inf if is_float(x) else info.max if info else True}[name]
        return Tensor(getattr(np, name)(x.data, axis=places, keepdims=keepdims, initial=nothing))

    return reduced


_sum = _basic("sum")


def _sum_square(x: Tensor, places: tuple[int, ...], keepdims: bool) -> Tensor:
    return _sum(x * x, places, keepdims)


def l1(x: Tensor, places: tuple[int, ...], keepdims: bool) -> Tensor:
    return _sum(F.abs(x) if is_float(x) else Tensor(np.abs(x.data)), places, keepdims)


def l2(x: Tensor, places: tuple[int, ...], keepdims: bool) -> Tensor:
    """With slope 0 where all are 0, as torch has it."""
    squares = _sum_square(x, places, keepdims)
    if not is_float(x):
        return Tensor(np.sqrt(squares.data).astype(x.dtype))
    nothing = Tensor(squares.data == 0)
    roots = F.where(nothing, Tensor(np.ones((), x.dtype)), squares).sqrt()
    return F.where(nothing, squares, roots)


def _log_sum(x: Tensor, places: tuple[int, ...], keepdims: bool) -> Tensor:
    total = _sum(x, places, keepdims)
    with np.errstate(divide="ignore"):
        return total.log() if is_float(x) else Tensor(np.log(total.data).astype(x.dtype))


def _log_sum_exp(x: Tensor, places: tuple[int, ...], keepdims: bool) -> Tensor:
    """Shifted by the largest, so that no exponential is too large."""
    if not x.size or not is_float(x):
        with np.errstate(divide="ignore"):
            return Tensor(np.log(np.exp(x.data).sum(axis=places, keepdims=keepdims)).astype(x.dtype))
    largest = x.data.max(axis=places, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0).astype(x.dtype)
    y = _log_sum((x - Tensor(shift)).exp(), places, True) + Tensor(shift)
    return y if keepdims else y.reshape(tuple(n for axis, n in enumerate(y.shape) if axis not in places))


def _prod(x: Tensor, places: tuple[int, ...], keepdims: bool) -> Tensor:
    """Multiplied two by two, then the products two by two: the derivative needs no division, so a 0 is no harm."""
    if not is_float(x):
        return Tensor(np.prod(x.data, axis=places, dtype=x.dtype, keepdims=keepdims))
    kept = [axis for axis in range(x.ndim) if axis not in places]
    y = x.permute(*places, *kept) if x.ndim else x
    y = y.reshape((int(np.prod([x.shape[axis] for axis in places])), *(x.shape[axis] for axis in kept)))
    while len(y) > 1:
        half = len(y) // 2
        pairs = y[:half] * y[half : 2 * half]
        y = F.concat([pairs, y[2 * half :]], 0) if len(y) % 2 else pairs
    y = y[0] if len(y) else Tensor(np.ones(y.shape[1:], x.dtype))
    return y.reshape(tuple(1 if axis in places else n for axis, n in enumerate(x.shape))) if keepdims else y


def _declare(op_type: str, reduction: Reduction, axes_are_input_since: int = 18) -> None:
    @operator(op_type, since=axes_are_input_since)
    def by_input(x: Tensor, axes: Tensor | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
        return reduction(x, _axes(x, whole(axes), noop_with_empty_axes), bool(keepdims))

    @operator(op_type)
    def by_attribute(x: Tensor, *, axes: Sequence[int] = (), keepdims: int = 1) -> Tensor:
        return reduction(x, _axes(x, axes, 0), bool(keepdims))


_declare("ReduceSum", _sum, 13)
_declare("ReduceMean", _basic("mean"))
_declare("ReduceMax", _basic("max"))
_declare("ReduceMin", _basic("min"))
_declare("ReduceSumSquare", _sum_square)
_declare("ReduceL1", l1)
_declare("ReduceL2", l2)
_declare("ReduceLogSum", _log_sum)
_declare("ReduceLogSumExp", _log_sum_exp)
_declare("ReduceProd", _prod)


# --- running ---


def _running(x: Tensor, axis: int, join: Callable[[Tensor, Tensor], Tensor], nothing: float, exclusive: int,
             reverse: int) -> Tensor:
    """What has been joined up to each place: with the one before, then with the two before them, the four, ... (Hillis
    and Steele 1986), each a sum or product on the tape."""
    ahead = (slice(None),) * (axis % x.ndim)
    if reverse:
        x = x[(*ahead, slice(None, None, -1))]
    length = x.shape[axis]

    def start(count: int) -> Tensor:
        shape = list(x.shape)
        shape[axis] = count
        return Tensor(np.full(shape, nothing, x.dtype))

    y = x
    if exclusive and length:
        y = F.concat([start(1), x[(*ahead, slice(0, length - 1))]], axis)
    reach = 1
    while reach < length:
        y = join(y, F.concat([start(reach), y[(*ahead, slice(0, length - reach))]], axis))
        reach *= 2
    return y[(*ahead, slice(None, None, -1))] if reverse else y


@operator("CumSum", since=11)
def cumsum(x: Tensor, axis: Tensor, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    return _running(x, whole(axis)[0], lambda a, b: a + b, 0, exclusive, reverse)


@operator("CumProd", since=26)
def cumprod(x: Tensor, axis: Tensor, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    return _running(x, whole(axis)[0], lambda a, b: a * b, 1, exclusive, reverse)
