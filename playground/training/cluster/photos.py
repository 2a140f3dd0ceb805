"""A folder of pictures on its way to another machine: packed in pieces here, unpacked there once for all who need it.

    digest, pieces = packed(folder)                     on the app's machine
    with unpacked(top, digest, name, pieces) as there:  on a node; trainings of the same content share one folder,
        ...                                             and the last one that needs it removes it
"""

import fcntl
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from playground.datasets.unzip import is_junk
from playground.errors import PlaygroundError

PIECE_BYTES = 32 * 2**20
MOST_BYTES = 20 * 10**9


class _Pieces(io.RawIOBase):
    """A file that hands on what is written to it in pieces of one size."""

    def __init__(self, put: Callable[[bytes], Any]):
        self.put, self.pieces, self.digest = put, list[Any](), hashlib.sha256()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self._held += data
        while len(self._held) >= PIECE_BYTES:
            self.pieces.append(self.put(bytes(self._held[:PIECE_BYTES])))
            del self._held[:PIECE_BYTES]
        return len(data)

    def end(self) -> None:
        if self._held:
            self.pieces.append(self.put(bytes(self._held)))
            self._held.clear()


class _Joined(io.RawIOBase):
    """Pieces as one file to be read."""

    def __init__(self, pieces: Iterable[bytes]):
        self._pieces, self._held = iter(pieces), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))  # a view: what is left is not copied at every reading
        taken, self._held = self._held[:len(buffer)], self._held[len(buffer):]
        buffer[:len(taken)] = taken
        return len(taken)


def packed(folder: Path, put: Callable[[bytes], Any]) -> tuple[str, list[Any]]:
    """A digest of everything in a folder, and what `put` made of each piece of it.

    The same content is the same digest, wherever it lies and whenever it was written. Raises PlaygroundError where it
    is too much, or changes meanwhile.

    >>> import tempfile
    >>> where = Path(tempfile.mkdtemp())
    >>> _ = (where / "a.txt").write_text("a")
    >>> digest, pieces = packed(where, len)
    >>> len(digest), len(pieces)
    (32, 1)
    """
    out, room = _Pieces(put), MOST_BYTES
    try:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for path in _below(folder):
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                if path.is_dir():
                    entry.type = tarfile.DIRTYPE
                    archive.addfile(entry)
                    continue
                entry.size = path.stat().st_size
                room -= entry.size
                if room < 0:
                    raise PlaygroundError(f"{folder.name} holds more than {MOST_BYTES / 1e9:.0f} GB, too much to be "
                                          "sent to a cluster: name a folder that holds the photos alone.")
                with open(path, "rb") as file:
                    archive.addfile(entry, file)
    except OSError as error:
        raise PlaygroundError(f"The files in {folder.name} changed or went while they were sent to the cluster: start "
                              "the training again.") from error
    out.end()
    return out.digest.hexdigest()[:32], out.pieces


def _below(folder: Path) -> Iterator[Path]:
    """Every folder and file below in alphabetical order, but hidden ones and what systems leave behind. Links lead to
    what they name, though not in a circle."""
    seen = {folder.resolve()}
    for here, folders, files in os.walk(folder, followlinks=True):
        found = [path for name in sorted(folders) if not is_junk(name)
                 and (path := Path(here) / name).resolve() not in seen]
        seen.update(path.resolve() for path in found)
        folders[:] = [path.name for path in found]
        yield from found
        yield from (path for name in sorted(files) if not is_junk(name) and (path := Path(here) / name).is_file())


@contextmanager
def unpacked(top: Path, digest: str, name: str, pieces: Iterable[bytes]) -> Iterator[Path]:
    """The folder that was packed, called `name`, as long as this is inside; `pieces` are asked for only where it is not
    there yet. Whoever comes while it is unpacked waits for it."""

    def fill(folder: Path) -> None:
        with tarfile.open(fileobj=io.BufferedReader(_Joined(pieces)), mode="r|") as archive:
            archive.extractall(folder / name, filter="data")

    with held(top, digest, fill) as folder:
        yield folder / name


@contextmanager
def held(top: Path, name: str, fill: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """A folder below `top` that is there as long as somebody is inside, be it another process; whoever is first fills
    it, whoever is last removes it."""
    top.mkdir(parents=True, exist_ok=True, mode=0o700)
    place, incoming = top / name, top / f"{name}.incoming"
    with open(top / f"{name}.lock", "a") as lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if place.is_dir():
                break
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():  # between the two locks somebody may have filled it, or removed it
                shutil.rmtree(incoming, ignore_errors=True)
                incoming.mkdir(mode=0o700)
                fill(incoming)
                incoming.rename(place)
        try:
            yield place
        finally:
            _remove(place, lock)


def clear(top: Path) -> None:
    """Remove what processes left here that were killed."""
    for path in top.glob("*.lock"):
        with suppress(OSError), open(path, "a") as lock:
            _remove(path.with_suffix(""), lock)
            _remove(path.with_suffix(".incoming"), lock)


def _remove(place: Path, lock: IO[str]) -> None:
    """Remove a folder unless somebody else holds its lock."""
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place, ignore_errors=True)
