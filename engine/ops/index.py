"""Picking out: some of an array's numbers by their places, and places as rows of zeros with a one."""

from typing import Any

import numpy as np

from engine.core import Array, Vjp, op
from engine.onnx_spec import Node, Refused, Situation, Spelled, Value


def _spell_getitem(s: Situation) -> Spelled:
    """A slice an axis is Slice, a whole number Slice and Squeeze, None Unsqueeze, one array Gather; not all at once."""
    (shape,) = s.shapes
    assert shape is not None
    index = _full_index(s.options["index"], len(shape))
    arrays = [k for k, i in enumerate(index) if isinstance(i, np.ndarray)]
    if len(arrays) > 1 or (arrays and (index[arrays[0]].dtype == bool or any(i is None for i in index))):
        return Refused("Indexing by masks or by several arrays at once has no ONNX spelling here: gather one axis.")
    starts, ends, axes, steps = [], [], [], []
    numbers: list[int] = []  # axes that a whole number picks from
    new: list[int] = []
    axis = 0
    for place, i in enumerate(index):
        if i is None:
            new.append(place - len(numbers))
            continue
        if isinstance(i, slice) and i != slice(None):
            step = 1 if i.step is None else int(i.step)
            far = np.iinfo(np.int64).max if step > 0 else np.iinfo(np.int64).min
            starts.append((0 if step > 0 else np.iinfo(np.int64).max) if i.start is None else int(i.start))
            ends.append(far if i.stop is None else int(i.stop))
            axes.append(axis)
            steps.append(step)
        elif isinstance(i, int):
            starts.append(i)
            ends.append(i + 1 if i != -1 else np.iinfo(np.int64).max)
            axes.append(axis)
            steps.append(1)
            numbers.append(axis)
        axis += 1
    nodes: list[Node] = []
    last: Value = 0
    if axes:
        cut = (np.array(v, np.int64) for v in (starts, ends, axes, steps))
        nodes.append(Node("Slice", inputs=(0, *cut), output="s"))
        last = "s"
    if arrays:
        nodes.append(Node("Gather", inputs=(last, index[arrays[0]]), attributes={"axis": arrays[0]}, output="a"))
        last = "a"
        if numbers and min(numbers) < arrays[0]:
            return Refused("Indexing by a number before an array has no ONNX spelling here: index step by step.")
        numbers = [k + index[arrays[0]].ndim - 1 for k in numbers]
    if numbers:
        nodes.append(Node("Squeeze", inputs=(last, np.array(numbers, np.int64)), output="q"))
        last = "q"
    if new:
        nodes.append(Node("Unsqueeze", inputs=(last, np.array(new, np.int64)), output="n"))
        last = "n"
    return [*nodes, Node("Identity", inputs=(last,))]


def _full_index(index: Any, rank: int) -> list[Any]:
    """The index as a list with no Ellipsis in it, Python numbers as int, sequences as arrays."""
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [np.asarray(i) if isinstance(i, list | tuple) else int(i) if _is_number(i) else i for i in parts]
    used = 0
    for i in parts:
        used += 0 if i is None or i is Ellipsis else i.ndim if isinstance(i, np.ndarray) and i.dtype == bool else 1
    at = next((k for k, i in enumerate(parts) if i is Ellipsis), len(parts))
    return [*parts[:at], *[slice(None)] * (rank - used), *parts[at + 1 :]]


def _is_number(i: Any) -> bool:
    return isinstance(i, int | np.integer) and not isinstance(i, bool)


@op(onnx=_spell_getitem)
def getitem(x: Array, *, index: Any = ()) -> tuple[Array, Vjp]:
    """x[index]: numbers, slices, None, Ellipsis, arrays of places, masks, as NumPy reads them.

    What was picked twice receives both gradients. Raises IndexError for places that are not there.

    >>> y, vjp = getitem.rule(np.arange(4.0), index=[3, 0, 3])
    >>> y, vjp(np.ones(3))[0]
    (array([3., 0., 3.]), array([1., 0., 0., 2.]))
    """
    y = np.asarray(x[index])
    parts = index if isinstance(index, tuple) else (index,)
    plain = all(i is None or i is Ellipsis or isinstance(i, slice) or _is_number(i) for i in parts)

    def vjp(g: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        if plain:  # no place twice
            dx[index] = g
        else:
            np.add.at(dx, index, g)
        return (dx,)

    return y, vjp


@op(onnx=lambda s: Node("OneHot", inputs=(0, np.array(s.output_shape[-1], np.int64), np.array([0, 1], np.int64))))
def one_hot(classes: Array, *, num_classes: int = -1) -> tuple[Array, Vjp]:
    """Class numbers as rows that are 1 at the class and 0 elsewhere; no gradient.

    classes (...) whole numbers from 0 -> (..., num_classes) whole numbers; -1 means one more than the largest.
    Raises ValueError for a class that is negative or too large.

    >>> one_hot.rule(np.array([1, 0]), num_classes=3)[0]
    array([[0, 1, 0],
           [1, 0, 0]])
    """
    if classes.dtype.kind not in "iu":
        raise ValueError(f"one_hot takes whole class numbers, not {classes.dtype}")
    if num_classes == -1 and not classes.size:
        raise ValueError("one_hot of nothing needs num_classes")
    count = int(classes.max()) + 1 if num_classes == -1 else int(num_classes)
    if classes.size and (classes.min() < 0 or classes.max() >= count):
        raise ValueError(f"class numbers must be from 0 to {count - 1}, found {classes.min()} to {classes.max()}")
    return np.asarray(classes[..., None] == np.arange(count)).astype(np.int64), lambda g: (None,)
