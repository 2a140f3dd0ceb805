"""What a frozen backbone saw in a picture, kept on disk and found again by the picture's content."""

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from playground.errors import PlaygroundError
from playground.home import clear_left, data_dir, derived_dir, whole
from playground.numbers import counted

MOST_BYTES = 2**29
"""What one backbone's features may take of the disk: those of 100,000 pictures. The oldest go first."""


def content_digest(path: Path) -> bytes:
    """SHA-256 of a file's bytes: the same picture under another name or in another folder is the same picture."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


class FeatureStore:
    """Feature vectors on disk: digest (32 bytes) -> float32 (D,).

    `recipe` is everything the vectors depend on besides the picture (backbone, weights, preprocessing); another recipe
    is another store. It is a folder of small files that are written whole, under a name nobody else uses, and never
    changed: a kill loses nothing that was added, and two runs may add at once. A file that cannot be read is removed
    and its pictures count as unknown.
    """

    def __init__(self, recipe: dict[str, Any]):
        described = json.dumps(recipe, sort_keys=True)
        backbone = re.sub(r"[^A-Za-z0-9._-]", "-", str(recipe.get("backbone", "features")))
        name = f"{backbone}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
        self.folder = derived_dir() / "features" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._where: dict[bytes, tuple[Path, int]] = {}
        clear_left(self.folder)
        room = MOST_BYTES
        for path in sorted(self.folder.glob("*.safetensors"), key=_age, reverse=True):
            room -= _size(path)
            if room < 0:
                path.unlink(missing_ok=True)
            else:
                self._read_digests(path)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._where

    def add(self, digests: Sequence[bytes], features: np.ndarray) -> None:
        """Keep features (N, D) of N pictures; they are on the disk when this returns."""
        path = self.folder / f"{secrets.token_hex(8)}.safetensors"
        keys = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), 32)
        with whole(path) as incoming:
            save_file({"digests": keys, "features": np.ascontiguousarray(features, np.float32)}, incoming)
        self._where.update((digest, (path, k)) for k, digest in enumerate(digests))

    def take(self, digests: Sequence[bytes]) -> np.ndarray:
        """Features (N, D) of N known pictures, in their order.

        Raises KeyError for one that is not known, PlaygroundError for one that was known and was deleted meanwhile.
        """
        try:
            return self._take(digests)
        except OSError:  # who deletes a picture writes what else was in its file to another one
            self._where.clear()
            for path in self.folder.glob("*.safetensors"):
                self._read_digests(path)
        if gone := len({digest for digest in digests if digest not in self}):
            raise PlaygroundError(f"{counted(gone, 'photo was', 'photos were')} deleted while the training read them, "
                                  "and nothing had been learnt yet. What was read of the others is kept: begin again, "
                                  "and it goes on with those.")
        return self._take(digests)

    def _take(self, digests: Sequence[bytes]) -> np.ndarray:
        rows: dict[Path, list[tuple[int, int]]] = {}
        for n, digest in enumerate(digests):
            path, k = self._where[digest]
            rows.setdefault(path, []).append((n, k))
        taken: np.ndarray = np.zeros((0, 0), np.float32)
        for path, pairs in rows.items():
            with safe_open(path, framework="numpy") as file:
                features = file.get_tensor("features")  # (M, D)
            if not taken.size:
                taken = np.empty((len(digests), features.shape[1]), np.float32)
            to, of = np.array(pairs).T
            taken[to] = features[of]
        return taken

    def _read_digests(self, path: Path) -> None:
        try:
            with safe_open(path, framework="numpy") as file:
                for k, digest in enumerate(file.get_tensor("digests")):
                    self._where[digest.tobytes()] = (path, k)
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)


def forget(beginnings: Collection[bytes]) -> None:
    """Take pictures out of all stores on the disk, by the first 16 bytes of their digests."""
    for path in (data_dir() / "features").glob("*/*.safetensors"):
        try:
            with safe_open(path, framework="numpy") as file:
                digests, features = file.get_tensor("digests"), file.get_tensor("features")
        except (SafetensorError, OSError):
            continue  # whoever reads it removes it
        left = np.array([digest[:16].tobytes() not in beginnings for digest in digests])
        if left.any() and not left.all():
            # Where the disk refuses, the others go, too: they can be computed again
            new = path.with_name(f"{secrets.token_hex(8)}.safetensors")
            with suppress(OSError, SafetensorError), whole(new) as incoming:
                save_file({"digests": np.ascontiguousarray(digests[left]),
                           "features": np.ascontiguousarray(features[left])}, incoming)
        if not left.all():
            path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
