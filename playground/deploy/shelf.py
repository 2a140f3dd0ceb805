"""The shelf of exported models: exports/NAME/ with model.onnx and card.json, whole or not at all.

Who changes the shelf holds its lock, works in a hidden folder beside and renames; readers share the lock. So whatever
hidden folder is met while holding the lock was left by a crash: `_sweep` clears it, and puts a model back whose
replacement died between the two renames.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import onnx

from playground.deploy import contract
from playground.deploy.card import Card, Entry
from playground.deploy.verification import Check, Verification, verify
from playground.errors import PlaygroundError
from playground.home import exports_dir

__all__ = ["Card", "Check", "Entry", "Verification", "check_free", "check_name", "damaged", "entries", "get", "put",
           "remove", "verify"]

MODEL, CARD = "model.onnx", "card.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")  # no leading dash: a name is also a command's argument
_INCOMING, _REPLACED, _REMOVED = ".incoming-", ".replaced-", ".removed-"


def put(name: str, model: onnx.ModelProto | bytes, card: Mapping[str, Any], replace: bool = False) -> Path:
    """Put a model and its card on the shelf, whole or not at all; the folder they are in.

    A crash at any moment leaves what was there before or what is there after, never a part. Raises PlaygroundError
    when the name is not a-z, 0-9, - and _ (60 at most), when the model breaks the contract of exported files, and when
    the name is taken, unless `replace` says that the old model may go.
    """
    check_name(name)
    data = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
    promise = contract.check(contract.parse(data))
    whole: dict[str, Any] = {
        **card, "name": name, "created": promise.created, "source": promise.source, "labels": list(promise.labels),
        "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data),
    }
    text = json.dumps(whole, ensure_ascii=False, indent=2, allow_nan=False).encode()

    shelf = exports_dir()
    target, incoming, replaced = shelf / name, shelf / f"{_INCOMING}{name}", shelf / f"{_REPLACED}{name}"
    with _changing(shelf):
        if target.exists() and not replace:
            raise taken(name)
        try:
            incoming.mkdir()
            _write(incoming / MODEL, data)
            _write(incoming / CARD, text)
            _sync(incoming)
            if target.exists():
                target.rename(replaced)
            incoming.rename(target)
            _sync(shelf)
        finally:
            _sweep(shelf)
    return target


def remove(name: str) -> None:
    """Take a model off the shelf. Raises PlaygroundError when there is none of that name."""
    check_name(name)
    shelf = exports_dir()
    with _changing(shelf):
        if not (shelf / name).is_dir():
            raise PlaygroundError(f"There is no model called {name} on the shelf.")
        (shelf / name).rename(shelf / f"{_REMOVED}{name}")
        _sweep(shelf)


def entries() -> list[Entry]:
    """The models on the shelf, newest first. Damaged ones are left out: `damaged` names them."""
    found = [entry for entry in _look().values() if isinstance(entry, Entry)]
    return sorted(found, key=lambda entry: (entry.card["created"], entry.name), reverse=True)


def damaged() -> dict[str, str]:
    """What is on the shelf and cannot be read: name -> the sentence that says why."""
    return {name: str(error) for name, error in _look().items() if isinstance(error, PlaygroundError)}


def get(name_or_path: str | Path) -> Entry | Path:
    """A model by its name on the shelf, or by the path of its folder or file.

    A file that is no shelf's model.onnx has no card, so it comes back as its Path. Raises PlaygroundError when nothing
    is there.
    """
    text = str(name_or_path)
    if NAME.fullmatch(text):
        found = _look(text).get(text)
        if isinstance(found, PlaygroundError):
            raise found
        if found is not None:
            return found
    path = Path(text).expanduser()
    if path.is_file():
        of_a_shelf = path.name == MODEL and (path.parent / CARD).is_file()
        return _entry(path.resolve().parent) if of_a_shelf else path
    if path.is_dir():
        return _entry(path.resolve())
    names = ", ".join(entry.name for entry in entries()) or "nothing yet"
    raise PlaygroundError(f"There is no model {text}: no such file, and the shelf holds {names}.")


def check_name(name: str) -> None:
    """Raises PlaygroundError when a model cannot be called that."""
    if not NAME.fullmatch(name):
        raise PlaygroundError(f"A model cannot be called {name!r}: use up to 60 of a-z, 0-9, - and _, a letter or "
                              "digit first.")


def check_free(name: str) -> None:
    """Raises PlaygroundError when a model cannot be called that or one already is: worth asking before training."""
    check_name(name)
    if (exports_dir() / name).exists():
        raise taken(name)


def taken(name: str) -> PlaygroundError:
    return PlaygroundError(f"There is already a model called {name} on the shelf: choose another name or remove it "
                           "first.")


def _entry(folder: Path) -> Entry:
    missing = [part for part in (MODEL, CARD) if not (folder / part).is_file()]
    if missing:
        raise PlaygroundError(f"{folder.name} is no exported model: {' and '.join(missing)} missing.")
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise PlaygroundError(f"The card of {folder.name} cannot be read; its {CARD} is damaged.") from error
    wanted: dict[str, type] = {"created": str, "labels": list, "sha256": str}
    wrong = [key for key, kind in wanted.items() if not isinstance(card, dict) or not isinstance(card.get(key), kind)]
    if wrong:
        raise PlaygroundError(f"The card of {folder.name} does not say {', '.join(wrong)}; its {CARD} is damaged.")
    return Entry(folder.name, folder, folder / MODEL, card)


def _look(name: str = "") -> dict[str, Entry | PlaygroundError]:
    """What is on the shelf (under one name, or all), while nobody is changing it."""
    shelf = exports_dir()
    found: dict[str, Entry | PlaygroundError] = {}
    with _locked(shelf, fcntl.LOCK_SH) as lock:
        if any(shelf.glob(f"{_REPLACED}*")):  # nobody is at work, so it is of a crash
            fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(shelf)
        for folder in [shelf / name] if name else sorted(shelf.iterdir()):
            if folder.is_dir() and NAME.fullmatch(folder.name):
                try:
                    found[folder.name] = _entry(folder)
                except PlaygroundError as error:
                    found[folder.name] = error
    return found


@contextmanager
def _changing(shelf: Path) -> Iterator[None]:
    """The shelf to oneself, and swept."""
    with _locked(shelf, fcntl.LOCK_EX):
        _sweep(shelf)
        yield


@contextmanager
def _locked(shelf: Path, kind: int) -> Iterator[TextIO]:
    """The kernel gives the lock back when its holder dies. Not to be taken twice by one thread."""
    with open(shelf / ".lock", "a") as lock:
        fcntl.flock(lock, kind)
        yield lock


def _sweep(shelf: Path) -> None:
    """Only while holding the lock: put back what a crash left without its replacement, clear the rest."""
    for replaced in shelf.glob(f"{_REPLACED}*"):
        target = shelf / replaced.name.removeprefix(_REPLACED)
        if target.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(target)
    for left in (*shelf.glob(f"{_INCOMING}*"), *shelf.glob(f"{_REMOVED}*")):
        shutil.rmtree(left)


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """A rename is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
