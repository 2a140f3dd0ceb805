"""A class in a test: a server's home with workspaces in it, entered one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from playground import home
from playground.classroom import keys


@pytest.fixture
def class_home(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server that serves a class, with nothing made yet."""
    monkeypatch.setenv(home.CLASS, "1")
    return playground_home


def place_of(key: str) -> Path:
    """The home of a key's workspace."""
    place = keys.workspace_of(key)
    assert place is not None
    return place


@contextmanager
def working(key: str) -> Iterator[Path]:
    """Inside, all is done for the owner of a key."""
    with home.entered(place_of(key)):
        yield place_of(key)
