"""How many ONNX files of other tools the engine imports and computes as onnxruntime does.

    python -m bench.bench_import [NAME ...]

The usual networks (`bench.zoo`) are written by torch's two exporters, Keras, onnxsim, onnxslim, onnxruntime's
optimisers and quantisers; each file is run by onnxruntime and by the engine on the same numbers. A float file agrees
where no output differs by more than 1e-3 of its largest number (float16: 1e-2, its own rounding); a quantised one, in
which a tie may be rounded the other way, where it is at most 3e-2, and 5e-3 in the mean. What a tool itself cannot
write, and what onnxruntime cannot run, is left out of the count and named. Results: bench/results/.
"""

import contextlib
import datetime
import importlib.metadata
import io
import logging
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.transformers.float16 import convert_float_to_float16

from bench import zoo
from bench.report import save
from engine import no_grad
from playground.deploy.engine_backend import onnx_to_engine
from playground.deploy.engine_import.graphs import ready

FLOAT, HALF, WHOLE, WHOLE_MEAN = 1e-3, 1e-2, 3e-2, 5e-3
KERAS = {"MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {"alpha": 0.75}, "ResNet50": {}, "DenseNet121": {},
         "EfficientNetB0": {}, "Xception": {}, "VGG16": {}, "ConvNeXtTiny": {}, "NASNetMobile": {}, "InceptionV3": {}}
PACKAGES = ("numpy", "torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "onnxslim", "keras")
Write = Callable[[Path, Path], None]
NOT_WRITTEN = "not written"


def by_script(network: torch.nn.Module, path: Path, opset: int, fixed: bool = False) -> None:
    """torch's older exporter."""
    x = torch.rand(2, 3, zoo.SIDE, zoo.SIDE)
    torch.onnx.export(network, (x,), str(path), dynamo=False, opset_version=opset, input_names=["x"],
                      dynamic_axes=None if fixed else {"x": {0: "n"}})


def by_dynamo(network: torch.nn.Module, path: Path, opset: int, fixed: bool = False) -> None:
    """torch's newer exporter."""
    x = torch.rand(2, 3, zoo.SIDE, zoo.SIDE)
    torch.onnx.export(network, (x,), str(path), dynamo=True, opset_version=opset, input_names=["x"], verbose=False,
                      external_data=False, dynamic_shapes=None if fixed else ({0: torch.export.Dim("n", min=1)},))


EXPORTS: dict[str, Callable[[torch.nn.Module, Path], None]] = {
    "torch TorchScript, opset 11": lambda network, path: by_script(network, path, 11),
    "torch TorchScript, opset 17": lambda network, path: by_script(network, path, 17),
    "torch dynamo, opset 18": lambda network, path: by_dynamo(network, path, 18),
    "torch dynamo, opset 20, fixed batch": lambda network, path: by_dynamo(network, path, 20, True),
}


def simplified(source: Path, target: Path) -> None:
    import onnxsim

    model, _ = onnxsim.simplify(onnx.load(source))
    onnx.save(model, target)


def slimmed(source: Path, target: Path) -> None:
    import onnxslim

    onnx.save(onnxslim.slim(onnx.load(source)), target)


def optimised(level: Any) -> Write:
    def write(source: Path, target: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    return write


def by_transformers(source: Path, target: Path) -> None:
    from onnxruntime.transformers.optimizer import optimize_model

    optimize_model(str(source), model_type="vit", num_heads=0, hidden_size=0, opt_level=0).save_model_to_file(
        str(target))


def in_half(source: Path, target: Path) -> None:
    onnx.save(ready(convert_float_to_float16(onnx.load(source), keep_io_types=True)), target)


class Pictures(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.rest = iter([{"x": given(seed)} for seed in range(3)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rest, None)


def static(form: Any, per_channel: bool) -> Write:
    # weights of 7 bits: with 8 onnxruntime's sums overflow 16 bits on processors without VNNI, as it says itself
    return lambda source, target: quantization.quantize_static(
        str(source), str(target), Pictures(), form, per_channel=per_channel, reduce_range=True)


REWRITTEN: dict[str, Write] = {
    "onnxsim": simplified, "onnxslim": slimmed,
    "onnxruntime, basic": optimised(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC),
    "onnxruntime, extended": optimised(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED),
    "onnxruntime.transformers": by_transformers,
    "float16": in_half,
    "int8 static, QDQ, per channel": static(quantization.QuantFormat.QDQ, True),
    "int8 static, QOperator": static(quantization.QuantFormat.QOperator, False),
    "int8 dynamic": lambda source, target: quantization.quantize_dynamic(str(source), str(target)),
}


def given(seed: int, *shape: int) -> np.ndarray:
    """The same numbers every time."""
    return np.random.default_rng(seed).normal(size=shape or (2, 3, zoo.SIDE, zoo.SIDE)).astype(np.float32)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters and quantisers tell much."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def judged(path: Path, way: str, x: np.ndarray) -> dict[str, Any]:
    """onnxruntime and the engine on one file: whether both give the same, and how far they are apart."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        network = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        wanted = network.run(None, {network.get_inputs()[0].name: x})
    except Exception as error:  # its errors share no class of their own
        return {"state": "onnxruntime cannot run it", "why": first_line(error)}
    try:
        with no_grad():
            found = onnx_to_engine(path).run({network.get_inputs()[0].name: x})
    except Exception as error:  # what it says is the result
        return {"state": "refused", "why": first_line(error)}
    worst, mean = 0.0, 0.0
    for mine, other in zip(found, wanted, strict=True):
        if mine.shape != other.shape:
            return {"state": "differs", "why": f"shape {mine.shape} instead of {other.shape}"}
        gap = np.abs(mine.data.astype(np.float64) - other)
        size = max(float(np.abs(other).max()), 1e-6)
        worst, mean = max(worst, float(gap.max()) / size), max(mean, float(gap.mean()) / size)
    fits = worst <= WHOLE and mean <= WHOLE_MEAN if way.startswith("int8") else \
        worst <= (HALF if way == "float16" else FLOAT)
    return {"state": "agrees" if fits else "differs", "largest": worst, "mean": mean}


class Judge:
    """`judged` in a process of its own: some files end onnxruntime's process instead of raising."""

    def __init__(self) -> None:
        self.pool: ProcessPoolExecutor | None = None

    def __call__(self, path: Path, way: str, x: np.ndarray) -> dict[str, Any]:
        if self.pool is None:
            self.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        try:
            return self.pool.submit(judged, path, way, x).result()
        except BrokenProcessPool:
            self.pool = None
            return {"state": "onnxruntime cannot run it", "why": "its process broke"}


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:240]


def of_torch(name: str, folder: Path, judge: Judge) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every way to write one network, and what became of it."""
    network = zoo.made(name)
    files: dict[str, Path] = {}
    for way, export in EXPORTS.items():
        path = folder / f"{len(files)}.onnx"
        found = tried(partial(export, network), path, way, judge)
        if found["state"] != NOT_WRITTEN:
            files[way] = path
        yield way, found
    source = files.get("torch TorchScript, opset 17")
    for way, write in REWRITTEN.items() if source is not None else ():
        path = folder / "rewritten.onnx"
        path.unlink(missing_ok=True)
        yield way, tried(partial(write, source), path, way, judge)


def tried(write: Callable[[Path], None], path: Path, way: str, judge: Judge) -> dict[str, Any]:
    """What becomes of the file that a tool writes at `path`."""
    try:
        with quiet():
            write(path)
    except Exception as error:  # the tool's own
        return {"state": NOT_WRITTEN, "why": first_line(error)}
    return judge(path, way, given(9))


def of_keras(folder: Path, judge: Judge) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keras's own applications with random weights, through its exporter."""
    import keras

    for name, options in KERAS.items():
        keras.utils.set_random_seed(0)
        path = folder / "keras.onnx"
        try:
            with quiet():
                model = getattr(keras.applications, name)(weights=None, classes=10, input_shape=(96, 96, 3), **options)
                x = given(9, 2, 96, 96, 3)
                model(x)
                model.export(str(path), format="onnx", verbose=False)
        except Exception as error:  # its own
            yield name, {"state": NOT_WRITTEN, "why": first_line(error)}
            continue
        yield name, judge(path, "keras", x)


def of_onnx(folder: Path, judge: Judge) -> Iterator[tuple[str, dict[str, Any]]]:
    """The networks of the model zoo that onnx ships for its own tests; their weights, all alike there, drawn anew."""
    for source in sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx")):
        model, path = onnx.load(source), folder / "zoo.onnx"
        shapes = {one.name: numpy_helper.to_array(one).tolist() for one in model.graph.initializer
                  if one.data_type == onnx.TensorProto.INT64}
        alike = [one for one in model.graph.node if one.op_type == "ConstantOfShape" and one.input[0] in shapes]
        for seed, node in enumerate(alike):
            drawn = numpy_helper.from_array(weights(seed, shapes[node.input[0]]))
            node.CopyFrom(helper.make_node("Constant", [], list(node.output), value=drawn))
        onnx.save(model, path)
        held = {one.name for one in model.graph.initializer}
        (taken,) = (one for one in model.graph.input if one.name not in held)
        shape = [dim.dim_value if dim.dim_value > 0 else 1 for dim in taken.type.tensor_type.shape.dim]
        yield source.stem.removeprefix("light_"), judge(path, "onnx", given(9, *shape))


def weights(seed: int, shape: list[int]) -> np.ndarray:
    """Kernels and matrices as He et al. (2015) draw them; what has one axis, a variance may be, is around 1."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else rng.uniform(0.5, 1.5, shape)
    return drawn.astype(np.float32)


def main(only: list[str]) -> None:
    """Count, print, and, where nothing was left out, keep the table."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge()
        sources = {name: of_torch(name, Path(folder), judge) for name in zoo.NETWORKS}
        sources |= {"Keras": of_keras(Path(folder), judge), "onnx": of_onnx(Path(folder), judge)}
        for name, found in sources.items():
            for way, said in found if not only or name in only else ():
                network, tool = {"Keras": (way, "Keras on torch"), "onnx": (way, "onnx's model zoo")}.get(
                    name, (name, way))
                rows.append({"network": network, "tool": tool, **said})
                told = f"{said['largest']:.1e}" if "largest" in said else said["why"]
                print(f"{network:18} {tool:36} {said['state']:10} {told}", flush=True)
    about, table = told(rows)
    print(f"{about}\n\n{table}")
    if not only:
        save("import", about, table, rows=rows)


def told(rows: list[dict[str, Any]]) -> tuple[str, str]:
    """The count in a sentence, and a table by tool with what does not agree."""
    counted = [row for row in rows if row["state"] in ("agrees", "refused", "differs")]
    agree = sum(row["state"] == "agrees" for row in counted)
    about = (f"Files of other tools in the engine, {datetime.date.today()}: {agree} of {len(counted)} import and agree "
             f"with onnxruntime ({100 * agree / max(1, len(counted)):.1f} %).\n\n"
             + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
             + ". What counts as agreeing: the first lines of bench/bench_import.py.")
    lines = ["| written by | files | agree | refused | differ | largest difference of those that agree |",
             "|---|---|---|---|---|---|"]
    for tool in dict.fromkeys(row["tool"] for row in counted):
        own = [row for row in counted if row["tool"] == tool]
        states = [row["state"] for row in own]
        worst = max((row["largest"] for row in own if row["state"] == "agrees"), default=float("nan"))
        lines.append(f"| {tool} | {len(own)} | {states.count('agrees')} | {states.count('refused')} | "
                     f"{states.count('differs')} | {worst:.1e} |")
    lines += ["", "What does not agree:", ""]
    lines += [f"- {row['network']}, {row['tool']}: " + (row.get("why") or f"off by {row['largest']:.1e} at most, by "
              f"{row['mean']:.1e} in the mean") for row in counted if row["state"] != "agrees"] or ["- nothing"]
    left = [row for row in rows if row not in counted]
    lines += ["", "Left out, because the tool could not write it or onnxruntime cannot run it:", ""]
    lines += [f"- {row['network']}, {row['tool']}: {row['why']}" for row in left] or ["- nothing"]
    return about, "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
