"""A file's network as the view of a whole network takes it: prepared pictures (N, C, H, W) in RGB -> scores."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from playground.deploy.core import core_of
from playground.inspection.preparation import Preparation

FRONT, END = "front/", "end/"


def network_of(path: Path, preparation: Preparation, scores: str, *, two: bool = False) -> onnx.ModelProto:
    """The file's network from prepared pictures to the output called `scores`, whatever its own layout and order; for
    any number of pictures where the file says one larger than 1. `two`: its one score z becomes [0, z], or that of the
    sigmoid it comes out of.

    Only for a file that `inspection.bounded` has already been asked about: it is opened in this process.
    """
    model = onnx.load(path)
    if preparation.raw:
        said = preparation.preprocessing
        return core_of(model, 1 if said.gray else 3, said.size)
    graph, name = model.graph, preparation.input
    wanted = next(value for value in graph.output if value.name == scores)
    del graph.output[:]
    graph.output.append(wanted)
    if two:
        _two_scores(graph)
    turned = preparation.order == "BGR" and not preparation.preprocessing.gray
    if preparation.layout == "NCHW" and not turned and preparation.number == "float32":
        dim = next(value for value in graph.input if value.name == name).type.tensor_type.shape.dim[0]
        if dim.dim_value > 1:
            dim.Clear()
            dim.dim_param = "N"
        return model
    nodes, at = [], f"{FRONT}pixels"
    if turned:
        graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), f"{FRONT}order"))
        nodes.append(helper.make_node("Gather", [at, f"{FRONT}order"], [f"{FRONT}bgr"], f"{FRONT}bgr", axis=1))
        at = f"{FRONT}bgr"
    if preparation.layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [at], [f"{FRONT}nhwc"], f"{FRONT}nhwc", perm=[0, 2, 3, 1]))
        at = f"{FRONT}nhwc"
    kind = next(value.type.tensor_type.elem_type for value in graph.input if value.name == name)
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [at], [f"{FRONT}cast"], f"{FRONT}cast", to=kind))
        at = f"{FRONT}cast"
    nodes[-1].output[0] = name
    kept = [value for value in graph.input if value.name != name]
    channels = 1 if preparation.preprocessing.gray else 3
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(f"{FRONT}pixels", TensorProto.FLOAT,
                                                     ["N", channels, *preparation.preprocessing.size]))
    graph.input.extend(kept)
    inside = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *inside])
    return model


def _two_scores(graph: onnx.GraphProto) -> None:
    """As our own exports of one score have it (`deploy.contract.finish`): softmax of [0, z] is z's sigmoid."""
    (wanted,) = graph.output
    last = next((node for node in graph.node if wanted.name in node.output), None)
    score = wanted.name
    if last is not None and last.op_type == "Sigmoid":
        score = last.input[0]
        graph.node.remove(last)
    kind = wanted.type.tensor_type.elem_type
    zero_and_one = np.array([[0, 1]], helper.tensor_dtype_to_np_dtype(kind))
    graph.initializer.append(numpy_helper.from_array(zero_and_one, f"{END}second"))
    graph.node.append(helper.make_node("Mul", [score, f"{END}second"], [f"{END}two"], f"{END}two"))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(f"{END}two", kind, ["N", 2]))


__all__ = ["network_of"]
