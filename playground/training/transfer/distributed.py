"""The same training on several processes or machines:

    torchrun --standalone --nproc-per-node 2 -m playground.training.transfer.distributed SPEC.json

SPEC.json is what a run's spec.json is (kind "transfer", request, seed, name), its mode fine-tune or scratch; that of a
run that was killed or failed lets this very run go on. Each process takes its share of every mini-batch
(DistributedDataParallel over nccl on GPUs, gloo else), so `batch_size` is that of all together and the result is one
process's with the same batch size. Two things differ: dropout masks are each process's own, and batch norms that learn
see their process's share only where there is no GPU. The first process writes: the run's folder, which the app shows
like any other, and the export. On more than one machine PLAYGROUND_HOME and the photographs have to be at the same
place on a file system they share. Ctrl-C, and SIGTERM to any process, end the training after the mini-batch it is in;
torchrun leaves it 30 seconds for that and the export.
"""

import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from playground import home
from playground.errors import PlaygroundError
from playground.training.runs import runs, worker
from playground.training.runs.events import Event
from playground.training.runs.runs import RunSpec
from playground.training.transfer import fit as torch_fit
from playground.training.transfer.recipe import FROZEN, Request


def main(arguments: list[str]) -> int:
    """Take part in the training of the spec named; 0, or 1 when it failed, or 2 with a sentence on standard error."""
    try:
        spec = spec_of(arguments)
    except PlaygroundError as error:
        print(error, file=sys.stderr)
        return 2
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # torchrun tells every process: they stop together, not each at once
        signal.signal(number, lambda *_: asked.set())
    cuda = torch.cuda.is_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        folder = agreed_folder(Path(arguments[0]), spec)
        return follow(spec, folder, asked.is_set) if dist.get_rank() else lead(spec, folder, asked.is_set)
    except PlaygroundError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        dist.destroy_process_group()


def spec_of(arguments: list[str]) -> RunSpec:
    """The run to do. Raises PlaygroundError when it is none of a kind that several processes can share."""
    if len(arguments) != 1:
        raise PlaygroundError("Name one file: torchrun … -m playground.training.transfer.distributed SPEC.json")
    try:
        spec = runs.spec_of(home.read_json(Path(arguments[0])))
    except (OSError, ValueError) as error:
        raise PlaygroundError(f"{arguments[0]} is no run's spec: JSON with kind, request, seed and name.") from error
    if spec.kind != "transfer" or Request.of(spec.request).mode == FROZEN:
        raise PlaygroundError("Several processes train transfer runs in fine-tune or scratch mode; a frozen one takes "
                              "seconds on one.")
    return spec


def agreed_folder(path: Path, spec: RunSpec) -> Path:
    """The run's folder, made by the first process, known to all: a new one, or that of the run whose spec is named.

    Raises PlaygroundError, in all of them, when that run cannot go on, or the name of its model is taken.
    """
    told: list[str | None] = [None, None]
    if dist.get_rank() == 0:
        try:
            if (before := going_on(path.resolve())) is not None:
                runs.hold_name(home.runs_dir() / before, spec)
                runs.mark_resumed(home.runs_dir() / before)
                told[0] = before
            else:
                told[0] = new_run(spec)
        except (PlaygroundError, OSError) as error:
            told[1] = str(error)
    dist.broadcast_object_list(told, 0)
    if told[0] is None:
        raise PlaygroundError(str(told[1]))
    return home.runs_dir() / told[0]


def new_run(spec: RunSpec) -> str:
    """A folder for a run, which holds its model's name. Raises PlaygroundError when that is taken."""
    folder = runs.new_folder()
    try:
        runs.hold_name(folder, spec)
    except (PlaygroundError, OSError):
        folder.rmdir()
        raise
    return folder.name


def going_on(spec: Path) -> str | None:
    """The run a spec.json is of, if it can go on; None when it is of none. Raises PlaygroundError when it cannot."""
    if spec.parent.parent != home.runs_dir().resolve():
        return None
    view = runs.view(spec.parent.name)
    if runs.is_alive(spec.parent) or not view.can_go_on:
        raise PlaygroundError(f"Only a training that died or failed can go on, this one is {view.state}.")
    if view.finished is not None:
        raise PlaygroundError("Nothing is left to be trained in this run, only its export is missing: python -m "
                              f"playground resume {view.run_id}")
    return view.run_id


def lead(spec: RunSpec, folder: Path, asked: Callable[[], bool]) -> int:
    """The first process's part: the training, the record of it, and the export when it is over."""
    from playground import jobs  # it knows the trainers, this one among them

    def whole(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
        try:
            yield from jobs.events(spec, run_dir, lambda: asked() or should_stop())
        except RuntimeError as error:
            if isinstance(error, dist.DistError) or "gloo" in str(error):
                raise PlaygroundError("Another process of this training ended, or cannot be reached any more; what was "
                                      "saved is kept.") from error
            raise

    with open(folder / "worker", "w") as lock, open(folder / "worker.log", "a", encoding="utf-8") as output, \
            contextlib.redirect_stdout(output):  # as runs.start does: who holds the lock lives
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs.write_spec(folder, spec, device="auto")
        print(f"run {folder.name} on {dist.get_world_size()} processes", file=sys.stderr, flush=True)
        status = worker.work(folder, whole, signals=False)
    if (failed := runs.view(folder.name).failed) is not None:
        print(failed.message, file=sys.stderr)
    return status


def follow(spec: RunSpec, run_dir: Path, asked: Callable[[], bool]) -> int:
    """The part of every other process: the same training, its events told to nobody."""
    try:
        for _ in torch_fit.fit(spec, run_dir, asked):
            pass
    except Exception as error:
        print(f"process {dist.get_rank()}: {worker.sentence(error)}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
