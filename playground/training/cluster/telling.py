"""What the process that trains on a node tells: an event a line, and behind it the files that changed before it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from playground.training.runs.events import Event, from_json, to_json


@dataclass(frozen=True)
class Told:
    """An event, and what changed in the run's folder before it; `model` and `card` are those of an Exported."""

    event: Event
    files: dict[str, bytes] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    model: bytes = b""
    card: bytes = b""


def write(out: IO[bytes], told: Told) -> None:
    """Write an event and what belongs to it."""
    parts = [told.model, told.card, *told.files.values()]
    head = {"event": to_json(told.event), "model": len(told.model), "card": len(told.card), "gone": told.gone,
            "files": {name: len(content) for name, content in told.files.items()}}
    out.write(json.dumps(head).encode() + b"\n" + b"".join(parts))
    out.flush()


def read(source: IO[bytes]) -> Iterator[Told]:
    """What was written, until its writer is gone; a half at the end is left out."""
    while (line := source.readline()).endswith(b"\n"):
        head = json.loads(line)
        lengths = [head["model"], head["card"], *head["files"].values()]
        parts = [source.read(length) for length in lengths]
        if [len(part) for part in parts] != lengths:
            return
        yield Told(from_json(head["event"]), dict(zip(head["files"], parts[2:], strict=True)), head["gone"], *parts[:2])
