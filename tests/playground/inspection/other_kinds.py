"""Small files of the kinds that people bring beside classifiers, each by its name."""

import numpy as np
import onnx
from onnx import numpy_helper, parser

POOLED = "a = Conv (x, w) b = Relu (a) c = GlobalAveragePool (b) d = Flatten (c)"
BODIES = {
    "classifier": ("float[N, 3, 12, 12] x", "float[N, 5] y", f"{POOLED} y = Gemm (d, v)"),
    "segmenter": ("float[N, 3, 12, 12] x", "float[N, 4, 10, 10] y", "y = Conv (x, w)"),
    "detector": ("float[N, 3, 12, 12] x", "float[N, 100, 4] boxes, float[N, 100] certain",
                 "m = Conv (x, w) t = Transpose <perm = [0, 2, 3, 1]> (m) boxes = Reshape (t, rows) "
                 "certain = ReduceMax <keepdims = 0> (boxes, last)"),
    "one logit": ("float[N, 3, 12, 12] x", "float[N, 1] y", f"{POOLED} y = Gemm (d, one)"),
    "one probability": ("float[N, 3, 12, 12] x", "float[N, 1] y", f"{POOLED} z = Gemm (d, one) y = Sigmoid (z)"),
    "eight at once": ("float[8, 3, 12, 12] x", "float[8, 5] y", f"{POOLED} y = Gemm (d, v)"),
    "eight counted on": ("float[8, 3, 12, 12] x", "float[8, 5] y",
                         "a = Conv (x, w) c = GlobalAveragePool (a) d = Reshape (c, eight) y = Gemm (d, v)"),
    "two inputs": ("float[N, 3, 12, 12] x, float[N, 3, 12, 12] z", "float[N, 4, 10, 10] y",
                   "s = Add (x, z) y = Conv (s, w)"),
    "four channels": ("float[N, 4, H, W] x", "float[N, 4, H, W] y", "y = Relu (x)"),
    "a softmax without a name": ("float[N, 3, 12, 12] x", "float[N, 5] y",
                                 f"{POOLED} e = Gemm (d, v) y = Softmax <axis = 1> (e)"),
    "unknown operators": ("float[N, 3, 12, 12] x", "float[N, 5] y",
                          f"{POOLED} e = Foo (d) f = Bar (e) g = Foo (f) y = Gemm (g, v)"),
}


def made(kind: str) -> onnx.ModelProto:
    """The file of that kind, its weights drawn from a fixed seed."""
    inputs, outputs, body = BODIES[kind]
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g ({inputs}) => ({outputs}) {{ {body} }}')
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(4, 3, 3, 3)), "v": 3 * rng.normal(size=(4, 5)), "one": 3 * rng.normal(size=(4, 1))}
    model.graph.initializer.extend(numpy_helper.from_array(value.astype(np.float32), name)
                                   for name, value in weights.items() if f", {name})" in body)
    numbers = {"rows": [0, 100, 4], "last": [-1], "eight": [8, -1]}
    model.graph.initializer.extend(numpy_helper.from_array(np.array(value, np.int64), name)
                                   for name, value in numbers.items() if f", {name})" in body)
    return model
