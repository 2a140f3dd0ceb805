"""Where sliding windows stand on an image: kernel, stride, padding and dilation, checked once, in one place."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from typing import Any, TypeAlias, TypeVar, TypeVarTuple

from engine.arrays import Pads, Pair
from engine.core import ShapeError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Sizes: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]


def remembered(function: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """The function, its last answers kept; arguments that cannot be looked up (lists) are computed every time."""
    kept = lru_cache(maxsize=1024)(function)

    @wraps(function)
    def answer(*args: *Ts) -> T:
        try:
            return kept(*args)
        except TypeError:
            return function(*args)

    return answer


def pair(value: Any, name: str) -> Pair:
    """`value` for both axes, or one for each.

    >>> pair(3, "stride"), pair((1, 2), "stride"), pair([2], "stride")
    ((3, 3), (1, 2), (2, 2))
    """
    if hasattr(value, "__index__"):
        return int(value), int(value)
    values = [int(v) for v in value]
    if len(values) == 1:
        values *= 2
    if len(values) != 2:
        raise ValueError(f"{name} is one whole number or a pair (rows, columns), not {value!r}")
    return values[0], values[1]


@dataclass(frozen=True, eq=False)  # looked up by identity: `place` and `turned` are remembered where it matters
class Placement:
    """The windows on one image: sizes in pixels, each (rows, columns); padding ((top, bottom), (left, right))."""

    size: Pair  # of the window
    stride: Pair
    dilation: Pair
    asked: Pads  # the padding as it was given
    pads: Pads  # and with what a last window hangs over
    image: Pair
    out: Pair  # how many windows

    @property
    def reach(self) -> Pair:
        """How many pixels a window spans, gaps included."""
        (kh, kw), (dh, dw) = self.size, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    @property
    def is_pointwise(self) -> bool:
        """Whether every result looks at one pixel, and every pixel at one result."""
        return self.size == (1, 1) and self.stride == (1, 1) and self.image == self.out

    @cached_property
    def many(self) -> int:
        """How many windows."""
        return self.out[0] * self.out[1]

    @cached_property
    def halves(self) -> bool:
        """Whether windows of 2x2 stand side by side, without padding."""
        plain = self.size == self.stride == (2, 2) and self.dilation == (1, 1)
        return plain and self.pads == ((0, 0), (0, 0))

    @property
    def can_turn(self) -> bool:
        """Whether `turned` exists: steps of one pixel, and no window sees padding only."""
        return self.stride == (1, 1) and all(max(p) < r for p, r in zip(self.pads, self.reach, strict=True))

    def turned(self) -> "Placement":
        """The windows on the *results* by which a convolution with the turned filter gives the images' gradient."""
        rows, columns = (
            (reach - 1 - before, length - out + before)
            for reach, (before, _), length, out in zip(self.reach, self.pads, self.image, self.out, strict=True)
        )
        pads = rows, columns
        return Placement(self.size, self.stride, self.dilation, pads, pads, self.out, self.image)

    @property
    def onnx(self) -> dict[str, Any]:
        """The same as ONNX attributes."""
        (top, bottom), (left, right) = self.pads
        return {
            "kernel_shape": list(self.size),
            "strides": list(self.stride),
            "dilations": list(self.dilation),
            "pads": [top, left, bottom, right],
        }


def place(
    image: Sequence[int], size: Sizes, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Placement:
    """The windows of a kernel on an image, as torch places them.

    padding is a number, a pair (rows, columns), `'valid'`, `'same'` (stride 1; the odd pixel goes to the bottom
    and right) or ((top, bottom), (left, right)). With `ceil_mode` a last window that begins inside the image or its
    leading padding may hang over the edge: `pads` then holds what it hangs over. Raises ValueError for an option
    that means nothing and ShapeError when not one window fits.

    >>> place((5, 5), 2, 2).out, place((5, 5), 2, 2, ceil_mode=True).out
    ((2, 2), (3, 3))
    >>> place((5, 5), 4, padding="same").pads
    ((1, 2), (1, 2))
    """
    size_, stride_, dilation_ = pair(size, "kernel_size"), pair(stride, "stride"), pair(dilation, "dilation")
    for name, least in (("kernel_size", size_), ("stride", stride_), ("dilation", dilation_)):
        if min(least) < 1:
            raise ValueError(f"{name} must be at least 1, not {least}")
    reach = tuple(d * (k - 1) + 1 for k, d in zip(size_, dilation_, strict=True))
    pads = _pads(padding, reach, stride_)
    outs, hung = [], []
    for length, span, step, (before, after) in zip(image[-2:], reach, stride_, pads, strict=True):
        room = length + before + after - span
        out = (math.ceil(room / step) if ceil_mode else room // step) + 1
        if out < 1:
            raise ShapeError(
                f"a window of {size_} (spanning {reach} pixels) does not fit on an image of {tuple(image[-2:])} "
                f"padded by {pads}"
            )
        if ceil_mode and (out - 1) * step >= length + before:  # it would begin in the trailing padding
            out -= 1
        outs.append(out)
        hung.append((before, max(after, (out - 1) * step + span - length - before)))
    return Placement(size_, stride_, dilation_, pads, (hung[0], hung[1]), (image[-2], image[-1]), (outs[0], outs[1]))


def is_framed(padding: Any) -> bool:
    """Whether padding names each side: ((top, bottom), (left, right))."""
    return not isinstance(padding, str | int) and any(isinstance(p, Sequence) for p in padding)


def _pads(padding: Any, reach: Sequence[int], stride: Pair) -> Pads:
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"padding='same' needs stride 1, not {stride}")
        rows, columns = reach[0] - 1, reach[1] - 1
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    return frame(padding)


def frame(padding: Any) -> Pads:
    """A number or a pair as ((top, bottom), (left, right)).

    >>> frame((1, 2))
    ((1, 1), (2, 2))
    """
    if isinstance(padding, str):
        raise ValueError(f"padding is a number, a pair, 'same' or 'valid', not {padding!r}")
    if is_framed(padding):
        vertical, horizontal = padding
        pads = pair(vertical, "padding"), pair(horizontal, "padding")
    else:
        rows, columns = pair(padding, "padding")
        pads = (rows, rows), (columns, columns)
    if min(*pads[0], *pads[1]) < 0:
        raise ValueError(f"padding cannot be negative: {padding!r}")
    return pads
