"""The process that opens somebody else's file: `python -m playground.inspection.worker`.

It reads one line of JSON, what is asked, and after it the picture as .npy where one is needed; it prints one line of
JSON. A few hundred bytes of ONNX can ask for gigabytes, or for hours, or break the library that reads them: the
address space, the processor's time and the files written are limited here, the time on the clock by who asks.
"""

import io
import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

ROOM_BYTES = 2 * 2**30
TOO_MUCH = "This file asks for more memory than a file may have here."
DAMAGED = "This file is damaged: it names what does not exist, or is not written as ONNX files are."


def limit(file: Path) -> None:
    """Take away what an honest file does not need."""
    if sys.platform != "linux":
        return
    from playground.inspection.limits import CPU_SECONDS, limit_memory

    limit_memory(file, room=ROOM_BYTES)
    for what, most in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_FSIZE, file.stat().st_size + 64 * 2**20),
                       (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def answer(asked: dict[str, Any], x: np.ndarray | None) -> dict[str, Any]:
    """What is asked of the file."""
    from playground.inspection import report, running

    path = Path(asked["path"])
    limit(path)
    match asked["what"]:
        case "report":
            return report.report(path)
        case "weight":
            return report.weight(path, asked["name"])
        case "answers" if x is not None:
            return running.answers(path, asked["input"], x)
        case "profile" if x is not None:
            return running.profile(path, asked["input"], x)
        case "layers" if x is not None:
            from playground.inspection import layers

            return layers.layers(path, asked["input"], x)
        case "convert":
            from playground.inspection import converting

            return converting.convert(path, Path(asked["target"]), asked["way"], asked["input"], x)
        case "cut":
            from playground.inspection import cutting
            from playground.inspection.preparation import Preparation

            return cutting.cut(path, Path(asked["target"]), Preparation.from_dict(asked["preparation"]))
        case "compare":
            from playground.inspection import comparing

            return comparing.compare({way: Path(one) for way, one in asked["paths"].items()}, asked["input"], x)
    raise ValueError(f"nothing is known of {asked['what']}")


def main() -> int:
    """One question, one answer: {"said": ...} or {"sentence": ...}."""
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    asked = json.loads(sys.stdin.buffer.readline())
    rest = sys.stdin.buffer.read()
    x = np.load(io.BytesIO(rest), allow_pickle=False) if rest else None
    with os.fdopen(out, "wb") as stream:
        stream.write(reply(asked, x))
    return 0


def reply(asked: dict[str, Any], x: np.ndarray | None) -> bytes:
    """The answer as JSON, whatever the file does to the libraries that read it; what nobody foresaw goes to the log."""
    from playground.errors import PlaygroundError
    from playground.home import strict

    try:
        return json.dumps({"said": strict(answer(asked, x))}, allow_nan=False).encode()
    except PlaygroundError as error:
        said = str(error)
    except (MemoryError, RecursionError):
        said = TOO_MUCH
    except Exception:  # names that are no text, kinds of numbers that do not exist: no library says it in one way
        traceback.print_exc()
        said = DAMAGED
    return json.dumps({"sentence": said}).encode()


if __name__ == "__main__":
    sys.exit(main())
