"""Training runs: start one, stop one, and see how one is doing. A run is a folder, and everything is in it.

    .runs/<id>/spec.json      what was asked for: request, seed, name, versions, device
               events.jsonl   what happened, appended to by the worker
               worker         its process id; locked by the worker as long as it lives
               worker.log     what the worker wrote to its standard output and error
               stop           exists once somebody asked it to stop
"""

import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from playground import home
from playground.errors import PlaygroundError
from playground.training.events import (
    Batch,
    Epoch,
    Event,
    Exported,
    Failed,
    Finished,
    Measured,
    Saved,
    Stage,
    Started,
)
from playground.training.log import EventLog, read

KINDS = ("digits", "transfer", "experiment", "pretrained")
EXPERIMENT = "experiment"  # trains to be watched: nothing of it is exported
PRETRAINED = "pretrained"  # trained elsewhere: only exported
ENDED = ("completed", "stopped", "failed", "lost")
_ID = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{4}")
_PACKAGES = ("numpy", "torch", "onnx", "onnxruntime", "onnxscript", "scikit-learn", "scikit-image", "pillow")
STAGES_SHARE = 0.8
"""How much of the progress bar the counted stages take where there are any: computing features once takes far longer
than the epochs on them."""


@dataclass(frozen=True)
class RunSpec:
    """What is asked of a run. `kind` names the trainer, `request` is its own, `name` the model's on the shelf."""

    kind: str
    request: dict[str, Any]
    seed: int
    name: str
    replace: bool = False  # the model of that name on the shelf may go


@dataclass(frozen=True)
class RunView:
    """How a run is doing: a pure fold of its events, and whether its worker lives.

    `state` is "starting", "running", "stopping", "completed", "stopped", "failed" or "lost" (the worker died without a
    last word). `progress` is 0..1; `remaining_seconds` is None while nobody can know.
    """

    run_id: str
    spec: RunSpec
    state: str
    stage: Stage | None = None
    started: Started | None = None
    batches: list[Batch] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    saved: Saved | None = None
    finished: Finished | None = None
    exported: Exported | None = None
    failed: Failed | None = None
    progress: float = 0.0
    remaining_seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return self.state in ENDED


def start(spec: RunSpec) -> str:
    """Start a worker in an interpreter of its own, and return the run's id.

    It outlives the process that started it, and that process's Ctrl-C. Raises PlaygroundError when the run is of no
    known kind or the worker cannot be started.
    """
    if spec.kind not in KINDS:
        raise PlaygroundError(f"There is no training of the kind {spec.kind!r}: choose {' or '.join(KINDS)}.")
    folder = new_folder()
    # The lock belongs to the open file, and the worker inherits the open file as its standard input: it is held from
    # before the worker exists until the kernel closes it with the worker's last breath, however it dies. So there is no
    # moment in which a starting run looks dead, and no process id that could be somebody else's by now.
    with open(folder / "worker", "w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_spec(folder, spec, device="auto" if spec.kind == "transfer" else "cpu")
        _employ(folder, lock)
    return folder.name


def new_folder() -> Path:
    """An empty folder for a run, named for the moment."""
    folder = home.runs_dir() / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"
    folder.mkdir()
    return folder


def resume(run_id: str) -> None:
    """Start another worker on a lost run: it goes on from the last checkpoint, where its trainer keeps any, or anew.

    Raises PlaygroundError when the run is not lost or the worker cannot be started.
    """
    folder = run_dir(run_id)
    with open(folder / "worker", "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlaygroundError(f"The run {run_id} is under way.") from None
        events, _ = read(folder / "events.jsonl")
        state = fold(run_id, read_spec(folder), events, alive=False, stop_asked=False).state
        if state != "lost":
            raise PlaygroundError(f"The run {run_id} is {state}: only a lost one can go on.")
        (folder / "stop").unlink(missing_ok=True)
        _employ(folder, lock)


def _employ(folder: Path, lock: IO[str]) -> None:
    """Start the worker of the run in `folder`, which inherits the lock. Raises PlaygroundError when it cannot be."""
    with open(folder / "worker.log", "ab") as output:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "playground.jobs", str(folder)], cwd=home.REPOSITORY, env=_environment(),
                stdin=lock, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )
        except OSError as error:
            message = f"The training could not be started: {error.strerror}."
            EventLog(folder / "events.jsonl").append(Failed(message, repr(error), time.time()))
            raise PlaygroundError(message) from error
        lock.seek(0)
        lock.truncate()
        lock.write(str(process.pid))
    threading.Thread(target=process.wait, daemon=True).start()  # so that it leaves no zombie in a server that stays


def start_once(spec: RunSpec) -> str:
    """The newest run of exactly this spec that is under way or was completed, or else a new one.

    A class of thirty that opens the same page with the same settings trains once and watches together.
    """
    asked = RunSpec(**json.loads(json.dumps(vars(spec))))  # as it comes back from spec.json: tuples are lists there
    with open(home.runs_dir() / "once", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two who ask in the same moment are one after the other
        return found if (found := same(asked)) else start(spec)


def same(spec: RunSpec) -> str | None:
    """The newest run of exactly this spec that is under way or was completed."""
    for run_id in run_ids():
        try:
            if read_spec(run_dir(run_id)) == spec and view(run_id).state in ("starting", "running", "completed"):
                return run_id
        except PlaygroundError:
            continue  # a damaged run is nobody's result
    return None


def stop(run_id: str) -> None:
    """Ask a run to end after the batch it is in, keeping what it has learnt. A run that has ended is left alone."""
    (run_dir(run_id) / "stop").touch()


def run_ids() -> list[str]:
    """Every run, newest first."""
    return sorted((path.parent.name for path in home.runs_dir().glob("*/spec.json") if _ID.fullmatch(path.parent.name)),
                  reverse=True)


def run_dir(run_id: str) -> Path:
    """The folder of a run. Raises PlaygroundError when there is no such run."""
    folder = home.runs_dir() / run_id
    if not _ID.fullmatch(run_id) or not (folder / "spec.json").is_file():
        raise PlaygroundError(f"There is no training run {run_id}.")
    return folder


def view(run_id: str) -> RunView:
    """How the run is doing now. Raises PlaygroundError when there is no such run or its spec.json is damaged."""
    folder = run_dir(run_id)
    alive = is_alive(folder)  # asked first: what a worker wrote before it died is then surely read
    events, _ = read(folder / "events.jsonl")
    return fold(run_id, read_spec(folder), events, alive, (folder / "stop").exists())


def is_alive(folder: Path) -> bool:
    """Whether the worker of the run in `folder` lives: whether somebody holds its lock."""
    try:
        with open(folder / "worker") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def fold(run_id: str, spec: RunSpec, events: list[Event], alive: bool, stop_asked: bool) -> RunView:
    """The events of a run as one view; the same events, aliveness and wish give the same view."""
    starts = [k for k, event in enumerate(events) if isinstance(event, Started)]
    if len(starts) > 1:  # resumed: the newer worker has told again what is still true of before
        events = events[starts[-1]:]
    last: dict[type, Event] = {type(event): event for event in events}
    batches = [event for event in events if isinstance(event, Batch)]
    epochs = [event for event in events if isinstance(event, Epoch)]
    measured = [event for event in events if isinstance(event, Measured)]
    started, finished = last.get(Started), last.get(Finished)
    stage = events[-1] if events and isinstance(events[-1], Stage) else None

    if Failed in last:
        state = "failed"
    elif isinstance(finished, Finished) and (Exported in last or spec.kind == EXPERIMENT):
        state = finished.reason
    elif not alive:
        state = "lost"
    elif stop_asked:
        state = "stopping"
    else:
        state = "running" if events else "starting"

    frozen = spec.request.get("mode", "frozen") == "frozen"
    progress = 1.0 if state in ("completed", "stopped") else _progress(events, STAGES_SHARE if frozen else 0.2)
    remaining = None
    if state == "running" and isinstance(started, Started) and progress >= 0.02:
        elapsed = events[-1].time - events[0].time
        remaining = elapsed * (1 - progress) / progress if elapsed >= 1 else None
    return RunView(
        run_id, spec, state, stage, started, batches, epochs, measured,  # type: ignore[arg-type]
        last.get(Saved), finished, last.get(Exported), last.get(Failed),  # type: ignore[arg-type]
        progress, remaining,
    )


def _progress(events: list[Event], stages_share: float) -> float:
    """The share of the work that is done: counted stages before the first batch first, then the epochs."""
    total_epochs, staged, share, epochs_done = 0, False, 0.0, 0.0
    for event in events:
        if isinstance(event, Started):
            total_epochs = event.total_epochs
        elif isinstance(event, Stage) and event.total > 1 and not epochs_done:
            staged, share = True, max(share, min(1.0, event.done / event.total))
        elif isinstance(event, Batch):
            epochs_done = event.epoch - 1 + event.batch / max(event.batches, 1)
        elif isinstance(event, Epoch):
            epochs_done = event.epoch
        elif isinstance(event, Measured):
            epochs_done += 1
    trained = min(1.0, epochs_done / total_epochs) if total_epochs else 0.0
    before = stages_share if staged else 0.0
    return before * (1.0 if epochs_done else share) + (1 - before) * trained


def read_spec(folder: Path) -> RunSpec:
    """What was asked of the run in `folder`. Raises PlaygroundError when its spec.json cannot be read."""
    try:
        data = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        return RunSpec(data["kind"], data["request"], data["seed"], data["name"], data.get("replace", False))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlaygroundError(f"Nobody knows what run {folder.name} was to do: its spec.json is damaged.") from error


def write_spec(folder: Path, spec: RunSpec, device: str) -> None:
    """Write spec.json, whole or not at all: what was asked for and what it ran on."""
    data = {
        "kind": spec.kind, "request": spec.request, "seed": spec.seed, "name": spec.name, "replace": spec.replace,
        "device": device, "created": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions(),
    }
    incoming = folder / "spec.json.incoming"
    incoming.write_text(json.dumps(data, ensure_ascii=False, indent=2), encoding="utf-8")
    os.replace(incoming, folder / "spec.json")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a run can depend on, without importing one of them."""
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _environment() -> dict[str, str]:
    """The worker's: the same home, the project importable, no more threads than a shared server can spare."""
    path = os.pathsep.join(filter(None, (str(home.REPOSITORY), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PLAYGROUND_HOME": str(home.home())}
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("PLAYGROUND_THREADS") or str(min(4, allowed))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.setdefault(variable, threads)
    return environment
