"""Resize as operator set 17 and older sets have no word for it: written as products with two matrices of weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine import Tensor
from playground.deploy.core import core_of
from playground.deploy.engine_import.resize import resize
from playground.deploy.preprocess_graph import PREFIX, prepend
from playground.errors import PlaygroundError
from playground.inspection import shape_chains
from playground.inspection.preparation import made_here

CAME_WITH_18 = ("antialias", "axes", "keep_aspect_ratio_policy")
MOST_WEIGHTS = 2**22
"""Numbers of one matrix; what is larger stays a Resize."""
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every Resize that says what set 18 brought as two products, where sizes are known; the others as
    they are. A file made here gets the preparation that is written today."""
    model = _renewed(model)
    if not any(_is_new(node) for node in model.graph.node):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    try:
        graph = shape_chains.inferred(copy).graph
    except Exception:  # shapes that contradict each other: the converter says so
        return model
    values = {value.name: value.type.tensor_type for value in (*graph.input, *graph.value_info, *graph.output)}
    known = {tensor.name: tensor for tensor in graph.initializer}
    known |= {node.output[0]: one.t for node in graph.node if node.op_type == "Constant" for one in node.attribute
              if one.name == "value"}
    nodes: list[onnx.NodeProto] = []
    for k, node in enumerate(model.graph.node):
        written = _products(node, f"plain_resize/{k}", values, known) if _is_new(node) else None
        if written is not None:
            model.graph.initializer.extend(written[1])
        nodes += written[0] if written else [node]
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def _is_new(node: onnx.NodeProto) -> bool:
    return node.op_type == "Resize" and node.domain in ("", "ai.onnx") and any(
        one.name in CAME_WITH_18 for one in node.attribute)


def _products(node: onnx.NodeProto, name: str, values: Mapping[str, onnx.TypeProto.Tensor],
              known: Mapping[str, TensorProto]) -> tuple[list[onnx.NodeProto], list[TensorProto]] | None:
    """The nodes and weights that give what a Resize of known sizes gives; None where they are not known, or where it
    is no weighted sum along each axis."""
    read: dict[str, Any] = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    said: dict[str, Any] = {key: value.decode() if isinstance(value, bytes) else value for key, value in read.items()}
    taken = values.get(node.input[0])
    scales, sizes = (numpy_helper.to_array(known[one]) if one in known else np.zeros(0)
                     for one in (*node.input, "", "")[2:4])
    if (taken is None or taken.elem_type not in FLOATS or not scales.size + sizes.size
            or said.get("coordinate_transformation_mode") == "tf_crop_and_resize"
            or said.pop("keep_aspect_ratio_policy", "stretch") != "stretch"):
        return None
    dims = [dim.dim_value for dim in taken.shape.dim]
    axes = [axis % len(dims) for axis in said.pop("axes", range(len(dims)))]
    nodes: list[onnx.NodeProto] = []
    weights: list[TensorProto] = []
    at = node.input[0]
    for axis, amount in zip(axes, scales if scales.size else sizes, strict=True):
        length = dims[axis]
        if scales.size and amount == 1:
            continue
        out = length * amount if scales.size else amount
        if not 0 < length * max(length, out) <= MOST_WEIGHTS:
            return None
        given = Tensor(np.array([amount]))
        matrix = resize(Tensor(np.eye(length)), None, given if scales.size else None, None if scales.size else given,
                        axes=[1], **said).data
        if np.array_equal(matrix, np.eye(length)):
            continue
        number = helper.tensor_dtype_to_np_dtype(taken.elem_type)
        at, more = _along(at, axis, len(dims), matrix.astype(number), f"{name}/{axis}", weights)
        nodes += more
    if not nodes:
        weights.append(numpy_helper.from_array(np.zeros(len(dims), np.int64), f"{name}/as_it_is"))
        nodes = [helper.make_node("Reshape", [at, f"{name}/as_it_is"], [node.output[0]], name)]  # Identity has no way
    nodes[-1].output[0] = node.output[0]
    return nodes, weights


def _along(x: str, axis: int, rank: int, matrix: np.ndarray, name: str, weights: list[TensorProto]
           ) -> tuple[str, list[onnx.NodeProto]]:
    """Products along one axis with a matrix (old, new): from the right on the last axis, from the left on the one
    before; others are brought to the end and back."""
    def product(inputs: Sequence[str], output: str) -> onnx.NodeProto:
        return helper.make_node("MatMul", inputs, [output], output)

    left = axis == rank - 2
    weights.append(numpy_helper.from_array(np.ascontiguousarray(matrix.T if left else matrix), f"{name}/weights"))
    if left or axis == rank - 1:
        inputs = [f"{name}/weights", x] if left else [x, f"{name}/weights"]
        return f"{name}/resized", [product(inputs, f"{name}/resized")]
    perm = [k for k in range(rank) if k != axis] + [axis]
    return f"{name}/resized", [
        helper.make_node("Transpose", [x], [f"{name}/last"], f"{name}/last", perm=perm),
        product([f"{name}/last", f"{name}/weights"], f"{name}/product"),
        helper.make_node("Transpose", [f"{name}/product"], [f"{name}/resized"], f"{name}/resized",
                         perm=np.argsort(perm).tolist())]


def _renewed(model: onnx.ModelProto) -> onnx.ModelProto:
    """A file made here before its preparation was written without Resize, with today's."""
    known: Any = made_here(model)
    if known is None or not any(_is_new(node) and node.name.startswith(PREFIX) for node in model.graph.node):
        return model
    try:
        core = core_of(model, 1 if known.gray else 3, known.size)
        outputs, kept = list(model.graph.output), [one for one in core.graph.initializer
                                                   if not one.name.startswith(PREFIX)]
        del core.graph.output[:], core.graph.initializer[:]
        core.graph.output.extend(outputs)
        core.graph.initializer.extend(kept)
        entry = core.graph.input[0].name
        core.graph.input[0].name = "pixels"
        for node in core.graph.node:
            node.input[:] = ["pixels" if name == entry else name for name in node.input]
        return prepend(core, known)
    except (PlaygroundError, ValueError, StopIteration):
        return model
