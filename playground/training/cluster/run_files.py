"""What a run keeps in its folder, on its way between two machines, and its paths, which are others on each."""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from playground.home import whole
from playground.training.runs.class_runs import BEGUN_BY

OWN = ("events.jsonl", "worker", "worker.log", "stop", "spec.json", BEGUN_BY)
"""What every machine has of its own."""
ASKED = ("rate.jsonl", "watched")
"""What pages write while a run trains (settings.RATE, live_files.WATCHED)."""
_Signature = tuple[int, int, int]


class Changes:
    """What changed in a run's folder since it was last asked. Files there are written whole or not at all, and whoever
    asks is who writes, so what is read together belongs together."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._known = self._look()

    def since(self) -> tuple[dict[str, bytes], list[str]]:
        """The files that are new or other, by their names within the folder, and those that are gone."""
        now = self._look()
        changed = {name: (self.folder / name).read_bytes() for name in now if now[name] != self._known.get(name)}
        gone = [name for name in self._known if name not in now]
        self._known = now
        return changed, gone

    def _look(self) -> dict[str, _Signature]:
        found = {}
        for name in names(self.folder):
            stat = (self.folder / name).stat()
            found[name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return found


def names(folder: Path) -> list[str]:
    """What a folder holds that belongs on the other machine, too."""
    found = []
    for here, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = (Path(here) / name).relative_to(folder).as_posix()
            if path not in (*OWN, *ASKED) and not name.startswith(".") and not name.endswith(".incoming"):
                found.append(path)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Everything of a run that belongs on the other machine, too."""
    return {name: (folder / name).read_bytes() for name in names(folder)}


def write(folder: Path, files: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
    """Write files into a run's folder, each whole or not at all, and remove others. Raises ValueError for a name that
    leads out of it."""
    for name in (*files, *gone):
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts or name in OWN:
            raise ValueError(f"{name!r} is no file of a run")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with whole(folder / name) as incoming:
            incoming.write_bytes(content)
    for name in gone:
        with suppress(OSError):
            (folder / name).unlink()


class Paths:
    """The same folders on two machines: pairs (here, there). In JSON one machine's paths become the other's."""

    def __init__(self, pairs: Iterable[tuple[str, str]]):
        self.pairs = [(here, there) for here, there in pairs if len(here) > 1]

    def there(self, text: str) -> str:
        """A JSON text from here as it has to be there.

        >>> Paths([("/home/a", "/tmp/b")]).there('["/home/a/x.png", "/home/ab"]')
        '["/tmp/b/x.png", "/home/ab"]'
        """
        return _replaced(text, self.pairs)

    def here(self, text: str) -> str:
        """A JSON text from there as it has to be here."""
        return _replaced(text, [(there, here) for here, there in self.pairs])

    def files_there(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Files with the paths in them as they have to be there."""
        return {name: _in_file(name, content, self.there) for name, content in files.items()}

    def files_here(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Files with the paths in them as they have to be here."""
        return {name: _in_file(name, content, self.here) for name, content in files.items()}


def _in_file(name: str, content: bytes, replaced: Callable[[str], str]) -> bytes:
    if not name.endswith(".json"):
        return content
    with suppress(UnicodeDecodeError):
        return replaced(content.decode()).encode()
    return content


def _replaced(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    told = {json.dumps(old, ensure_ascii=ascii)[1:-1]: json.dumps(new, ensure_ascii=ascii)[1:-1]
            for old, new in pairs for ascii in (True, False)}
    if not told:
        return text
    longest = sorted(told, key=len, reverse=True)
    pattern = f"({'|'.join(map(re.escape, longest))})(?![\\w.-])"
    return re.sub(pattern, lambda found: told[found[1]], text)
