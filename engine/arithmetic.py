"""What torch keeps in `torch` itself: arithmetic, comparisons, reductions, shapes. `engine.functional` offers it all.

Names, positional order and keywords are torch's; Tensors, arrays or numbers in, Tensors out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.core import RefusedArgument, Tensor, TensorLike, as_tensor
from engine.ops import activation as _a
from engine.ops import elementwise as _e
from engine.ops import linear as _l
from engine.ops import reduce as _r
from engine.ops import shape as _s
from engine.ops import trigonometric as _t

# --- arithmetic ---


def add(input: TensorLike, other: TensorLike, *, alpha: float = 1) -> Tensor:
    """input + alpha * other, broadcast."""
    return _e.add(input, other if alpha == 1 else as_tensor(other, (input,)) * alpha)


def sub(input: TensorLike, other: TensorLike, *, alpha: float = 1) -> Tensor:
    """input - alpha * other, broadcast."""
    return _e.sub(input, other if alpha == 1 else as_tensor(other, (input,)) * alpha)


def mul(input: TensorLike, other: TensorLike) -> Tensor:
    """input * other, broadcast."""
    return _e.mul(input, other)


def div(input: TensorLike, other: TensorLike, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, broadcast."""
    if rounding_mode is not None:
        raise RefusedArgument("div", "rounding_mode", "only true division has a gradient worth having")
    return _e.div(input, other)


def neg(input: TensorLike) -> Tensor:
    """-input."""
    return _e.neg(input)


def pow(input: TensorLike, exponent: TensorLike) -> Tensor:
    """input to the power exponent, broadcast."""
    return _e.pow(input, exponent)


def exp(input: TensorLike) -> Tensor:
    """e to the power input."""
    return _e.exp(input)


def log(input: TensorLike) -> Tensor:
    """The natural logarithm."""
    return _e.log(input)


def sqrt(input: TensorLike) -> Tensor:
    """The square root."""
    return _e.sqrt(input)


def abs(input: TensorLike) -> Tensor:
    """The distance from 0."""
    return _e.abs(input)


def sin(input: TensorLike) -> Tensor:
    """The sine, of radians."""
    return _t.sin(input)


def cos(input: TensorLike) -> Tensor:
    """The cosine, of radians."""
    return _t.cos(input)


def erf(input: TensorLike) -> Tensor:
    """The error function: the share of a normal distribution within ±input * sqrt(2)."""
    return _a.erf(input)


def minimum(input: TensorLike, other: TensorLike) -> Tensor:
    """The smaller of the two, broadcast."""
    return _e.minimum(input, other)


def maximum(input: TensorLike, other: TensorLike) -> Tensor:
    """The larger of the two, broadcast."""
    return _e.maximum(input, other)


def clip(input: TensorLike, min: Any = None, max: Any = None) -> Tensor:
    """input, but not below min and not above max, which are numbers or tensors; max wins."""
    plain = (int, float, np.number, type(None))
    if isinstance(min, plain) and isinstance(max, plain):
        return _e.clip(input, min=min, max=max)
    y = as_tensor(input)
    if min is not None:
        y = _e.where(y < min, min, y)
    return y if max is None else _e.where(y > max, max, y)


clamp = clip


def where(condition: TensorLike, input: TensorLike, other: TensorLike) -> Tensor:
    """input where the condition holds, other elsewhere; all three broadcast."""
    return _e.where(condition, as_tensor(input, (other,)), as_tensor(other, (input,)))


def eq(input: TensorLike, other: TensorLike) -> Tensor:
    """Where the two are equal, as bools."""
    return _e.eq(input, other)


def ne(input: TensorLike, other: TensorLike) -> Tensor:
    """Where the two are not equal, as bools."""
    return _e.ne(input, other)


def gt(input: TensorLike, other: TensorLike) -> Tensor:
    """Where input > other, as bools."""
    return _e.gt(input, other)


def ge(input: TensorLike, other: TensorLike) -> Tensor:
    """Where input >= other, as bools."""
    return _e.ge(input, other)


def lt(input: TensorLike, other: TensorLike) -> Tensor:
    """Where input < other, as bools."""
    return _e.lt(input, other)


def le(input: TensorLike, other: TensorLike) -> Tensor:
    """Where input <= other, as bools."""
    return _e.le(input, other)


def matmul(input: TensorLike, other: TensorLike) -> Tensor:
    """The matrix product over the last two axes, the axes before them broadcast."""
    return _l.matmul(input, other)


def einsum(equation: str, *operands: TensorLike) -> Tensor:
    """Any sum of products, said in letters: einsum("ij,jk->ik", a, b) is the matrix product."""
    return _l.einsum(*operands, equation=equation)


# --- reductions ---


def sum(
    input: TensorLike, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The sum along dim (a number, several, or all). NumPy's names axis and keepdims mean the same."""
    return _r.sum(_typed(input, dtype), axis=_along(dim, axis), keepdims=keepdim or keepdims)


def mean(
    input: TensorLike, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The average along dim (a number, several, or all). NumPy's names axis and keepdims mean the same."""
    return _r.mean(_typed(input, dtype), axis=_along(dim, axis), keepdims=keepdim or keepdims)


def amax(input: TensorLike, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest number along dim (a number, several, or all); equally large ones share the gradient."""
    return _r.max(input, axis=_along(dim, None), keepdims=keepdim)


def amin(input: TensorLike, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest number along dim (a number, several, or all); equally small ones share the gradient."""
    return _r.min(input, axis=_along(dim, None), keepdims=keepdim)


def max(input: TensorLike, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """amax by NumPy's names. (torch.max with a dim gives indices too: it is not this.)"""
    return _r.max(input, axis=axis, keepdims=keepdims)


def min(input: TensorLike, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """amin by NumPy's names."""
    return _r.min(input, axis=axis, keepdims=keepdims)


def _along(dim: Any, axis: Any) -> Any:
    if dim is not None and axis is not None and dim != ():
        raise ValueError("dim and axis are two names of one thing: give one of them")
    named = axis if dim is None else dim
    return None if isinstance(named, Sequence) and not named else named  # torch reads () as all axes


def _typed(input: TensorLike, dtype: Any) -> TensorLike:
    return input if dtype is None else _e.cast(input, dtype=dtype)


# --- shapes ---


def reshape(input: TensorLike, shape: Sequence[int]) -> Tensor:
    """The same numbers in another shape; one -1 stands for what is left."""
    return _s.reshape(input, shape=shape)


def flatten(input: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim, both included, laid out as one."""
    return _s.flatten(input, start_dim=start_dim, end_dim=end_dim)


def transpose(input: TensorLike, dim0: int, dim1: int) -> Tensor:
    """Two axes swapped."""
    return as_tensor(input).transpose(dim0, dim1)


def permute(input: TensorLike, dims: Sequence[int]) -> Tensor:
    """The axes in another order: the result's axis i is input's axis dims[i]."""
    return _s.transpose(input, axes=tuple(dims))


def squeeze(input: TensorLike, dim: Any = None) -> Tensor:
    """Without the axes of length 1: all of them, or those dim names."""
    return _s.squeeze(input, dim=dim)


def unsqueeze(input: TensorLike, dim: int) -> Tensor:
    """With a new axis of length 1 at place dim."""
    return _s.unsqueeze(input, dim=dim)


def broadcast_to(input: TensorLike, size: Sequence[int]) -> Tensor:
    """input repeated along new axes and axes of length 1 until it has the shape `size`."""
    return _s.broadcast_to(input, shape=tuple(size))


def concat(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Tensors laid end to end along one axis."""
    return _s.concat(*tensors, dim=dim)


cat = concat


def stack(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    return _s.stack(*tensors, dim=dim)


__all__ = [
    "abs", "add", "amax", "amin", "broadcast_to", "cat", "clamp", "clip", "concat", "cos", "div", "einsum", "eq", "erf",
    "exp", "flatten", "ge", "gt", "le", "log", "lt", "matmul", "max", "maximum", "mean", "min", "minimum", "mul", "ne",
    "neg", "permute", "pow", "reshape", "sin", "sqrt", "squeeze", "stack", "sub", "sum", "transpose", "unsqueeze",
    "where",
]
