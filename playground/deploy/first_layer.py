"""The kernels a trained network begins with, read out of its file without running anything."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from playground.deploy.session import Array
from playground.errors import PlaygroundError


@dataclass(frozen=True)
class FirstKernels:
    """Weights float32 (F, C, KH, KW) of the first convolution, the node's name in the file, and whether any node of the
    file is a batch norm: torch's exporter leaves none, it folds them into the weights."""

    weights: Array
    node: str
    batch_norm: bool


def first_kernels(path: Path) -> FirstKernels | None:
    """The weights of the first convolution in an exported file, in the graph's order; None when it holds no
    two-dimensional convolution with stored weights.

    Raises PlaygroundError when the file cannot be read.
    """
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # onnx raises what protobuf raises
        raise PlaygroundError("This model's file cannot be read.") from error
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) > 1 and node.input[1] in stored:
            weights = numpy_helper.to_array(stored[node.input[1]])
            if weights.ndim == 4:
                normalized = any(other.op_type == "BatchNormalization" for other in graph.node)
                return FirstKernels(np.asarray(weights, np.float32), node.name or node.output[0], normalized)
    return None
