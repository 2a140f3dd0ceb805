"""A question to PyTorch in a process of its own, so that no page waits for torch to be imported."""

import subprocess
import sys

from playground import home
from playground.errors import PlaygroundError


def asked_torch(module: str, question: str, *, patience: float, late: str) -> "subprocess.CompletedProcess[str]":
    """How `python -m module` ended that reads the question; what it printed is in `stdout` and `stderr`.

    Raises PlaygroundError saying `late` when it takes longer than `patience` seconds or cannot be started.
    """
    try:
        return subprocess.run([sys.executable, "-m", module], input=question, text=True, capture_output=True,
                              timeout=patience, cwd=home.REPOSITORY, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise PlaygroundError(late) from None
