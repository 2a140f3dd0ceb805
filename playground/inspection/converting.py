"""A file written otherwise: in another opset, in half precision, in whole numbers of 8 bits; and what that changes."""

import statistics
import tempfile
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
from playground.inspection.report import opened
from playground.inspection.running import probabilities, run, scores_in, session, timed

WAYS: Mapping[str, str] = {
    "opset 15": "for runtimes of 2021 on: operators are rewritten as that set has them",
    "opset 17": "for runtimes of 2022 on",
    "opset 22": "the newer operator set",
    "float16": "half the bytes a weight, 11 bits of precision; a processor without such arithmetic gains only size",
    "int8": "8 bits a weight and an activation, a scale for each output channel; the scales of activations come from "
            "the pictures it is tried on; softmax and what prepares a picture stay as they are",
}
CALIBRATION_PICTURES = 64
PER_CHANNEL_FROM = 13
"""The operator set in which a scale for each channel came."""
KEPT_IN_FLOAT = ("Softmax", "LogSoftmax", "Sigmoid")


def convert(path: Path, target: Path, way: str, name: str, x: np.ndarray) -> dict[str, Any]:
    """Write the file otherwise to `target`; x (N, ...) are prepared pictures that int8 takes its scales from.

    Raises PlaygroundError with what the converter says in one line, and then nothing is written.
    """
    model = opened(path)
    try:
        if way.startswith("opset "):
            written = onnx.version_converter.convert_version(_shorter(model), int(way.removeprefix("opset ")))
        elif way == "float16":
            written = ready(convert_float_to_float16(model, keep_io_types=True))  # it puts casts where they are used
        else:
            written = _quantised(model, name, x)
        onnx.checker.check_model(written)
        content = written.SerializeToString()
    except (PlaygroundError, MemoryError):
        raise
    except Exception as error:  # each converter has errors of its own
        raise PlaygroundError(f"It cannot be written as {way}: {first_line(error)}") from error
    target.write_bytes(content)
    return {"bytes": len(content)}


def crops(many: int = CALIBRATION_PICTURES, side: int = 160) -> list[np.ndarray]:
    """Crops of the sample photographs, always the same: pictures to try a file on whose own nobody has."""
    rng = np.random.default_rng(0)
    photos = [samples.photo(name) for name in samples.photo_names()]
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
    if next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0) < PER_CHANNEL_FROM:
        model = onnx.version_converter.convert_version(model, PER_CHANNEL_FROM)
    kept = [node.name for node in model.graph.node
            if node.name and (node.op_type in KEPT_IN_FLOAT or node.name.startswith(PREFIX))]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        quantize_static(model, str(made), _Pictures(name, x[:CALIBRATION_PICTURES]), QuantFormat.QDQ,
                        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        nodes_to_exclude=kept, extra_options={"ActivationSymmetric": False})
        return onnx.load(made)


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Prepared pictures one at a time, as onnxruntime's quantizer asks for them."""

    def __init__(self, name: str, x: np.ndarray):
        self.rest: Iterator[dict[str, np.ndarray]] = ({name: one[None]} for one in x)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rest, None)


def compare(paths: Mapping[str, Path], name: str, x: np.ndarray) -> dict[str, Any]:
    """What each file says of the same prepared pictures x (N, ...), asked one at a time: its bytes, the milliseconds of
    one answer, and its first answers; against the first file, how many answers differ and by how much a probability at
    most. A file that does not run has a sentence instead."""
    found: dict[str, Any] = {}
    first: np.ndarray | None = None
    for way, path in paths.items():
        try:
            network = session(path)
            place, rows = None, []
            for one in x:
                results = run(network, {name: one[None]})
                place = scores_in(network, results) if place is None else place
                if place is None:
                    raise PlaygroundError("None of its outputs is one row of scores.")
                rows.append(probabilities(results[place].ravel().astype(np.float64).tolist()))
            p = np.stack(rows)
            first = p if first is None else first
            found[way] = {"bytes": path.stat().st_size, "answers": p.argmax(axis=1).tolist(),
                          "changed": int((p.argmax(axis=1) != first.argmax(axis=1)).sum()),
                          "largest": float(np.abs(p - first).max()),
                          "milliseconds": statistics.median(timed(lambda n=network: run(n, {name: x[:1]})))}
        except PlaygroundError as error:
            found[way] = {"sentence": str(error)}
    return found
