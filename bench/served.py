"""The app in a process of its own, as a person starts it: for the measurements and for the tests in a browser."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playground.training.runs import turns

ROOT = Path(__file__).resolve().parents[1]
HOPE_SECONDS = 300


class Served(str):
    """The address of the app, with the id of its process."""

    pid: int

    @property
    def url(self) -> str:
        return str(self)


@contextmanager
def served(home: Path | None = None, options: Sequence[str] = ()) -> Iterator[Served]:
    """The address of the app on a free port; without a home given, it has an empty PLAYGROUND_HOME of its own.

    What it writes to its terminal is in server.log in its home. Runs that were begun meanwhile end with it, as nobody
    waits for them any more. Raises RuntimeError when it does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = home or Path(tempfile.mkdtemp())
    log, url = place / "server.log", f"http://localhost:{port}"
    before = _under_way(place)
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "playground", "app", "--port", str(port), *options], cwd=ROOT, stdout=out,
            stderr=out, env={**os.environ, "PLAYGROUND_HOME": str(place)}, start_new_session=True)
    try:
        limit = time.monotonic() + HOPE_SECONDS
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"The app did not start:\n{log.read_text()}")
            time.sleep(0.1)
        answers = Served(url)
        answers.pid = server.pid
        yield answers
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        for lock in _under_way(place) - before:
            with contextlib.suppress(OSError, ValueError):  # it has just ended by itself
                os.kill(int(lock.read_text()), signal.SIGKILL)
                while turns.is_alive(lock.parent):
                    time.sleep(0.01)
        if home is None:
            shutil.rmtree(place, ignore_errors=True)


def _under_way(place: Path) -> set[Path]:
    """The locks of the runs that live, those of a class's workspaces, too: each holds the id of its process."""
    return {lock for lock in place.rglob(".runs/*/worker") if turns.is_alive(lock.parent)}


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
    except (urllib.error.URLError, OSError):
        return False
    return True
