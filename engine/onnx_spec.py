"""How an op is spelled in ONNX, as plain data: this file imports no onnx, and neither does the engine.

An op's `onnx=` is one of
- `Node("Relu")`: one operator on the op's inputs, in their order;
- `Refused("...")`: no spelling; the sentence is what a person reads when export refuses;
- a function of a `Situation` returning one of the two, or a list of Nodes whose last one gives the op's result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Value: TypeAlias = "int | str | np.ndarray[Any, Any] | None"


@dataclass(frozen=True, eq=False)
class Node:
    """One ONNX operator (default domain, opset 20) applied to values.

    inputs: an int is the op's own input of that position, a str the `output` of an earlier Node of the same list, an
    array a constant, None an absent optional input; left out, they are all the op's inputs in order (trailing absent
    ones dropped). attributes: ONNX attribute names and plain values.

    >>> Node("Clip", inputs=(0, np.float32(0))).op_type
    'Clip'
    """

    op_type: str
    inputs: tuple[Value, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    output: str = "result"


@dataclass(frozen=True)
class Refused:
    """There is no ONNX spelling; `reason` is a sentence for the person who wanted to export."""

    reason: str


@dataclass(frozen=True)
class Situation:
    """What a spelling may look at: the traced call, every option included, given or not. Axis 0 is the batch wherever
    the traced graph says so, and its size in `shapes` is the example's: do not write it into the graph."""

    shapes: tuple[tuple[int, ...] | None, ...]
    dtypes: tuple[Any, ...]
    options: Mapping[str, Any]
    output_shape: tuple[int, ...]


Spelled: TypeAlias = Node | Refused | Sequence[Node]
Spelling: TypeAlias = Node | Refused | Callable[[Situation], Spelled]


def weighted_sums(
    value: int | str, axis: int, rank: int, places: "np.ndarray[Any, Any]", weights: "np.ndarray[Any, Any]", dtype: Any,
    output: str,
) -> list[Node]:
    """Every new number along an axis as a weighted sum of K old ones: places and weights (OUT, K).

    Each takes its own places only, exactly as given: no runtime's rounding of coordinates, no product with zeros.
    """
    if places.shape[1] == 1 and np.all(weights == 1):
        return [Node("Gather", inputs=(value, places[:, 0]), attributes={"axis": axis}, output=output)]
    facing = weights.astype(dtype).reshape(*weights.shape, *(1,) * (rank - 1 - axis))
    return [
        Node("Gather", inputs=(value, places), attributes={"axis": axis}, output=f"{output} places"),
        Node("Mul", inputs=(f"{output} places", facing), output=f"{output} shares"),
        Node("ReduceSum", inputs=(f"{output} shares", np.array([axis + 1])), attributes={"keepdims": 0}, output=output),
    ]
