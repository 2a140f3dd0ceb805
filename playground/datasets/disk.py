"""Writing to a disk that may be full, or not to be written to; and folders that are finished elsewhere first."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playground.errors import PlaygroundError

PREFIXES = (".incoming-", ".import-", ".export-")
"""What the names of unfinished folders begin with."""
YOUNG_SECONDS = 60.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
FULL_OR_FORBIDDEN = (*_FULL, *_FORBIDDEN)


@contextmanager
def plainly(outcome: str) -> Iterator[None]:
    """What the disk refuses, as a PlaygroundError: why, and the outcome (what was kept, what was not) in words.

    >>> with plainly("nothing was kept"):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    playground.errors.PlaygroundError: The disk of this server is full: nothing was kept.
    """
    try:
        yield
    except OSError as error:
        raise PlaygroundError(f"{why(error)}: {outcome}.") from error


def why(error: OSError) -> str:
    """What the disk refuses, in words without a full stop."""
    if error.errno in _FULL:
        return "The disk of this server is full"
    if error.errno in _FORBIDDEN:
        return "This server may not write to its disk"
    return f"The disk of this server fails ({error.strerror or type(error).__name__})"


@contextmanager
def unfinished(parent: Path, prefix: str = PREFIXES[0]) -> Iterator[Path]:
    """A new folder in `parent`, to be given its name when it is finished; gone at the end, however that comes.

    It is locked as long as its process lives, so that what a killed one has left is known and swept here.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def sweep(parent: Path) -> None:
    """Remove the unfinished folders that nobody works on any more."""
    for prefix in PREFIXES:
        for folder in parent.glob(f"{prefix}*"):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime < YOUNG_SECONDS:
                    continue  # it may have been made in this moment, its lock is yet to come
                held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(held)
