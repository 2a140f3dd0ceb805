"""Where the playground keeps what it makes: exported models, training runs, downloaded and uploaded data."""

import json
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playground.errors import PlaygroundError

REPOSITORY = Path(__file__).resolve().parents[1]
LEFT_SECONDS = 3600.0


def home() -> Path:
    """The folder everything below is kept in: PLAYGROUND_HOME, or the repository. Always absolute."""
    named = os.environ.get("PLAYGROUND_HOME")
    return Path(named).expanduser().resolve() if named else REPOSITORY


def exports_dir() -> Path:
    """Exported models, one folder each."""
    return _made(home() / "exports")


def runs_dir() -> Path:
    """Training runs, one folder each."""
    return _made(home() / ".runs")


def data_dir() -> Path:
    """Downloaded, unpacked and generated data."""
    return _made(home() / "data")


def opened_dir(inside: str = "") -> Path:
    """ONNX files that readers opened, by the digest of their bytes, and a folder in it for what is made of them."""
    return _made(data_dir() / "opened" / inside)


def importable() -> dict[str, str]:
    """The environment of a process of ours that is started anywhere: the project can be imported, the home is the same.
    """
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PLAYGROUND_HOME": str(home())}


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file is written whole or not at all: what is written to the path given takes the place of `path` at the end.

    When that fails (a full disk, say) nothing is left of it.
    """
    incoming = path.with_name(f"{path.name}.incoming")
    try:
        yield incoming
        os.replace(incoming, path)
    except BaseException:
        incoming.unlink(missing_ok=True)
        raise


def clear_left(folder: Path) -> None:
    """Remove what `whole` left in a folder when its process was killed; what is younger may still be written to."""
    for path in folder.glob("*.incoming"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                path.unlink()


_KEY = re.compile(r"\b(uploads|sets|opened)((?:/\.\w+)?)/[0-9a-f]{16,64}")


def public(text: str) -> str:
    """A text for everyone's eyes: without where the server keeps things, and without the ids of uploads and sets,
    which open them to whoever knows one.

    >>> public("There is no folder data/uploads/0123456789abcdef/cats.")
    'There is no folder data/uploads/…/cats.'
    """
    for place in (home(), REPOSITORY):  # what comes with the playground lies in the repository
        text = text.replace(f"{place}/", "")
    return _KEY.sub(r"\1\2/…", text)


def read_json(path: Path) -> Any:
    """What a JSON file says. Raises OSError when it cannot be read, and ValueError as `strict_json`."""
    return strict_json(path.read_bytes(), path.name)


def strict_json(content: bytes, name: str = "it") -> Any:
    """What a JSON text says. Raises ValueError for everything that is no strict JSON which can be written down again:
    half a file, NaN, a number without end, a nesting without end, half a character."""
    try:
        said = json.loads(content, parse_constant=_refused)
        json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    return said


def strict(value: Any) -> Any:
    """The same with null for NaN and infinities, which JSON does not know.

    >>> strict({"loss": float("nan"), "seen": (1, 2.5)})
    {'loss': None, 'seen': [1, 2.5]}
    """
    if isinstance(value, dict):
        return {str(key): strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [strict(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaygroundError(f"Nothing can be kept in {folder} ({error.strerror}): name a folder that can be written "
                              "to in PLAYGROUND_HOME.") from error
    return folder
