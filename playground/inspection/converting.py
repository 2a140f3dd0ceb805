"""A file written otherwise: in another opset, in half precision, in whole numbers of 8 bits; and what is rewritten."""

import itertools
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from playground.datasets import samples
from playground.deploy.contract import first_line
from playground.deploy.engine_import.graphs import ready
from playground.deploy.preprocess_graph import PREFIX
from playground.errors import PlaygroundError
from playground.home import whole
from playground.inspection.plain_resize import plain
from playground.inspection.report import ONNX_DOMAINS, called, fixed_batch, opened
from playground.inspection.running import batched

WAYS: Mapping[str, str] = {
    "opset 15": "for runtimes of 2021 on: operators are rewritten as that set has them",
    "opset 17": "for runtimes of 2022 on",
    "opset 22": "the newer operator set",
    "float16": "half the bytes a weight, 11 bits of precision; a processor without such arithmetic gains only size",
    "int8": "8 bits a weight and an activation, a scale for each output channel; the scales of activations come from "
            "other pictures than those it is tried on; softmax and what prepares a picture stay as they are",
}
CALIBRATION_PICTURES = 64
PER_CHANNEL_FROM = 13
"""The operator set in which a scale for each channel came."""
RESIZE_SINCE = 18
"""The operator set in which Resize came as it is now."""
KEPT_IN_FLOAT = ("Softmax", "LogSoftmax", "Sigmoid")


def convert(path: Path, target: Path, way: str, name: str | None, x: np.ndarray | None) -> dict[str, Any]:
    """Write the file otherwise to `target`; x (N, ...) are prepared pictures that int8 takes its scales from, for the
    input of that name; None for a file that takes no picture.

    Returns its `bytes` and `operators`: those that are written otherwise, with how many nodes were of that kind
    `before` and are `after`. Raises PlaygroundError with what the converter says in one line, and then nothing is
    written.
    """
    model = ready(opened(path))
    try:
        if way.startswith("opset "):
            model, opset = _shorter(model), int(way.removeprefix("opset "))
            older = onnx.ModelProto()
            older.CopyFrom(model)
            written = onnx.version_converter.convert_version(plain(older) if opset < RESIZE_SINCE else older, opset)
        elif way == "float16":
            before = onnx.ModelProto()
            before.CopyFrom(model)
            written = ready(convert_float_to_float16(model, keep_io_types=True))  # it puts casts where they are used
            model = before
        elif name is None or x is None:
            raise PlaygroundError("The scales of its activations come from pictures, and this file takes none.")
        else:
            written = _quantised(model, name, x)
        onnx.checker.check_model(written)
        content = written.SerializeToString()
    except (PlaygroundError, MemoryError):
        raise
    except Exception as error:  # each converter has errors of its own; an assertion says last what it is about
        said = first_line(error).rpartition("failed: ")[2]
        raise PlaygroundError(f"It cannot be written as {way}: {said}") from error
    with whole(target) as incoming:  # another page may offer what is there
        incoming.write_bytes(content)
    return {"bytes": len(content), "operators": rewritten(model, written)}


def rewritten(before: onnx.ModelProto, after: onnx.ModelProto) -> list[dict[str, Any]]:
    """The kinds of operators that two ways to write a file do not have alike, with how many nodes of each there are:
    in number, in their inputs, or in the names of their attributes."""
    old, new = _spelled(before.graph), _spelled(after.graph)
    return [{"operator": kind, "before": old[kind].total(), "after": new[kind].total()}
            for kind in sorted({*old, *new}) if old[kind] != new[kind]]


def _spelled(graph: onnx.GraphProto) -> defaultdict[str, Counter[Any]]:
    """How often each kind of node is there, by how it is written; those of graphs inside count, too."""
    found: defaultdict[str, Counter[Any]] = defaultdict(Counter)
    for node in _nodes(graph):
        found[called(node)][len(node.input), tuple(sorted(one.name for one in node.attribute))] += 1
    return found


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def crops(many: int = CALIBRATION_PICTURES, side: int = 160, *, to_scale: bool = False) -> list[np.ndarray]:
    """Crops of the sample photographs, always the same: pictures to try a file on whose own nobody has; those that
    int8 takes its scales from (`to_scale`) are of other photographs."""
    rng = np.random.default_rng(0)
    names = samples.photo_names()
    photos = [samples.photo(name) for name in (names[::2] if to_scale else names[1::2])]
    found = []
    for k in range(many):
        photo = photos[k % len(photos)]
        size = min(side, *photo.shape[:2])
        top, left = (int(rng.integers(0, n - size + 1)) for n in photo.shape[:2])
        found.append(np.ascontiguousarray(photo[top:top + size, left:left + size]))
    return found


def _shorter(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same without attributes that say what is so anyway: older operator sets may not know them."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        if node.domain in opsets and onnx.defs.has(node.op_type, node.domain):
            known = onnx.defs.get_schema(node.op_type, opsets[node.domain], node.domain).attributes
            said = [one for one in node.attribute
                    if one.name not in known or helper.get_attribute_value(one) != _usual(known[one.name])]
            del node.attribute[:]
            node.attribute.extend(said)
    return model


def _usual(attribute: onnx.defs.OpSchema.Attribute) -> Any:
    """What an attribute is where it is not said; None where it has to be."""
    default = attribute.default_value
    return helper.get_attribute_value(default) if default.type else None


def _quantised(model: onnx.ModelProto, name: str, x: np.ndarray) -> onnx.ModelProto:
    if next((one.version for one in model.opset_import if one.domain in ONNX_DOMAINS), 0) < PER_CHANNEL_FROM:
        model = onnx.version_converter.convert_version(model, PER_CHANNEL_FROM)
    taken = {node.name for node in model.graph.node}
    for k, node in enumerate(model.graph.node):  # what is to be left alone is told by its name
        node.name = node.name or next(name for name in (f"{node.op_type}{'_' * n}{k}" for n in itertools.count(1))
                                      if name not in taken)
    kept = [node.name for node in model.graph.node
            if node.op_type in KEPT_IN_FLOAT or node.name.startswith(PREFIX)]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        pictures = _Pictures(name, x[:CALIBRATION_PICTURES], fixed_batch(model, name))
        quantize_static(model, str(made), pictures, QuantFormat.QDQ,
                        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        nodes_to_exclude=kept, extra_options={"ActivationSymmetric": False})
        return onnx.load(made)


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Prepared pictures one at a time (as often as the file's batch wants them), as onnxruntime's quantizer asks."""

    def __init__(self, name: str, x: np.ndarray, batch: int):
        self.rest: Iterator[dict[str, np.ndarray]] = ({name: batched(one[None], batch)} for one in x)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rest, None)
