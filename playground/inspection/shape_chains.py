"""Shapes behind sizes that a file computes: paddle2onnx and tf2onnx flatten by Shape, Slice, Concat and Reshape."""

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

ROUNDS = 12
"""How often what was computed is put in place: one flattening may wait for another's result."""
MOST_NUMBERS, MOST_NODES = 64, 2000
OF_SIZES = frozenset({"Add", "Cast", "Concat", "Div", "Gather", "Identity", "Max", "Min", "Mul", "ReduceProd",
                      "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze"})
"""What sizes are computed with; none of them gives more numbers than it takes, but for what broadcasting does."""
Found = dict[str, np.ndarray]


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes that follow from those of its inputs. `model`'s nodes that compute sizes from known
    shapes become constants on the way. Raises what shape inference raises where shapes contradict each other."""
    found = shape_inference.infer_shapes(model, data_prop=True)
    for _ in range(ROUNDS):
        if not _settle(model, found):
            break
        found = shape_inference.infer_shapes(model, data_prop=True)
    return found


def _settle(model: onnx.ModelProto, found: onnx.ModelProto) -> bool:
    """Whether nodes of `model` became constants, because what they compute follows from the shapes in `found`."""
    graph = model.graph
    shapes = {value.name: shape for value in (*found.graph.input, *found.graph.value_info, *found.graph.output)
              if (shape := _shape(value)) is not None}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    if all(name in shapes for node in graph.node for name in node.output if name):
        return False
    known: Found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
                    if math.prod(tensor.dims) <= MOST_NUMBERS}
    given = {value.name for value in graph.output}
    left, many = [], 0
    for node in graph.node:
        many += 1
        value = _value(node, shapes, known, model.opset_import) if many <= MOST_NODES else None
        if value is None or value.size > MOST_NUMBERS:
            left.append(node)
            continue
        known[node.output[0]] = value
        if node.output[0] in given or node.op_type == "Constant":
            left.append(node)
        else:
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    changed = len(left) < len(graph.node)
    if changed:
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in left]
        del graph.node[:]
        graph.node.extend(kept)
    return changed


def _value(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]], known: Found,
           opsets: list[onnx.OperatorSetIdProto]) -> np.ndarray | None:
    """What a node gives, where it computes sizes and all it takes is known."""
    if node.domain not in ("", "ai.onnx") or len(node.output) != 1:
        return None
    if node.op_type == "Shape" and node.input[0] in shapes:
        said = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        return np.array(shapes[node.input[0]][said.get("start", 0):said.get("end")], np.int64)
    if node.op_type == "Constant":
        tensor = next((one.t for one in node.attribute if one.name == "value"), None)
        if tensor is None or math.prod(tensor.dims) > MOST_NUMBERS:
            return None
        return np.asarray(numpy_helper.to_array(tensor))
    if node.op_type not in OF_SIZES or not all(name in known for name in node.input if name):
        return None
    alone = helper.make_model(helper.make_graph(
        [node], "one", [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(known[name].dtype),
                                                      known[name].shape) for name in dict.fromkeys(node.input) if name],
        [helper.make_empty_tensor_value_info(node.output[0])]), opset_imports=list(opsets))
    try:
        given: Any = {name: known[name] for name in node.input if name}
        return np.asarray(next(iter(ReferenceEvaluator(alone).run(None, given))))
    except Exception:  # sizes that contradict each other: then nothing follows
        return None


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not all(dim.HasField("dim_value") for dim in kind.shape.dim):
        return None
    return tuple(dim.dim_value for dim in kind.shape.dim)
