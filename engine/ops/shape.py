"""Moves: the same numbers in another shape, order or frame. Every way back is the move undone."""

import math
from collections.abc import Sequence

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.geometry import remembered
from engine.kernels.memory import CHWN, in_c_order, lies
from engine.onnx_spec import Node, Situation, Spelled
from engine.ops.elementwise import sum_to


def _spell_reshape(s: Situation) -> Node:
    """The batch's size must not be written down: 0 copies the first axis, -1 stands for whatever is left."""
    source, target = s.shapes[0], list(s.output_shape)
    if source and target:
        target[0] = 0 if source[0] == target[0] else -1
    return Node("Reshape", inputs=(0, np.array(target, np.int64)))


@op(onnx=_spell_reshape)
def reshape(x: Array, *, shape: int | Sequence[int] = (-1,)) -> tuple[Array, Vjp]:
    """The same numbers, in the same order, in another shape; one -1 stands for what is left.

    >>> y, vjp = reshape.rule(np.arange(6.0), shape=(2, -1))
    >>> y.shape, vjp(y)[0].shape
    ((2, 3), (6,))
    """
    try:
        y = x.reshape(shape)
    except ValueError as error:
        raise ShapeError(f"{x.size} numbers of shape {x.shape} cannot be given shape {shape}") from error
    return y, lambda g: (g.reshape(x.shape),)


def _spell_flatten(s: Situation) -> Node:
    (source,) = s.shapes
    assert source is not None
    first, last = _span(source, s.options["start_dim"], s.options["end_dim"])
    kept = [0] * first  # 0: as it was
    return Node("Reshape", inputs=(0, np.array([*kept, -1, *source[last + 1 :]], np.int64)))


@op(onnx=_spell_flatten)
def flatten(x: Array, *, start_dim: int = 0, end_dim: int = -1) -> tuple[Array, Vjp]:
    """The axes from start_dim to end_dim, both included, laid out as one.

    >>> y, vjp = flatten.rule(np.zeros((2, 3, 4)), start_dim=1)
    >>> y.shape, vjp(y)[0].shape
    ((2, 12), (2, 3, 4))
    """
    shape = x.shape
    flat, images = _flat(shape, start_dim, end_dim)
    if not (images and lies(x, CHWN)):  # where the features of an image stand in equal steps: a view
        x = in_c_order(x)
    return x.reshape(flat), lambda g: (g.reshape(shape),)


@remembered
def _flat(shape: tuple[int, ...], start: int, end: int) -> tuple[tuple[int, ...], bool]:
    """The flattened shape, and whether it is one of images to features."""
    first, last = _span(shape, start, end)
    flat = (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
    return flat, (first, last, len(shape)) == (1, 3, 4)


@op(onnx=Node("Identity"))
def contiguous(x: Array) -> tuple[Array, Vjp]:
    """The same numbers with the last axis innermost in memory (C order); x itself where they lie so already.

    Convolutions leave their results in the order the next one is fast in; to hand an array to code that wants plain
    NCHW memory, this is several times as fast as np.ascontiguousarray. Source: torch.Tensor.contiguous.

    >>> y, vjp = contiguous.rule(np.zeros((2, 3)).T)
    >>> y.flags.c_contiguous, vjp(y)[0].shape
    (True, (3, 2))
    """
    return in_c_order(x), lambda g: (g,)


def _span(shape: tuple[int, ...], start: int, end: int) -> tuple[int, int]:
    rank = len(shape) or 1
    if not (-rank <= start < rank and -rank <= end < rank):
        raise ShapeError(f"an array of shape {shape} has no axes {start} to {end}")
    first, last = start % rank, end % rank
    if first > last:
        raise ShapeError(f"flatten from axis {start} to {end} goes backwards in {shape}")
    return first, last


@op(onnx=lambda s: Node("Transpose", attributes={"perm": _order(s.shapes[0] or (), s.options["axes"])}))
def transpose(x: Array, *, axes: Sequence[int] | None = None) -> tuple[Array, Vjp]:
    """The axes in another order, reversed when none is given: y.shape[i] = x.shape[axes[i]].

    >>> y, vjp = transpose.rule(np.zeros((2, 3, 4)), axes=(0, 2, 1))
    >>> y.shape, vjp(y)[0].shape
    ((2, 4, 3), (2, 3, 4))
    """
    order = _order(x.shape, axes)
    back = np.argsort(order) if order else ()
    return x.transpose(order), lambda g: (g.transpose(back),)


def _order(shape: tuple[int, ...], axes: Sequence[int] | None) -> list[int]:
    rank = len(shape)
    if axes is None:
        return list(range(rank))[::-1]
    order = [a + rank if a < 0 else a for a in axes]
    if sorted(order) != list(range(rank)):
        raise ShapeError(f"axes {tuple(axes)} do not name each axis of {shape} once")
    return order


@op(onnx=lambda s: Node("Unsqueeze", inputs=(0, np.array([s.options["dim"]], np.int64))))
def unsqueeze(x: Array, *, dim: int = 0) -> tuple[Array, Vjp]:
    """A new axis of length 1 at place `dim` of the result.

    >>> y, vjp = unsqueeze.rule(np.zeros(3), dim=-1)
    >>> y.shape, vjp(y)[0].shape
    ((3, 1), (3,))
    """
    rank = x.ndim + 1
    if not -rank <= dim < rank:
        raise ShapeError(f"an array of shape {x.shape} has no place {dim} for a new axis")
    at = dim % rank
    return x.reshape(*x.shape[:at], 1, *x.shape[at:]), lambda g: (g.reshape(x.shape),)


def _spell_squeeze(s: Situation) -> Node:
    gone = _single(s.shapes[0] or (), s.options["dim"])
    if not gone:
        return Node("Identity")
    return Node("Squeeze", inputs=(0, np.array(gone, np.int64)))


@op(onnx=_spell_squeeze)
def squeeze(x: Array, *, dim: int | Sequence[int] | None = None) -> tuple[Array, Vjp]:
    """Without the axes of length 1: all of them, or those `dim` names. A longer axis stays, as in torch.

    >>> y, vjp = squeeze.rule(np.zeros((1, 3, 1)), dim=0)
    >>> y.shape, vjp(y)[0].shape
    ((3, 1), (1, 3, 1))
    """
    gone = _single(x.shape, dim)
    return x.reshape([n for a, n in enumerate(x.shape) if a not in gone]), lambda g: (g.reshape(x.shape),)


def _single(shape: tuple[int, ...], dim: int | Sequence[int] | None) -> list[int]:
    rank = len(shape) or 1
    named = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    if any(not -rank <= a < rank for a in named):
        raise ShapeError(f"an array of shape {shape} has no axis {dim}")
    return sorted({a % rank for a in named if shape and shape[a] == 1})


@op(onnx=lambda s: Node("Concat", attributes={"axis": int(s.options["dim"])}), selective=True)
def concat(*xs: Array, dim: int = 0) -> tuple[Array, Vjp]:
    """Arrays laid end to end along one axis; the other axes must agree.

    >>> y, vjp = concat.rule(np.zeros((2, 1)), np.ones((2, 2)), dim=1)
    >>> y, [d.shape for d in vjp(y)]
    (array([[0., 1., 1.],
           [0., 1., 1.]]), [(2, 1), (2, 2)])
    """
    if not xs:
        raise ShapeError("concat needs at least one array")
    rank = xs[0].ndim
    if not -rank <= dim < rank:
        raise ShapeError(f"an array of shape {xs[0].shape} has no axis {dim} to be laid end to end along")
    try:
        y = np.concatenate(xs, axis=dim)
    except ValueError as error:
        raise ShapeError(f"shapes {[x.shape for x in xs]} cannot be laid end to end along axis {dim}") from error

    def vjp(g: Array, needs: tuple[bool, ...] | None = None) -> tuple[Array | None, ...]:
        ends = np.cumsum([x.shape[dim] for x in xs])
        return tuple(np.split(g, ends[:-1], axis=dim))

    return y, vjp


def _spell_stack(s: Situation) -> list[Node]:
    dim = np.array([s.options["dim"]], np.int64)
    rows = [Node("Unsqueeze", inputs=(k, dim), output=f"row{k}") for k in range(len(s.shapes))]
    return [*rows, Node("Concat", inputs=tuple(row.output for row in rows), attributes={"axis": int(dim[0])})]


@op(onnx=_spell_stack)
def stack(*xs: Array, dim: int = 0) -> tuple[Array, Vjp]:
    """Arrays of one shape side by side along a new axis.

    >>> y, vjp = stack.rule(np.zeros(2), np.ones(2), dim=1)
    >>> y, vjp(y)[1]
    (array([[0., 1.],
           [0., 1.]]), array([1., 1.]))
    """
    if len({x.shape for x in xs}) != 1:
        raise ShapeError(f"stack needs arrays of one shape, not {[x.shape for x in xs]}")
    if not -xs[0].ndim - 1 <= dim <= xs[0].ndim:
        raise ShapeError(f"an array of shape {xs[0].shape} has no place {dim} for a new axis")
    return np.stack(xs, axis=dim), lambda g: tuple(np.moveaxis(g, dim, 0))


def _spell_broadcast_to(s: Situation) -> Node:
    """An axis that is not stretched is spelled 1, which leaves it be: so the batch's size is not written down."""
    source = s.shapes[0] or ()
    old = (None,) * (len(s.output_shape) - len(source)) + source
    return Node("Expand", inputs=(0, np.array([1 if n == o else n for n, o in zip(s.output_shape, old, strict=True)])))


@op(onnx=_spell_broadcast_to)
def broadcast_to(x: Array, *, shape: Sequence[int] = ()) -> tuple[Array, Vjp]:
    """x repeated along new axes and axes of length 1 until it has `shape`.

    >>> y, vjp = broadcast_to.rule(np.array([[1.0], [2.0]]), shape=(2, 3))
    >>> y, vjp(np.ones((2, 3)))[0].ravel()
    (array([[1., 1., 1.],
           [2., 2., 2.]]), array([3., 3.]))
    """
    try:
        y = np.broadcast_to(x, tuple(shape))
    except ValueError as error:
        raise ShapeError(f"an array of shape {x.shape} cannot be spread to {tuple(shape)}") from error
    return y, lambda g: (sum_to(g, x.shape),)


# --- frames ---


def _spell_pad(s: Situation) -> Spelled:
    (shape,) = s.shapes
    assert shape is not None
    mode = s.options["mode"]
    frame = _frame(shape, s.options["pad"])
    pads = np.array([before for before, _ in frame] + [after for _, after in frame], np.int64)
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    value = np.asarray(s.options["value"] or 0.0, s.dtypes[0])
    return Node("Pad", inputs=(0, pads, value) if mode == "constant" else (0, pads), attributes={"mode": names[mode]})


@op(onnx=_spell_pad)
def pad(
    x: Array, *, pad: Sequence[int] = (), mode: str = "constant", value: float | None = None
) -> tuple[Array, Vjp]:
    """x in a wider frame; pad = (left, right, top, bottom, ...) counts from the last axis on, as in torch.

        constant     the frame is `value`, 0 when None
        reflect      the frame mirrors the inside, the border itself not repeated
        replicate    the frame repeats the border
        circular     the frame continues on the other side

    A negative width crops (not in mode circular). Raises ShapeError when the mirror would have to reach beyond the
    other side.

    >>> y, vjp = pad.rule(np.array([1.0, 2.0, 3.0]), pad=(2, 1), mode="reflect")
    >>> y, vjp(np.ones(6))[0]
    (array([3., 2., 1., 2., 3., 2.]), array([1., 3., 2.]))
    """
    frame = _frame(x.shape, pad)
    if mode == "constant":
        return _in_constant_frame(x, frame, 0.0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(f"pad's value is for mode 'constant' only, not for {mode!r}")
    moved = [(axis, _places(x.shape[axis], *widths, mode)) for axis, widths in enumerate(frame) if widths != (0, 0)]
    y = x
    for axis, places in moved:
        y = y.take(places, axis=axis)

    def vjp(g: Array) -> tuple[Array]:
        for axis, places in reversed(moved):
            shape = list(g.shape)
            shape[axis] = x.shape[axis]
            inside = np.zeros(shape, g.dtype)
            np.add.at(inside, (slice(None),) * axis + (places,), g)  # type: ignore[arg-type]
            g = inside
        return (g,)

    return y, vjp


def _frame(shape: tuple[int, ...], pad: Sequence[int]) -> list[tuple[int, int]]:
    """(before, after) for every axis of `shape`."""
    widths = [int(n) for n in pad]
    if len(widths) % 2 or len(widths) > 2 * len(shape):
        raise ShapeError(f"pad takes two numbers an axis, last axis first, at most {2 * len(shape)}, not {widths}")
    named = list(zip(widths[0::2], widths[1::2], strict=True))[::-1]
    frame = [(0, 0)] * (len(shape) - len(named)) + named
    if any(n + before + after < 0 for n, (before, after) in zip(shape, frame, strict=True)):
        raise ShapeError(f"pad {widths} crops more than there is in {shape}")
    return frame


def _in_constant_frame(x: Array, frame: list[tuple[int, int]], value: float) -> tuple[Array, Vjp]:
    kept = tuple(slice(max(-before, 0), n - max(-after, 0)) for n, (before, after) in zip(x.shape, frame, strict=True))
    inside = tuple(slice(max(before, 0), n + before + after - max(after, 0))
                   for n, (before, after) in zip(x.shape, frame, strict=True))
    y = np.full([n + before + after for n, (before, after) in zip(x.shape, frame, strict=True)], value, x.dtype)
    y[inside] = x[kept]

    def vjp(g: Array) -> tuple[Array]:
        if all(before >= 0 and after >= 0 for before, after in frame):
            return (g[inside],)
        dx = np.zeros_like(x)
        dx[kept] = g[inside]
        return (dx,)

    return y, vjp


def _places(length: int, before: int, after: int, mode: str) -> Array:
    """Which place of the inside every place of the framed axis shows."""
    places = np.arange(-before, length + after)
    reach = {"reflect": length - 1, "circular": length, "replicate": max(before, after) if length else 0}
    if mode not in reach:
        raise ValueError(f"pad's mode is 'constant', 'reflect', 'replicate' or 'circular', not {mode!r}")
    if mode == "circular" and min(before, after) < 0:
        raise ValueError("pad: in mode 'circular' a negative width is not offered: crop by slicing")
    if max(before, after) > reach[mode]:
        raise ShapeError(f"a {mode} frame of {before} and {after} is too wide for an axis of length {length}")
    if mode == "circular":
        return places % length
    if mode == "replicate":
        return places.clip(0, length - 1)
    folded = np.absolute(places)
    return np.asarray(length - 1 - np.absolute(length - 1 - folded))
