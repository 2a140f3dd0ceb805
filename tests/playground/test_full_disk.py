"""A disk that fills at any moment, or may not be written to: a sentence, and what is said to be kept is there."""

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from playground.datasets import collection, folders, uploads, versions
from playground.datasets.collection import PhotoSet
from playground.errors import PlaygroundError


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 24, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


class Disk:
    """Refuses every write from the `room`-th on; deleting always works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, number: int) -> None:
        self.room, self.number = room, number
        really_open, fd_mkdir, replace, rename, link = builtins.open, os.mkdir, os.replace, os.rename, os.link

        def opens(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if set(mode) & set("wax+") and not str(file).startswith("/dev"):
                self.written()
            return really_open(file, mode, *args, **options)

        def path_open(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            return opens(path, mode, *args, **options)

        def refusing(do: Callable[..., Any]) -> Callable[..., Any]:
            def done(*args: Any, **options: Any) -> Any:
                self.written()
                return do(*args, **options)
            return done

        monkeypatch.setattr(builtins, "open", opens)
        monkeypatch.setattr(Path, "open", path_open)
        for name, do in (("mkdir", fd_mkdir), ("replace", replace), ("rename", rename), ("link", link)):
            monkeypatch.setattr(os, name, refusing(do))

    def written(self) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(self.number, os.strerror(self.number))


def tree(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*"))
            if path.is_file() and path.name != "lock"}


def three() -> PhotoSet:
    made = collection.create("Cups", ["a", "b"])
    for k, label in enumerate("ab"):
        collection.add(made.set_id, label, [(f"{i}.jpg", jpeg(10 * k + i)) for i in range(3)])
    return collection.read(made.set_id)


def given(home: Path) -> Path:
    for k, name in enumerate(("cats", "dogs")):
        (home / "given" / name).mkdir(parents=True, exist_ok=True)
        for i in range(2):
            (home / "given" / name / f"{i}.jpg").write_bytes(jpeg(100 + 10 * k + i))
    return home / "given"


DOING: dict[str, tuple[Callable[[PhotoSet, Path], object], str]] = {
    "create": (lambda made, at: collection.create("new", ["x"]), "no set was made"),
    "add": (lambda made, at: collection.add(made.set_id, "a", [(f"{k}.jpg", jpeg(50 + k)) for k in range(3)]),
            "none of these photos was added|the set is as it was"),
    "add a folder": (lambda made, at: collection.add_folder(made.set_id, at),
                     "none of these photos was added|the set is as it was"),
    "relabel": (lambda made, at: collection.relabel(made.set_id, list(made.photos)[:1], "b"), "the set is as it was"),
    "undo": (lambda made, at: collection.undo(made.set_id), "the set is as it was"),
    "from a folder": (lambda made, at: versions.from_folder(at, "new"), ""),
    "from a zip": (lambda made, at: versions.from_zip(versions.zipped(made), "new"), ""),
    "a version": (lambda made, at: versions.version(made), "nothing was written to train on"),
    "a zip": (lambda made, at: versions.zipped(made), "the zip was not made"),
    "an upload": (lambda made, at: uploads.keep(ZIP), "nothing of this zip was kept"),
    "the sample": (lambda made, at: folders.write_faces(at.parent / "faces"), "the sample photos were not written"),
}
ZIP = b""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
@pytest.mark.parametrize("what", DOING)
def test_whatever_is_done_the_truth_is_said_and_nothing_half_done_stays(
    what: str, number: int, playground_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do, outcome = DOING[what]
    at = given(playground_home)
    made = three()
    monkeypatch.setitem(globals(), "ZIP", versions.zipped(made))
    before = tree(playground_home)
    refusals = 0
    for room in (*range(12), 20, 40, 80, 120, 1_000):
        with monkeypatch.context() as patched:
            Disk(patched, room, number)
            try:
                do(made, at)
            except PlaygroundError as error:
                said = str(error)
            else:
                break
        refusals += 1
        assert said.startswith("The disk of this server is full" if number == errno.ENOSPC else
                               "This server may not write to its disk"), said
        assert any(each in said for each in outcome.split("|")), said
        assert said.count("\n") == 0
        assert tree(playground_home) == before, f"with room for {room} writes"
        assert collection.read(made.set_id) == made
    else:
        pytest.fail("it never came to its end")
    assert refusals >= 1


def test_a_home_that_may_not_be_written_is_still_read(
    playground_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = three()
    with monkeypatch.context() as patched:
        Disk(patched, 0, errno.EROFS)
        assert collection.read(made.set_id) == made
        assert collection.exists(made.set_id)
        assert len(folders.scan(playground_home / "ready", seed=0).train) > 0


@pytest.fixture(autouse=True)
def _ready(playground_home: Path) -> None:
    for name in ("a", "b"):
        (playground_home / "ready" / name).mkdir(parents=True)
        for k in range(2):
            (playground_home / "ready" / name / f"{k}.jpg").write_bytes(jpeg(k + 7 * ord(name)))
