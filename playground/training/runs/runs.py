"""Training runs: start one, stop one, and see how one is doing. A run is a folder, and everything is in it.

    .runs/<id>/spec.json      what was asked for: request, seed, name, versions, device
               events.jsonl   what happened, appended to by the worker
               worker         its process id; locked by the worker as long as it lives
               worker.log     what the worker wrote to its standard output and error
               stop           exists once somebody asked it to stop
    .runs/queue/<id>          stands for a run that waits for its turn (`turns`; in a class, in its common home)
    .runs/names/<name>        the run that holds a model's name (`names`)
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
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from playground import home
from playground.errors import PlaygroundError
from playground.training.runs import class_runs, names, turns
from playground.training.runs.events import Event, Failed, Resumed
from playground.training.runs.log import EventLog, read
from playground.training.runs.run_view import (
    DOWNLOAD,
    ENDED,
    EXPERIMENT,
    ID_MOMENT,
    KINDS,
    PRETRAINED,
    WITHOUT_MODEL,
    RunSpec,
    RunView,
    fold,
)
from playground.training.runs.turns import is_alive

__all__ = ["DOWNLOAD", "ENDED", "EXPERIMENT", "KINDS", "PRETRAINED", "WITHOUT_MODEL", "RunSpec", "RunView", "finish",
           "fold", "free_name", "is_alive", "new_folder", "read_spec", "remove", "resume", "run_dir", "run_ids",
           "same", "start", "start_once", "stop", "view", "write_spec"]

WITHOUT_QUEUE = (PRETRAINED, DOWNLOAD)  # they hardly compute
CLUSTER = "PLAYGROUND_RAY"
"""Where this names a Ray cluster, trainings are sent there."""
GONE = ".removed-"
WANTED = ("queued", "starting", "running", "completed")  # who asks for the same again is shown this one
_ID = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{4}")
_PACKAGES = ("numpy", "torch", "onnx", "onnxruntime", "onnxscript", "scikit-learn", "scikit-image", "pillow")


def start(spec: RunSpec, suggested: bool = False) -> str:
    """Start a worker in an interpreter of its own, and return the run's id. A training waits in it for its turn.

    It outlives the process that started it, and that process's Ctrl-C. From here on the run holds its model's name:
    of two who ask for one name in the same moment, one gets it. A `suggested` name is nobody's wish: where somebody was
    quicker, the next free one is taken instead. Raises PlaygroundError when the run is of no known kind, its name is
    taken, a workspace of a class has too many waiting already, or the worker cannot be started.
    """
    if spec.kind not in KINDS:
        raise PlaygroundError(f"There is no training of the kind {spec.kind!r}: choose {' or '.join(KINDS)}.")
    if spec.kind not in WITHOUT_QUEUE:
        _demand_room()
    if spec.kind in WITHOUT_MODEL:
        return _started(new_folder(), spec)
    try:
        with names.locked():
            if suggested:
                spec = replace(spec, name=names.free(spec.name, holds))
            folder = new_folder()
            try:
                names.take(spec.name, folder.name, holds, spec.replace)
                return _started(folder, spec)
            except (PlaygroundError, OSError):
                shutil.rmtree(folder, ignore_errors=True)
                names.give_back(spec.name, folder.name)
                raise
    except OSError as error:
        raise PlaygroundError(f"The training could not be started: {error.strerror}.") from error


def _demand_room() -> None:
    """Raises PlaygroundError where a workspace of a class may let no training more wait, or its disk is full."""
    turns.demand_room()
    home.demand_room()


def _started(folder: Path, spec: RunSpec) -> str:
    try:
        class_runs.begun(folder)
        _launch(folder, spec)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # a run that nobody could read would be listed for ever
        raise PlaygroundError(f"The training could not be started: {error.strerror}.") from error
    return folder.name


def new_folder() -> Path:
    """An empty folder for a run, named for the moment."""
    folder = home.runs_dir() / f"{datetime.now(UTC):{ID_MOMENT}}-{secrets.token_hex(2)}"
    try:
        folder.mkdir()
    except OSError as error:
        raise PlaygroundError(f"The training could not be started: {error.strerror}.") from error
    return folder


def free_name(wish: str) -> str:
    """`wish`, or `wish-2`, `wish-3` ...: a name that neither a model has nor a run that is not over."""
    return names.free(wish, holds)


def holds(run_id: str, name: str) -> bool:
    """Whether a run keeps a model's name: it lives, or it has learnt something that is not exported yet."""
    folder = class_runs.folder_of(run_id)
    if not _ID.fullmatch(run_id) or not folder.is_dir():
        return False
    try:
        found = view(run_id)
    except PlaygroundError:  # nobody can read what it was to do; while it lives it may still come to its end
        return is_alive(folder)
    return found.spec.name == name and (not found.ended or found.can_be_finished)


def resume(run_id: str, name: str | None = None) -> None:
    """Let a run that died or failed go on: from its last checkpoint where its trainer keeps one, else from the start.

    It comes to the same end as if nothing had happened, its model under another `name` where one is given. Where all is
    learnt and only the export is missing, nothing is trained again. Raises PlaygroundError when there is nothing to go
    on with, the name is taken, or a workspace of a class has too many waiting already.
    """
    _go_on(run_id, name, finishing=False)


def finish(run_id: str, name: str | None = None) -> None:
    """Make a model of what a run has learnt that ended without one, without training again.

    For a run whose view says `can_be_finished`: its export was refused or failed, or it died or failed after an epoch
    was saved. `name` is another name for the model. Raises PlaygroundError when there is nothing to be finished, or the
    name is taken.
    """
    _go_on(run_id, name, finishing=True)


def _go_on(run_id: str, name: str | None, finishing: bool) -> None:
    spec = read_spec(demand_own(run_id))
    with class_runs.place_of(spec), open(home.runs_dir() / "once", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two who ask in the same moment, the second finds it running
        found = view(run_id)
        if not found.can_go_on:
            raise PlaygroundError(f"Only a training that died or failed can go on, this one is {found.state}.")
        if finishing and not found.can_be_finished:
            raise PlaygroundError("This training has kept nothing that could be made a model: it ended before its "
                                  "first epoch was saved.")
        folder = run_dir(run_id)
        if is_alive(folder):
            raise PlaygroundError("The process of this training is still ending: try again in a moment.")
        spec = replace(found.spec, name=name or found.spec.name)
        trains = not finishing and found.finished is None
        if trains and spec.kind not in WITHOUT_QUEUE:
            _demand_room()
        try:
            hold_name(folder, spec)
            mark_resumed(folder, finishing=not trains)
            _launch(folder, spec, queued=trains)
        except OSError as error:
            raise PlaygroundError(f"The training could not be started: {error.strerror}.") from error


def hold_name(folder: Path, spec: RunSpec) -> None:
    """Take the name of a run's model for it, and give back the one it held before. Raises PlaygroundError when it is
    taken. What the run was asked for, with the new name, is in its folder afterwards."""
    if spec.kind in WITHOUT_MODEL:
        return
    with names.locked():
        names.take(spec.name, folder.name, holds, spec.replace)
        with suppress(PlaygroundError):  # a run that nothing was written of yet held none
            if (before := read_spec(folder).name) != spec.name:
                names.give_back(before, folder.name)
        write_spec(folder, spec, device="auto")


def mark_resumed(folder: Path, finishing: bool = False) -> None:
    """Say that what follows is another worker's; a wish to stop was the last one's."""
    (folder / "stop").unlink(missing_ok=True)
    _append(folder, Resumed(time.time(), finishing))


def _launch(folder: Path, spec: RunSpec, queued: bool = True) -> None:
    """Start the worker of the run in `folder`."""
    # The lock belongs to the open file, and the worker inherits the open file as its standard input: it is held from
    # before the worker exists until the kernel closes it with the worker's last breath, however it dies. So there is no
    # moment in which a starting run looks dead, and no process id that could be somebody else's by now.
    with open(folder / "worker", "w+") as lock, open(folder / "worker.log", "ab") as output:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_spec(folder, spec, device="auto" if spec.kind == "transfer" else "cpu")
        module = "playground.jobs"
        if queued and spec.kind not in WITHOUT_QUEUE:
            on_cluster = bool(os.environ.get(CLUSTER))
            module = "playground.training.cluster.ray_driver" if on_cluster else "playground.training.runs.queue"
            turns.ask(folder, spec.kind)
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
    """The newest run of the same that is under way or was completed, or else a new one, its name only suggested.

    A class of thirty that opens the same page with the same settings trains once and watches together.
    """
    asked = replace(spec, request=json.loads(json.dumps(spec.request)))  # as it comes back: tuples are lists there
    with class_runs.place_of(spec), open(home.runs_dir() / "once", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two who ask in the same moment are one after the other
        return found if (found := same(asked)) else start(spec, suggested=True)


def same(spec: RunSpec) -> str | None:
    """The newest run of this kind, request and seed that is under way or was completed, whatever it is called.

    One whose learning rate was changed in flight is no longer the same.
    """
    for run_id in run_ids():
        try:
            found = read_spec(run_dir(run_id))
            if (found.kind, found.request, found.seed) == (spec.kind, spec.request, spec.seed) \
                    and (seen := view(run_id)).state in WANTED and not seen.rate_changes:
                return run_id
        except PlaygroundError:
            continue  # a damaged run is nobody's result
    return None


def stop(run_id: str) -> None:
    """Ask a run to end after the batch it is in, keeping what it has learnt. A run that has ended is left alone.

    Raises PlaygroundError when there is no such run, or a class has it in common and another began it.
    """
    (demand_own(run_id) / "stop").touch()


def remove(run_id: str) -> None:
    """Delete a run that has ended, with its curves and all weights it kept; its model stays.

    Raises PlaygroundError as `stop`, while it lives, and where something of it cannot be deleted.
    """
    folder = demand_own(run_id)
    if is_alive(folder):
        raise PlaygroundError("This training is under way: stop it first.")
    gone = folder.with_name(f"{GONE}{run_id}")
    try:
        with names.locked():
            folder.rename(gone)  # nobody finds half of it
            with suppress(PlaygroundError):
                names.give_back(read_spec(gone).name, run_id)
        for left in gone.parent.glob(f"{GONE}*"):  # and what one left that was killed here
            shutil.rmtree(left)
    except OSError as error:
        raise PlaygroundError(f"Not all of this training was deleted ({error.strerror}): try again.") from error


def demand_own(run_id: str) -> Path:
    """The folder of a run that who asks may change. Raises PlaygroundError otherwise."""
    folder = run_dir(run_id)
    if not class_runs.may_change(folder):
        raise PlaygroundError("This is done once for the whole class: only who began it can stop it or let it go on.")
    return folder


def may_change(run_id: str) -> bool:
    """Whether who asks may stop a run or let it go on."""
    return class_runs.may_change(run_dir(run_id))


def is_in_common(run_id: str) -> bool:
    """Whether a class has the run in common."""
    return class_runs.has_common() and class_runs.folder_of(run_id).parent.parent == home.shared()


def run_ids() -> list[str]:
    """Every run, newest first; in a class the workspace's own, and those it has in common with the others."""
    specs = [*home.runs_dir().glob("*/spec.json"), *class_runs.ids_in_common()]
    return sorted((path.parent.name for path in specs if _ID.fullmatch(path.parent.name)), reverse=True)


def run_dir(run_id: str) -> Path:
    """The folder of a run. Raises PlaygroundError when there is no such run."""
    folder = class_runs.folder_of(run_id)
    if not _ID.fullmatch(run_id) or not (folder / "spec.json").is_file():
        raise PlaygroundError(f"There is no training run {run_id}.")
    return folder


def view(run_id: str) -> RunView:
    """How the run is doing now. Raises PlaygroundError when there is no such run or its spec.json is damaged."""
    folder = run_dir(run_id)
    alive = is_alive(folder)  # asked first: what a worker wrote before it died is then surely read
    events, _ = read(folder / "events.jsonl")
    return fold(run_id, read_spec(folder), events, alive, (folder / "stop").exists())


def read_spec(folder: Path) -> RunSpec:
    """What was asked of the run in `folder`. Raises PlaygroundError when its spec.json cannot be read."""
    try:
        return spec_of(home.read_json(folder / "spec.json"))
    except (OSError, ValueError) as error:
        raise PlaygroundError(f"Nobody knows what run {folder.name} was to do: its spec.json is damaged.") from error


def spec_of(data: Any) -> RunSpec:
    """A run's spec of what its file says. Raises ValueError when that is none."""
    wanted = {"kind": str, "request": dict, "seed": int, "name": str}
    if not isinstance(data, dict) or not all(isinstance(data.get(key), kind) for key, kind in wanted.items()):
        raise ValueError(f"a run's spec says {', '.join(wanted)}")
    return RunSpec(data["kind"], data["request"], data["seed"], data["name"], data.get("replace") is True)


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
    environment = {**home.importable(), "PYTHONUNBUFFERED": "1"}
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("PLAYGROUND_THREADS") or str(min(4, allowed))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.setdefault(variable, threads)
    return environment
