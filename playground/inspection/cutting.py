"""Somebody else's classifier without its last layer: prepared pictures -> the numbers that layer was given.

Runs in the process that opens foreign files (`inspection.worker`): what is written has been computed once in there.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from onnx import TensorProto, compose, helper, numpy_helper

from playground.datasets import samples
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract
from playground.deploy.contract import first_line
from playground.deploy.engine_import.graphs import ready
from playground.deploy.engine_import.operators import domain_of
from playground.deploy.preprocess_graph import IR_VERSION, OPSET
from playground.errors import PlaygroundError
from playground.home import whole
from playground.inspection.core import network_of
from playground.inspection.preparation import Preparation
from playground.inspection.report import opened, tensors
from playground.inspection.running import batch_of, batched, first_rows, run, scores_in, session

PREFIX = "backbone/"
PIXELS, FEATURES = f"{PREFIX}pixels", f"{PREFIX}features"
MOST_FEATURES = 65_536
FIXED = "This file takes a fixed number of pictures at once, and cannot be made to take another."
NEAR = 1e-3
"""How far features may be apart, as a share of the largest, between two ways that should give the same."""


def cut(path: Path, target: Path, preparation: Preparation) -> dict[str, Any]:
    """Write the file's network up to its last layer to `target`, and say what became of it.

    `target` maps `backbone/pixels` float32 (N, C, height, width), N free, to `backbone/features` float32 (N, D). It is
    in the operator set of our own exports and keeps their contract with a head of any kind. Returns `features` (D),
    `classes` (what the file told apart) and `parameters` (of what is left). Raises PlaygroundError in a sentence where
    the file does not end in a dense layer (or in a 1 x 1 convolution), takes only a fixed number of pictures, holds
    what an export may not hold, or answers so coarsely that a rounding in the last place of a pixel changes the
    features.
    """
    opened(path)
    pictures = [samples.photo(name) for name in samples.photo_names()[:3]]
    network = session(path)
    x = batched(preparation.apply(pictures[0]), batch_of(network, preparation.input))
    results = first_rows(run(network, {preparation.input: x}), len(x))
    place = scores_in(network, results)
    if place is None:
        raise PlaygroundError("None of its outputs is one row of scores, so it has no last layer to be replaced.")
    scores = network.get_outputs()[place].name
    core = ready(network_of(path, preparation, scores))
    if len(given := [one.name for one in core.graph.input if one.name not in _held(core.graph)]) != 1:
        raise PlaygroundError(f"This file takes {len(given)} inputs, not one picture.")
    _refuse_what_no_export_holds(core)
    before, node = last_layer(core.graph, given[0], scores)
    x = np.stack([preparation.preprocessing.apply(one) for one in pictures])
    try:
        alone = [run(_session(_ending(core, before)), {given[0]: one[None]})[0] for one in x]
    except PlaygroundError as error:
        raise PlaygroundError(FIXED if (batch_of(network, preparation.input) or 1) > 1 else str(error)) from error
    made = _pooled(_without_rest(core, given[0], before), node, alone[0], preparation.preprocessing)
    made = _in_our_set(made)
    features = _checked(made, x, alone)
    width = int(features.shape[1])
    _proven(made, preparation.preprocessing, width)
    with whole(target) as incoming:
        incoming.write_bytes(made.SerializeToString(deterministic=True))
    parameters = sum(math.prod(one.dims) for one in tensors(made.graph)
                     if one.data_type not in (TensorProto.INT64, TensorProto.BOOL))
    return {"features": width, "classes": max(2, int(np.asarray(results[place]).size)), "parameters": int(parameters)}


def last_layer(graph: onnx.GraphProto, given: str, scores: str) -> tuple[str, onnx.NodeProto]:
    """The name of what the last layer is given, and that layer: the first node with weights on the way back from the
    scores. Raises PlaygroundError where the way splits before, or there is none."""
    made = {name: node for node in graph.node for name in node.output if name}
    moving = {given}  # what depends on the picture; weights may go through nodes, too
    for node in graph.node:
        if moving.intersection(node.input):
            moving.update(node.output)
    name = scores
    while name in made:
        node = made[name]
        fed = [one for one in node.input if one in moving]
        options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type in ("Gemm", "MatMul", "Conv") and fed == [node.input[0]] and not options.get("transA", 0):
            if node.op_type == "Conv" and max(options.get("kernel_shape", _kernel(graph, node.input[1]))) > 1:
                raise PlaygroundError("This file ends in a convolution larger than 1 × 1, not in a dense layer, so its "
                                      "last layer cannot be replaced.")
            return node.input[0], node
        if len(set(fed)) != 1:
            break
        name = fed[0]
    raise PlaygroundError("This file does not end in a dense layer: on the way back from its scores there is no matrix "
                          "of weights before the ways part, so its last layer cannot be replaced.")


def _kernel(graph: onnx.GraphProto, name: str) -> Sequence[int]:
    found = next((one for one in graph.initializer if one.name == name), None)
    return tuple(found.dims[2:]) if found is not None else (2,)


def _held(graph: onnx.GraphProto) -> set[str]:
    return {one.name for one in graph.initializer}


def _refuse_what_no_export_holds(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if domain_of(node):
            raise PlaygroundError(f"This file uses {node.domain}.{node.op_type}; what is exported here holds ONNX's "
                                  "own operators only.")
        if any(one.HasField("g") or one.graphs for one in node.attribute):
            raise PlaygroundError(f"This file holds a {node.op_type} with a graph inside, and what is exported here "
                                  "has no loops or branches.")


def _session(model: onnx.ModelProto) -> Any:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        return session(Path(file.name))


def _ending(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same model, which gives what is called `name` inside it."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    del told.graph.output[:]
    told.graph.output.append(helper.make_empty_tensor_value_info(name))
    return told


def _without_rest(model: onnx.ModelProto, given: str, name: str) -> onnx.ModelProto:
    """Only what `name` is made from."""
    wanted, nodes = {name}, []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            nodes.append(node)
            wanted.update(node.input)
    held = [one for one in model.graph.initializer if one.name in wanted]
    taken = next(one for one in model.graph.input if one.name == given)
    graph = helper.make_graph(list(reversed(nodes)), "features", [taken], [helper.make_empty_tensor_value_info(name)],
                              held)
    made = helper.make_model(graph, opset_imports=[one for one in model.opset_import if not domain_of(one)])
    made.ir_version = max(model.ir_version, 4)
    return made


def _pooled(model: onnx.ModelProto, node: onnx.NodeProto, example: np.ndarray, preprocessing: Preprocessing
            ) -> onnx.ModelProto:
    """The features of a picture as one row: maps in front of a 1 x 1 convolution averaged, other rows flattened."""
    graph, name = model.graph, model.graph.output[0].name
    if example.dtype != np.float32:
        graph.node.append(helper.make_node("Cast", [name], ["as_float32"], to=TensorProto.FLOAT))
        name = "as_float32"
    if node.op_type == "Conv" and example.ndim == 4:
        graph.node.append(helper.make_node("GlobalAveragePool", [name], ["averaged"]))
        name = "averaged"
    elif example.ndim != 2 and example.size != max(example.shape):
        raise PlaygroundError(f"This file's last layer is given {' × '.join(map(str, example.shape))} numbers of a "
                              "picture, not one row of them, so it cannot be replaced.")
    graph.node.append(helper.make_node("Flatten", [name], ["features"], axis=1))
    channels = 1 if preprocessing.gray else 3
    old = graph.input[0].name
    for one in graph.node:
        one.input[:] = ["pixels" if text == old else text for text in one.input]
    if any("pixels" in one.output for one in graph.node):
        raise PlaygroundError("This file calls one of its own numbers pixels, as the picture is called here.")
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", channels,
                                                                                 *preprocessing.size]))
    graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", None]))
    _free(graph)
    return model


def _free(graph: onnx.GraphProto) -> None:
    """Let go of a number of pictures that was written into shapes: a Reshape to (1, ...) keeps its first length."""
    held = {one.name: one for one in graph.initializer}
    constants = {one.output[0]: attribute.t for one in graph.node if one.op_type == "Constant"
                 for attribute in one.attribute if attribute.name == "value"}
    for node in graph.node:
        if node.op_type != "Reshape" or len(node.input) < 2:
            continue
        shape = held.get(node.input[1]) or constants.get(node.input[1])
        if shape is None:
            continue
        wanted = numpy_helper.to_array(shape).tolist()
        if isinstance(wanted, list) and len(wanted) > 1 and wanted[0] == 1 and 0 not in wanted:
            for one in [one for one in node.attribute if one.name == "allowzero"]:
                node.attribute.remove(one)
            name = f"{node.input[1]}/any_number"
            if name not in held:
                held[name] = numpy_helper.from_array(np.array([0, *wanted[1:]], np.int64), name)
                graph.initializer.append(held[name])
            node.input[1] = name


def _in_our_set(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in the operator set of our own exports, every name marked as the backbone's."""
    opset = next((one.version for one in model.opset_import if not domain_of(one)), 0)
    try:
        if opset != OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        model = compose.add_prefix(model, PREFIX)
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
    except MemoryError:
        raise
    except Exception as error:  # the converter and the checker have errors of their own
        raise PlaygroundError(f"It cannot be written in operator set {OPSET}, in which models are exported here: "
                              f"{first_line(error)}") from error
    return model


def _checked(made: onnx.ModelProto, x: np.ndarray, alone: Sequence[np.ndarray]) -> np.ndarray:
    """The features of several pictures at once, if they are those of each alone in the file as it came."""
    network = _session(made)
    try:
        together = np.asarray(run(network, {PIXELS: x})[0])
    except PlaygroundError as error:
        raise PlaygroundError(FIXED) from error
    wanted = np.stack([one.reshape(one.shape[1], -1).mean(1) if made.graph.node[-2].op_type == "GlobalAveragePool"
                       else one.reshape(-1) for one in alone]).astype(np.float64)
    if together.shape != wanted.shape or not np.isfinite(together).all():
        raise PlaygroundError(FIXED if np.isfinite(together).all() else
                              "What it sees in a picture is not all numbers.")
    size = max(float(np.abs(wanted).max()), 1e-6)
    if not np.abs(together - wanted).max() <= NEAR * size:
        raise PlaygroundError("This file sees otherwise in several pictures at once than in each alone.")
    if together.shape[1] > MOST_FEATURES:
        raise PlaygroundError(f"Its last layer is given {together.shape[1]} numbers of a picture; at most "
                              f"{MOST_FEATURES} are taken here.")
    step = np.float32(2e-6 * max(1.0, float(np.abs(x).max())))
    nudged = np.asarray(run(network, {PIXELS: x + step * np.sign(x)})[0])
    if not np.abs(nudged - together).max() <= NEAR * size:
        raise PlaygroundError("This file computes in so few bits that a rounding in a pixel's last place changes what "
                              "it sees: take the file it was made from, before it was quantised.")
    return together


def _proven(made: onnx.ModelProto, preprocessing: Preprocessing, width: int) -> None:
    """Raises PlaygroundError where an export with it would break the contract of exported files."""
    head = helper.make_node("Gemm", [FEATURES, "head/weight"], ["head/scores"])
    whole = onnx.ModelProto()
    whole.CopyFrom(made)
    whole.graph.node.append(head)
    whole.graph.initializer.append(numpy_helper.from_array(np.zeros((width, 2), np.float32), "head/weight"))
    del whole.graph.output[:]
    whole.graph.output.append(helper.make_tensor_value_info("head/scores", TensorProto.FLOAT, ["N", 2]))
    try:
        contract.finish(whole, preprocessing, ("a", "b"), "a trial")
    except ValueError as error:
        raise PlaygroundError(f"It cannot be exported with another last layer: {first_line(error)}") from error
