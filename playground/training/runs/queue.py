"""The queue: so many trainings run at once, and whoever comes later waits for its turn (`turns` says whose it is).

Nobody keeps a list that could be wrong. A run that waits is a file `.runs/queue/<id>` and a living process; a place is
a file whose lock its holder keeps until it dies, however it dies. So nothing is stuck after a kill -9, and a restart of
the app changes nothing. The waiting process knows Python's standard library only, and becomes the worker in its turn:
`python -m playground.training.runs.queue RUN_DIR`.
"""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

from playground.errors import PlaygroundError
from playground.training.runs import runs, turns
from playground.training.runs.events import Cancelled, Queued
from playground.training.runs.log import EventLog

POLL_SECONDS = 0.25
AT_ONCE = 2
"""Trainings at once on the processor, where PLAYGROUND_RUNS does not say otherwise."""


def places(kind: str) -> list[str]:
    """The places a run of that kind can take: one for each GPU where it would train on one, or else some on the CPU."""
    if kind == "transfer" and (found := gpus()):
        return [f"gpu-{name}" for name in found]
    asked = os.environ.get("PLAYGROUND_RUNS", "")
    return [f"cpu-{k}" for k in range(max(1, int(asked)) if asked.isdecimal() else AT_ONCE)]


def gpus() -> list[str]:
    """The NVIDIA cards that may be used, as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    found = [str(k) for k in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not found or visible is None:
        return found
    return [name for part in visible.split(",") if (name := part.strip()) and name != "-1"]


def waiting(run_dir: Path, kind: str) -> list[str]:
    """The living runs that wait for the same places and whose turn comes before, the next one first."""
    rivals = [one for one in runs.KINDS if places(one) == places(kind)]
    ordered = turns.in_order([turn for turn in turns.waiting() if turn.kind in rivals], turns.training())
    ids = [turn.folder.name for turn in ordered]
    return ids[:ids.index(run_dir.name)] if run_dir.name in ids else ids


def take(kind: str, workspace: str = "") -> tuple[str, IO[str]] | None:
    """A free place and its lock, to be kept open; None when all are taken."""
    for name in places(kind):
        lock = open(turns.places_dir() / name, "a")  # noqa: SIM115 - open as long as the place is taken
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        lock.truncate(0)
        lock.write(workspace)
        lock.flush()
        return name, lock
    return None


def wait(run_dir: Path) -> tuple[str, IO[str]] | None:
    """Wait for the run's turn, telling its place in the queue whenever that changes; None when it was cancelled."""
    kind, told = runs.read_spec(run_dir).kind, 0
    asked = turns.queue_dir() / run_dir.name
    log = EventLog(run_dir / "events.jsonl")
    try:
        while not (run_dir / "stop").exists():
            earlier = waiting(run_dir, kind)
            if not earlier and (taken := take(kind, turns.workspace_of(run_dir.name))) is not None:
                if told:
                    log.append(Queued(0, time.time()))
                return taken
            if len(earlier) + 1 != told:
                told = len(earlier) + 1
                log.append(Queued(told, time.time()))
            time.sleep(POLL_SECONDS * min(told, 4))  # who is far from its turn looks less often
        log.append(Cancelled(time.time()))
        return None
    finally:
        log.close()
        asked.unlink(missing_ok=True)  # only now: who comes next must not overtake


def main(arguments: list[str]) -> int:
    """The process of a run: wait, then become its worker, with the lock of its place still held."""
    run_dir = Path(arguments[0])
    signal.signal(signal.SIGTERM, lambda *_: (run_dir / "stop").touch())
    turns.sign(run_dir)
    try:
        taken = wait(run_dir)
    except PlaygroundError:
        taken = "", sys.stdin  # the worker will say what is wrong with the run
    if taken is None:
        return 0
    place, lock = taken
    os.set_inheritable(lock.fileno(), True)
    if place.startswith("gpu-"):
        os.environ["CUDA_VISIBLE_DEVICES"] = place.removeprefix("gpu-")
    os.execv(sys.executable, [sys.executable, "-m", "playground.jobs", str(run_dir)])  # noqa: S606 - a list of arguments


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
