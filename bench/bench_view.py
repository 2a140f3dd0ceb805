"""How long the network view takes from a photo to the whole network drawn, forward and with the walk back.

    python -m bench.bench_view

Preparing the photo, running the network on the tape and packing a frame of the folded columns, warm and in one process;
then the walk back from the loss and its frame besides. ResNet-18 and EfficientNet-Lite0 have random weights and come
from torch's exporter, as an upload would. Medians of nine, written to bench/results/.
"""

import datetime
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.bench_engine import unhandicapped
from bench.report import save
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import registry
from playground.view import frames
from playground.view.folding import Fold, folded
from playground.view.gradients import Target, walk_back
from playground.view.sources import File

ROUNDS = 9
STEPS = ("prepare", "run", "fold", "frame", "walk back", "frame back")
GOALS = {"digits-example": 0.25, "EfficientNet-Lite0": 0.7, "ResNet-18": 1.2}
TIMES = 3.0
"""The walk back may take so many times what the way forward takes."""


def digits() -> File:
    entry = registry.get("digits-example")
    assert isinstance(entry, registry.Entry)
    return File.of_export(entry.onnx, Preprocessing.from_dict(entry.card["preprocessing"]), tuple(entry.card["labels"]))


def large(name: str) -> Callable[[], File]:
    def source() -> File:
        from tests.playground.view.networks import filed

        return filed(name, 224)

    return source


SOURCES = {"digits-example": digits, "EfficientNet-Lite0": large("lite0"), "ResNet-18": large("resnet18")}


def measured(source: File, photo: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, Any]:
    """Seconds of each step, the median of the rounds, and the sizes of what is sent."""
    shown: list[int] = []
    took: dict[str, list[float]] = {}
    found: dict[str, Any] = {}
    for turn in range(ROUNDS + 2):  # the first two warm up
        times = [time.perf_counter()]
        x = source.preprocessing.apply(photo)[None]
        times.append(time.perf_counter())
        trace = source.run(x)
        times.append(time.perf_counter())
        shown = [item.last if isinstance(item, Fold) else item for item in folded(trace)]
        times.append(time.perf_counter())
        forward = frames.frame(trace, shown)
        times.append(time.perf_counter())
        gradients = walk_back(trace, Target("loss", label=0))
        times.append(time.perf_counter())
        backward = frames.frame(trace, shown, gradients=gradients)
        times.append(time.perf_counter())
        if turn < 2:
            continue
        for step, seconds in zip(STEPS, np.diff(times), strict=True):
            took.setdefault(step, []).append(float(seconds))
        took.setdefault("forward", []).append(times[4] - times[0])
        took.setdefault("backward", []).append(times[6] - times[4])
        found = {"parts": len(trace.parts), "columns": len(shown), "bytes": len(forward), "bytes_back": len(backward)}
    return {**found, **{step: statistics.median(one) for step, one in took.items()}}


def main() -> None:
    environment = unhandicapped(dict(os.environ))
    if environment != dict(os.environ):  # what slows NumPy's products down here says nothing about the view
        sys.exit(subprocess.run([sys.executable, "-m", "bench.bench_view"], env=environment, check=False).returncode)
    photo = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    lines = ["| network | parts | columns | forward, s (goal) | backward, s | times forward (goal ≤ 3) | "
             "prepare | run | fold | frame | walk back | frame back | KiB sent |", "|" + "---|" * 13]
    rows = []
    for name, source in SOURCES.items():
        row = {"network": name, "goal": GOALS[name], **measured(source(), photo)}
        rows.append(row)
        steps = " | ".join(f"{row[step]:.3f}" for step in STEPS)
        late = " (missed)" if row["forward"] > GOALS[name] else ""
        slow = " (missed)" if row["backward"] > TIMES * row["forward"] else ""
        lines.append(f"| {name} | {row['parts']} | {row['columns']} | {row['forward']:.3f} ({GOALS[name]}){late} | "
                     f"{row['backward']:.3f} | {row['backward'] / row['forward']:.1f}{slow} | {steps} | "
                     f"{row['bytes'] / 1024:.0f} + {row['bytes_back'] / 1024:.0f} |")
        print(lines[-1], flush=True)
    about = (f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
             f"NumPy {np.__version__}, photo of 480 × 640, warm, medians of {ROUNDS}")
    save("view", about, "\n".join(lines), rows=rows)


if __name__ == "__main__":
    main()
