"""Questions about a file, each asked of a process of its own (`inspection.worker`) with bounded memory and time."""

import io
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from playground import home
from playground.errors import PlaygroundError
from playground.inspection.limits import CPU_SECONDS

PATIENCE_SECONDS = 90.0
AT_ONCE = threading.BoundedSemaphore(2)
ANSWER_BYTES = 64 * 2**20


class UnansweredError(PlaygroundError):
    """There was no time, or no process, for a question, or it was ended from outside: the same may be asked
    again."""


def ask(what: str, path: Path, x: np.ndarray | None = None, *, patience: float = PATIENCE_SECONDS, **more: Any
        ) -> dict[str, Any]:
    """What the process says: a `report`, one `weight`, the `answers` to a prepared picture, a `profile`.

    Raises PlaygroundError in a sentence: its own, or that it asked for too much, or broke; UnansweredError where it
    took too long, or was not asked.
    """
    if not path.is_file():
        raise PlaygroundError("This file is not kept any more: open it again.")
    picture = b""
    if x is not None:
        stream = io.BytesIO()
        np.save(stream, x, allow_pickle=False)
        picture = stream.getvalue()
    question = json.dumps({"what": what, "path": str(path.resolve()), **more}).encode() + b"\n" + picture
    if not AT_ONCE.acquire(timeout=patience):
        raise UnansweredError("Others are opening files just now: try again in a minute.")
    try:
        done = subprocess.run([sys.executable, "-m", "playground.inspection.worker"], input=question, timeout=patience,
                              capture_output=True, env=home.importable(), check=False)
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"This file did not answer within {patience:.0f} seconds.") from None
    except OSError as error:
        raise UnansweredError("The process that opens files could not be started: try again.") from error
    finally:
        AT_ONCE.release()
    if done.returncode == -signal.SIGXCPU:
        raise UnansweredError(f"This file asked for more than {CPU_SECONDS} seconds of a processor.")
    if done.returncode == -signal.SIGKILL:
        raise UnansweredError("The process that opened this file was ended from outside: try again.")
    try:
        if len(done.stdout) > ANSWER_BYTES:
            raise ValueError
        said = home.strict_json(done.stdout)
    except ValueError:
        raise PlaygroundError("This file broke the process that opened it, or asked for more memory than a file may "
                              "have: it is damaged, or too large for this page.") from None
    if "sentence" in said:
        raise PlaygroundError(said["sentence"])
    return dict(said["said"])
