"""The registry of exported models: exports/NAME/ with model.onnx, card.json and report.json, whole or not at
all.

Who changes the registry holds its lock, works in a hidden folder beside and renames; readers share the lock. So
whatever hidden folder is met while holding the lock was left by a crash: `_sweep` clears it, and puts a model back
whose replacement died between the two renames. Models that come with the playground (`model_names.SHIPPED`) are listed
after the others wherever PLAYGROUND_HOME points, and those of a class in all its workspaces; they cannot be replaced or
removed.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from playground import model_names
from playground.deploy import contract
from playground.deploy import report as report_file
from playground.deploy.card import Card, Entry, faults
from playground.deploy.report import Report
from playground.deploy.verification import Check, Verification, verify
from playground.errors import PlaygroundError
from playground.home import exports_dir, home, read_json
from playground.model_names import NAME, given, shipped, taken

__all__ = ["Card", "Check", "Entry", "Verification", "check_free", "check_name", "damaged", "entries", "find", "get",
           "put", "remove", "verify"]

MODEL, CARD = "model.onnx", "card.json"
_INCOMING, _REPLACED, _REMOVED = ".incoming-", ".replaced-", ".removed-"


def put(name: str, model: onnx.ModelProto | bytes, card: Mapping[str, Any], replace: bool = False,
        report: Report | None = None) -> Path:
    """Put a model, its card and the report on it into the registry, whole or not at all; the folder they are in.

    A crash at any moment leaves what was there before or what is there after, never a part. Raises PlaygroundError
    when the name is not a-z, 0-9, - and _ (60 at most), when the model breaks the contract of exported files, and when
    the name is taken, unless `replace` says that the old model may go.
    """
    check_name(name)
    if given(name):
        raise taken(name)
    data = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
    promise = contract.check(contract.parse(data))
    whole: dict[str, Any] = {
        **card, "name": name, "created": promise.created, "source": promise.source, "labels": list(promise.labels),
        "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data),
    }
    text = json.dumps(whole, ensure_ascii=False, indent=2, allow_nan=False).encode()

    exports = exports_dir()
    target, incoming, replaced = exports / name, exports / f"{_INCOMING}{name}", exports / f"{_REPLACED}{name}"
    with _changing(exports):
        if target.exists() and not replace:
            raise taken(name)
        try:
            incoming.mkdir()
            _write(incoming / MODEL, data)
            _write(incoming / CARD, text)
            if report is not None:
                _write(incoming / report_file.FILE, report_file.to_bytes(report))
            _sync(incoming)
            if target.exists():
                target.rename(replaced)
            incoming.rename(target)
            _sync(exports)
        finally:
            _sweep(exports)
    return target


def remove(name: str) -> None:
    """Remove a model. Raises PlaygroundError when there is none of that name, or it is a shipped one."""
    check_name(name)
    if given(name):
        owner = "comes with the playground" if shipped(name) else "is the class's"
        raise PlaygroundError(f"The model {name} {owner} and stays.")
    exports = exports_dir()
    with _changing(exports):
        if not (exports / name).is_dir():
            raise PlaygroundError(f"There is no model called {name}.")
        (exports / name).rename(exports / f"{_REMOVED}{name}")
        _sweep(exports)


def entries() -> list[Entry]:
    """The models of the registry, newest first, shipped ones last. Damaged ones are left out: `damaged` names them."""
    found = [entry for entry in _look().values() if isinstance(entry, Entry)]
    return sorted(found, key=lambda entry: (not entry.shipped, entry.card["created"], entry.name), reverse=True)


def damaged() -> dict[str, str]:
    """What is in the registry and cannot be read: name -> the sentence that says why."""
    return {name: str(error) for name, error in _look().items() if isinstance(error, PlaygroundError)}


def find(name: str) -> Entry | None:
    """The model of a name, and of the registry alone: no path is followed. None when there is none, whatever the name.

    Raises PlaygroundError when it is there and cannot be read.
    """
    found = _look(name).get(name) if NAME.fullmatch(name) else None
    if isinstance(found, PlaygroundError):
        raise found
    return found


def get(name_or_path: str | Path) -> Entry | Path:
    """A model by its name in the registry, or by the path of its folder or file.

    A file that is no registry's model.onnx has no card, so it comes back as its Path. Raises PlaygroundError when
    nothing is there.
    """
    text = str(name_or_path)
    if (found := find(text)) is not None:
        return found
    path = Path(text).expanduser()
    if path.is_file():
        registered = path.name == MODEL and (path.parent / CARD).is_file()
        return _entry(path.resolve().parent) if registered else path
    if path.is_dir():
        return _entry(path.resolve())
    names = ", ".join(entry.name for entry in entries())
    there = f"the models are {names}" if names else "there are no models yet"
    raise PlaygroundError(f"There is no model {text}: no such file, and {there}.")


def check_name(name: str) -> None:
    """Raises PlaygroundError when a model cannot be called that."""
    model_names.check(name)


def check_free(name: str) -> None:
    """Raises PlaygroundError when a model cannot be called that or one already is: worth asking before training."""
    check_name(name)
    if model_names.exists(name):
        raise model_names.taken(name)


def _entry(folder: Path) -> Entry:
    missing = [part for part in (MODEL, CARD) if not (folder / part).is_file()]
    if missing:
        raise PlaygroundError(f"{folder.name} is no exported model: {' and '.join(missing)} missing.")
    try:
        card = read_json(folder / CARD)
    except (ValueError, OSError) as error:
        raise PlaygroundError(f"The card of {folder.name} cannot be read; its {CARD} is damaged.") from error
    wrong = faults(card)
    if wrong == ["parity"]:  # the model is whole; verify says that its card keeps no answers to compare
        card, wrong = {**card, "parity": {}}, []
    if wrong:
        raise PlaygroundError(f"The card of {folder.name} does not say {', '.join(wrong)} as it should; its {CARD} is "
                              "damaged.")
    return Entry(folder.name, folder, folder / MODEL, card, given(folder.name) == folder)


def _look(name: str = "") -> dict[str, Entry | PlaygroundError]:
    """What is in the registry (under one name, or all), while nobody is changing it."""
    exports = home() / "exports"
    found: dict[str, Entry | PlaygroundError] = {}
    with _reading(exports):
        own = [exports / name] if name else sorted(exports.iterdir()) if exports.is_dir() else []
        others = [folder for one in model_names.SHIPPED if (folder := shipped(one))] + model_names.published()
        for folder in [*(one for one in others if name in ("", one.name)), *own]:
            if folder.is_dir() and NAME.fullmatch(folder.name):
                try:
                    found[folder.name] = _entry(folder)
                except PlaygroundError as error:
                    found[folder.name] = error
    return found


@contextmanager
def _reading(exports: Path) -> Iterator[None]:
    """The registry while nobody changes it. One that nobody can write to is not changed by anybody."""
    try:
        lock = open(exports / ".lock", "a")  # noqa: SIM115 - closed below
    except OSError:
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if any(exports.glob(f"{_REPLACED}*")):  # nobody is at work, so it is of a crash
            fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(exports)
        yield


@contextmanager
def _changing(exports: Path) -> Iterator[None]:
    """The registry to oneself, and swept."""
    try:
        lock = open(exports / ".lock", "a")  # noqa: SIM115 - closed below
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # a full disk is said by who knows what is kept
        raise PlaygroundError(f"The models cannot be changed: {error.strerror}.") from error
    with lock:  # the kernel gives it back when its holder dies
        fcntl.flock(lock, fcntl.LOCK_EX)  # not to be taken twice by one thread
        _sweep(exports)
        yield


def _sweep(exports: Path) -> None:
    """Only while holding the lock: put back what a crash left without its replacement, clear the rest."""
    for replaced in exports.glob(f"{_REPLACED}*"):
        target = exports / replaced.name.removeprefix(_REPLACED)
        if target.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(target)
    for left in (*exports.glob(f"{_INCOMING}*"), *exports.glob(f"{_REMOVED}*")):
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
