"""An exported file's network alone, without the preparation in front of it."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from playground.deploy.preprocess_graph import PREFIX
from playground.errors import PlaygroundError


def core_of(model: onnx.ModelProto, channels: int, size: tuple[int, int]) -> onnx.ModelProto:
    """The network without the preparation in front of it: prepared pixels (N, C, H, W) -> logits (N, K)."""
    inside = [node for node in model.graph.node if not node.name.startswith(PREFIX)]
    made = {name for node in model.graph.node if node.name.startswith(PREFIX) for name in node.output}
    entries = [name for node in inside for name in node.input if name in made]
    if not entries:
        raise PlaygroundError("This file's preparation and network cannot be told apart, so it cannot be looked into.")
    core = onnx.ModelProto()
    core.CopyFrom(model)
    graph = core.graph
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(inside)
    graph.input.append(helper.make_tensor_value_info(entries[0], TensorProto.FLOAT, ["N", channels, *size]))
    graph.output.append(next(o for o in model.graph.output if o.name == "logits"))
    return core


def opened(path: Path) -> onnx.ModelProto:
    """The file's model. Raises PlaygroundError when it cannot be read."""
    try:
        return onnx.load(str(path))
    except Exception as error:  # onnx raises what protobuf raises
        raise PlaygroundError("This model's file cannot be read.") from error
