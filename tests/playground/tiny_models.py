"""Hand-made models of a few weights, for tests that need a file and no training."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from playground.datasets.preprocessing import Preprocessing
from playground.deploy.contract import finish
from playground.deploy.preprocess_graph import IR_VERSION, OPSET

GRAY = Preprocessing(size=(8, 8), gray=True, mean=(0.3,), std=(0.25,))
COLOUR = Preprocessing(size=(12, 12), gray=False, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def weights(preprocessing: Preprocessing, classes: int, seed: int = 0) -> np.ndarray:
    height, width = preprocessing.size
    inputs = (1 if preprocessing.gray else 3) * height * width
    return np.random.default_rng(seed).normal(size=(inputs, classes)).astype(np.float32)


def linear_core(preprocessing: Preprocessing, classes: int, seed: int = 0, last: str | None = None) -> onnx.ModelProto:
    """scores = flatten(pixels) @ w, followed by `last` where an operator is named."""
    w = weights(preprocessing, classes, seed)
    channels = 1 if preprocessing.gray else 3
    nodes = [helper.make_node("Flatten", ["pixels"], ["flat"]),
             helper.make_node("MatMul", ["flat", "0.weight"], ["product" if last else "scores"])]
    if last:
        nodes.append(helper.make_node(last, ["product"], ["scores"]))
    graph = helper.make_graph(
        nodes, "linear",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", channels, *preprocessing.size])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(w, "0.weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def linear_file(preprocessing: Preprocessing = GRAY, classes: int = 3, seed: int = 0) -> onnx.ModelProto:
    """A whole exported file of the model above."""
    labels = [f"class {k}" for k in range(classes)]
    return finish(linear_core(preprocessing, classes, seed), preprocessing, labels, "a test")


def linear_answers(images: list[np.ndarray], preprocessing: Preprocessing = GRAY, classes: int = 3,
                   seed: int = 0) -> np.ndarray:
    """The same model's logits in NumPy, after the Python preprocessing."""
    pixels = np.stack([preprocessing.apply(image).ravel() for image in images])
    return pixels @ weights(preprocessing, classes, seed)


def pictures(*sizes: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
