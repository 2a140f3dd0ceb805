"""How a picture becomes what somebody else's file takes: guessed from the file, to be corrected by the reader."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from playground.datasets.preprocessing import Preprocessing
from playground.deploy.preprocess_graph import PREFIX
from playground.errors import PlaygroundError

LAYOUTS, ORDERS = ("NCHW", "NHWC"), ("RGB", "BGR")
LARGEST_SIDE, USUAL_SIDE = 2048, 224
MOST_SCORES = 100_000
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALES: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "−1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
    "ImageNet's mean and deviation": (IMAGENET_MEAN, IMAGENET_STD),
}
"""Means and deviations of levels from 0 to 1, by what people call the scale."""
NUMBERS = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64",
           TensorProto.UINT8: "uint8"}


@dataclass(frozen=True)
class Preparation:
    """What is done to a picture for a file: uint8 (H, W, 3) -> (1, C, height, width) or (1, height, width, C).

    `input` is the name of the file's input and `number` what numbers it holds. `raw`: the file takes the pixels as they
    are, of any size, and prepares them itself; the rest then only says what it does.
    """

    input: str
    preprocessing: Preprocessing
    layout: str = "NCHW"
    order: str = "RGB"
    number: str = "float32"
    raw: bool = False

    def apply(self, image: np.ndarray) -> np.ndarray:
        """One picture as the file's input, a batch of one."""
        if self.raw:
            return np.ascontiguousarray(image[None])
        x = self.preprocessing.apply(image)
        if self.order == "BGR" and len(x) == 3:
            x = x[::-1]
        if self.layout == "NHWC":
            x = x.transpose(1, 2, 0)
        if self.number == "uint8":
            x = np.clip(np.rint(x), 0, 255)
        return np.ascontiguousarray(x[None].astype(self.number))

    def to_dict(self) -> dict[str, Any]:
        return {"input": self.input, "preprocessing": self.preprocessing.to_dict(), "layout": self.layout,
                "order": self.order, "number": self.number, "raw": self.raw}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> "Preparation":
        return cls(said["input"], Preprocessing.from_dict(said["preprocessing"]), said["layout"], said["order"],
                   said["number"], said["raw"])


def scale_of(preprocessing: Preprocessing) -> str | None:
    """What people call its scale; None for numbers of its own.

    >>> scale_of(Preprocessing((8, 8), True, (0.5,), (0.5,)))
    '−1 to 1'
    """
    n = len(preprocessing.mean)
    return next((name for name, (mean, std) in SCALES.items()
                 if np.allclose(preprocessing.mean, mean[:n]) and np.allclose(preprocessing.std, std[:n])), None)


def scaled(preprocessing: Preprocessing, scale: str) -> Preprocessing:
    """The same with the means and deviations of a scale."""
    mean, std = SCALES[scale]
    n = len(preprocessing.mean)
    return replace(preprocessing, mean=mean[:n], std=std[:n])


def guess(model: onnx.ModelProto) -> Preparation:
    """What most files of this kind want. Raises PlaygroundError for a file that takes no pictures.

    Exactly known for the files made here, and for their network alone, which says it in its metadata. Otherwise the
    place of the channels says the layout, whole numbers want levels as they are, files in NHWC (TensorFlow's) levels
    from -1 to 1, the others ImageNet's mean and deviation.
    """
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1:
        raise PlaygroundError(f"This file takes {len(inputs)} inputs, not one picture.")
    (value,) = inputs
    kind = value.type.tensor_type
    dims = [d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim]
    written = ", ".join("any" if n is None else str(n) for n in dims)
    if len(dims) != 4 or kind.elem_type not in NUMBERS:
        name = TensorProto.DataType.Name(kind.elem_type).lower() if kind.elem_type else "no number"
        raise PlaygroundError(f"This file's input {value.name} is {name} ({written}), which is no picture: that would "
                              "have four dimensions and numbers of 8 bits or with a point.")
    number = NUMBERS[kind.elem_type]
    if (own := made_here(model)) is not None:
        return Preparation(value.name, own, "NHWC", number=number, raw=True)
    if number == "float32" and (said := _said(model)) is not None and dims[1:] == [1 if said.gray else 3, *said.size]:
        return Preparation(value.name, said)
    layout = "NCHW" if dims[1] in (1, 3) else "NHWC" if dims[3] in (1, 3) else None
    several = layout is None and dims[1] is not None and dims[3] is not None
    layout = layout or ("NCHW" if dims[3] is not None or dims[1] is None or dims[2] is None else "NHWC")
    height, width, channels = (dims[2], dims[3], dims[1]) if layout == "NCHW" else (dims[1], dims[2], dims[3])
    if several or channels not in (None, 1, 3):
        raise PlaygroundError(f"This file's input {value.name} is ({written}): a picture has one channel or three.")
    size = (height or width or USUAL_SIDE, width or height or USUAL_SIDE)
    if max(size) > LARGEST_SIDE:
        raise PlaygroundError(f"This file takes pictures of {size[0]} × {size[1]}; at most {LARGEST_SIDE} pixels a "
                              "side are computed here.")
    gray = channels == 1
    scale = "0 to 255" if number == "uint8" else "0 to 1" if gray else "−1 to 1" if layout == "NHWC" \
        else "ImageNet's mean and deviation"
    mean, std = SCALES[scale]
    n = 1 if gray else 3
    return Preparation(value.name, Preprocessing(size, gray, mean[:n], std[:n]), layout, number=number)


def rows_of_scores(shapes: Sequence[Sequence[int]]) -> list[bool]:
    """Which of a file's outputs have the shape of one row of scores: (1, K), (K,), (1, K, 1, 1) with K from 2 on, or
    (1, 1): the one score of a classifier that tells two classes apart. Not one with a box (K, 4) for each number beside
    it: a detector's.

    >>> rows_of_scores([(1, 10), (1, 1), (1, 4, 8, 8)]), rows_of_scores([(1, 100), (1, 100, 4)])
    ([True, True, False], [False, False])
    """
    boxes = {shape[-2] for shape in shapes if len(shape) > 1 and shape[-1] == 4}
    sizes = [math.prod(shape) for shape in shapes]
    return [(tuple(shape) == (1, 1) or (2 <= size <= MOST_SCORES and max(shape) == size)) and size not in boxes
            for shape, size in zip(shapes, sizes, strict=True)]


def labels_in(model: onnx.ModelProto) -> tuple[str, ...]:
    """The classes that a file names in its metadata (ours under `labels`, Ultralytics' under `names`); else none."""
    said = {entry.key: entry.value for entry in model.metadata_props}
    for key in ("labels", "names", "classes"):
        try:
            found = json.loads(said.get(key, "").replace("'", '"') if key == "names" else said.get(key, ""))
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            found = list(found.values())
        if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
            return tuple(found)
    return ()


def labels_typed(text: str, count: int) -> tuple[str, ...]:
    """Labels that somebody pasted, one a line; those that are missing are numbered.

    >>> labels_typed("cat" + chr(10) + "dog", 3)
    ('cat', 'dog', 'class 2')
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()][:count]
    return (*lines, *(f"class {k}" for k in range(len(lines), count)))


def _said(model: onnx.ModelProto) -> Preprocessing | None:
    """What a network of ours without its preprocessing says that it wants."""
    try:
        return Preprocessing.from_dict(json.loads(next(entry.value for entry in model.metadata_props
                                                       if entry.key == "preprocessing_json")))
    except (StopIteration, ValueError, KeyError, TypeError, RecursionError):
        return None


def made_here(model: onnx.ModelProto) -> Preprocessing | None:
    """What a file made here does to a picture, read off its graph; None for other files."""
    held = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name.startswith(PREFIX)}
    found = [held.get(f"{PREFIX}{name}") for name in ("scale", "shift", "target_height", "target_width")]
    if any(one is None or one.data_location == TensorProto.EXTERNAL for one in found):
        return None
    scale, shift, height, width = (numpy_helper.to_array(one).ravel() for one in found if one is not None)
    if scale.size not in (1, 3) or shift.shape != scale.shape or not (scale > 0).all():
        return None
    std = 1 / (255 * scale.astype(np.float64))
    return Preprocessing((int(height[0]), int(width[0])), scale.size == 1, _tuple(-shift * std), _tuple(std))


def _tuple(values: np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, values))


__all__: Sequence[str] = ["LAYOUTS", "ORDERS", "SCALES", "Preparation", "guess", "labels_in", "labels_typed",
                          "made_here", "rows_of_scores", "scale_of", "scaled"]
