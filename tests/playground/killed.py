"""Work that is killed at any of its steps, as kill -9 would: right before it changes something on the disk, and with a
file just opened that nothing has been written to."""

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.waiting import HOPE_SECONDS

RENAMED = ("os.rename", "os.link", "os.symlink")
HERE = "killed here"
"""A test that tells `sys.audit` of this has one more step there."""
CHANGES = (*RENAMED, "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "subprocess.Popen", HERE)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MOST_STEPS = 1000


def killed_at(step: int, folder: Path, work: Callable[[], object]) -> bool:
    """Do something in a process that dies at its step-th change below a folder; whether it came to that."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        status = 1
        try:
            signal.alarm(HOPE_SECONDS)
            sys.addaudithook(_Killer(step, folder))
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), "the work itself failed"
    return code != 0


def deaths(folder: Path, work: Callable[[], object], every: int = 1) -> Iterator[int]:
    """How often some work was done and killed, at each of its steps (or one in `every`); what was in the folder before
    is there again before each. The last time the work came to its end."""
    before = folder.with_name(f"{folder.name}-before")
    shutil.copytree(folder, before, symlinks=True)
    for step in range(0, MOST_STEPS, every):
        died = killed_at(step, folder, work)
        yield step // every
        shutil.rmtree(folder)
        shutil.copytree(before, folder, symlinks=True)
        if not died:
            shutil.rmtree(before)
            return
    raise AssertionError(f"the work has more than {MOST_STEPS} steps")


class _Killer:
    """Hears of every change this process is about to make, and ends it at one of them."""

    def __init__(self, step: int, folder: Path):
        self.left, self.folder = step, str(folder.resolve())

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if mode else flags & WRITES
            if writes and not isinstance(path, int) and self._is_inside(path):
                self._count()
                if self.left == 0:  # the next step: it is there, and empty
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | ((flags or 0) & os.O_TRUNC)))
                self._count()
        elif event in CHANGES and (event in ("subprocess.Popen", HERE) or self._is_inside(arguments[0])
                                   or (event in RENAMED and self._is_inside(arguments[1]))):
            self._count()

    def _is_inside(self, path: Any) -> bool:
        """Whether a path is in the folder; names in an open folder are: only what is being deleted is named so."""
        text = os.fsdecode(path) if not isinstance(path, int) else ""
        return text.startswith(self.folder) or not text.startswith("/")

    def _count(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
