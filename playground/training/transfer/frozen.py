"""The frozen part of a network, which only answers: on a processor through onnxruntime, faster than torch there."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from playground.errors import PlaygroundError
from playground.training.transfer.backbones import ConvNorm, InvertedResidual

OPSET, IR_VERSION = 20, 9  # as in deploy/: what onnxruntime reads from 1.17 on


def answering(network: nn.Module, size: int, device: torch.device, cores: int) -> Callable[[Tensor], Tensor]:
    """What computes a frozen part: pictures float32 (n, 3, size, size) on the device -> what `network` gives for them.

    On a processor a chain of the layers of backbones.py, batch norms folded in, becomes an ONNX model that runs on so
    many `cores`; its answers are torch's to rounding. Everything else stays with torch, in eval mode. Answers lie
    channels last. Safe to call from several threads at once.
    """
    if device.type == "cpu" and is_chain(network):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(as_onnx(network, size).SerializeToString(), options,
                                               providers=["CPUExecutionProvider"])

        def quick(x: Tensor) -> Tensor:
            seen = torch.from_numpy(session.run(None, {"x": x.contiguous().numpy()})[0])
            return seen.contiguous(memory_format=torch.channels_last)

        return quick
    placed = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def plain(x: Tensor) -> Tensor:
        with torch.no_grad():
            y: Tensor = placed(x.contiguous(memory_format=torch.channels_last))
        return y

    return plain


def graph_answering(path: Path) -> Callable[[Tensor], Tensor]:
    """What computes the features of a backbone that came as an ONNX file: float32 (n, C, H, W) -> (n, D), on one core.

    Raises PlaygroundError when the file is not there or onnxruntime cannot run it (any more).
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise PlaygroundError("The backbone's ONNX file cannot be run (any more).") from error
    name = session.get_inputs()[0].name

    def answers(x: Tensor) -> Tensor:
        rows = [session.run(None, {name: part.contiguous().cpu().numpy()})[0] for part in x.split(2)]  # type: ignore[no-untyped-call]
        return torch.from_numpy(np.concatenate(rows)).to(x.device)

    return answers


def graph_with_head(path: Path, head: nn.Module) -> onnx.ModelProto:
    """A backbone that came as an ONNX file and a head of ours as one model: prepared pictures -> scores (N, K)."""
    model = onnx.load(str(path))
    graph, x = model.graph, model.graph.output[0].name
    for k, layer in enumerate(head) if isinstance(head, nn.Sequential) else ((0, head),):
        if isinstance(layer, nn.Dropout | nn.Identity):
            continue
        out = f"head/{k}"
        if isinstance(layer, nn.Linear):
            for name, values in layer.state_dict().items():
                graph.initializer.append(numpy_helper.from_array(values.cpu().numpy(), f"{out}/{name}"))
            inputs = [x, f"{out}/weight", *([f"{out}/bias"] if layer.bias is not None else [])]
            graph.node.append(helper.make_node("Gemm", inputs, [out], out, transB=1))
        elif isinstance(layer, nn.SiLU):
            graph.node.append(helper.make_node("Sigmoid", [x], [f"{out}/gate"], f"{out}/gate"))
            graph.node.append(helper.make_node("Mul", [x, f"{out}/gate"], [out], out))
        else:
            graph.node.append(helper.make_node(_ACTIVATIONS[type(layer)], [x], [out], out))
        x = out
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", None]))
    return model


_ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "Relu", nn.GELU: "Gelu", nn.Tanh: "Tanh", nn.Sigmoid: "Sigmoid"}


def leaves(*chain: nn.Module) -> Iterator[nn.Module]:
    """The layers of a chain in order, sequences opened, what does nothing left out."""
    for layer in chain:
        if isinstance(layer, nn.Sequential):
            yield from leaves(*layer)
        elif not isinstance(layer, nn.Identity):
            yield layer


def is_chain(network: nn.Module) -> bool:
    """Whether every layer is one that `as_onnx` can write."""
    return all(
        isinstance(layer, InvertedResidual | nn.AdaptiveAvgPool2d)
        or (isinstance(layer, ConvNorm) and isinstance(layer.norm, nn.Identity))
        for layer in leaves(network))


def as_onnx(network: nn.Module, size: int) -> onnx.ModelProto:
    """A chain of fused layers as ONNX: `x` float32 (N, 3, size, size), N free -> one answer.

    Written by hand because torch's exporter takes six seconds, in which onnxruntime sees 700 pictures.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def constant(values: Tensor) -> str:
        weights.append(numpy_helper.from_array(values.detach().numpy(), f"w{len(weights)}"))
        return str(weights[-1].name)

    def node(operator: str, inputs: Iterable[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, [*inputs], [f"v{len(nodes)}"], **attributes))
        return str(nodes[-1].output[0])

    limits = [constant(torch.tensor(value)) for value in (0.0, 6.0)]

    def convolution(layer: ConvNorm, x: str, side: int) -> tuple[str, int]:
        conv = layer.conv
        assert conv.bias is not None, "batch norms are to be folded into the convolutions first"
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        out = -(-side // stride)
        padding = max(0, (out - 1) * stride + kernel - side) if stride > 1 else 2 * (kernel // 2)
        before, after = padding // 2, padding - padding // 2
        y = node("Conv", (x, constant(conv.weight), constant(conv.bias)), kernel_shape=[kernel] * 2,
                 strides=[stride] * 2, group=conv.groups, pads=[before, before, after, after])
        return (y if isinstance(layer.activation, nn.Identity) else node("Clip", (y, *limits))), out

    x, side = "x", size
    for layer in leaves(network):
        if isinstance(layer, InvertedResidual):
            entered = x
            for inner in leaves(layer.expand, layer.depthwise, layer.project):
                assert isinstance(inner, ConvNorm)
                x, side = convolution(inner, x, side)
            x = node("Add", (entered, x)) if layer.residual else x
        elif isinstance(layer, ConvNorm):
            x, side = convolution(layer, x, side)
        else:
            x = node("GlobalAveragePool", (x,))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, size, size])
    answer = helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", None, None, None])
    graph = helper.make_graph(nodes, "frozen", [given], [answer], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def as_chain(whole: nn.Module) -> nn.Module:
    """A network without its classifier as a chain that ends in the average over the picture, where it is one."""
    units = getattr(whole, "units", None)
    chain = nn.Sequential(*units(), nn.AdaptiveAvgPool2d(1)) if units else whole
    return chain if is_chain(chain) else whole
