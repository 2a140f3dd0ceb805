"""What it costs a training to be watched: steps a second while it shows its weights twice a second, against alone.

    python -m bench.bench_live [--seconds 2] [--rounds 20]

One training goes on in one process; slices of it, some seconds long, are watched and not watched in turn. What counts
is the median over neighbouring slices of how much more of the processor a step takes: time on the clock would be that
of whatever else the machine does. Beside it stands which share of the clock's time went into showing. Nobody reads what
is shown: readers compute in another process. Results are written to bench/results/.
"""

import argparse
import datetime
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.report import save
from playground.training.runs.runs import RunSpec
from playground.training.scratch import live, live_files
from playground.training.scratch.numpy_fit import Training, begun

NETWORKS = {"usual": "the usual one", "f-d1024-r-d512-r-d10": "a large MLP",
            "c64k3-b-r-c64k3-b-r-p2-c128k3-b-r-p2-f-d256-r-d10": "a deep CNN"}


@dataclass(frozen=True)
class Slice:
    """Some seconds of a training."""

    watched: bool
    steps: int
    seconds: float
    cpu_seconds: float
    showing_seconds: float
    shown: int

    @property
    def each(self) -> float:
        """Of the processor, for a step."""
        return self.cpu_seconds / self.steps


def slices(network: str, seconds: float, rounds: int) -> tuple[int, list[Slice]]:
    """How many bytes are shown, and slices of a training in turn alone and watched."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder)
        training = begun(RunSpec("digits", {"data": "digits", "network": network, "epochs": 1000}, 0, "bench"))
        _slice(training, run_dir, False, seconds)  # warm
        found = [_slice(training, run_dir, watched, seconds) for _ in range(rounds) for watched in (False, True)]
        return (run_dir / live_files.LIVE).stat().st_size, found


def _slice(training: Training, run_dir: Path, watched: bool, seconds: float) -> Slice:
    shown, steps, versions, last = live_files.Live(run_dir), 0, set(), 0.0
    (run_dir / live_files.WATCHED).unlink(missing_ok=True)
    training.model.train()
    showing = 0.0
    began, cpu = time.perf_counter(), time.process_time()
    while (now := time.perf_counter()) - began < seconds:
        for chosen in training.order():
            if watched and time.perf_counter() - last > 0.5:  # as a reader who asks twice a second
                last = time.perf_counter()
                live.watch(run_dir)
                versions.add(live.position(run_dir))
            steps += 1
            training.step(chosen)
            before = time.perf_counter()
            shown.stepped(training.model, 1, steps, steps)
            showing += time.perf_counter() - before
    return Slice(watched, steps, now - began, time.process_time() - cpu, showing, len(versions - {None}))


def row(name: str, size: int, found: list[Slice]) -> dict[str, float | str]:
    alone, watched = ([one for one in found if one.watched is wanted] for wanted in (False, True))
    ratios = [b.each / a.each for a, b in zip(alone, watched, strict=True)]
    return {"network": name, "kilobytes": size / 1000, "step_ms": 1000 * statistics.median(one.each for one in alone),
            "showing_percent": 100 * sum(one.showing_seconds for one in watched) / sum(one.seconds for one in watched),
            "shown_a_second": sum(one.shown for one in watched) / sum(one.seconds for one in watched),
            "slower_percent": 100 * (statistics.median(ratios) - 1),
            "quarter_percent": 100 * (statistics.quantiles(ratios)[0] - 1),
            "three_quarters_percent": 100 * (statistics.quantiles(ratios)[2] - 1)}


def table(rows: list[dict[str, float | str]]) -> str:
    lines = ["| network | shown, KB | step alone, ms of a core | shown a second | of the time spent showing, % | "
             "a step watched, % of the processor | a quarter of pairs below | above |",
             "|---|---|---|---|---|---|---|---|"]
    lines += [f"| {r['network']} | {r['kilobytes']:.0f} | {r['step_ms']:.2f} | {r['shown_a_second']:.1f} "
              f"| {r['showing_percent']:.2f} | {r['slower_percent']:+.1f} | {r['quarter_percent']:+.1f} "
              f"| {r['three_quarters_percent']:+.1f} |" for r in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    rows = [row(name, *slices(network, options.seconds, options.rounds)) for network, name in NETWORKS.items()]
    about = (f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
             f"load {os.getloadavg()[0]:.1f} before, {options.rounds} pairs of {options.seconds:g} s")
    print(f"{about}\n\n{table(rows)}\n")
    save("live", about, table(rows), rows=rows)


if __name__ == "__main__":
    main()
