"""If: which of two graphs is computed is decided when the graph is run, by the condition that then comes in."""

from collections.abc import Callable, Sequence
from typing import Any

import onnx

from engine import Tensor
from playground.deploy.engine_import.operators import Operator

Prepare = Callable[[onnx.GraphProto], tuple[dict[str, Tensor], list[tuple[onnx.NodeProto, Operator]]]]


def names_from_outside(graph: onnx.GraphProto) -> list[str]:
    """What a graph inside a node takes from the one around it, in the order it is met."""
    own = {one.name for one in (*graph.initializer, *graph.input)}
    found: dict[str, None] = {}
    for node in graph.node:
        inner = [name for attribute in node.attribute if attribute.HasField("g")
                 for name in names_from_outside(attribute.g)]
        found.update(dict.fromkeys(name for name in (*node.input, *inner) if name and name not in own))
        own.update(node.output)
    found.update(dict.fromkeys(one.name for one in graph.output if one.name not in own))
    return list(found)


def captures(node: onnx.NodeProto) -> list[str]:
    """What both branches of an If take from outside."""
    return list(dict.fromkeys(name for attribute in node.attribute if attribute.HasField("g")
                              for name in names_from_outside(attribute.g)))


def with_captures(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node with what its branches take from outside among its inputs, so that it counts as used there."""
    told = onnx.NodeProto()
    told.CopyFrom(node)
    told.input.extend(captures(node))
    return told


def branching(node: onnx.NodeProto, prepare: Prepare) -> Operator:
    """The row of one If, which has its captures among its inputs already. prepare: leaves and nodes of a branch."""
    names = list(node.input)[1:]
    ready = {one.name: (prepare(one.g), [out.name for out in one.g.output]) for one in node.attribute}

    def run(condition: Tensor, *given: Tensor, then_branch: Any, else_branch: Any) -> tuple[Tensor, ...]:
        (leaves, nodes), outputs = ready["then_branch" if condition.data.item() else "else_branch"]
        values: dict[str, Tensor] = {**dict(zip(names, given, strict=True)), **leaves}
        for inner, row in nodes:
            inputs: Sequence[Tensor | None] = [values[name] if name else None for name in inner.input]
            values.update((name, result) for name, result in zip(inner.output, row(inner, inputs), strict=False)
                          if name)
        return tuple(values[name] for name in outputs)

    return Operator("If", 1, run, frozenset({"then_branch", "else_branch"}), False)
