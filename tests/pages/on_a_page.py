"""What the tests of pages share: reading a page's words, and a real model made in milliseconds."""

import contextlib
import io
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from streamlit.testing.v1 import AppTest

from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract, shelf
from playground.deploy.session import Classifier
from playground.deploy.shelf import Entry

OpenPage = Callable[..., AppTest]


def texts(app: AppTest) -> str:
    """All the words on the page, as one text."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "success", "warning", "error")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def put_model(name: str, labels: tuple[str, ...] = ("dark", "bright"), **facts: object) -> Entry:
    """A real model on the shelf, made in milliseconds: its first score falls with brightness, its last one rises."""
    k = len(labels)
    weight = np.linspace(-1, 1, k, dtype=np.float32)[:, None] * np.ones((1, 64), np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w"], ["scores"], transB=1)],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", k])],
        [numpy_helper.from_array(weight, "w")],
    )
    core = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    preprocessing = Preprocessing((8, 8), gray=True, mean=(0.5,), std=(0.5,))
    model: onnx.ModelProto = contract.finish(core, preprocessing, labels, "a test")
    card = {"preprocessing": {**preprocessing.to_dict(), "sentence": preprocessing.sentence()}, **facts}
    shelf.put(name, model, card)
    entry = shelf.get(name)
    assert isinstance(entry, Entry)
    assert Classifier(entry.onnx).labels == labels
    return entry


def errors(app: AppTest) -> list[str]:
    """What went wrong on the page, in its words: uncaught exceptions and error boxes."""
    return [str(element.value) for element in (*app.exception, *app.error)]


def printed(code: str) -> str:
    """What a page's "In code" prints when it is run."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    return out.getvalue()
