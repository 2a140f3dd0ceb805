"""Somebody's zip, unpacked so that it can do no harm: nothing outside the folder, no links, not more than fits."""

import os
import stat
import unicodedata
import zipfile
import zlib
from contextlib import suppress
from io import BytesIO
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from playground import home
from playground.datasets.disk import FULL_OR_FORBIDDEN, plainly, unfinished, why
from playground.errors import PlaygroundError

MOST_FILES = 50_000
MOST_BYTES = 4 * 2**30  # unpacked, all together
_LONGEST_NAME, _LONGEST_PATH = 255, 2_000  # bytes; what common file systems take, with room for our own folders
_DEEPEST = 50  # folders in folders
_LEFT_BEHIND = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir")
_DAMAGED = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, NotImplementedError, ValueError, RuntimeError)


def is_junk(name: str) -> bool:
    """Whether a file or folder of that name is a system's, not a person's.

    >>> [name for name in (".DS_Store", "__MACOSX", "Thumbs.db", "cat.jpg") if is_junk(name)]
    ['.DS_Store', '__MACOSX', 'Thumbs.db']
    """
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def unzip(content: bytes | BinaryIO, into: Path) -> Path:
    """Unpack a zip into a new folder, whole or not at all, and return that folder.

    Refused, with one sentence as PlaygroundError: what is not a zip, is damaged or has a password; a name that leads
    outside; more than MOST_FILES files or MOST_BYTES bytes once unpacked (counted while unpacking too: what a zip says
    of its own sizes is not believed); a name or a path too long for a file system; a disk that is full. Links and what
    systems leave behind are not unpacked. Names are composed (Unicode NFC): a zip from a Mac has them taken apart.
    When `into` appears meanwhile, because somebody else unpacked the same, theirs stays.
    """
    into = Path(into)
    try:
        archive = zipfile.ZipFile(BytesIO(content) if isinstance(content, bytes) else content)
    except _DAMAGED as error:
        raise PlaygroundError("This is not a zip file, or it is damaged.") from error
    with plainly("nothing of this zip was kept"), unfinished(into.parent) as incoming:
        with archive:
            if not _unpack(archive, incoming):
                raise PlaygroundError("There are no files in this zip.")
        move_into_place(incoming, into)
    return into


def move_into_place(incoming: Path, into: Path) -> None:
    """Give a finished folder its name. One that is there already stays, and `incoming` is the caller's to remove."""
    incoming.chmod(0o755)  # mkdtemp made it for one user's eyes only
    try:
        os.rename(incoming, into)
    except OSError:
        if not into.is_dir():
            raise


def _unpack(archive: zipfile.ZipFile, into: Path) -> int:
    """Unpack what may be unpacked and return the number of files."""
    wanted = [(entry, parts) for entry in archive.infolist() if (parts := _safe_parts(entry)) is not None]
    if len(wanted) > MOST_FILES:
        raise PlaygroundError(f"There are more than {MOST_FILES:,} files in this zip.")
    if (said := sum(entry.file_size for entry, _ in wanted)) > MOST_BYTES:
        raise _too_large()
    home.demand_room(said)
    written = 0
    taken: dict[str, int] = {}
    for entry, parts in wanted:
        target = into.joinpath(*parts[:-1], _free(parts, taken))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, open(target, "xb") as file:
                while chunk := source.read(1 << 20):
                    written += len(chunk)
                    if written > MOST_BYTES:
                        raise _too_large()
                    file.write(chunk)
        except _DAMAGED as error:
            raise PlaygroundError(_sentence(error, entry)) from error
    return len(wanted)


def _safe_parts(entry: zipfile.ZipInfo) -> tuple[str, ...] | None:
    """Where below the folder an entry goes, or None for what is not unpacked: folders, links, junk.

    Raises PlaygroundError for a name that leads outside.
    """
    name = _name(entry).replace("\\", "/")
    path = PurePosixPath(name)
    parts = path.parts
    if path.is_absolute() or ".." in parts or "\0" in name or (parts and parts[0].endswith(":")):
        raise PlaygroundError(f"This zip wants to write outside its folder ({name[:80]!r}): nothing was unpacked.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if name.endswith("/") or not parts or kind not in (0, stat.S_IFREG) or any(map(is_junk, parts)):
        return None
    if len(parts) > _DEEPEST:
        raise PlaygroundError(f"In this zip, folders lie more than {_DEEPEST} deep in each other: {name[:60]}…")
    if len(os.fsencode(name)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts):
        raise PlaygroundError(f"A name in this zip is too long: {name[:60]}…")
    return parts


def _name(entry: zipfile.ZipInfo) -> str:
    """The entry's name, composed. macOS writes UTF-8 without saying so, and zipfile takes it for cp437 (K├ñtzchen)."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode()


def _free(parts: tuple[str, ...], taken: dict[str, int]) -> str:
    """The name itself, or numbered when the zip holds it twice (capitals do not count: some file systems know none).

    `taken` holds the paths so far and the last number each was given: so many of one name cost no more than others.
    """
    *folders, name = parts
    where = "/".join(folders).casefold()
    path = f"{where}/{name}".casefold()
    number, free = taken.get(path, 0), name
    while f"{where}/{free}".casefold() in taken:
        number = max(2, number + 1)
        stem, dot, suffix = name.rpartition(".") if "." in name[1:] else (name, "", "")
        ending = f"-{number}{dot}{suffix}"
        if len(os.fsencode(ending)) > _LONGEST_NAME // 2:  # what follows the last dot is no suffix
            stem, ending = name, f"-{number}"
        room = _LONGEST_NAME - len(os.fsencode(ending))
        free = os.fsencode(stem)[:room].decode("utf-8", "ignore") + ending
    taken[path] = number
    taken.setdefault(f"{where}/{free}".casefold(), 0)
    return free


def _sentence(error: BaseException, entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & 1:
        return "This zip is protected by a password; make one without."
    if isinstance(error, NotImplementedError):
        return "This zip is packed in a way that cannot be read here; make an ordinary one."
    if isinstance(error, OSError) and error.errno is not None:
        return f"{why(error)}: nothing of this zip was kept." if error.errno in FULL_OR_FORBIDDEN else \
            f"This zip could not be unpacked: {error.strerror}."
    return f"This zip is damaged: {_name(entry)[:80]} cannot be unpacked."


def _too_large() -> PlaygroundError:
    return PlaygroundError(f"Unpacked, this zip would be larger than {MOST_BYTES // 2**30} GB.")
