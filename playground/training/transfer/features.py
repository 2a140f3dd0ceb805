"""Pictures through a frozen backbone: decoded and seen by a few threads, kept in a store as they come."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import nn

from playground.training.transfer import backbones, photo_list
from playground.training.transfer import frozen as torch_frozen
from playground.training.transfer.feature_store import FeatureStore

AT_ONCE = {"cpu": 8, "cuda": 32}  # pictures through the network together
KEPT_AT_ONCE = 64  # pictures in a file of the store


def threads() -> int:
    """How many of the machine's cores training takes: PLAYGROUND_THREADS, or all it may use up to four."""
    asked = os.environ.get("PLAYGROUND_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, allowed)


@contextmanager
def one_core() -> Iterator[None]:
    """Torch works on one core inside; as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def store_of(name: str, size: int = 0, depth: int = 0) -> FeatureStore:
    """The store of a backbone's features: named for the weights, the preprocessing and what decodes the pictures.

    `size` is the pictures' in pixels, 0 the backbone's own; `depth` the blocks at its end that are left out, because
    they are trained: the store then holds what the part before them gives, flattened.
    """
    row = backbones.find(name)
    recipe = {"backbone": name, "weights": row.weights_name(), "preprocessing": row.preprocessing(size).to_dict(),
              "pillow": metadata.version("pillow"), **({"without": depth} if depth else {})}
    return FeatureStore(recipe)


def compute(name: str, pictures: Sequence[tuple[bytes, Path]], store: FeatureStore, device: torch.device,
            should_stop: Callable[[], bool], *, size: int = 0, network: nn.Module | None = None) -> Iterator[int]:
    """Put the features of (digest, path) pictures into the store; yields how many more are done, to the end or a stop.

    Every thread decodes a few pictures and takes them through the network itself, with one core each: that scales
    better than many cores on one convolution, and decoding never waits. What was computed before a stop is kept.
    `size` as in `store_of`; `network` is what sees the pictures where that is not the whole backbone.
    Raises PlaygroundError when a file cannot be opened any more.
    """
    if network is None:
        whole = backbones.fused(backbones.pretrained(name))
        whole.classifier = nn.Identity()
        network = torch_frozen.as_chain(whole)
    preprocessing = backbones.find(name).preprocessing(size)
    answers = torch_frozen.answering(network, preprocessing.size[0], device, cores=1)

    @torch.inference_mode()
    def see(part: Sequence[tuple[bytes, Path]]) -> np.ndarray:
        pixels = np.stack([preprocessing.apply(photo_list.still(path)) for _, path in part])  # (n, 3, S, S)
        seen: np.ndarray = answers(torch.from_numpy(pixels).to(device)).flatten(1).cpu().numpy()  # (n, D)
        return seen

    few = int(getattr(backbones.find(name), "at_once", AT_ONCE[device.type]))
    parts = [pictures[start:start + few] for start in range(0, len(pictures), few)]
    digests: list[bytes] = []
    rows: list[np.ndarray] = []
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # a device changes the speed, never the numbers
    with exact, one_core(), ThreadPoolExecutor(threads()) as pool:
        try:
            running = {pool.submit(see, part): part for part in parts}
            for future in as_completed(running):
                part = running.pop(future)
                rows.append(future.result())
                digests += [digest for digest, _ in part]
                if len(digests) >= KEPT_AT_ONCE:
                    store.add(digests, np.concatenate(rows))
                    digests, rows = [], []
                yield len(part)
                if should_stop():
                    break
        finally:
            pool.shutdown(cancel_futures=True)
            if digests:
                store.add(digests, np.concatenate(rows))
