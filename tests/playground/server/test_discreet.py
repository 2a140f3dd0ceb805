"""The log says what went wrong, and neither where things lie, nor whose they are, nor what photos are called."""

import io
import logging
import time
from pathlib import Path

import pytest

from playground import home
from playground.classroom import keys
from playground.datasets import photos
from playground.server.discreet import Formatter, discreet, keep_discreet
from tests.a_class import class_home, place_of

__all__ = ["class_home"]


def test_a_traceback_keeps_its_error_and_loses_paths_ids_keys_and_names(class_home: Path) -> None:
    key = keys.new()
    place = place_of(key)
    photo = place / "data" / "uploads" / "0123456789abcdef" / "cats" / "Ada at school.jpg"
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("playground.test_discreet")
    logger.addHandler(handler)
    try:
        keep_discreet()
        keep_discreet()
        assert isinstance(handler.formatter, Formatter)
        assert not isinstance(handler.formatter.inner, Formatter)
        try:
            photo.read_bytes()
        except OSError:
            logger.exception("part failed: %s of %s at /join/%s", photo.name, place, key)
    finally:
        logger.removeHandler(handler)
    said = written.getvalue()
    assert "FileNotFoundError" in said
    assert "test_discreet.py" in said
    for secret in (str(class_home), place.name, key, "Ada", "school", "0123456789abcdef", str(home.REPOSITORY)):
        assert secret not in said, said


NAMES = ["my-cat.JPEG", "Änne.png", "Ada Müller.HEIC", "Ada's dog.jpg", "the dogs' day.jpg", 'the "best" dog.png',
         'Ada\'s "best" dog.png', "x.jpg.png", *(f"Ada Müller{suffix}" for suffix in photos.SUFFIXES)]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_photographs_are_not_written(name: str) -> None:
    assert discreet(f"{name} cannot be read") == "… cannot be read"
    assert discreet(f"read: {name}: {name}\n{name}, or not") == "read: …: …\n…, or not"
    quote = repr(name)[0]
    assert discreet(f"[Errno 2] No such file: {name!r}") == f"[Errno 2] No such file: {quote}…{quote}"
    assert discreet(f"{[name, 'dogs', name]}") == f"[{quote}…{quote}, 'dogs', {quote}…{quote}]"
    assert discreet(f"In “{name}” is nothing: wait") == "In “…” is nothing: wait"
    path = f"photos/cats/{name}"
    assert discreet(f"at {path!r} or {path}") == f"at {quote}photos/cats/…{quote} or photos/cats/…"


@pytest.mark.parametrize("folder", ["cats", "Ada's cats"])
def test_what_lies_in_an_upload_is_not_written(folder: str) -> None:
    path = f"data/uploads/0123456789abcdef/{folder}/Ada's dog.jpg"
    assert discreet(f"No such file: {path!r} (2)") == 'No such file: "data/uploads/…" (2)'
    for secret in ("Ada", "dog", "0123"):
        assert secret not in discreet(f"No such file: {path}")


def test_a_long_line_is_read_at_once() -> None:
    for line in ("a" * 100_000, "'" * 20_000, '"a' * 10_000, "'a/" * 5_000, "\\" * 20_000):
        began = time.monotonic()
        discreet(line)
        assert time.monotonic() - began < 2


def test_other_words_stay() -> None:
    for text in ("part failed: The list of runs", "sets of photos", "GET /api/models", "1.5 uploads a second"):
        assert discreet(text) == text
