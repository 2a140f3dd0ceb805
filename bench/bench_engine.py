"""The engine against PyTorch in one run: who is how many times as fast, not how many milliseconds on whose machine.

    python -m playground bench [--quick], or
    python -m bench.bench_engine [--quick] [--rounds N] [--only W2 conv ...] [--clock wall|cpu]

Every contestant is a process of its own that sleeps while another one runs, and begins anew after five rounds. In every
round each runs a workload a few times; the round's ratio is that of the two medians, and the table shows the median of
the ratios over the rounds, so that a slow minute of the machine falls on all alike. The first ratio compares with
PyTorch as it comes, and beside it stands the same of each set of processes, from the least to the largest; then follow
PyTorch at its best (channels_last, no page faults from malloc) and MyGrad, where it is installed. Nobody inherits the
environment's settings of BLAS, malloc or threads, and below stands which BLAS kernel each one runs. Results of a whole
run are written to bench/results/.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.report import save
from bench.shapes import NETWORKS, OPS

ROOT = Path(__file__).resolve().parents[1]
ROUNDS_A_PROCESS = 5  # then all begin anew: how a process's memory happens to lie can make a factor of three

# The ratio to PyTorch eager that is to be reached with 1 and with 2 threads
GOALS = {
    "W1": (0.95, 1.3), "W2": (0.8, 1.1), "W3": (0.3, 0.35), "conv": (0.75, 0.8), "conv, C order": (0.75, 0.8),
    "max pool": (0.35, 0.5), "batch norm": (0.75, 1.1), "depthwise": (1.2, 1.0),
}
MEMORY_GOALS = (0.4, 0.5)
WORK = ["W1", "W2", "W3", "ResNet-8", "MobileNet-like", *OPS]
GROWTH = ["W2 half batch", "W2", "W2 double batch", "W2 half pixels", "W2 double pixels"]


# Variables that choose another kernel or another cache size than the libraries would by themselves: with some, NumPy
# runs an old kernel and loses a third. Threads are set below, the same for all.
HANDICAPS = ("OPENBLAS_", "GOTO_", "MKL_", "BLIS_", "NVPL_", "DNNL_", "ONEDNN_", "ATEN_CPU_CAPABILITY", "NPY_",
             "OMP_", "GOMP_", "KMP_", "MALLOC_", "ENGINE_")


def unhandicapped(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would slow one contestant down, or speed it up.

    >>> unhandicapped({"HOME": "/root", "OPENBLAS_CORETYPE": "Prescott"})
    {'HOME': '/root'}
    """
    return {name: value for name, value in environment.items() if not name.startswith(HANDICAPS)}


class Contestant:
    """A running `bench.contestant`."""

    def __init__(self, who: str, threads: int):
        count = str(threads)
        environment = {**unhandicapped(os.environ), "PYTHONPATH": str(ROOT), **dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ENGINE_THREADS"), count)}
        if who == "torch_best":
            environment |= {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "2000000000"}
        self.who = who
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.contestant", who, "--threads", count], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, cwd=ROOT,
        )
        if threads == 1 and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, {max(os.sched_getaffinity(0))})
        self.version: str = self._answer()["ready"]

    def run(self, work: str, times: int) -> dict[str, Any] | None:
        """Seconds each of `times` steps took; None where this contestant cannot do this work."""
        if self.process.poll() is not None:
            return None
        assert self.process.stdin
        print(json.dumps({"work": work, "times": times}), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def contestants() -> list[str]:
    return ["engine", "torch", "torch_best", *(["mygrad"] if find_spec("mygrad") else [])]


def compare(work: str, threads: int, rounds: int, clock: str, names: list[str]) -> dict[str, Any]:
    """Median seconds of every contestant and the median of the engine's ratios to each, for one workload; and the
    ratios to PyTorch eager in each set of fresh processes, from the least to the largest."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    sets, versions = [], []
    for first in range(0, rounds, ROUNDS_A_PROCESS):
        here, versions = _in_fresh_processes(work, threads, min(ROUNDS_A_PROCESS, rounds - first), clock, names)
        for name, found in here.items():
            seconds[name] += found
            ratios[name] += [ours / theirs for ours, theirs in zip(here["engine"], found, strict=False)]
        sets.append(round(statistics.median(ratios["torch"][first:]), 3))
    return {
        "work": work, "threads": threads,
        "milliseconds": {name: round(1e3 * statistics.median(s), 3) for name, s in seconds.items() if s},
        "ratio": {name: round(statistics.median(r), 3) for name, r in ratios.items() if r and name != "engine"},
        "ratio_torch_by_process": sorted(sets),
        "versions": versions,
    }


def _in_fresh_processes(
    work: str, threads: int, rounds: int, clock: str, names: list[str]
) -> tuple[dict[str, list[float]], list[str]]:
    running = [Contestant(name, threads) for name in names]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    times: dict[str, int] = {}
    for contestant in running:  # warm up, and see how many steps make a tenth of a second
        warm = contestant.run(work, 3)
        if warm is not None:
            times[contestant.who] = max(1, min(50, int(0.1 / min(warm["wall"]))))
    for k in range(rounds):
        for contestant in running[k % len(running) :] + running[: k % len(running)]:
            if contestant.who in times and (contestant.who != "mygrad" or k == 0):
                answer = contestant.run(work, times[contestant.who])
                assert answer is not None
                seconds[contestant.who].append(statistics.median(answer[clock]))
    for contestant in running:
        contestant.close()
    return seconds, [contestant.version for contestant in running]


def memory(threads: int) -> dict[str, Any]:
    """Peak memory of a whole process that trains W2 for ten steps."""
    peak = {}
    for name in ("engine", "torch"):
        contestant = Contestant(name, threads)
        answer = contestant.run("W2", 10)
        assert answer is not None
        peak[name] = answer["peak"] / 2**20
        contestant.close()
    return {"threads": threads, "megabytes": {k: round(v, 1) for k, v in peak.items()},
            "ratio": round(peak["engine"] / peak["torch"], 3)}


def processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def table(rows: list[dict[str, Any]], memories: list[dict[str, Any]], growth: list[dict[str, Any]]) -> str:
    lines = [
        "| forward + backward (networks: + SGD step), float32 | threads | goal | engine / PyTorch eager "
        "| in each set of processes | / PyTorch at its best | / MyGrad | engine ms | PyTorch ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        goals = GOALS.get(row["work"])
        goal = f"≤ {goals[row['threads'] - 1]}" if goals and row["threads"] <= 2 else ""
        best, mygrad = (f"{row['ratio'][k]:.2f}" if k in row["ratio"] else "" for k in ("torch_best", "mygrad"))
        ms = row["milliseconds"]
        lines.append(
            f"| {row['work']} | {row['threads']} | {goal} | **{row['ratio']['torch']:.2f}** "
            f"| {', '.join(f'{r:.2f}' for r in row['ratio_torch_by_process'])} | {best} | {mygrad} "
            f"| {ms['engine']:.2f} | {ms['torch']:.2f} |"
        )
    for row in memories:
        goal = f"≤ {MEMORY_GOALS[row['threads'] - 1]}" if row["threads"] <= 2 else ""
        mb = row["megabytes"]
        lines.append(f"| peak memory of the process, W2 | {row['threads']} | {goal} | **{row['ratio']:.2f}** | | | "
                     f"| {mb['engine']:.0f} MB | {mb['torch']:.0f} MB |")
    if any(row["work"] == "conv, C order" for row in rows):
        lines += ["", "conv leaves its results in the memory order the next convolution wants; conv, C order hands "
                  "result and gradient over in NCHW memory, as PyTorch does."]
    if growth:
        base = next(r for r in growth if r["work"] == "W2")["milliseconds"]["engine"]
        lines += ["", "Cost grows with batch and pixels (engine, 1 thread, W2 = 1): " + ", ".join(
            f"{r['work'].removeprefix('W2 ').replace('W2', 'as it is')} {r['milliseconds']['engine'] / base:.2f}"
            for r in growth)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="5 rounds, the engine and PyTorch only")
    parser.add_argument("--only", nargs="+", choices=WORK, help="these workloads only; no memory, no growth")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall",
                        help="cpu: processor seconds, for one thread on a busy machine")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    wanted = parser.parse_args()
    rounds = min(5, wanted.rounds) if wanted.quick else wanted.rounds
    names = ["engine", "torch"] if wanted.quick else contestants()
    rows, memories, growth = [], [], []
    for threads in wanted.threads:
        for work in wanted.only or WORK:
            print(f"{work}, {threads} thread(s)", file=sys.stderr)
            rows.append(compare(work, threads, rounds, wanted.clock, names))
        if not wanted.only:
            memories.append(memory(threads))
    if not wanted.only:
        growth = [compare(work, 1, rounds, wanted.clock, ["engine", "torch"]) for work in GROWTH if work in NETWORKS]
    shown = table(rows, memories, growth)
    about = "\n".join([
        f"{datetime.date.today()}, {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{rounds} rounds, {wanted.clock} time", "",
        *(f"- {version}" for version in dict.fromkeys(v for row in rows for v in row["versions"])),
    ])
    found = {"rows": rows, "memory": memories, "growth": growth}
    print(json.dumps({"about": about, **found}, indent=1) if wanted.json else f"{about}\n\n{shown}")
    if not (wanted.only or wanted.quick):
        save("engine", about, shown, **found)


if __name__ == "__main__":
    main()
