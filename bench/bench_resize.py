"""The preprocessing inside an exported file, by how it resizes: time of one picture, and how far it is from Python's.

    python -m bench.bench_resize [ROUNDS]

The ways: `Preprocessing.apply` in Python; ONNX's Resize with antialias, as files were exported before; the matrices of
`preprocess_graph` in blocks of 1, 4, 8 (what exports have) and 16 neighbouring results, or one dense matrix.
onnxruntime runs on one thread; every round asks every way once, so that all meet the same moments of a busy machine;
the best of the rounds counts. Compare within a row. Results: bench/results/.
"""

import datetime
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, parser

from bench.report import save
from playground.datasets.preprocessing import LUMA, Preprocessing
from playground.deploy import preprocess_graph

TARGETS = {"RGB 224 x 224": Preprocessing((224, 224), False, (0.5,) * 3, (0.25,) * 3),
           "gray 28 x 28": Preprocessing((28, 28), True, (0.5,), (0.25,))}
PICTURES = ((640, 480), (1920, 1080), (4000, 3000))
BLOCKS = (1, 4, 8, 16)
ROUNDS = 5

# The crop as in preprocess_graph, then one Resize.
_RESIZE = """
<ir_version: 9, opset_import: ["": 20]>
preprocess (uint8[1, H, W, 3] image) => (float[1, {channels}, {side}, {side}] pixels) {{
    image_size = Shape (image)
    sides = Slice (image_size, one, three)
    side = ReduceMin<keepdims = 1> (sides)
    spare = Sub (sides, side)
    starts = Div (spare, two)
    ends = Add (starts, side)
    crop = Slice (image, starts, ends, image_axes)
    levels = Cast<to = 1> (crop)
    {colour}
    resized = Resize<mode = "linear", antialias = 1, axes = [2, 3], exclude_outside = 1> (planes, , , target)
    scaled = Mul (resized, scale)
    pixels = Add (scaled, shift)
}}
"""
_GRAY = "dull = MatMul (levels, luma) planes = Transpose<perm = [0, 3, 1, 2]> (dull)"
_RGB = "planes = Transpose<perm = [0, 3, 1, 2]> (levels)"


def with_resize(preprocessing: Preprocessing) -> onnx.ModelProto:
    """The preprocessing with ONNX's own Resize."""
    channels, side = 1 if preprocessing.gray else 3, preprocessing.size[0]
    model = parser.parse_model(_RESIZE.format(channels=channels, side=side, colour=_GRAY if channels == 1 else _RGB))
    std = np.array(preprocessing.std, np.float64).reshape(1, channels, 1, 1)
    held: dict[str, Any] = {"one": np.array([1]), "two": np.array([2]), "three": np.array([3]),
                            "image_axes": np.array([1, 2]), "target": np.array([side, side]),
                            "scale": (1 / (255 * std)).astype(np.float32),
                            "shift": (-np.array(preprocessing.mean).reshape(std.shape) / std).astype(np.float32)}
    if channels == 1:
        held["luma"] = np.array(LUMA, np.float32).reshape(3, 1)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in held.items())
    return model


@contextmanager
def blocks_of(most: int) -> Iterator[None]:
    """So many neighbouring results share a window of pixels at most."""
    before, preprocess_graph.MOST_OF_A_BLOCK = preprocess_graph.MOST_OF_A_BLOCK, most
    try:
        yield
    finally:
        preprocess_graph.MOST_OF_A_BLOCK = before


def by_matrices(preprocessing: Preprocessing, most: int) -> onnx.ModelProto:
    """The preprocessing as exports have it, with blocks of that size."""
    with blocks_of(most):
        return preprocess_graph.preprocess_graph(preprocessing)


def asker(model: onnx.ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    """onnxruntime on the graph, with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda image: np.asarray(session.run(None, {"image": image[None]})[0][0])


def ways(preprocessing: Preprocessing) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Every way, by its name."""
    side = preprocessing.size[0]
    return {"Python": preprocessing.apply, "Resize": asker(with_resize(preprocessing)),
            **{f"block {n}": asker(by_matrices(preprocessing, n)) for n in BLOCKS},
            "dense": asker(by_matrices(preprocessing, side))}


def main(rounds: int) -> None:
    """Measure, print, keep the table."""
    rng, rows = np.random.default_rng(0), []
    names = ["Python", "Resize", *(f"block {n}" for n in BLOCKS), "dense"]
    lines = [f"| target | picture | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    worst = dict.fromkeys(names, 0.0)
    for target, preprocessing in TARGETS.items():
        asked = ways(preprocessing)
        for width, height in PICTURES:
            image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
            best = dict.fromkeys(names, float("inf"))
            wanted = preprocessing.apply(image)
            for name, ask in asked.items():
                worst[name] = max(worst[name], float(np.abs(ask(image) - wanted).max()))
            for _ in range(rounds):
                for name, ask in asked.items():
                    start = time.perf_counter()
                    ask(image)
                    best[name] = min(best[name], 1000 * (time.perf_counter() - start))
            rows.append({"target": target, "picture": [width, height], "milliseconds": best})
            lines.append(f"| {target} | {width} x {height} | {' | '.join(f'{best[name]:.3g}' for name in names)} |")
            print(lines[-1], flush=True)
    about = (f"The preprocessing in an exported file, by how it resizes, {datetime.date.today()}: onnxruntime "
             f"{onnxruntime.__version__}, one thread of {os.cpu_count()} cores, one picture of noise, the best of "
             f"{rounds}, in milliseconds.")
    lines += ["", "Largest difference from Python, in the units of a network: "
              + ", ".join(f"{name} {worst[name]:.1e}" for name in names[1:]) + "."]
    print(lines[-1])
    save("resize", about, "\n".join(lines), rows=rows, differences=worst)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
