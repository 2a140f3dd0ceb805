"""Files of others made ready: their weights read in, local functions inlined, nodes put in order, weights found."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto, numpy_helper

from engine import Tensor
from playground.deploy.engine_import.branches import branching, captures, with_captures
from playground.deploy.engine_import.operators import Array, Operator, domain_of, find, known, refuse
from playground.deploy.preprocess_graph import PREFIX
from playground.errors import PlaygroundError

# Inputs that hold statistics, bounds, sizes: numbers of the model, but nothing an optimizer should move. A variance
# taken one step too far would be negative, and relu6 is no relu6 with another bound.
_NOT_WEIGHTS: dict[str, frozenset[int]] = {
    "BatchNormalization": frozenset({3, 4}),
    "Clip": frozenset({1, 2}),
    "DequantizeLinear": frozenset({1, 2}),
    "Dropout": frozenset({1}),
    "NegativeLogLikelihoodLoss": frozenset({2}),
    "Pad": frozenset({2}),
    "QGemm": frozenset({1, 4, 7}),
    "QLinearAdd": frozenset({1, 4, 6}),
    "QLinearAveragePool": frozenset({1, 3}),
    "QLinearConv": frozenset({1, 4, 6}),
    "QLinearGlobalAveragePool": frozenset({1, 3}),
    "QLinearLeakyRelu": frozenset({1, 3}),
    "QLinearMatMul": frozenset({1, 4, 6}),
    "QLinearMul": frozenset({1, 4, 6}),
    "QLinearSigmoid": frozenset({1, 3}),
    "QLinearSoftmax": frozenset({1, 3}),
    "QuantizeLinear": frozenset({1, 2}),
    "Resize": frozenset({1, 2}),
    "SoftmaxCrossEntropyLoss": frozenset({2}),
    "Tile": frozenset({1}),
    "Upsample": frozenset({1}),
}


def read(path: Path) -> onnx.ModelProto:
    """The model in a file, with the weights it keeps in files beside it.

    Raises PlaygroundError when it is no ONNX model, or naming the file with weights that is not there.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf raises what it likes
        raise PlaygroundError(f"{path.name} is not an ONNX model.") from error
    for name in _outside(model):
        if not (path.parent / name).is_file():
            raise PlaygroundError(f"{path.name} keeps its weights in another file, {name}, which is not beside it.")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        raise PlaygroundError(f"The weights that {path.name} keeps in other files cannot be read.") from error
    return model


def ready(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions, its nodes in an order in which they can be computed; the given one is left
    as it is. Raises PlaygroundError for a circle of nodes and for weights in a file that was not given."""
    if names := _outside(model):
        raise PlaygroundError(f"The weights of this model are in another file, {names[0]}, which is missing.")
    if model.functions:
        try:
            model = onnx.inliner.inline_local_functions(model)
        except Exception as error:  # what it raises is not said
            raise refuse("its local functions cannot be inlined") from error
    order = _in_order(model.graph)
    if order != list(range(len(order))):
        nodes = [model.graph.node[k] for k in order]
        sorted_model = onnx.ModelProto()
        sorted_model.CopyFrom(model)
        del sorted_model.graph.node[:]
        sorted_model.graph.node.extend(nodes)
        model = sorted_model
    return model


def rows(nodes: Sequence[onnx.NodeProto], opsets: dict[str, int]) -> list[Operator]:
    """The row of each node. Raises PlaygroundError naming every operator that has none, with how often it is there."""
    missing: dict[str, Counter[str]] = {}
    for node in _everywhere(nodes):
        if not _is_branching(node) and not known(node, opsets):
            domain = domain_of(node)
            missing.setdefault(domain, Counter())[f"{domain}.{node.op_type}".lstrip(".")] += 1
    if missing:
        many = sum(map(len, missing.values())) > 1
        said = " and ".join(f"{', '.join(f'{name} ({times})' for name, times in sorted(counts.items()))} of opset "
                            f"{opsets.get(domain, 0)}" for domain, counts in sorted(missing.items()))
        raise refuse(f"it lacks the ONNX operator{'s' * many} {said}")

    def inside(graph: onnx.GraphProto) -> tuple[dict[str, Tensor], list[tuple[onnx.NodeProto, Operator]]]:
        held, left = leaves(graph)
        left = [with_captures(node) if _is_branching(node) else node for node in left]
        return {name: one.detach() for name, one in held.items()}, list(zip(left, rows(left, opsets), strict=True))

    return [branching(node, inside) if _is_branching(node) else find(node, opsets) for node in nodes]


def with_branches(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with what the branches of an If take from outside among its inputs; itself where there is no If."""
    if not any(_is_branching(node) for node in model.graph.node):
        return model
    told = onnx.ModelProto()
    told.CopyFrom(model)
    del told.graph.node[:]
    told.graph.node.extend(with_captures(node) if _is_branching(node) else node for node in model.graph.node)
    return told


def _is_branching(node: onnx.NodeProto) -> bool:
    return node.op_type == "If" and not domain_of(node)


def _everywhere(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the branches in them."""
    for node in nodes:
        yield node
        if _is_branching(node):
            for attribute in node.attribute:
                yield from _everywhere(attribute.g.node)


def leaves(graph: onnx.GraphProto) -> tuple[dict[str, Tensor], list[onnx.NodeProto]]:
    """The stored numbers as Tensors by name, the weights among them wanting a gradient, and the nodes that are left:
    a Constant node that holds a weight is such a leaf."""
    uses: dict[str, list[bool]] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            uses.setdefault(name, []).append(position not in _NOT_WEIGHTS.get(node.op_type, ()))

    def weight(name: str, array: Array) -> bool:
        return array.dtype.kind == "f" and array.ndim > 0 and any(uses.get(name, ())) and not name.startswith(PREFIX)

    found = {}
    for initializer in graph.initializer:
        array = np.array(numpy_helper.to_array(initializer))  # its own copy: an optimizer writes into it
        found[initializer.name] = Tensor(array, requires_grad=weight(initializer.name, array))
    left = []
    for node in graph.node:
        if node.op_type == "Constant" and not node.domain and not node.name.startswith(PREFIX):
            held = _constant(node)
            if held is not None and weight(node.output[0], held):
                found[node.output[0]] = Tensor(held, requires_grad=True)
                continue
        left.append(node)
    return found, left


def refuse_volumes(nodes: Sequence[onnx.NodeProto], values: dict[str, Tensor]) -> None:
    """Raises PlaygroundError for a convolution that is known to be of volumes before anything is computed."""
    for node in nodes:
        if node.op_type in ("Conv", "ConvTranspose", "FusedConv"):
            kernel = next((len(a.ints) for a in node.attribute if a.name == "kernel_shape"), 0)
            stored = values.get(node.input[1]) if len(node.input) > 1 else None
            if max(kernel, stored.ndim - 2 if stored is not None else 0) > 2:
                raise refuse("it convolves volumes; the engine knows images and signals")


def _constant(node: onnx.NodeProto) -> Array | None:
    """The floating-point array a Constant node holds, a copy; None where it holds something else."""
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.t.data_type in (
                TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16):
            return np.array(numpy_helper.to_array(attribute.t))
        if attribute.name == "value_floats":
            return np.array(attribute.floats, np.float32)
    return None


def _outside(model: onnx.ModelProto) -> list[str]:
    """The files in which the model keeps weights, relative to its own."""
    tensors = [*model.graph.initializer, *(attribute.t for node in model.graph.node for attribute in node.attribute
                                           if attribute.HasField("t"))]
    return list(dict.fromkeys(entry.value for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL
                              for entry in tensor.external_data if entry.key == "location"))


def _in_order(graph: onnx.GraphProto) -> list[int]:
    """The places of the nodes such that each follows those it needs, otherwise as they stand (Kahn 1962)."""
    maker = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    needs = [{maker[name] for name in (*node.input, *captures(node)) if name in maker} for node in graph.node]
    order: list[int] = []
    users: dict[int, list[int]] = {}
    for k, before in enumerate(needs):
        for one in before:
            users.setdefault(one, []).append(k)
    waiting = [len(before) for before in needs]
    heap = [k for k, count in enumerate(waiting) if not count]
    while heap:
        k = heapq.heappop(heap)
        order.append(k)
        for user in users.get(k, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(heap, user)
    if len(order) < len(needs):
        k = next(k for k, count in enumerate(waiting) if count)
        for _ in needs:  # upstream through what waits, as often as there are nodes: then it stands in the circle
            k = next(one for one in needs[k] if waiting[one])
        stuck = graph.node[k]
        raise refuse(f"its nodes go in a circle, in which {stuck.name or stuck.output[0]} ({stuck.op_type}) stands")
    return order
