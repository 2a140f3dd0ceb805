"""The preprocessing of a photograph as ONNX nodes, so that an exported file takes raw pixels of any size."""

from typing import Any

import numpy as np
import onnx
from onnx import compose, numpy_helper, parser

from playground.datasets.preprocessing import LUMA, Preprocessing

OPSET = 20
IR_VERSION = 9  # the one opset 20 came with: onnxruntime from 1.17 on reads it
PREFIX = "preprocess/"

MOST_OF_A_BLOCK = 8  # results that share a window of the picture: measured in bench/results/resize-2026-11-30.md

# In ONNX's own text form, so that it can be read. The crop is integer arithmetic on the picture's height and width,
# the same as Preprocessing.apply: the largest rectangle of the target's proportions, in the middle, rounded down. It
# comes before the resize: no pixel from outside the crop bleeds in.
#
# The resize is two products with matrices of weights, rows first, because runtimes differ in what their Resize can do.
# Gray is a weighted sum like the resize, so it comes last, where there are few pixels.
_GRAPH = """
<ir_version: {ir_version}, opset_import: ["": {opset}]>
preprocess (uint8[N, H, W, 3] image) => (float[N, {channels}, {height}, {width}] pixels) {{
    image_size = Shape (image)
    height = Slice (image_size, one, two)
    width = Slice (image_size, two, three)

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

    {row_weights}
    lines = Reshape (crop, as_lines)
    row_bytes = Gather<axis = 1> (lines, row_places)
    row_levels = Cast<to = 1> (row_bytes)
    row_blocks = MatMul (row_weights, row_levels)
    rows = Reshape (row_blocks, as_rows)

    {column_weights}
    planes = Transpose<perm = [0, 3, 2, 1]> (rows)
    column_levels = Gather<axis = 2> (planes, column_places)
    column_blocks = MatMul (column_weights, column_levels)
    columns = Reshape (column_blocks, as_columns)
    {colour}
    scaled = Mul (resized, scale)
    pixels = Add (scaled, shift)
}}
"""
# One axis of m pixels made n. Pillow's triangle filter, and torch's: with s = max(m / n, 1), pixel x counts for
# result i by
#
#     max(0, 1 - |x + 1/2 - (i + 1/2) m / n| / s), divided by the sum over the pixels that exist.
#
# Times 2 max(m, n) all of it is whole numbers. A matrix n x m would be zeros mostly, and the product 20 times slower
# where a photograph is shrunk tenfold; so the results are taken in blocks of neighbours, and each block looks at its
# own window of pixels: weights (blocks, results of a block, window). Windows are equally long, pushed inside the
# picture at its edges, and a few pixels longer than needed; those weigh nothing.
_WEIGHTS = """
    {axis}_longer = Max (crop_{side}, target_{side})
    {axis}_reach = Mul ({axis}_longer, two)
    {axis}_first = Mul ({axis}_block_starts, crop_{side})
    {axis}_first_edge = Sub ({axis}_first, {axis}_reach)
    {axis}_first_pixel = Sub ({axis}_first_edge, target_{side})
    {axis}_first_place = Div ({axis}_first_pixel, {axis}_twice_target)
    {axis}_steps = Mul (crop_{side}, {axis}_block_less_one)
    {axis}_span = Add ({axis}_steps, {axis}_reach)
    {axis}_whole_span = Div ({axis}_span, target_{side})
    {axis}_enough = Add ({axis}_whole_span, three)
    {axis}_window = Min ({axis}_enough, crop_{side})
    {axis}_last_start = Sub (crop_{side}, {axis}_window)
    {axis}_not_after = Min ({axis}_first_place, {axis}_last_start)
    {axis}_start = Max ({axis}_not_after, zero)
    {axis}_window_number = Squeeze ({axis}_window)
    {axis}_offsets = Range (zero_number, {axis}_window_number, one_number)
    {axis}_places = Add ({axis}_start, {axis}_offsets)

    {axis}_places_of_all = Unsqueeze ({axis}_places, one)
    {axis}_place_times = Mul ({axis}_places_of_all, {axis}_twice_target)
    {axis}_place_middles = Add ({axis}_place_times, target_{side})
    {axis}_middles = Mul ({axis}_results, crop_{side})
    {axis}_signed = Sub ({axis}_place_middles, {axis}_middles)
    {axis}_distance = Abs ({axis}_signed)
    {axis}_slope = Sub ({axis}_reach, {axis}_distance)
    {axis}_triangle = Max ({axis}_slope, zero)
    {axis}_heights = Cast<to = 1> ({axis}_triangle)
    {axis}_sum = ReduceSum ({axis}_heights, two)
    {axis}_weights = Div ({axis}_heights, {axis}_sum)
"""
_GRAY = """
    colours = Transpose<perm = [0, 3, 2, 1]> (columns)
    gray = MatMul (colours, luma)
    resized = Transpose<perm = [0, 3, 1, 2]> (gray)
"""
_RGB = """
    resized = Transpose<perm = [0, 1, 3, 2]> (columns)
"""


def preprocess_graph(preprocessing: Preprocessing) -> onnx.ModelProto:
    """The preprocessing alone: `image` uint8 (N, H, W, 3) of any N, H, W -> `pixels` float32 (N, C, *size).

    The same pixels as `Preprocessing.apply` to about 1e-4 (weights and sums are float32). Division by 255, mean and
    deviation are folded into one multiplication and one addition. Only operators that opset 13 has, as it has them.
    """
    height, width = preprocessing.size
    channels = 1 if preprocessing.gray else 3
    mean = np.asarray(preprocessing.mean, np.float64).reshape(1, channels, 1, 1)
    std = np.asarray(preprocessing.std, np.float64).reshape(1, channels, 1, 1)
    model = parser.parse_model(_GRAPH.format(
        ir_version=IR_VERSION, opset=OPSET, channels=channels, height=height, width=width,
        row_weights=_WEIGHTS.format(axis="row", side="height"),
        column_weights=_WEIGHTS.format(axis="column", side="width"),
        colour=_GRAY if preprocessing.gray else _RGB,
    ))
    whole_numbers = {
        "target_height": [height], "target_width": [width], "zero": [0], "one": [1], "two": [2], "three": [3],
        "zero_number": 0, "one_number": 1, "image_axes": [1, 2],
        "as_lines": [0, 0, -1], "as_rows": [0, height, -1, 3], "as_columns": [0, 3, width, height],
        **_blocks("row", height), **_blocks("column", width),
    }
    constants: dict[str, np.ndarray] = {name: np.array(value, np.int64)
                                       for name, value in whole_numbers.items()}
    constants |= {"scale": (1 / (255 * std)).astype(np.float32), "shift": (-mean / std).astype(np.float32)}
    if preprocessing.gray:
        constants["luma"] = np.array(LUMA, np.float32).reshape(3, 1)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    for node in model.graph.node:
        node.name = node.output[0]
    return compose.add_prefix(model, PREFIX, rename_inputs=False)


def _blocks(axis: str, results: int) -> dict[str, Any]:
    """The constants of one axis: its results in as few blocks as can be equally large and no larger than allowed."""
    block = next(size for size in range(min(MOST_OF_A_BLOCK, results), 0, -1) if results % size == 0)
    middles = 2 * np.arange(results).reshape(-1, block, 1) + 1
    return {f"{axis}_results": middles, f"{axis}_block_starts": middles[:, 0], f"{axis}_block_less_one": [block - 1],
            f"{axis}_twice_target": [2 * results]}


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
