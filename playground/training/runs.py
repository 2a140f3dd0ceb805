"""Training runs: start one, stop one, and see how one is doing. A run is a folder, and everything is in it.

    .runs/<id>/spec.json      what was asked for: request, seed, name, versions, device
               events.jsonl   what happened, appended to by the worker
               worker         its process id; locked by the worker as long as it lives
               worker.log     what the worker wrote to its standard output and error
               stop           exists once somebody asked it to stop
    .runs/queue/<id>          stands for a run that waits for its turn (training.queue)
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from playground import home
from playground.errors import PlaygroundError
from playground.training.events import (
    Batch,
    Cancelled,
    Epoch,
    Event,
    Exported,
    Failed,
    Finished,
    Measured,
    Queued,
    Resumed,
    Saved,
    Stage,
    Started,
)
from playground.training.log import EventLog, read

KINDS = ("digits", "transfer", "experiment", "pretrained", "download")
EXPERIMENT = "experiment"  # trains to be watched: nothing of it is exported
PRETRAINED = "pretrained"  # trained elsewhere: only exported
DOWNLOAD = "download"  # fetches a set of photographs: nothing is trained and nothing exported
WITHOUT_MODEL = (EXPERIMENT, DOWNLOAD)
WITHOUT_QUEUE = (PRETRAINED, DOWNLOAD)  # they hardly compute
QUEUE = "queue"
WANTED = ("queued", "starting", "running", "completed")  # who asks for the same again is shown this one
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

    `state` is "queued" (`place` says how far from its turn, 1 is next), "starting", "running", "stopping", "completed",
    "stopped", "failed" or "lost" (the worker died without a last word). `progress` is 0..1; `remaining_seconds` is None
    while nobody can know.
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
    place: int = 0
    progress: float = 0.0
    remaining_seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return self.state in ENDED

    @property
    def can_go_on(self) -> bool:
        """It ended without what was asked for: its worker died, something failed, or it was cancelled in the queue."""
        return self.state in ("lost", "failed") or (self.state == "stopped" and self.started is None)


def start(spec: RunSpec) -> str:
    """Start a worker in an interpreter of its own, and return the run's id. A training waits in it for its turn.

    It outlives the process that started it, and that process's Ctrl-C. Raises PlaygroundError when the run is of no
    known kind or the worker cannot be started.
    """
    if spec.kind not in KINDS:
        raise PlaygroundError(f"There is no training of the kind {spec.kind!r}: choose {' or '.join(KINDS)}.")
    folder = new_folder()
    try:
        _launch(folder, spec)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # a run that nobody could read would be listed for ever
        raise PlaygroundError(f"The training could not be started: {error.strerror}.") from error
    return folder.name


def new_folder() -> Path:
    """An empty folder for a run, named for the moment."""
    folder = home.runs_dir() / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"
    folder.mkdir()
    return folder


def resume(run_id: str) -> None:
    """Let a run that died or failed go on: from its last checkpoint where its trainer keeps one, else from the start.

    It comes to the same end as if nothing had happened. Raises PlaygroundError when there is nothing to go on with.
    """
    with open(home.runs_dir() / "once", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two who ask in the same moment, the second finds it running
        found = view(run_id)
        if not found.can_go_on:
            raise PlaygroundError(f"Only a training that died or failed can go on, this one is {found.state}.")
        folder = run_dir(run_id)
        if is_alive(folder):
            raise PlaygroundError("The process of this training is still ending: try again in a moment.")
        try:
            mark_resumed(folder)
            _launch(folder, found.spec)
        except OSError as error:
            raise PlaygroundError(f"The training could not be started: {error.strerror}.") from error


def mark_resumed(folder: Path) -> None:
    """Say that what follows is another worker's; a wish to stop was the last one's."""
    (folder / "stop").unlink(missing_ok=True)
    _append(folder, Resumed(time.time()))


def _launch(folder: Path, spec: RunSpec) -> None:
    """Start the worker of the run in `folder`."""
    # The lock belongs to the open file, and the worker inherits the open file as its standard input: it is held from
    # before the worker exists until the kernel closes it with the worker's last breath, however it dies. So there is no
    # moment in which a starting run looks dead, and no process id that could be somebody else's by now.
    with open(folder / "worker", "w+") as lock, open(folder / "worker.log", "ab") as output:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_spec(folder, spec, device="auto" if spec.kind == "transfer" else "cpu")
        module = "playground.jobs"
        if spec.kind not in WITHOUT_QUEUE:
            module = "playground.training.queue"
            (home.runs_dir() / QUEUE).mkdir(exist_ok=True)
            (home.runs_dir() / QUEUE / folder.name).write_text(spec.kind, encoding="utf-8")  # first come, first served
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(folder)], cwd=home.REPOSITORY, env=_environment(),
                stdin=lock, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )
        except OSError as error:
            message = f"The training could not be started: {error.strerror}."
            _append(folder, Failed(message, repr(error), time.time()))
            raise PlaygroundError(message) from error
        lock.write(str(process.pid))
    threading.Thread(target=process.wait, daemon=True).start()  # so that it leaves no zombie in a server that stays


def _append(folder: Path, event: Event) -> None:
    """Write an event to the log of a run that has no worker."""
    log = EventLog(folder / "events.jsonl")
    try:
        log.append(event)
    finally:
        log.close()


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
            if read_spec(run_dir(run_id)) == spec and view(run_id).state in WANTED:
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
    anew = [k for k, event in enumerate(events) if isinstance(event, Resumed)]
    if anew:
        events = events[anew[-1] + 1:]
    last: dict[type, Event] = {type(event): event for event in events}
    batches = [event for event in events if isinstance(event, Batch)]
    epochs = [event for event in events if isinstance(event, Epoch)]
    measured = [event for event in events if isinstance(event, Measured)]
    started, finished = last.get(Started), last.get(Finished)
    stage = events[-1] if events and isinstance(events[-1], Stage) else None
    queued = events[-1] if events and isinstance(events[-1], Queued) else None
    events = [event for event in events if not isinstance(event, Queued)]  # waiting is neither progress nor work

    if Failed in last:
        state = "failed"
    elif Cancelled in last:
        state = "stopped"
    elif isinstance(finished, Finished) and (Exported in last or spec.kind in WITHOUT_MODEL):
        state = finished.reason
    elif not alive:
        state = "lost"
    elif stop_asked:
        state = "stopping"
    elif queued is not None and queued.place:
        state = "queued"
    else:
        state = "running" if events else "starting"

    share = STAGES_SHARE if spec.request.get("mode", "frozen") == "frozen" else 0.2  # there, epochs are what takes long
    progress = 1.0 if state in ("completed", "stopped") else _progress(events, share)
    remaining = None
    if state == "running" and isinstance(started, Started) and progress >= 0.02:
        # What was there already when the counting began (of a download, say) took no time.
        first = next((k for k, event in enumerate(events) if isinstance(event, Stage) and event.total > 1), 0)
        elapsed, made = events[-1].time - events[0].time, progress - _progress(events[:first + 1], share)
        remaining = elapsed * (1 - progress) / made if elapsed >= 1 and made > 0 else None
    return RunView(
        run_id, spec, state, stage, started, batches, epochs, measured,  # type: ignore[arg-type]
        last.get(Saved), finished, last.get(Exported), last.get(Failed),  # type: ignore[arg-type]
        queued.place if queued and state == "queued" else 0, progress, remaining,
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
    with home.whole(folder / "spec.json") as incoming:
        incoming.write_text(json.dumps(data, ensure_ascii=False, indent=2), encoding="utf-8")


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
