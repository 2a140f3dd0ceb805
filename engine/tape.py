"""The walk back over the tape, from a result to its leaves, one op a step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.arrays import Array
from engine.errors import ShapeError
from engine.kernels.memory import alike

if TYPE_CHECKING:
    from engine.core import Op, Record, Tensor



@dataclass(frozen=True, eq=False)
class BackwardStep:
    """One step of the walk back: one op, the gradient that arrived at its result, what it sends to each input.

    `input_gradients[i]` has the shape of `inputs[i]`, or is None where no gradient is wanted. Nothing here is to be
    changed in place: the arrays are the walk's own.
    """

    index: int
    op: "Op"
    output: "Tensor"
    gradient: Array
    inputs: "tuple[Tensor | None, ...]"
    options: Mapping[str, Any]
    input_gradients: tuple[Array | None, ...]


def backward_steps(tensor: "Tensor", gradient: Any = None) -> Iterator[BackwardStep]:
    """The walk from `tensor` back to its leaves, one op a step; run to its end it is `tensor.backward()`.

    gradient: d(something)/d(tensor), of the tensor's shape; 1 when the tensor holds one number. A result used twice
    receives the sum of both gradients before its own step is taken. Leaves receive theirs (added to `.grad`) when
    the walk ends, so a walk that is left half-way changes nothing. Raises ValueError when nothing was recorded or a
    gradient is needed and missing, ShapeError when the given one has another shape.

    >>> from engine import Tensor
    >>> x = Tensor([1.0, -2.0], requires_grad=True)
    >>> y = (x * 3.0).sum()
    >>> [(step.op.name, step.input_gradients[0].tolist()) for step in backward_steps(y)]
    [('sum', [1.0, 1.0]), ('mul', [3.0, 3.0])]
    """
    for index, (output, g, sent) in enumerate(walk(tensor, gradient)):
        node = output.node
        assert node is not None
        yield BackwardStep(index, node.op, output, g, node.inputs, MappingProxyType(dict(node.options)), tuple(sent))


def walk(tensor: "Tensor", gradient: Any) -> Iterator[tuple["Tensor", Array, Sequence[Array | None]]]:
    """Generator behind both: yields (output, its gradient, the gradients sent to its inputs) from last to first."""
    if not tensor.requires_grad:
        raise ValueError("nothing to walk back: no input of this tensor has requires_grad=True (or no_grad was on)")
    if gradient is None:
        if tensor.data.size != 1:
            raise ValueError(f"backward of a tensor of shape {tensor.shape} needs the gradient that arrives at it")
        start = np.array(1, tensor.data.dtype, ndmin=tensor.data.ndim)
    else:
        start = np.asarray(gradient, tensor.data.dtype)
        if start.shape != tensor.shape:
            raise ShapeError(f"the gradient has shape {start.shape}, the tensor {tensor.shape}")

    # Gradients live here, by id, until their step is taken; the tape itself stays clean. What a result was made from
    # has a smaller place than it, so of the results that wait the one made last has received all it will receive.
    arrived: dict[int, Array] = {id(tensor): start}
    leaves: list[Tensor] = []
    waiting: list[tuple[int, Record, Tensor]] = []
    if tensor.node is None:
        leaves.append(tensor)
    else:
        waiting.append((-tensor.node.place, tensor.node, tensor))
    while waiting:
        _, node, output = heappop(waiting)
        g = arrived.pop(id(output))
        inputs = node.inputs
        if node.op.selective:
            sent = node.vjp(g, tuple([x is not None and x.requires_grad for x in inputs]))
        else:
            sent = node.vjp(g)
        if len(sent) != len(inputs):
            raise ValueError(f"{node.op.name} has {len(inputs)} inputs, but its way back gives {len(sent)} gradients")
        for x, dx in zip(inputs, sent):  # noqa: B905 - a strict zip takes six times as long
            if dx is None or x is None or not x.requires_grad:
                continue
            key = id(x)
            if key in arrived:
                arrived[key] = arrived[key] + dx
                continue
            arrived[key] = dx
            made = x.node
            if made is None:
                leaves.append(x)
            else:
                heappush(waiting, (-made.place, made, x))
        yield output, g, sent

    given: set[int] = {id(start)}
    for leaf in leaves:
        g, data = arrived[id(leaf)], leaf.data
        if type(g) is not np.ndarray or g.dtype != data.dtype:
            # of a single number NumPy's arithmetic makes a scalar; a leaf that met a wider type keeps its own
            g = np.asarray(g, data.dtype)
        if g.ndim == 4 and not (g.flags.c_contiguous and data.flags.c_contiguous):
            g = _lying_as(g, data)
        if leaf.grad is not None:
            leaf.grad = np.asarray(leaf.grad + g)
        else:  # a view, or an array another leaf was given too, must not become somebody's own .grad
            leaf.grad = g.copy(order="K") if g.base is not None or id(g) in given else g
            given.add(id(g))


def _lying_as(g: Array, leaf: Array) -> Array:
    """g in the memory order of its leaf, as in torch: whoever reads or updates both goes through them side by side."""
    return alike(g, leaf)
