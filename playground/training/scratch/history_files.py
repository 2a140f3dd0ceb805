"""What a run of the NumPy engine keeps of its weights while it trains, on disk: written here, read by `history`.

    RUN/history/history.json            what was asked, the digest of the pictures, batches an epoch, steps taken,
                                            and what the learning rate was changed by in flight
                weights-00003.safetensors   after epoch 3, as float16; epoch 0 are the first weights
                state-00002.safetensors     after epoch 2, exact: weights, optimizer, schedule, generators, buffers

Weights are kept of every epoch, exact states of the epochs 0, 1, 2, 4, 8 ... and of the last three. All of it takes at
most `MOST_BYTES`. Where it would be more, there go first the exact states, that of epoch 0 before all (the seed gives
it again), then the older ones, the latest last; then the weights of odd epochs, then of those that 4 does not divide,
then 8 and so on, the older ones first; the first weights and the last go at the very end. What is kept in the run's
folder besides (its network, its checkpoint) does not count.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from playground.home import read_json, whole
from playground.training.scratch.numpy_checkpoint import State

FOLDER, INDEX = "history", "history.json"
VERSION = 1
MOST_BYTES = 64_000_000
MOST_THREADS = 1024
LAST = 3
"""Epochs whose exact states are kept whatever their number."""
LARGEST = float(np.finfo(np.float16).max)
WEIGHTS, STATE = "weights", "state"
_NAME = re.compile(rf"({WEIGHTS}|{STATE})-(\d{{5}})\.safetensors")


def path_of(run_dir: Path, kind: str, epoch: int) -> Path:
    """Where the weights or the state after an epoch are kept."""
    return run_dir / FOLDER / f"{kind}-{epoch:05}.safetensors"


def kept(run_dir: Path) -> dict[tuple[str, int], int]:
    """What is there: the size in bytes by kind and epoch."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for path in (run_dir / FOLDER).iterdir():
            if name := _NAME.fullmatch(path.name):
                found[name[1], int(name[2])] = path.stat().st_size
    return found


def clear(run_dir: Path) -> None:
    """Forget the history of what was trained in this folder before."""
    for kind, epoch in kept(run_dir):
        path_of(run_dir, kind, epoch).unlink(missing_ok=True)
    (run_dir / FOLDER / INDEX).unlink(missing_ok=True)


def keep(run_dir: Path, state: State, batches: int, threads: int) -> None:
    """Keep what a training has come to after a whole epoch (or before its first), and let go what is too much.

    Every file is written whole or not at all, and the index last. What is there already is left as it is, so a run that
    went on from its checkpoint calls this once more for the epoch it goes on from: what a full disk kept from being
    written is made up for.
    """
    (run_dir / FOLDER).mkdir(exist_ok=True)
    epoch, there = state.epoch, kept(run_dir)
    weights = state.model.state_dict()
    if (WEIGHTS, epoch) not in there:
        halves = {name: half(array) for name, array in weights.items()}
        said = json.dumps({"epoch": epoch, "digest": digest_of(weights)})
        with whole(path_of(run_dir, WEIGHTS, epoch)) as incoming:
            save_file(halves, incoming, {"weights": said})
    if (STATE, epoch) not in there:
        state.write(path_of(run_dir, STATE, epoch))
    for kind, gone in too_many(kept(run_dir), epoch):
        path_of(run_dir, kind, gone).unlink(missing_ok=True)
    index(run_dir, state, batches, epoch * batches, max(1, epoch), threads)


def index(run_dir: Path, state: State, batches: int, steps: int, epoch: int, threads: int) -> None:
    """Say what the history is of, how many steps were taken, with the work cut for how many threads, and from which
    epoch on the rates were times which factors: `epoch` is the one that was begun last, a step of it taken or not."""
    changes: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        changes = dict(read_json(run_dir / FOLDER / INDEX)["factors"])
    if state.factors and state.factors not in changes.values():
        changes[str(epoch)] = state.factors
    said = {"version": VERSION, "asked": state.asked, "data": state.data, "batches": batches, "steps": steps,
            "threads": threads, "factors": changes}
    with whole(run_dir / FOLDER / INDEX) as incoming:
        incoming.write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")


def threads_of(run_dir: Path) -> int | None:
    """For how many threads the work of the training in a folder was cut, None where nothing says so: who goes on with
    it cuts it alike."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = read_json(run_dir / FOLDER / INDEX)["threads"]
        return said if isinstance(said, int) and 1 <= said <= MOST_THREADS else None
    return None


def too_many(sizes: Mapping[tuple[str, int], int], last: int) -> list[tuple[str, int]]:
    """What has to go after epoch `last`, in the order in which it goes.

    >>> sizes = {("state", epoch): 1 for epoch in range(10)}
    >>> too_many(sizes, 9)
    [('state', 3), ('state', 5), ('state', 6)]
    """
    gone = [("state", epoch) for kind, epoch in sorted(sizes)
            if kind == STATE and epoch & (epoch - 1) and epoch <= last - LAST]
    room = MOST_BYTES - sum(size for key, size in sizes.items() if key not in gone)
    for key in _order(sizes, gone):
        if room >= 0:
            break
        gone.append(key)
        room += sizes[key]
    return gone


def _order(sizes: Mapping[tuple[str, int], int], gone: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """What else goes, one after the other."""
    yield from ((kind, epoch) for kind, epoch in sorted(sizes) if kind == STATE and (kind, epoch) not in gone)
    there = sorted(epoch for kind, epoch in sizes if kind == WEIGHTS)
    between = sorted(there[1:-1], key=lambda epoch: (epoch & -epoch, epoch))  # by the largest power of 2 in it
    yield from ((WEIGHTS, epoch) for epoch in [*between, *there[:1], *there[1:][-1:]])


def digest_of(weights: Mapping[str, np.ndarray]) -> str:
    """One for exact weights, by which a replay is checked."""
    found = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name]
        found.update(repr((name, array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def half(array: np.ndarray) -> np.ndarray:
    """As float16, where all of it has room there; counts stay whole numbers."""
    there: Any = np.abs(array).max(initial=0)
    small = array.dtype.kind == "f" and there <= LARGEST
    return np.asarray(array, np.float16 if small else array.dtype, order="C")
