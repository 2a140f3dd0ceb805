"""A disk that is full at any moment, a home that cannot be written to: a sentence each, and what is kept is kept."""

import builtins
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground import home, jobs
from playground.datasets import named
from playground.deploy import registry
from playground.errors import PlaygroundError
from playground.training.runs import log, runs, worker
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history, history_files, numpy_checkpoint, numpy_fit
from tests.playground.test_numpy_fit import blobs

SPEC = RunSpec("digits", {"data": "digits", "epochs": 2, "batch_size": 16}, 0, "mine")


class Disk:
    """Counts what is written, and is full at the n-th write: only then, or from then on."""

    def __init__(self, room: int, stays_full: bool):
        self.room, self.stays_full, self.written = room, stays_full, 0

    def write(self) -> None:
        self.written += 1
        if self.written == self.room + 1 or (self.stays_full and self.written > self.room):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def disk(room: int, stays_full: bool = True) -> Iterator[Disk]:
    """Every way in which a run writes asks the disk first: new folders, files opened to be written, files put in place,
    lines of the log, tensors."""
    found, patch = Disk(room, stays_full), pytest.MonkeyPatch()

    def asking(really: Any) -> Any:
        def asked(*args: Any, **options: Any) -> Any:
            found.write()
            return really(*args, **options)
        return asked

    really_open = builtins.open

    def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if set(mode) & set("wxa+") and not str(file).startswith("/dev/"):
            found.write()
        return really_open(file, mode, *args, **options)

    patch.setattr(builtins, "open", opened)
    patch.setattr(os, "replace", asking(os.replace))
    patch.setattr(os, "mkdir", asking(os.mkdir))
    patch.setattr(os, "fsync", asking(os.fsync))
    patch.setattr(log.EventLog, "append", asking(log.EventLog.append))
    patch.setattr(numpy_fit, "save_file", asking(numpy_fit.save_file))
    patch.setattr(numpy_checkpoint, "save_file", asking(numpy_checkpoint.save_file))
    patch.setattr(history_files, "save_file", asking(history_files.save_file))
    try:
        yield found
    finally:
        patch.undo()


@pytest.fixture
def small(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def worked(folder: Path, spec: RunSpec, queued: bool = True) -> None:
        runs.write_spec(folder, spec, "cpu")
        with contextlib.suppress(OSError):  # a real worker's process would end with it
            worker.work(folder, jobs.events, signals=False)

    monkeypatch.setattr(runs, "_launch", worked)
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
    monkeypatch.setattr(numpy_fit, "BETWEEN_BATCHES_SECONDS", 99.0)
    return playground_home


def left_behind() -> list[Path]:
    return [path for path in home.home().rglob("*") if ".incoming" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize("stays_full", [False, True])
def test_a_disk_that_is_full_at_any_write_loses_nothing_that_was_said_to_be_kept(
        stays_full: bool, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with disk(10**6) as whole:
        first = runs.start(SPEC)
    wanted = (runs.run_dir(first) / numpy_fit.WEIGHTS).read_bytes()
    steps = history.steps(runs.run_dir(first))
    exact = history_files.digest_of(numpy_fit.load_trained(runs.run_dir(first)).model.state_dict())
    registry.remove("mine")
    assert whole.written > 30
    states = set()
    for room in range(whole.written):
        with disk(room, stays_full):
            run_id, refused = None, ""
            try:
                run_id = runs.start(SPEC)
            except PlaygroundError as error:
                refused = str(error)
        assert not left_behind(), room
        if run_id is None:
            assert "could not be started: No space left on device" in refused or "PLAYGROUND_HOME" in refused
            assert runs.run_ids() == [first], room
            continue
        view = runs.view(run_id)
        states.add(view.state)
        if view.state == "completed":  # what could not be written was not needed, or was tried again
            assert not stays_full, room
            registry.remove("mine")
            (runs.run_dir(run_id) / "spec.json").unlink()
            continue
        weights = runs.run_dir(run_id) / numpy_fit.WEIGHTS
        if view.failed is not None:
            assert view.failed.message.startswith("The disk is full"), room
            assert ("what was saved before is kept" in view.failed.message) == (view.saved is not None), room
        assert view.state in ("failed", "lost"), room
        if view.saved is not None:
            assert numpy_fit.load_trained(runs.run_dir(run_id)).classes
            assert view.can_be_finished
        trained = view.finished is not None
        before = weights.read_bytes() if trained else b""
        with monkeypatch.context() as untrained:
            if trained:
                untrained.setattr(numpy_fit, "fit", lambda *_: pytest.fail("trained again"))
            runs.resume(run_id)
        after = runs.view(run_id)
        assert after.state == "completed", (room, after.failed)
        assert [one.epoch for one in after.epochs] == [1, 2]
        assert weights.read_bytes() == wanted
        folder = runs.run_dir(run_id)
        assert history.epochs(folder) == [0, 1, 2]
        assert sorted(history_files.kept(folder)) == sorted(history_files.kept(runs.run_dir(first)))
        assert history_files.digest_of(history.replayed(folder, steps).model.state_dict()) == exact
        assert not trained or before == wanted
        registry.remove("mine")
        (runs.run_dir(run_id) / "spec.json").unlink()
    assert states == {"lost"} if stays_full else "failed" in states  # a full disk takes no last word


def test_a_home_that_cannot_be_made_is_a_sentence_and_the_shipped_model_is_there(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_HOME", "/proc/nowhere")
    with pytest.raises(PlaygroundError, match="Nothing can be kept in /proc/nowhere"):
        runs.start(SPEC)
    with pytest.raises(PlaygroundError, match="Nothing can be kept in /proc/nowhere"):
        home.data_dir()
    assert [entry.name for entry in registry.entries()] == ["digits-example"]
    assert registry.damaged() == {}


def test_a_registry_that_cannot_be_written_to_is_still_read(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.playground.tiny_models import linear_file

    registry.put("mine", linear_file(), {})
    really = builtins.open

    def read_only(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if set(mode) & set("wxa+"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))
        return really(file, mode, *args, **options)

    with monkeypatch.context() as locked:
        locked.setattr(builtins, "open", read_only)
        assert [entry.name for entry in registry.entries()] == ["mine", "digits-example"]
        for change in (lambda: registry.remove("mine"), lambda: registry.put("other", linear_file(), {})):
            with pytest.raises(PlaygroundError, match="cannot be changed: Read-only file system"):
                change()
    assert worker.sentence(OSError(errno.EROFS, "Read-only file system")).startswith("Nothing can be written")
