"""A lesson of a class on a server that was started for one: readers in workspaces of their own, trainings, watchers.

    python -m bench.lesson [--readers 30] [--trainings 5] [--watchers 30] [--seconds 300] [--pause 3 8] [--rest 60]

As in `bench.bench_class` readers speak to the server as a browser does, here each with a key of its own; some of them
train, one of those trainings is watched live by all, and all of it at once. Beside the waiting it is written down what
the server takes: memory, open files and processes before, at most, and `rest` seconds after everybody has left. Results
are written to bench/results/ under `--name`.

A long lesson with few readers is a soak:

    python -m bench.lesson --readers 4 --trainings 1 --watchers 4 --seconds 1800 --rest 150 --name soak

A lesson of `JUDGED_SECONDS` or more is judged: its first third warms the server up, and through the four parts of the
rest it may not go on taking more (`STEADY`), nor much more at once (`STEP`). The last line says so, and where something
rises the status is 1.
"""

import argparse
import asyncio
import datetime
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2

from bench import watchers
from bench.bench_class import LESSONS, Reader, read, row, table
from bench.report import save
from bench.served import Served, served
from playground import home
from playground.classroom import keys
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec

JUDGED_SECONDS = 600.0
KINDS = ("memory, MB", "open files", "processes")
STEADY, STEP = (5.0, 2.0, 0.0), (25.0, 4.0, 0.0)
"""So much more of each is too much where it goes on rising, and where it rises once: a further thread takes some MB of
its own for good."""


class Meter(threading.Thread):
    """What a process takes, looked at once a second: memory (MB), open files, processes it started that live. `left` is
    how many looks came before everybody left."""

    def __init__(self, server: Served):
        super().__init__(daemon=True)
        self.server, self.seen, self.over = server, [self.taken(server.pid)], threading.Event()
        self.left = 0

    def run(self) -> None:
        while not self.over.wait(1.0):
            self.seen.append(self.taken(self.server.pid))

    @staticmethod
    def taken(pid: int) -> tuple[float, int, int]:
        memory = next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                      if line.startswith("VmRSS:")) / 1000
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return memory, len(os.listdir(f"/proc/{pid}/fd")), len(children)


def header(key: str) -> dict[str, str]:
    return {"Cookie": f"{keys.COOKIE}={key}"}


async def at_once(url: str, owners: Sequence[str], token: str, options: argparse.Namespace
                  ) -> tuple[list[Reader], list[watchers.Watcher]]:
    """All readers and all watchers, for as long as the lesson takes."""
    reading = asyncio.gather(*(
        read(url, LESSONS[k % len(LESSONS)], random.Random(k), options.seconds, options.pause, header(key))
        for k, key in enumerate(owners)))
    address = await watchers.frames_of(url, token)
    clients = [httpx2.AsyncClient(base_url=url, timeout=60, headers=header(owners[k % len(owners)]))
               for k in range(options.watchers)]
    try:
        asks = max(1, round(options.seconds / watchers.BETWEEN_SECONDS)) if clients else 0
        seen = await watchers.together(clients, address, asks)
        return await reading, seen
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


def lesson(url: str, server: Served, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any], Meter]:
    """Trainings are started, the lesson is held, the meter runs on for a while after it."""
    owners = [keys.new() for _ in range(options.readers)]
    asyncio.run(warm(url))
    with ExitStack() as trainings:
        for k in range(options.trainings):
            place = keys.workspace_of(owners[k])
            assert place is not None
            place.mkdir(parents=True)
            trainings.enter_context(training(place))
        reader = asyncio.run(read(url, "network", random.Random(0), 0, (0, 0), header(owners[0])))
        meter = Meter(server)
        meter.start()
        readers, seen = asyncio.run(at_once(url, owners, reader.token, options))
        meter.left = len(meter.seen)
    time.sleep(options.rest)
    meter.over.set()
    meter.join()
    return row(readers), watchers.row(seen) if seen else {}, meter


async def warm(url: str) -> None:
    await asyncio.gather(*(read(url, page, random.Random(0), 3, (1, 2)) for page in LESSONS))


@contextmanager
def training(place: Path) -> Iterator[None]:
    """A training of a workspace that goes on until it is no longer needed; it has begun, or waits for its turn."""
    with home.entered(place):
        run_id = runs.start(RunSpec("digits", {"data": "digits", "epochs": 100_000}, 0, "watched"))
        while not runs.view(run_id).epochs and runs.view(run_id).state != "queued":
            time.sleep(0.1)
    yield
    with home.entered(place):
        runs.stop(run_id)
        while runs.is_alive(runs.run_dir(run_id)):
            time.sleep(0.1)


def taken(meter: Meter) -> str:
    first, last = meter.seen[0], meter.seen[-1]
    most = [max(one[k] for one in meter.seen) for k in range(3)]
    lines = ["| the server's | before | last two thirds, in four parts | at most | after |", "|---|---|---|---|---|"]
    warm = parts(meter.seen[:meter.left])
    return "\n".join([*lines, *(
        f"| {name} | {first[k]:.0f} | {', '.join(f'{one[k]:.1f}' for one in warm)} | {most[k]:.0f} | {last[k]:.0f} |"
        for k, name in enumerate(KINDS))])


def parts(seen: Sequence[Sequence[float]]) -> list[list[float]]:
    """The medians of the four parts of the last two thirds, when the server is warm.

    >>> parts([(9, 0)] * 4 + [(1, 5), (3, 5), (4, 6), (6, 8), (7, 8), (7, 8), (8, 8), (8, 8)])
    [[2.0, 5.0], [5.0, 7.0], [7.0, 8.0], [8.0, 8.0]]
    """
    warm = seen[len(seen) // 3:]
    cuts = [k * len(warm) // 4 for k in range(5)]
    return [[float(statistics.median(one[k] for one in warm[first:last] or seen)) for k in range(len(seen[0]))]
            for first, last in pairwise(cuts)]


def rises(seen: Sequence[Sequence[float]]) -> list[str]:
    """What goes on rising while the server is warm, or rises by more than one step may be, in words.

    >>> rises([(400, 60, 1)] * 8 + [(405, 60, 1)] * 2 + [(415, 61, 1)] * 2)
    []
    >>> rises([(400, 60, 1)] * 4 + [(405 + 3 * k, 60, 1 + k // 6) for k in range(8)])
    ['memory, MB: 406.5, 412.5, 418.5, 424.5', 'processes: 1.0, 1.0, 1.0, 2.0']
    """
    found = []
    for name, here, steady, step in zip(KINDS, zip(*parts(seen), strict=True), STEADY, STEP, strict=True):
        rise = here[-1] - here[0]
        goes_on = rise > steady and min(here[1] - here[0], here[3] - here[2]) > rise / 5  # a step is in one half alone
        if goes_on or rise > step:
            found.append(f"{name}: {', '.join(f'{one:.1f}' for one in here)}")
    return found


def judged(meter: Meter, seconds: float) -> tuple[bool, str]:
    """Whether nothing rose, and that in a sentence; a short lesson is not judged."""
    if seconds < JUDGED_SECONDS:
        return True, f"Too short to say whether anything rises: that takes {JUDGED_SECONDS:g} s."
    found = rises(meter.seen[:meter.left])
    if found:
        return False, f"Rises through the last two thirds of the lesson: {'; '.join(found)}."
    warm = parts(meter.seen[:meter.left])
    if (step := warm[-1][0] - warm[0][0]) > STEADY[0]:
        return True, f"Nothing goes on rising through the last two thirds; memory took {step:.0f} MB once."
    return True, "Flat: neither memory nor open files nor processes rise through the last two thirds of the lesson."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=30)
    parser.add_argument("--trainings", type=int, default=5)
    parser.add_argument("--watchers", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--pause", type=float, nargs=2, default=(3, 8), metavar="SECONDS")
    parser.add_argument("--rest", type=float, default=60)
    parser.add_argument("--name", default="lesson")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({home.HOME: folder, home.CLASS: "1"})
        with served(Path(folder), ["--class", "--address", "localhost"]) as server:
            reading, watching, meter = lesson(server.url, server, options)
    about = (f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores (the "
             f"readers' as well), load {load:.1f} before; {options.readers} workspaces, {options.trainings} of them "
             f"training (two at once), {options.watchers} watching one of the trainings, {options.seconds:g} s, a "
             f"press {options.pause[0]:g} to {options.pause[1]:g} s after each answer; then {options.rest:g} s of rest")
    tables = "\n\n".join(filter(None, (table([reading]), watchers.table([watching]) if watching else "",
                                       taken(meter))))
    flat, sentence = judged(meter, options.seconds)
    every = max(1, len(meter.seen) // 100)
    save(options.name, about, f"{tables}\n\n{sentence}", reading=reading, watching=watching,
         taken=meter.seen[::every], flat=flat)
    print(f"{about}\n\n{tables}\n\n{sentence}", flush=True)
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()
