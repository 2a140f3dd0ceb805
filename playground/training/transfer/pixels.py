"""Photographs decoded once: cropped, resized, and kept on disk as bytes that are mapped into memory, not read."""

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.home import clear_left, data_dir, derived_dir, whole
from playground.training.transfer import photo_list

MOST_BYTES = 16 * 2**30
"""What decoded photographs may take of the disk, of all sizes together; never more than half of what is free. Those
that were not used for longest go first."""
IN_MEMORY_BYTES = 2**30
"""Up to so much is read into memory at the start; what is larger stays on the disk, mapped."""
BLOCK = 64  # pictures a file


class PixelStore:
    """Decoded photographs of one size: digest (32 bytes) -> uint8 (S, S, 3) RGB, cut to the middle square.

    A folder of .npy files, written whole under names nobody else uses and never changed, so that a kill loses nothing
    and two runs may add at once. A file that cannot be read is removed.
    """

    def __init__(self, size: int):
        self.size = size
        self.folder = derived_dir() / "pixels" / str(size)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.record = np.dtype([("digest", np.uint8, 32), ("pixels", np.uint8, (size, size, 3))])
        self._where: dict[bytes, tuple[np.ndarray, int]] = {}
        clear_left(self.folder)
        for path in self.folder.glob("*.npy"):
            self._read(path)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._where

    def fill(self, pictures: Sequence[tuple[bytes, Path]], threads: int, should_stop: Callable[[], bool]
             ) -> Iterator[int]:
        """Decode what is missing; yields how many more are done, to the end or a stop.

        Raises PlaygroundError when they would not fit on the disk or a file cannot be opened any more.
        """
        missing = [(digest, path) for digest, path in pictures if digest not in self]
        self._make_room(len(missing) * self.record.itemsize, len(pictures) * self.record.itemsize)
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(missing), BLOCK):
                block = missing[start:start + BLOCK]
                decoded = list(pool.map(lambda one: squared(photo_list.still(one[1]), self.size), block))
                self._write([digest for digest, _ in block], decoded)
                yield len(block)
                if should_stop():
                    return

    def take(self, digests: Sequence[bytes]) -> "Pictures":
        """The pictures with these digests, in their order. Raises KeyError for one that is not known."""
        return Pictures([self._where[digest] for digest in digests], self.size)

    def _write(self, digests: Sequence[bytes], pixels: Sequence[np.ndarray]) -> None:
        block = np.empty(len(digests), self.record)
        block["digest"] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        block["pixels"] = np.stack(pixels)
        path = self.folder / f"{secrets.token_hex(8)}.npy"
        with whole(path) as incoming, open(incoming, "wb") as file:
            np.save(file, block, allow_pickle=False)
        self._read(path)

    def _read(self, path: Path) -> None:
        try:
            block = np.load(path, mmap_mode="r", allow_pickle=False)
            if block.dtype != self.record:
                raise ValueError(path.name)
            os.utime(path)  # used just now: others go first
        except (OSError, ValueError, EOFError):
            path.unlink(missing_ok=True)
            return
        pixels = block["pixels"]
        self._where.update((digest.tobytes(), (pixels, k)) for k, digest in enumerate(block["digest"]))

    def _make_room(self, more: int, wanted: int) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.parent.glob("*/*.npy"):
            with suppress(FileNotFoundError):  # deleted by somebody this moment
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        used = sum(size for _, size, _ in found)
        most = min(MOST_BYTES, used + shutil.disk_usage(self.folder).free // 2)
        if wanted > most:
            raise PlaygroundError(f"The decoded photographs would take {wanted / 1e9:.1f} GB and {most / 1e9:.1f} GB "
                                  "may be used: a smaller image size or fewer photographs would help.")
        for _, size, path in sorted(found):
            if used + more <= most:
                break
            if path.parent != self.folder:  # this run may need its own
                used -= size
                path.unlink(missing_ok=True)  # a run that has it mapped keeps what it sees


def forget(beginnings: Collection[bytes]) -> None:
    """Take photographs out of all stores on the disk, by the first 16 bytes of their digests. A run that has them
    mapped keeps what it sees until it ends."""
    for path in (data_dir() / "pixels").glob("*/*.npy"):
        try:
            block = np.load(path, mmap_mode="r", allow_pickle=False)
            left = np.array([digest[:16].tobytes() not in beginnings for digest in block["digest"]])
        except (OSError, ValueError, EOFError, IndexError):
            continue  # whoever reads it removes it
        if left.any() and not left.all():
            # Where the disk refuses, the others go, too: they can be decoded again
            new = path.with_name(f"{secrets.token_hex(8)}.npy")
            with suppress(OSError), whole(new) as incoming, open(incoming, "wb") as file:
                np.save(file, block[left], allow_pickle=False)
        if not left.all():
            path.unlink(missing_ok=True)


class Pictures:
    """Decoded photographs by their number; small collections lie in memory, large ones on the disk."""

    def __init__(self, places: Sequence[tuple[np.ndarray, int]], size: int):
        self.shape = (len(places), size, size, 3)
        self._places = places
        self.all: np.ndarray | None = None
        if int(np.prod(self.shape)) <= IN_MEMORY_BYTES:
            self.all = self._gather(range(len(places)))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Pictures uint8 (n, S, S, 3) with these numbers."""
        return self.all[rows] if self.all is not None else self._gather(rows)

    def _gather(self, rows: Sequence[int] | range | np.ndarray) -> np.ndarray:
        gathered = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for n, row in enumerate(rows):
            block, k = self._places[row]
            gathered[n] = block[k]
        return gathered


def squared(image: np.ndarray, size: int) -> np.ndarray:
    """A photograph as training sees it: the middle square, resized as `Preprocessing` does, rounded to bytes.

    >>> squared(np.full((6, 9, 3), 7, np.uint8), 4).shape
    (4, 4, 3)
    """
    top, left, height, width = Preprocessing((size, size), False, (0.0,) * 3, (1.0,) * 3).crop(*image.shape[:2])
    part = Image.fromarray(np.ascontiguousarray(image[top:top + height, left:left + width]))
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))
