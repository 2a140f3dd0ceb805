"""Runs code of the pages, one text after another, in fresh namespaces: `python code_server.py` in the folder of choice.

Each line of standard input is a text as JSON; the answer is a line {"printed": ..., "error": ...}. What the code may
not need is not there: no tensorflow, no network.
"""

import contextlib
import io
import json
import os
import socket
import sys
import traceback
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, NoReturn

os.environ["KERAS_BACKEND"] = "torch"  # what a reader without TensorFlow writes into the shell


class _WithoutTensorFlow(PathFinder):
    """Finds all but TensorFlow. (None in sys.modules would not do: to Keras the name there is the library.)"""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return None if fullname.partition(".")[0] == "tensorflow" else super().find_spec(fullname, path, target)


sys.meta_path[:] = [_WithoutTensorFlow if finder is PathFinder else finder for finder in sys.meta_path]


def _no_network(*_: Any) -> NoReturn:
    raise OSError("this code asks the network")


socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = _no_network  # type: ignore[assignment,method-assign]

for line in sys.stdin:
    out, error = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(json.loads(line), "<the page>", "exec"), {"__name__": "__main__"})
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps({"printed": out.getvalue(), "error": error}), flush=True)
