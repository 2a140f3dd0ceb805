"""Small files written as tf2onnx and paddle2onnx write them: after graphs that both have really made."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

Numbers = Mapping[str, tuple[int, ...]]

# Keras's layout outside, ONNX's inside: a transposition on either side of what has places; padding is said by
# auto_pad, or comes before the convolution and is larger on one side; the mean over places keeps no axis.
_TF = """<ir_version: 8, opset_import: ["": 15]>
tf2onnx (float[unk__6, 32, 32, 3] x) => (float[unk__7, 5] y) {
    nchw = Transpose <perm = [0, 3, 1, 2]> (x)
    a = Conv <auto_pad = "SAME_UPPER", kernel_shape = [3, 3], strides = [2, 2]> (nchw, k, kb)
    b = Clip (a, zero, six)
    b_back = Transpose <perm = [0, 2, 3, 1]> (b)
    padded = Pad <mode = "constant"> (b_back, pads)
    c_nchw = Transpose <perm = [0, 3, 1, 2]> (padded)
    c = Conv <auto_pad = "VALID", kernel_shape = [3, 3], strides = [2, 2], group = 6> (c_nchw, depth, depth_b)
    c_back = Transpose <perm = [0, 2, 3, 1]> (c)
    shifted = Mul (c_back, fold_scale)
    normed = Add (shifted, fold_shift)
    gate = Sigmoid (normed)
    swish = Mul (normed, gate)
    d_nchw = Transpose <perm = [0, 3, 1, 2]> (swish)
    pooled = MaxPool <auto_pad = "SAME_UPPER", kernel_shape = [3, 3], strides = [2, 2]> (d_nchw)
    mean = GlobalAveragePool (pooled)
    row = Squeeze (mean, places)
    cut = Reshape (row, six_wide)
    product = MatMul (cut, dense)
    logits = Add (product, dense_b)
    y = Softmax <axis = 1> (logits)
}"""
_TF_NUMBERS: Numbers = {"k": (6, 3, 3, 3), "kb": (6,), "depth": (6, 1, 3, 3), "depth_b": (6,),
                        "fold_scale": (1, 1, 1, 6), "fold_shift": (1, 1, 1, 6), "dense": (6, 5), "dense_b": (5,)}
_TF_GIVEN = {"zero": np.float32(0), "six": np.float32(6), "pads": np.array([0, 0, 0, 0, 0, 1, 1, 0]),
             "places": np.array([2, 3]), "six_wide": np.array([-1, 6])}

# The blocks of PP-OCR: hard swish spelled out, squeeze and excitation by a hard sigmoid of slope 0.2, a batch norm
# that was not folded, and a row of numbers by the shape's own beginning.
_PADDLE = """<ir_version: 7, opset_import: ["": 11]>
paddle (float[N, 3, 32, 32] x) => (float[N, 5] y) {
    bn = BatchNormalization <epsilon = 1e-05, momentum = 0.9> (conv, bn_scale, bn_shift, bn_mean, bn_variance)
    conv = Conv <dilations = [1, 1], group = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (x, k)
    above = Add (bn, three)
    cut = Clip (above, zero, six)
    times = Mul (bn, cut)
    swish = Div (times, six)
    pooled = GlobalAveragePool (swish)
    narrow = Conv <kernel_shape = [1, 1]> (pooled, squeeze)
    narrow_relu = Relu (narrow)
    wide = Conv <kernel_shape = [1, 1]> (narrow_relu, excite)
    gate = HardSigmoid <alpha = 0.2, beta = 0.5> (wide)
    gated = Mul (swish, gate)
    scaled = Mul (gated, scale)
    biased = Add (scaled, bias)
    small = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (biased)
    shape = Shape (small)
    first = Slice (shape, zero_at, one_at)
    both = Concat <axis = 0> (first, rest)
    row = Reshape (small, both)
    product = MatMul (row, dense)
    logits = Add (product, dense_b)
    y = Softmax <axis = -1> (logits)
}"""
_PADDLE_NUMBERS: Numbers = {"k": (8, 3, 3, 3), "bn_scale": (8,), "bn_shift": (8,), "bn_mean": (8,), "bn_variance": (8,),
                            "squeeze": (2, 8, 1, 1), "excite": (8, 2, 1, 1), "dense": (128, 5), "dense_b": (5,)}
_PADDLE_GIVEN = {"three": np.array([3], np.float32), "zero": np.float32(0), "six": np.float32(6),
                 "zero_at": np.array([0]), "one_at": np.array([1]), "rest": np.array([128]),
                 "scale": np.array([0.5], np.float32), "bias": np.array([0.25], np.float32)}


def tf2onnx() -> onnx.ModelProto:
    """Initialisers, as tf2onnx writes them; the batch is open by a name that it makes up."""
    model = parser.parse_model(_TF)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name)
                                   for name, value in _numbers(_TF_NUMBERS, _TF_GIVEN).items())
    return model


def paddle2onnx() -> onnx.ModelProto:
    """Every number in a Constant node, nodes in no order, and -1 for what is open."""
    model = parser.parse_model(_PADDLE)
    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value), name))
             for name, value in _numbers(_PADDLE_NUMBERS, _PADDLE_GIVEN).items()]
    model.graph.node.extend(nodes)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = -1
    return model


STYLES = {"tf2onnx": tf2onnx, "paddle2onnx": paddle2onnx}
LEARNT = {style: sum(int(np.prod(shape)) for name, shape in numbers.items() if name not in ("bn_mean", "bn_variance"))
          for style, numbers in (("tf2onnx", _TF_NUMBERS), ("paddle2onnx", _PADDLE_NUMBERS))}


def _numbers(drawn: Numbers, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {name: rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1) for name, shape in drawn.items()}
    return {**{name: (np.abs(value) + 0.5 if "variance" in name else value).astype(np.float32)
               for name, value in found.items()}, **given}
