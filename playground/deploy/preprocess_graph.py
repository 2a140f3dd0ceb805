"""The preprocessing of a photograph as ONNX nodes, so that an exported file takes raw pixels of any size."""

import numpy as np
import onnx
from onnx import compose, numpy_helper, parser

from playground.datasets.preprocessing import LUMA, Preprocessing

OPSET = 20
IR_VERSION = 9  # the one opset 20 came with: onnxruntime from 1.17 on reads it
PREFIX = "preprocess/"

# In ONNX's own text form, so that it can be read. The crop is integer arithmetic on the picture's height and width,
# the same as Preprocessing.apply: the largest rectangle of the target's proportions, in the middle, rounded down. It
# comes before the resize: no pixel from outside the crop bleeds in. `exclude_outside` cuts the triangle of an edge
# pixel off and weighs it again, as Pillow and torch do; ONNX's default counts the edge pixel several times, which is
# up to 20 of 255 levels off.
_GRAPH = """
<ir_version: {ir_version}, opset_import: ["": {opset}]>
preprocess (uint8[N, H, W, 3] image) => (float[N, {channels}, {height}, {width}] pixels) {{
    height = Shape<start = 1, end = 2> (image)
    width = Shape<start = 2, end = 3> (image)

    height_times = Mul (width, target_height)
    height_that_fits = Div (height_times, target_width)
    height_or_one = Max (height_that_fits, one)
    crop_height = Min (height, height_or_one)
    width_times = Mul (height, target_width)
    width_that_fits = Div (width_times, target_height)
    width_or_one = Max (width_that_fits, one)
    crop_width = Min (width, width_or_one)

    spare_height = Sub (height, crop_height)
    spare_width = Sub (width, crop_width)
    top = Div (spare_height, two)
    left = Div (spare_width, two)
    bottom = Add (top, crop_height)
    right = Add (left, crop_width)
    starts = Concat<axis = 0> (top, left)
    ends = Concat<axis = 0> (bottom, right)
    crop = Slice (image, starts, ends, image_axes)

    {colour}
    resized = Resize<mode = "linear", antialias = 1, exclude_outside = 1, axes = [2, 3],
                     coordinate_transformation_mode = "half_pixel"> (planes, , , target)
    scaled = Mul (resized, scale)
    pixels = Add (scaled, shift)
}}
"""
_GRAY = """
    levels = Cast<to = 1> (crop)
    gray = MatMul (levels, luma)
    planes = Transpose<perm = [0, 3, 1, 2]> (gray)
"""
_RGB = """
    bytes_in_planes = Transpose<perm = [0, 3, 1, 2]> (crop)
    planes = Cast<to = 1> (bytes_in_planes)
"""


def preprocess_graph(preprocessing: Preprocessing) -> onnx.ModelProto:
    """The preprocessing alone: `image` uint8 (N, H, W, 3) of any N, H, W -> `pixels` float32 (N, C, *size).

    The same pixels as `Preprocessing.apply` to about 1e-4 (onnxruntime computes resize weights in float32). Division
    by 255, mean and deviation are folded into one multiplication and one addition.
    """
    height, width = preprocessing.size
    channels = 1 if preprocessing.gray else 3
    mean = np.asarray(preprocessing.mean, np.float64).reshape(1, channels, 1, 1)
    std = np.asarray(preprocessing.std, np.float64).reshape(1, channels, 1, 1)
    model = parser.parse_model(_GRAPH.format(
        ir_version=IR_VERSION, opset=OPSET, channels=channels, height=height, width=width,
        colour=_GRAY if preprocessing.gray else _RGB,
    ))
    constants: dict[str, np.ndarray] = {
        "target_height": np.array([height], np.int64),
        "target_width": np.array([width], np.int64),
        "target": np.array([height, width], np.int64),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "image_axes": np.array([1, 2], np.int64),
        "scale": (1 / (255 * std)).astype(np.float32),
        "shift": (-mean / std).astype(np.float32),
    }
    if preprocessing.gray:
        constants["luma"] = np.array(LUMA, np.float32).reshape(3, 1)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    for node in model.graph.node:
        node.name = node.output[0]
    return compose.add_prefix(model, PREFIX, rename_inputs=False)


def prepend(model: onnx.ModelProto, preprocessing: Preprocessing) -> onnx.ModelProto:
    """A model of prepared pixels (N, C, *size) with the preprocessing put in front: it then takes `image`.

    Names inside `model` stay as they are (initialisers keep their state-dict names). Raises ValueError when `model`
    uses a name of the preprocessing or another opset.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("") != OPSET:
        raise ValueError(f"the model is written in opset {opsets.get('')}, the preprocessing in {OPSET}")
    front = preprocess_graph(preprocessing)
    taken = sorted(name for name in _names(model.graph) if name == "image" or name.startswith(PREFIX))
    if taken:
        raise ValueError(f"the model already uses the name {taken[0]}")

    joined = onnx.ModelProto()
    joined.CopyFrom(model)
    joined.ir_version = IR_VERSION
    old, new = model.graph.input[0].name, front.graph.output[0].name
    for node in joined.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    nodes = [*front.graph.node, *joined.graph.node]
    del joined.graph.node[:], joined.graph.input[:]
    joined.graph.node.extend(nodes)
    joined.graph.input.extend(front.graph.input)
    joined.graph.initializer.extend(front.graph.initializer)
    return joined


def _names(graph: onnx.GraphProto) -> set[str]:
    names = {value.name for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer)}
    return names.union(*(node.output for node in graph.node))
