"""A run's events on disk: one JSON line each, only ever appended to, read from where the last reading ended."""

import contextlib
import errno
import os
from pathlib import Path

from playground.training.runs.events import Event, from_json, to_json


class EventLog:
    """The end of a log that one worker writes to. Every event is with the operating system when `append` returns."""

    def __init__(self, path: Path):
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as the worker lives
        with open(path, "rb") as before:
            size = before.seek(0, os.SEEK_END)
            before.seek(max(0, size - 1))
            if size and before.read(1) != b"\n":
                self._file.write(b"\n")  # a writer died in the middle of a line: its half must not spoil the next one

    def append(self, event: Event) -> None:
        line = to_json(event).encode() + b"\n"
        written = self._file.write(line)
        if written != len(line):  # the disk is full: the half must not spoil the next line
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), os.fstat(self._file.fileno()).st_size - (written or 0))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)

    def close(self) -> None:
        self._file.close()


def read(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The events from byte `offset` on, and the offset to read from next time.

    A last line that is still being written is left for next time; a line that is no event (the half of one whose
    writer died) is passed over. A log that does not exist yet is empty.
    """
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data.rfind(b"\n") + 1
    events = []
    for line in data[:whole].splitlines():
        try:
            events.append(from_json(line))
        except ValueError:
            continue
    return events, offset + whole
