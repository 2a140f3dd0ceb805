"""The same training on several processes or machines:

    torchrun --standalone --nproc-per-node 2 -m playground.training.distributed SPEC.json

SPEC.json is what a run's spec.json is (kind "transfer", request, seed, name), its mode fine-tune or scratch. Each
process takes its share of every mini-batch (DistributedDataParallel over nccl on GPUs, gloo else), so `batch_size` is
that of all together and the result is one process's with the same batch size. Two things differ: dropout masks are each
process's own, and batch norms that learn see their process's share only where there is no GPU. The first process
writes: the run's folder, which the app shows like any other, and the export. On more than one machine PLAYGROUND_HOME
and the photographs have to be at the same place on a file system they share.
"""

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from playground import home
from playground.errors import PlaygroundError
from playground.training import runs, torch_fit, worker
from playground.training.events import Event
from playground.training.recipe import FROZEN, Request
from playground.training.runs import RunSpec


def main(arguments: list[str]) -> int:
    """Take part in the training of the spec named; 0, or 1 when it failed, or 2 with a sentence on standard error."""
    try:
        spec = spec_of(arguments)
    except PlaygroundError as error:
        print(error, file=sys.stderr)
        return 2
    cuda = torch.cuda.is_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        folder = agreed_folder()
        if dist.get_rank():
            return follow(spec, folder)
        with open(folder / "worker", "w") as lock:  # as runs.start does: who holds it lives
            fcntl.flock(lock, fcntl.LOCK_EX)
            runs.write_spec(folder, spec, device="auto")
            print(f"run {folder.name} on {dist.get_world_size()} processes", file=sys.stderr, flush=True)
            return worker.work(folder, whole)
    finally:
        dist.destroy_process_group()


def spec_of(arguments: list[str]) -> RunSpec:
    """The run to do. Raises PlaygroundError when it is none of a kind that several processes can share."""
    if len(arguments) != 1:
        raise PlaygroundError("Name one file: torchrun … -m playground.training.distributed SPEC.json")
    try:
        data = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        spec = RunSpec(data["kind"], data["request"], int(data["seed"]), data["name"], data.get("replace", False))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlaygroundError(f"{arguments[0]} is no run's spec: JSON with kind, request, seed and name.") from error
    if spec.kind != "transfer" or Request.of(spec.request).mode == FROZEN:
        raise PlaygroundError("Several processes train transfer runs in fine-tune or scratch mode; a frozen one takes "
                              "seconds on one.")
    return spec


def agreed_folder() -> Path:
    """The run's folder, made by the first process, known to all."""
    told = [runs.new_folder().name if dist.get_rank() == 0 else ""]
    dist.broadcast_object_list(told, 0)
    return home.runs_dir() / told[0]


def whole(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """The first process's part: the training, and the export when it is over."""
    from playground import jobs  # it knows the trainers, this one among them

    yield from jobs.events(spec, run_dir, should_stop)


def follow(spec: RunSpec, run_dir: Path) -> int:
    """The part of every other process: the same training, its events told to nobody."""
    try:
        for _ in torch_fit.fit(spec, run_dir, lambda: False):
            pass
    except PlaygroundError:  # the first process says it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
