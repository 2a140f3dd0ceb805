"""One attempt at a run, on a node: a Ray actor that starts the process that trains and answers what it is asked.

It hardly computes itself, so it answers at once however busy the node is, and whoever asks knows after a few seconds of
silence that the node hangs. When nobody asks any more, it ends, and with it the training.
"""

import errno
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from playground import home
from playground.training.cluster import photos, run_files, telling
from playground.training.cluster.run_files import Paths
from playground.training.cluster.telling import Told
from playground.training.runs import runs
from playground.training.runs.events import Failed, to_json
from playground.training.runs.runs import RunSpec

ON_NODE = "playground.training.cluster.on_node"
ANSWER_SECONDS = 1.0
"""So long an answer waits for something to tell."""
ANSWER_BYTES = 64 * 2**20
ALONE_SECONDS = 120.0
WAITING = 64  # events that wait to be asked for: then the training waits, too


class Attempt:
    """What happens on a node. Everything asked and answered are plain numbers, texts, bytes, lists and dicts."""

    def __init__(self, number: int):
        self.number, self._asked = number, time.monotonic()
        self._told: queue.Queue[dict[str, Any]] = queue.Queue(WAITING)
        self._process: subprocess.Popen[bytes] | None = None
        self._over: str | None = None
        self._run_dir: Path | None = None
        self._wanted: dict[str, bytes] = {}
        self._obeying = threading.Lock()
        self._closed = threading.Event()
        self._stack = ExitStack()

    def begin(self, order: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, str]:
        """Begin to work; returns at once where that is.

        order: spec (as in spec.json), run_id, run_dir and home (where these are on the app's machine), log (what
        happened so far), kept (whether an epoch was saved), threads, and folder: None, or the data's named, path, name,
        digest and pieces.
        """
        threading.Thread(target=self._work, args=(order, files), daemon=True).start()
        threading.Thread(target=self._end_when_alone, daemon=True).start()
        return {"host": socket.gethostname(), "node": _node_id()}

    def next(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What happened since: {"attempt", "told", "over"}, after a second at the latest.

        `said`: whether it is to stop, and what pages wrote into the run's folder (run_files.ASKED). `over` is None as
        long as more may come, then a text: "" or why there will be nothing more.
        """
        self._asked = time.monotonic()
        self._obey(said)
        told: list[dict[str, Any]] = []
        size = 0
        with suppress(queue.Empty):
            told.append(self._told.get(timeout=0 if self._over is not None else ANSWER_SECONDS))
            while size < ANSWER_BYTES:
                size += sum(map(len, told[-1]["files"].values()))
                told.append(self._told.get_nowait())
        over = self._over if self._over is not None and self._told.empty() else None
        return {"attempt": self.number, "told": told, "over": over}

    def close(self) -> None:
        """End the training, whatever it does, and remove everything of it from this node."""
        self._closed.set()
        if self._process is not None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._stack.close()

    def _obey(self, said: Mapping[str, Any]) -> None:
        with self._obeying:
            self._wanted |= said["asked"]
            if self._run_dir is None:  # it is told once, and may come before there is a folder
                return
            if said["stop"]:
                (self._run_dir / "stop").touch()
            with suppress(ValueError, OSError):
                run_files.write(self._run_dir, self._wanted)
            self._wanted = {}

    def _work(self, order: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        why = ""
        try:
            why = self._trained(order, files)
        except OSError as error:
            why = f"The node could not begin: {error.strerror or error}."
        except Exception as error:
            why = f"The node could not begin: {type(error).__name__}: {error}"
        finally:
            self._over = why

    def _trained(self, order: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
        """Lay everything out, train, hand on what is told; why it ended too early, or ""."""
        top = _top()
        for kind in ("photos", "homes"):
            photos.clear(top / kind)
        place = self._stack.enter_context(photos.held(top / "homes", f"{os.getpid()}-{self.number}"))
        run_dir = place / ".runs" / order["run_id"]
        run_dir.mkdir(parents=True)
        pairs, moved, folder = [(order["run_dir"], str(run_dir)), (order["home"], str(place))], [], order["folder"]
        if folder is not None:
            there = self._stack.enter_context(
                photos.unpacked(top / "photos", folder["digest"], folder["name"], _fetched(folder["pieces"])))
            pairs.append((folder["path"], str(there)))
            moved = [folder["named"], str(there)]
        paths = Paths(pairs)
        run_files.write(run_dir, paths.files_there(files))
        (run_dir / "events.jsonl").write_text(paths.there(order["log"]), encoding="utf-8")
        spec = RunSpec(**order["spec"])
        runs.write_spec(run_dir, spec, device="auto")
        (place / "order.json").write_text(json.dumps({"paths": pairs, "moved": moved, "kept": order["kept"]}))
        self._run_dir = run_dir
        self._obey({"stop": False, "asked": {}})
        if self._closed.is_set():
            return ""
        output = self._stack.enter_context(open(place / "worker.log", "ab"))  # noqa: SIM115 - closed with the rest
        self._process = subprocess.Popen(
            [sys.executable, "-m", ON_NODE, str(run_dir), str(place / "order.json")], cwd=home.REPOSITORY,
            env=_environment(place, int(order["threads"])), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=output, start_new_session=True)
        assert self._process.stdout is not None
        failed = False
        for told in telling.read(self._process.stdout):
            failed = isinstance(told.event, Failed)
            self._hand_on(told)
        status = self._process.wait()
        if status == 0 or failed:
            return ""
        return f"The process that trained ended with {-status if status < 0 else status}: {_last(place)}"

    def _hand_on(self, told: Told) -> None:
        plain = {"event": to_json(told.event), "files": told.files, "gone": told.gone, "model": told.model,
                 "card": told.card}
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._told.put(plain, timeout=1)
                return

    def _end_when_alone(self) -> None:
        while not self._closed.wait(5):
            if time.monotonic() - self._asked > ALONE_SECONDS:
                self.close()
                os._exit(0)


def _environment(place: Path, threads: int) -> dict[str, str]:
    """The training's: a home of its own, no more threads than it was given cores."""
    told = {key: value for key, value in os.environ.items() if key not in (home.BASE, home.CLASS)}
    cores = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    path = os.pathsep.join(filter(None, (str(home.REPOSITORY), told.get("PYTHONPATH"))))
    return {**told, **cores, home.HOME: str(place), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _top() -> Path:
    """Where trainings keep everything on this node: TMPDIR says where that is. Raises OSError where it is another
    user's."""
    top = Path(tempfile.gettempdir()) / f"cnn-playground-{os.getuid()}"
    top.mkdir(mode=0o700, exist_ok=True)
    if top.is_symlink() or top.stat().st_uid != os.getuid():
        raise OSError(errno.EPERM, f"{top} is another user's")
    return top


def _fetched(pieces: list[Any]) -> Iterator[bytes]:
    """The pieces of the photos, one after the other, from wherever in the cluster they are."""
    import ray

    for piece in pieces:
        yield ray.get(piece)


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _last(place: Path) -> str:
    with suppress(OSError):
        lines = (place / "worker.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"
    return "it said nothing"
