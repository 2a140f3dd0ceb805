"""Commands that open a model. A file may be anybody's, so it is opened in a process that cannot take the computer's
memory or time."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from playground import home
from playground.errors import PlaygroundError

NOT_VERIFIED = 1
START_SECONDS, PICTURE_SECONDS = 180, 30


def predict(options: argparse.Namespace) -> int:
    """Ask a model about pictures."""
    return guarded("predict", options, len(options.images), images=[str(path) for path in options.images],
                   top=options.top)


def verify(options: argparse.Namespace) -> int:
    """Check a model."""
    return guarded("verify", options, 10 + options.pictures, most=options.pictures)


def guarded(command: str, options: argparse.Namespace, pictures: int, **more: Any) -> int:
    """Let a process of its own do it, and say so where it comes to no end (`commands.guarded`)."""
    from playground.deploy import registry

    found = registry.get(options.model)
    path = found if isinstance(found, Path) else found.folder
    asked = {"command": command, "model": options.model, "path": str(path.resolve()), "json": options.json, **more}
    seconds = START_SECONDS + PICTURE_SECONDS * pictures
    environment = home.importable()
    with subprocess.Popen([sys.executable, "-m", "playground.commands.guarded", json.dumps(asked)],
                          env=environment) as child:
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise PlaygroundError(f"The model {options.model} did not answer within {seconds} seconds.") from None
        except BaseException:
            child.kill()
            raise
    if status < 0 or status > 2:
        raise PlaygroundError(f"The model {options.model} could not be run: it asked for more memory than it may have, "
                              "or broke onnxruntime.")
    return status
