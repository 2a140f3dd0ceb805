"""Zips of photographs that people uploaded to train on: unpacked under a name nobody can guess, until they are deleted.

data/uploads/<16 digits of the zip's SHA-256>/ holds what was in it. Who has not seen the zip, or the address of a page
that shows it, cannot know them.
"""

import hashlib
import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from playground.datasets.disk import plainly, sweep
from playground.datasets.unzip import unzip
from playground.home import data_dir

KEPT_DAYS = 30
"""An upload that nobody opened or trained on for so long goes."""
_KNOWN = re.compile(r"[0-9a-f]{16}")


def uploads_dir() -> Path:
    """Where all of them lie."""
    return data_dir() / "uploads"


def keep(content: bytes) -> Path:
    """The folder a zip was unpacked into, named for its content: the same zip again is the same folder."""
    expire()
    folder = uploads_dir() / hashlib.sha256(content).hexdigest()[:16]
    if not folder.exists():
        unzip(content, folder)
    return _used(folder)


def find(known: str) -> Path | None:
    """The folder of an upload, if it is (still) there; anything may be asked."""
    folder = uploads_dir() / known
    return _used(folder) if _KNOWN.fullmatch(known) and folder.is_dir() else None


def remove(known: str) -> set[str]:
    """Delete an upload for good, and return the digests (32 hex digits) of its files."""
    folder = find(known)
    if folder is None:
        return set()
    digests = {hashlib.sha256(path.read_bytes()).hexdigest()[:32] for path in folder.rglob("*") if path.is_file()}
    with plainly("not everything of this zip was deleted"):
        shutil.rmtree(folder)
    return digests


def expire() -> None:
    """Remove uploads that were not used for KEPT_DAYS, and what a killed server left half unpacked."""
    if not uploads_dir().is_dir():
        return
    sweep(uploads_dir())
    for folder in uploads_dir().iterdir():
        with suppress(OSError):
            if _KNOWN.fullmatch(folder.name) and time.time() - folder.stat().st_mtime > KEPT_DAYS * 86400:
                shutil.rmtree(folder)


def _used(folder: Path) -> Path:
    with suppress(OSError):
        os.utime(folder)
    return folder
