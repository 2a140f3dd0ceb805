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
from playground.inspection.report import opened

TIMES, SECONDS = 30, 2.0
"""How often, and for how long at most, an answer is asked for to be timed."""
TOP = 5
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
    try:
        data = file if isinstance(file, bytes) else file.read_bytes()
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise PlaygroundError(f"onnxruntime cannot run this file: {first_line(error)}") from error


def answers(path: Path, name: str, x: np.ndarray) -> dict[str, Any]:
    """What the file says of one picture, by onnxruntime and by the engine, with times in milliseconds.

    `scores` are the first of its outputs that is one row of scores (one that is called logits goes first), else None;
    `engine` is what the engine says: its time, and the largest and mean difference of all outputs, or a sentence.
    """
    model = opened(path)  # what cannot be opened is said as everywhere
    network = session(path)
    outputs = [one.name for one in network.get_outputs()]
    results = run(network, {name: x})
    times = timed(lambda: run(network, {name: x}))
    arrays = [value if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else None for value in results]
    said = [{"name": one, "shape": list(value.shape), "least": float(value.min()), "most": float(value.max()),
             "mean": float(value.mean())} if value is not None and value.size else {"name": one}
            for one, value in zip(outputs, arrays, strict=True)]
    place = scores_in(network, results)
    scores = None if place is None else arrays[place]
    return {
        "outputs": said, "milliseconds": times,
        "scores": None if scores is None else [float(one) if np.isfinite(one) else None for one in scores.ravel()],
        "scores_of": None if place is None else outputs[place], "engine": _by_engine(model, name, x, arrays),
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
    time of each operator. Times are in milliseconds for one call."""
    by_threads = [{"threads": n, **_spread(timed(_asker(session(path, threads=n), name, x)))} for n in threads]
    by_level = [{"level": level, **_spread(timed(_asker(session(path, level=level), name, x)))} for level in LEVELS]
    network, by_batch = session(path), []
    for n in batches:
        many = np.repeat(x, n, axis=0)
        try:
            times = timed(_asker(network, name, many))
        except PlaygroundError:  # a file for one picture at a time
            break
        by_batch.append({"pictures": n, **_spread(times), "each": statistics.median(times) / n,
                         "a second": 1000 * n / statistics.median(times)})
    return {"threads": by_threads, "levels": by_level, "batches": by_batch, "operators": _operators(path, name, x),
            "samples": timed(_asker(network, name, x))}


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
    return next((k for k in order if _is_scores(results[k])), None)


def _is_scores(value: Any) -> bool:
    """Whether an output is one row of scores: (1, K), (K,), (1, K, 1, 1) with K from 2 on, in numbers with a point."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and 2 <= value.size <= 100_000 \
        and max(value.shape, default=0) == value.size


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
