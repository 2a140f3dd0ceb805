"""The frozen part of a network, which only answers: on a processor through onnxruntime, faster than torch there."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

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
