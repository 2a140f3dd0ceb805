"""Inside an exported network: every layer's feature maps, what one number of them saw, and a class score's gradient.

The file's graph is run by our own engine, from the prepared picture on, so that any model of the registry can be looked
into, whoever trained it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from engine import Tensor, no_grad
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.engine_backend import EngineModel
from playground.deploy.preprocess_graph import PREFIX
from playground.errors import PlaygroundError

Array = np.ndarray[Any, np.dtype[Any]]
Region = tuple[int, int, int, int]
"""Rows from, to (both included), columns from, to."""
EVERYTHING = 10**6
SPOKEN = {"Relu": "ReLU", "Clip": "ReLU6", "BatchNormalization": "BatchNorm", "Add": "Add (shortcut)",
          "GlobalAveragePool": "average of all places"}
_WINDOWS = ("Conv", "MaxPool", "AveragePool")
_POINTWISE = ("Relu", "Clip", "BatchNormalization", "Add", "Sub", "Mul", "Div", "LeakyRelu", "Sigmoid", "Tanh",
              "HardSwish", "Identity", "Dropout", "Gelu", "Elu")


@dataclass(frozen=True, eq=False)
class Layer:
    """One node's maps: values float32 (C, H, W), and for a convolution what it was computed from."""

    title: str
    op: str
    output: str
    values: Array
    source: Array | None = None  # (C, H, W), what the convolution slid over
    weights: Array | None = None  # (F, C / groups, KH, KW)
    bias: Array | None = None
    attributes: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Inside:
    """A network at work on one picture: prepared pixels (C, H, W), layers in order, scores (K,)."""

    core: onnx.ModelProto
    prepared: Array
    layers: tuple[Layer, ...]
    logits: Array


@dataclass(frozen=True)
class Products:
    """One number of a convolution taken apart: bias + sum of weights * window = value, a (C, KH, KW) array each."""

    window: Array
    weights: Array
    bias: float
    value: float

    @property
    def by_channel(self) -> Array:
        """The sum of products of each input channel (C,)."""
        return np.asarray((self.window.astype(np.float64) * self.weights).sum(axis=(1, 2)))


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


def look_inside(path: Path, preparation: Preprocessing, image: Array) -> Inside:
    """Run an exported network on one raw picture, keeping every layer's maps.

    image uint8 (H, W, 3). Raises PlaygroundError when the file cannot be read or holds an operator the engine does not
    know.
    """
    model = opened(path)
    prepared = preparation.apply(image)
    core = core_of(model, len(prepared), preparation.size)
    found: list[Layer] = []
    last: Array | None = None
    nodes = list(core.graph.node)
    with no_grad():
        for step in EngineModel(core).steps(prepared[None]):
            values, node = step.outputs[0].data, nodes[step.index]
            last = values if "logits" in node.output else last
            if values.ndim == 4:
                found.append(_layer(len(found), node, step.inputs, values))
    if last is None or not found:
        raise PlaygroundError("This model has no feature maps to look at.")
    return Inside(core, prepared, tuple(found), np.asarray(last[0]))


def _layer(number: int, node: onnx.NodeProto, inputs: tuple[Tensor | None, ...], values: Array) -> Layer:
    _, channels, height, width = values.shape
    op = SPOKEN.get(node.op_type, node.op_type)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    title = f"{number + 1}. {op}: {channels} maps of {height} × {width}"
    if node.op_type != "Conv":
        return Layer(title, node.op_type, node.output[0], values[0], attributes=attributes)
    source, weights = (x.data for x in inputs[:2] if x is not None)
    bias = inputs[2].data if len(inputs) > 2 and inputs[2] is not None else np.zeros(channels, np.float32)
    return Layer(title, "Conv", node.output[0], values[0], source[0], weights, bias, attributes)


def _geometry(attributes: Mapping[str, Any], kernel: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """(kernel, stride, padding before, dilation) along rows, then along columns."""
    pads = attributes.get("pads", [0, 0, 0, 0])
    for axis in range(2):
        yield (kernel[axis], attributes.get("strides", [1, 1])[axis], pads[axis],
               attributes.get("dilations", [1, 1])[axis])


def taken_apart(layer: Layer, f: int, p: int, q: int) -> Products:
    """The products behind one number of a convolution's map f at row p, column q; outside the source are zeros.

    Raises ValueError for a layer that is no convolution.
    """
    if layer.source is None or layer.weights is None or layer.bias is None or layer.attributes is None:
        raise ValueError(f"{layer.title} is no convolution")
    weights = layer.weights[f]
    groups = int(layer.attributes.get("group", 1))
    share, own = len(layer.source) // groups, f // (len(layer.weights) // groups)
    source = layer.source[own * share : (own + 1) * share]
    (kh, sh, top, dh), (kw, sw, left, dw) = _geometry(layer.attributes, weights.shape[1:])
    rows, columns = p * sh - top + dh * np.arange(kh), q * sw - left + dw * np.arange(kw)
    window = np.zeros((share, kh, kw), source.dtype)
    inside = np.ix_((rows >= 0) & (rows < source.shape[1]), (columns >= 0) & (columns < source.shape[2]))
    seen = source[:, rows.clip(0, source.shape[1] - 1)][:, :, columns.clip(0, source.shape[2] - 1)]
    window[:, inside[0], inside[1]] = seen[:, inside[0], inside[1]]
    return Products(window, weights, float(layer.bias[f]), float(layer.values[f, p, q]))


def receptive_field(inside: Inside, output: str, p: int, q: int) -> Region:
    """Which prepared pixels can reach one number of the map `output`: rows and columns from, to, within the picture."""
    needed: dict[str, Region] = {output: (p, p, q, q)}
    for node in reversed(inside.core.graph.node):
        wanted = next((needed[name] for name in node.output if name in needed), None)
        if wanted is None:
            continue
        data = node.input if node.op_type in ("Add", "Sub", "Mul", "Div") else node.input[:1]
        for name in data:
            region = _through(node, wanted, inside.core)
            before = needed.get(name, region)
            needed[name] = (min(before[0], region[0]), max(before[1], region[1]), min(before[2], region[2]),
                            max(before[3], region[3]))
    height, width = inside.prepared.shape[1:]
    top, bottom, left, right = needed.get(inside.core.graph.input[0].name, (0, 0, 0, 0))
    return max(0, top), min(height - 1, bottom), max(0, left), min(width - 1, right)


def _through(node: onnx.NodeProto, region: Region, core: onnx.ModelProto) -> Region:
    """The input region that a node needs for an output region."""
    if node.op_type in _POINTWISE:
        return region
    if node.op_type not in _WINDOWS:
        return (-EVERYTHING, EVERYTHING, -EVERYTHING, EVERYTHING)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = attributes.get("kernel_shape")
    if kernel is None:
        kernel = next(t.dims for t in core.graph.initializer if t.name == node.input[1])[2:]
    rows, columns = _geometry(attributes, tuple(kernel))
    (top, bottom), (left, right) = (
        (first * stride - before, last * stride - before + dilation * (size - 1))
        for (first, last), (size, stride, before, dilation) in zip((region[:2], region[2:]), (rows, columns),
                                                                   strict=True))
    return top, bottom, left, right


def saliency(inside: Inside, label: int) -> Array:
    """The gradient of one class's score with respect to the prepared pixels: float32 (C, H, W), by our engine."""
    x = Tensor(inside.prepared[None], requires_grad=True)
    logits = EngineModel(inside.core)(x)
    chosen = np.zeros(logits.shape, np.float32)
    chosen[0, label] = 1
    logits.backward(chosen)
    assert x.grad is not None
    return np.asarray(x.grad[0])
