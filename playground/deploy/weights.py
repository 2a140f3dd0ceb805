"""How many numbers an exported file holds."""

import math
from pathlib import Path

from onnx import TensorProto

from playground.deploy import contract


def count_weights(path: Path) -> int:
    """The numbers in a file's float tensors: what was learnt, and the few constants of its preprocessing.

    Less than the trainer counts where an exporter folded a batch norm into the convolution before it. Raises
    PlaygroundError when the file is no ONNX model.
    """
    tensors = contract.parse(path.read_bytes()).graph.initializer
    return sum(math.prod(tensor.dims) for tensor in tensors if tensor.data_type == TensorProto.FLOAT)
