"""A file's network as the view of a whole network takes it: prepared pictures (N, C, H, W) in RGB -> scores."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from playground.deploy.core import core_of
from playground.inspection.preparation import Preparation

FRONT = "front/"


def network_of(path: Path, preparation: Preparation, scores: str) -> onnx.ModelProto:
    """The file's network from prepared pictures to the output called `scores`, whatever its own layout and order.

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
    turned = preparation.order == "BGR" and not preparation.preprocessing.gray
    if preparation.layout == "NCHW" and not turned and preparation.number == "float32":
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


__all__ = ["network_of"]
