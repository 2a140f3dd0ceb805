"""The numbers an exported file holds: how many, and those of the engine's own by name."""

import math
import re
from pathlib import Path

import numpy as np
from onnx import TensorProto, numpy_helper

from playground.deploy import contract


def count_weights(path: Path) -> int:
    """The numbers in a file's float tensors: what was learnt, and the few constants of its preprocessing.

    Less than the trainer counts where an exporter folded a batch norm into the convolution before it. Raises
    PlaygroundError when the file is no ONNX model.
    """
    tensors = contract.parse(path.read_bytes()).graph.initializer
    return sum(math.prod(tensor.dims) for tensor in tensors if tensor.data_type == TensorProto.FLOAT)


def state_dict_of(path: Path) -> dict[str, np.ndarray]:
    """The learnt arrays of a file that the engine's trainer made, by the names of its modules ("0.weight").

    Raises PlaygroundError when the file is no ONNX model.
    """
    tensors = contract.parse(path.read_bytes()).graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors
            if re.fullmatch(r"[\d.]+\.[a-z_]+", tensor.name)}
