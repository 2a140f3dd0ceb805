"""A program that is asked one question by another process: JSON from its standard input, JSON to its output."""

import json
import sys
from collections.abc import Callable
from typing import Any

from playground.errors import PlaygroundError


def answered(answer: Callable[[Any], object], *also: type[Exception]) -> int:
    """Read the question and print its answer; the status to end with: 2, and a sentence to the error output, where the
    question is wrong, which PlaygroundError, ValueError, KeyError, TypeError or one of `also` says."""
    wrong: tuple[type[Exception], ...] = (PlaygroundError, ValueError, KeyError, TypeError, *also)
    try:
        print(json.dumps(answer(json.load(sys.stdin))))
    except wrong as error:
        print(error, file=sys.stderr)
        return 2
    return 0
