"""Photographs decoded once: uint8 pictures of one size in a file mapped into memory, found by their contents."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np

from playground.datasets.photos import open_photo
from playground.datasets.preprocessing import Preprocessing
from playground.home import data_dir

MOST_BYTES = 2**32
"""What decoded pictures may take of the disk; the sets not used for longest go first."""
AT_ONCE = 32


def cached(pictures: Sequence[tuple[bytes, Path]], size: int, workers: int, should_stop: Callable[[], bool]
           ) -> Iterator[int | np.ndarray]:
    """Pictures (digest, path) as uint8 (N, size, size, 3): centre square, resized as training resizes.

    Yields how many are decoded so far, and the array, mapped from the disk, as the last thing. The same pictures in the
    same order are not decoded again. Stops without an array when asked to. Raises PlaygroundError for a file that
    cannot be opened any more.
    """
    key = hashlib.sha256(b"".join(digest for digest, _ in pictures) + f"{size} {metadata.version('pillow')}".encode())
    folder = data_dir() / "pixels"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{size}-{key.hexdigest()[:24]}.npy"
    known = _open(path, (len(pictures), size, size, 3))
    if known is not None:
        os.utime(path)
        yield known
        return
    make_room(folder, MOST_BYTES - len(pictures) * size * size * 3)
    incoming = folder / f"{path.stem}.{secrets.token_hex(4)}.incoming"
    levels = Preprocessing((size, size), gray=False, mean=(0, 0, 0), std=(1, 1, 1))

    def decoded(where: Path) -> np.ndarray:
        shrunk: np.ndarray = np.rint(255 * levels.apply(open_photo(where))).astype(np.uint8).transpose(1, 2, 0)
        return shrunk

    try:
        array = np.lib.format.open_memmap(incoming, mode="w+", dtype=np.uint8, shape=(len(pictures), size, size, 3))
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(pictures), AT_ONCE):
                if should_stop():
                    return
                part = [where for _, where in pictures[start : start + AT_ONCE]]
                array[start : start + len(part)] = list(pool.map(decoded, part))
                yield start + len(part)
        array.flush()
        del array
        os.replace(incoming, path)
    finally:
        incoming.unlink(missing_ok=True)
    yield np.load(path, mmap_mode="r")


def make_room(folder: Path, room: int) -> None:
    """Remove the sets that were not used for longest until the others take at most `room` bytes."""
    for path in sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True):
        room -= path.stat().st_size
        if room < 0:
            path.unlink(missing_ok=True)


def _open(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        known = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return known if known.shape == shape and known.dtype == np.uint8 else None
