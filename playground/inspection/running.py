"""A file at work: what onnxruntime answers, how fast, and beside it the engine's answer."""

import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from engine import no_grad
from playground.deploy.contract import first_line
from playground.deploy.engine_backend import onnx_to_engine
from playground.errors import PlaygroundError
from playground.inspection.preparation import rows_of_scores
from playground.inspection.report import opened, unknown

TIMES, SECONDS = 30, 2.0
"""How often, and for how long at most, an answer is asked for to be timed."""
TOP = 5
SINGLE = {False: "logit", True: "probability"}
PASSING = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""What leaves numbers as they are."""
LEVELS: Mapping[str, Any] = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def session(file: Path | bytes, *, threads: int = 2, level: str = "all", profile: str | None = None
            ) -> onnxruntime.InferenceSession:
    """A file, or its bytes, opened by onnxruntime. Raises PlaygroundError with what onnxruntime says in one line."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = LEVELS[level]
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    data = file if isinstance(file, bytes) else file.read_bytes()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's errors share no class of their own
        said = first_line(error)
        if "registered" in said:  # an operator that is none: it names the first only
            said = unknown(onnx.load_from_string(data)) or said
        raise PlaygroundError(f"onnxruntime cannot run this file: {said}") from error


def answers(path: Path, name: str, x: np.ndarray) -> dict[str, Any]:
    """What the file says of one picture, by onnxruntime and by the engine, with times in milliseconds.

    `scores` are the first of its outputs that is one row of scores (one that is called logits goes first), else None;
    `single` says what a row of one was, a logit or a probability: it stands there as two. A file of a fixed `batch` is
    given the picture so often, and its first row counts. `engine` is what the engine says: its time, and the largest
    and mean difference of all outputs, or a sentence.
    """
    model = opened(path)  # what cannot be opened is said as everywhere
    network = session(path)
    x = batched(x, batch_of(network, name))
    outputs = [one.name for one in network.get_outputs()]
    results = run(network, {name: x})
    times = timed(lambda: run(network, {name: x}))
    arrays = [value if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else None for value in results]
    said = [{"name": one, "shape": list(value.shape), "least": float(value.min()), "most": float(value.max()),
             "mean": float(value.mean())} if value is not None and value.size else {"name": one}
            for one, value in zip(outputs, arrays, strict=True)]
    rows = first_rows(results, len(x))
    place = scores_in(network, rows)
    scores = None if place is None else scores_of(rows[place], probability_in(model, outputs[place]))
    return {
        "outputs": said, "milliseconds": times, "batch": len(x),
        "scores": None if scores is None else [one if np.isfinite(one) else None for one in scores],
        "scores_of": None if place is None else outputs[place],
        "single": None if place is None or rows[place].size > 1 else SINGLE[probability_in(model, outputs[place])],
        "engine": _by_engine(model, name, x, arrays),
    }


def _by_engine(model: onnx.ModelProto, name: str, x: np.ndarray, theirs: Sequence[np.ndarray | None]) -> dict[str, Any]:
    try:
        network = onnx_to_engine(model)
        with no_grad():
            start = time.perf_counter()
            ours = network.run({name: x})
            seconds = time.perf_counter() - start
        gaps = [np.abs(mine.data.astype(np.float64) - other) for mine, other in zip(ours, theirs, strict=True)
                if other is not None and other.size]
        if not gaps:
            return {"milliseconds": 1000 * seconds, "largest": None, "mean": None}
        return {"milliseconds": 1000 * seconds, "largest": float(max(gap.max() for gap in gaps)),
                "mean": statistics.fmean(float(gap.mean()) for gap in gaps)}
    except PlaygroundError as error:
        return {"sentence": str(error)[:2000]}
    except MemoryError:
        return {"sentence": "The engine would need more memory for it than a file may have here."}
    except Exception as error:  # a file of somebody else: whatever numpy says of it
        return {"sentence": f"The engine could not run it: {first_line(error)}"}


def profile(path: Path, name: str, x: np.ndarray, *, batches: Sequence[int] = (1, 2, 4, 8, 16),
            threads: Sequence[int] = tuple(sorted({1, 2, os.cpu_count() or 1}))) -> dict[str, Any]:
    """How fast onnxruntime runs the file: by threads, by how far it may rewrite the graph, by pictures at once, and the
    time of each operator. Times are in milliseconds for one call, of `at once` pictures: one, or as many as the file is
    fixed to."""
    own = batch_of(session(path), name)
    x = batched(x, own)
    by_threads = [{"threads": n, **_spread(timed(_asker(session(path, threads=n), name, x)))} for n in threads]
    by_level = [{"level": level, **_spread(timed(_asker(session(path, level=level), name, x)))} for level in LEVELS]
    network, by_batch = session(path), []
    for n in batches if own is None else (1,):
        many = np.repeat(x, n, axis=0)
        try:
            times = timed(_asker(network, name, many))
        except PlaygroundError:  # a file for one picture at a time that does not say so
            break
        by_batch.append({"pictures": len(many), **_spread(times), "each": statistics.median(times) / len(many),
                         "a second": 1000 * len(many) / statistics.median(times)})
    return {"at once": len(x), "threads": by_threads, "levels": by_level, "batches": by_batch,
            "operators": _operators(path, name, x), "samples": timed(_asker(network, name, x))}


def _operators(path: Path, name: str, x: np.ndarray) -> list[dict[str, Any]]:
    """Milliseconds a call in each kind of operator, the most first, as onnxruntime measures itself."""
    with tempfile.TemporaryDirectory() as folder:
        network = session(path, profile=str(Path(folder) / "profile"))
        ask = _asker(network, name, x)
        runs = len(timed(ask, times=10)) + 1
        events = json.loads(Path(network.end_profiling()).read_text())
    spent: dict[str, float] = defaultdict(float)
    nodes: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            operator = event["args"]["op_name"]
            spent[operator] += event["dur"] / 1000 / runs
            nodes[operator].add(event["name"])
    return [{"operator": one, "milliseconds": spent[one], "nodes": len(nodes[one])}
            for one in sorted(spent, key=lambda one: -spent[one])]


def _asker(network: onnxruntime.InferenceSession, name: str, x: np.ndarray) -> Any:
    return lambda: run(network, {name: x})


def run(network: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray]) -> list[Any]:
    """All outputs. Raises PlaygroundError with what onnxruntime says in one line."""
    try:
        return list(network.run(None, dict(inputs)))
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise PlaygroundError(f"onnxruntime could not run it on this picture: {first_line(error)}") from error


def batch_of(network: onnxruntime.InferenceSession, name: str) -> int | None:
    """How many pictures a file takes at once; None where any number."""
    shape = next(one.shape for one in network.get_inputs() if one.name == name)
    return shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None


def batched(x: np.ndarray, batch: int | None) -> np.ndarray:
    """One picture (1, ...) as often as a file of a fixed batch wants it.

    >>> batched(np.zeros((1, 3, 8, 8)), 4).shape, batched(np.zeros((1, 3, 8, 8)), None).shape
    ((4, 3, 8, 8), (1, 3, 8, 8))
    """
    return np.repeat(x, batch, axis=0) if batch is not None and batch > 1 and len(x) == 1 else x


def first_rows(results: Sequence[Any], batch: int) -> list[Any]:
    """What outputs say of the first picture of a batch; as they are where they have no row for each picture."""
    return [one[:1] if isinstance(one, np.ndarray) and one.ndim and len(one) == batch > 1 else one for one in results]


def timed(ask: Any, times: int = TIMES) -> list[float]:
    """Milliseconds of each call after a first one that is not counted."""
    ask()
    found: list[float] = []
    begin = time.perf_counter()
    while len(found) < times and (not found or time.perf_counter() - begin < SECONDS):
        start = time.perf_counter()
        ask()
        found.append(1000 * (time.perf_counter() - start))
    return found


def _spread(times: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(times), "p95": float(np.percentile(times, 95))}


def scores_in(network: onnxruntime.InferenceSession, results: Sequence[Any]) -> int | None:
    """Which of a file's outputs is one row of scores; one that is called logits goes first."""
    names = [one.name for one in network.get_outputs()]
    order = sorted(range(len(names)), key=lambda k: names[k] != "logits")
    arrays = [value if isinstance(value, np.ndarray) else np.zeros(0) for value in results]
    rows = rows_of_scores([one.shape for one in arrays])
    return next((k for k in order if rows[k] and arrays[k].dtype.kind == "f"), None)


def scores_of(row: np.ndarray, probability: bool) -> list[float]:
    """A row of scores as numbers; one score z alone as [0, z], whose softmax is its sigmoid, one probability p alone as
    [1 - p, p].

    >>> scores_of(np.array([[2.0]]), False), scores_of(np.array([[0.25]]), True)
    ([0.0, 2.0], [0.75, 0.25])
    """
    values: list[float] = row.astype(np.float64).ravel().tolist()
    return values if len(values) != 1 else [1 - values[0], values[0]] if probability else [0.0, values[0]]


def probability_in(model: onnx.ModelProto, output: str) -> bool:
    """Whether an output comes out of a sigmoid."""
    makers = {name: node for node in model.graph.node for name in node.output}
    while (node := makers.pop(output, None)) is not None and node.op_type in PASSING and node.input:
        output = node.input[0]
    return node is not None and node.op_type == "Sigmoid"


def probabilities(scores: Sequence[float | None]) -> np.ndarray:
    """Scores as probabilities: as they are where they are some already, else their softmax.

    >>> probabilities([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    z = np.array([np.nan if one is None else one for one in scores], np.float64)
    if np.isnan(z).any() or ((z >= 0).all() and abs(z.sum() - 1) < 1e-3):
        return z
    e = np.exp(z - z.max())
    return np.asarray(e / e.sum())
