"""The report on an exported file: the same pictures through its source, through onnxruntime, and through the engine."""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from engine import no_grad
from playground.deploy import contract, engine_layers
from playground.deploy.engine_backend import EngineModel, onnx_to_engine
from playground.deploy.parity import TOLERANCE
from playground.deploy.report import ENGINE, RUNTIME, SOURCE
from playground.deploy.session import Array, Classifier
from playground.errors import PlaygroundError
from playground.home import strict

PICTURES = 16
"""How many pictures a report is made on where nobody says: the engine takes a big network's time for each."""

PIXELS_OF_LAYERS = 2**20
Ask = Callable[[Array], Array]


def report(data: bytes, sha256: str, images: Sequence[Array], what: str, source: Ask | Array | None, source_name: str,
           tolerance: float = TOLERANCE) -> dict[str, Any]:
    """How an exported file answers raw pictures, and how that differs from its source and from the engine.

    data: the file. images: uint8 (H, W, 3), at least one; `what` says in words which they are. source: what gives its
    logits (K,) for one picture, or these as (N, K), kept from the export, or None where nobody can be asked any more.
    `through` says of each who answered and its milliseconds a picture (the median), or a sentence where it could not;
    `between` compares them two by two; `layers` is `engine_layers.layers` on the smallest picture, of which it takes
    every second, third ... pixel where it is large: every number on the way is kept for it. `ok` where no two
    differ by more than `tolerance` of the largest logit, or of 1. Raises PlaygroundError without pictures, and when
    onnxruntime cannot run the file.
    """
    if not len(images):
        raise PlaygroundError("A report needs at least one picture.")
    answered: dict[str, Array] = {}
    through: list[dict[str, Any]] = []

    def told(by: str, name: str, ask: Ask) -> None:
        rows, times = [], []
        ask(images[0])  # the first time is no one's usual time
        for image in images:
            start = time.perf_counter()
            rows.append(np.asarray(ask(image), np.float64).reshape(-1))
            times.append(1000 * (time.perf_counter() - start))
        answered[by] = np.stack(rows)
        through.append({"by": by, "what": name, "milliseconds": round(statistics.median(times), 3)})

    if callable(source):
        told(SOURCE, source_name, source)
    elif source is not None:
        answered[SOURCE] = np.asarray(source, np.float64)
        through.append({"by": SOURCE, "what": f"{source_name}, its answers kept from the export"})
    classifier = Classifier(data)
    told(RUNTIME, f"onnxruntime {onnxruntime.__version__}", lambda image: classifier.predict([image])[0].logits)
    name, layers = f"NumPy engine on NumPy {np.__version__}, on the file", {}
    try:
        model = contract.parse(data)
        told(ENGINE, name, _by_engine(onnx_to_engine(model)))
        layers = {"near": engine_layers.NEAR, **engine_layers.layers(model, "image", _small(images)[None])}
    except Exception as error:  # a report never stands in the way of an export: the comparison with the source does
        layers = {"sentence": _said(error)}
        if ENGINE not in answered:
            through.append({"by": ENGINE, "what": name, **layers})
    between = [_between(a, b, answered[a], answered[b], tolerance) for a, b in itertools.combinations(answered, 2)]
    found: dict[str, Any] = strict({
        "sha256": sha256, "pictures": {"count": len(images), "what": what}, "tolerance": tolerance,
        "versions": {"numpy": np.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        "through": through, "between": between, "layers": layers, "ok": all(one["ok"] for one in between),
    })
    return found


def _small(images: Sequence[Array]) -> Array:
    image = min(images, key=lambda one: one.size)
    step = math.ceil(math.sqrt(image.shape[0] * image.shape[1] / PIXELS_OF_LAYERS))
    return np.ascontiguousarray(image[::step, ::step])


def _by_engine(model: EngineModel) -> Ask:
    place = model.outputs.index("logits")

    def ask(image: Array) -> Array:
        with no_grad():
            return np.asarray(model.run({"image": image[None]})[place].data[0])

    return ask


def _said(error: Exception) -> str:
    if isinstance(error, PlaygroundError):
        return str(error)
    if isinstance(error, MemoryError):
        return "It needs more memory than there is for it."
    return f"The engine could not run it: {contract.first_line(error)}"


def _between(a: str, b: str, x: Array, y: Array, tolerance: float) -> dict[str, Any]:
    if x.shape != y.shape:
        return {"of": [a, b], "largest": None, "mean": None, "allowed": tolerance, "same_label": 0, "ok": False}
    gap, allowed = np.abs(x - y), tolerance * max(1.0, float(np.nanmax(np.abs(x), initial=0.0)))
    largest = float(gap.max())
    return {"of": [a, b], "largest": largest if np.isfinite(largest) else None, "mean": float(gap.mean()),
            "allowed": allowed, "same_label": int((x.argmax(1) == y.argmax(1)).sum()), "ok": largest <= allowed}
