"""A recorded run computed again with something else in it: other weights, a part that gives other numbers, float64.

Works on the tape, so for designs and files alike. Only what depends on a change is computed again.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine import Tensor
from playground.view.trace import Array, Trace, in_order

Now = Callable[[Tensor], Tensor]
"""What stands for a tensor of the trace in the new run; the tensor itself where nothing of it has changed."""
Change = Callable[[Tensor, Now], Tensor]
"""What a result becomes, given the result and what stands for all tensors before it."""


def replayed(trace: Trace, *, leaves: Mapping[int, Array] | None = None, changes: Mapping[int, Change] | None = None,
             dtype: Any = None) -> Now:
    """The trace's ops once more, in their order, with some leaves' numbers and some results replaced, by `id` of their
    tensors in the trace; all in another type of float where `dtype` names one.

    Recorded where gradients are, as every call of an op: inside `no_grad` only values are computed. Without a change
    every result has the bits that it had. What is returned gives the new tensor for each of the trace.
    """
    given, changed = leaves or {}, changes or {}
    values: dict[int, Tensor] = {}

    def now(tensor: Tensor) -> Tensor:
        return values.get(id(tensor), tensor)

    for tensor in in_order(trace.logits):
        key, node = id(tensor), tensor.node
        if node is None:
            if key in given:
                values[key] = Tensor(np.asarray(given[key]), requires_grad=tensor.requires_grad)
            elif dtype is not None and tensor.dtype.kind == "f":
                values[key] = Tensor(tensor.data.astype(dtype), requires_grad=tensor.requires_grad)
        elif key in changed or any(x is not None and id(x) in values for x in node.inputs):
            values[key] = node.op(*(x if x is None else now(x) for x in node.inputs), **_options(node, dtype))
        if key in changed:
            values[key] = changed[key](now(tensor), now)
    return now


def _options(node: Any, dtype: Any) -> dict[str, Any]:
    options = {name: value for name, value in node.options.items() if name != "moments"}  # a batch's, computed before
    if dtype is not None and node.op.name == "cast" and np.dtype(options.get("dtype", np.float32)).kind == "f":
        options["dtype"] = dtype
    return options
