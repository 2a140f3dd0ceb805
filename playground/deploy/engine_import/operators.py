"""The table of ONNX operators the engine can import, and how a row is written.

A row is a function of engine Tensors: ONNX inputs are positional (an absent one is None), ONNX attributes are
keyword-only, named and defaulted as ONNX names and defaults them. An attribute a row does not name is refused, not
ignored. Where the meaning changed between opsets there are several rows, each valid from its `since` on.

Floating-point data goes through the engine's ops, so it stays on the tape and has a gradient. Shapes, indices, masks
and other whole numbers are computed in NumPy.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from engine import Tensor
from playground.errors import PlaygroundError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Function: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., Any])

_HINTS = {"consumed_inputs"}  # before opset 6: what might be overwritten to save memory


@dataclass(frozen=True)
class Operator:
    """One row: an operator from one opset on. `attributes` are the names it knows; `counts_outputs` tells that it is
    given `outputs`, the number of results the node asks for."""

    op_type: str
    since: int
    function: Function
    attributes: frozenset[str]
    counts_outputs: bool

    def __call__(self, node: onnx.NodeProto, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """The node's results, one for each of its outputs."""
        options = {attribute.name: _plain(attribute) for attribute in node.attribute if attribute.name not in _HINTS}
        if self.counts_outputs:
            options["outputs"] = len(node.output)
        results = self.function(*inputs, **options)
        return results if isinstance(results, tuple) else (results,)


OPERATORS: dict[str, list[Operator]] = {}


def operator(*op_types: str, since: int = 1) -> Callable[[F], F]:
    """Put the decorated function into the table, for each of `op_types` from opset `since` on. Those of another domain
    than ONNX's own have its name in front: com.microsoft.FusedConv."""

    def declare(function: F) -> F:
        keywords = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
        for op_type in op_types:
            rows = OPERATORS.setdefault(op_type, [])
            if any(row.since == since for row in rows):
                raise ValueError(f"there is already a row for {op_type} from opset {since} on")
            rows.append(Operator(op_type, since, function, frozenset(keywords - {"outputs"}), "outputs" in keywords))
        return function

    return declare


def domain_of(node: onnx.NodeProto | onnx.OperatorSetIdProto) -> str:
    """The domain of a node or an opset; ONNX's own, which has two spellings, is ""."""
    return "" if node.domain == "ai.onnx" else node.domain


def _row(node: onnx.NodeProto, opsets: dict[str, int]) -> Operator | None:
    domain = domain_of(node)
    name = f"{domain}.{node.op_type}" if domain else node.op_type
    return max((row for row in OPERATORS.get(name, ()) if row.since <= opsets.get(domain, 0)),
               key=lambda row: row.since, default=None)


def known(node: onnx.NodeProto, opsets: dict[str, int]) -> bool:
    """Whether there is a row for the node's operator in a graph written in `opsets`."""
    return _row(node, opsets) is not None


def find(node: onnx.NodeProto, opsets: dict[str, int]) -> Operator:
    """The row for a node of a graph written in `opsets`; PlaygroundError naming the operator or the attribute if none.

    >>> node = helper.make_node("Relu", ["x"], ["y"])
    >>> find(node, {"": 20}).since
    1
    """
    domain, row = domain_of(node), _row(node, opsets)
    opset = opsets.get(domain, 0)
    if row is None:
        name = f"{domain}.{node.op_type}" if domain else node.op_type
        raise PlaygroundError(f"The engine cannot import the ONNX operator {name} of opset {opset}.")
    for attribute in node.attribute:
        if attribute.name not in row.attributes | _HINTS:
            raise PlaygroundError(f"The engine does not know the attribute {attribute.name} of the ONNX operator "
                                  f"{node.op_type} in opset {opset}.")
    return row


def _plain(attribute: onnx.AttributeProto) -> Any:
    """An attribute's value: numbers, strings and lists as Python's, a tensor as an array."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple) and any(isinstance(one, bytes) for one in value):
        return [one.decode() for one in value]
    return value


def is_float(x: Tensor) -> bool:
    """Whether x holds numbers a gradient can be asked of."""
    return x.dtype.kind == "f"


def whole(values: Tensor | Sequence[int] | None) -> list[int]:
    """Shapes, axes, indices, sizes: a Tensor of whole numbers or a list, as a list of ints; nothing is no numbers.

    >>> whole(Tensor(np.array([1, -1])))
    [1, -1]
    """
    if values is None:
        return []
    return [int(v) for v in (values.data.reshape(-1) if isinstance(values, Tensor) else values)]


def refuse(sentence: str) -> PlaygroundError:
    """What a row raises for what it cannot do."""
    return PlaygroundError(f"The engine cannot import this file: {sentence}.")
