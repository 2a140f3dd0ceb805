"""Answers to the questions of the lessons ("Predict first"), counted over a class.

Each reader's lie in his workspace, so they are seen by the teacher, counted for all when he reveals them, and deleted
with everything else of the reader:

    .class/workspaces/<id>/answers.json   {"<question>": {"page": "pooling", "question": "...", "choices": [...],
                                           "answer": 1, "first": 0, "last": 1, "time": 1764500000.0}}
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from playground import home
from playground.classroom import workspaces

ANSWERS = "answers.json"
MOST, MOST_CHOICES, LONGEST = 300, 40, 2000
"""Questions kept of one reader, choices of a question, letters of one."""


@dataclass(frozen=True)
class Answer:
    """What one reader said: the question and its choices as they were shown, the number of the right one, what he
    chose first and last."""

    page: str
    question: str
    choices: tuple[str, ...]
    answer: int
    first: int
    last: int
    time: float = 0.0


@dataclass(frozen=True)
class Tally:
    """A question and how many chose each of its choices, first and last; the same order as the choices."""

    id: str
    page: str
    question: str
    choices: tuple[str, ...]
    answer: int
    first: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def asked(self) -> int:
        """How many answered."""
        return sum(self.first)


def question_id(page: str, question: str, choices: Sequence[str], answer: int) -> str:
    """What a question is known by. The right answer is part of it: the same words asked of another picture, with
    another answer, are another question.

    >>> question_id("pooling", "How many?", ["1", "2"], 1) == question_id("pooling", "How many?", ["1", "2"], 0)
    False
    """
    said = json.dumps([page, question, list(choices), answer], ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def write(place: Path, page: str, question: str, choices: Sequence[str], answer: int, chosen: int) -> str:
    """Write down what the owner of a workspace chose; the question's id. What he chose first stays."""
    known = question_id(page, question, choices, answer)
    new = Answer(page, question[:LONGEST], tuple(one[:LONGEST] for one in choices[:MOST_CHOICES]), answer, chosen,
                 chosen, time.time())
    with suppress(OSError):  # who cannot write it down goes on reading
        place.mkdir(parents=True, exist_ok=True)
        with workspaces.locked(place):
            _write(place, known, new)
    return known


def _write(place: Path, known: str, new: Answer) -> None:
    said = of(place)
    first = said[known].first if known in said else new.first
    others = {other: one for other, one in said.items() if other != known}
    kept = [*others.items(), (known, replace(new, first=first))][-MOST:]
    with home.whole(place / ANSWERS) as incoming:
        incoming.write_text(json.dumps({one: asdict(said) for one, said in kept}, ensure_ascii=False),
                            encoding="utf-8")


def of(place: Path) -> dict[str, Answer]:
    """A workspace's answers by question, the one given last at the end; a damaged file holds none."""
    path = place / ANSWERS
    try:
        found = path.stat()
    except OSError:
        return {}
    return dict(_read(path, found.st_ino, found.st_mtime_ns, found.st_size))


def tallies() -> list[Tally]:
    """All questions that were answered, those of one page together, the one with most answers first."""
    found: dict[str, list[Answer]] = {}
    for one in workspaces.all_of_them():
        for known, said in of(one.home).items():
            found.setdefault(known, []).append(said)
    counted = [_counted(known, said) for known, said in found.items()]
    return sorted(counted, key=lambda one: (one.page, -one.asked, one.question))


def tally(known: str) -> Tally | None:
    """One question; None where nobody has answered it."""
    said = [found[known] for one in workspaces.all_of_them() if known in (found := of(one.home))]
    return _counted(known, said) if said else None


def clear_cache() -> None:
    """What is kept in memory of answers."""
    _read.cache_clear()


def _counted(known: str, said: Sequence[Answer]) -> Tally:
    first, last = Counter(one.first for one in said), Counter(one.last for one in said)
    model = said[0]
    numbers = range(len(model.choices))
    return Tally(known, model.page, model.question, model.choices, model.answer, tuple(first[k] for k in numbers),
                 tuple(last[k] for k in numbers))


@lru_cache(maxsize=256)
def _read(path: Path, *_version: int) -> tuple[tuple[str, Answer], ...]:
    said: Any = None
    with suppress(OSError, ValueError):
        said = home.read_json(path)
    return tuple(_answers(said)) if isinstance(said, dict) else ()


def _answers(said: dict[str, Any]) -> Iterator[tuple[str, Answer]]:
    for known, one in list(said.items())[-MOST:]:
        with suppress(TypeError, ValueError, KeyError):
            choices = tuple(one["choices"])
            numbers = (one["answer"], one["first"], one["last"])
            texts = (one["page"], one["question"], *choices)
            if all(isinstance(text, str) for text in texts) and all(
                    isinstance(k, int) and 0 <= k < len(choices) for k in numbers):
                yield known, Answer(one["page"], one["question"], choices, *numbers, float(one["time"]))
