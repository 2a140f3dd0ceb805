"""The log says what went wrong, and neither where things lie, nor whose they are, nor what photos are called."""

import io
import logging
from pathlib import Path

import pytest

from playground import home
from playground.classroom import keys
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


@pytest.mark.parametrize("name", ["cat.jpg", "my-cat.JPEG", "Änne.png", "scan.tiff"])
def test_names_of_photographs_are_not_written(name: str) -> None:
    assert discreet(f"{name} cannot be read") == "… cannot be read"


def test_other_words_stay() -> None:
    for text in ("part failed: The list of runs", "sets of photos", "GET /api/models", "1.5 uploads a second"):
        assert discreet(text) == text
