"""A set that a class collects: nothing is seen before the teacher accepted it, and each takes his photos along."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import home
from playground.classroom import collecting, keys, leaving, publishing, state
from playground.classroom.state import Collection
from playground.datasets import allowed
from playground.errors import PlaygroundError
from playground.training.transfer.pixels import PixelStore
from tests.a_class import class_home, place_of, working

__all__ = ["class_home"]

CUPS = Collection("cups", ("cup", "no cup"))


def shot(seed: int, size: tuple[int, int] = (30, 40), kind: str = "JPEG") -> bytes:
    """A photograph as a phone sends it, with where it was taken in it."""
    file, said = io.BytesIO(), Image.Exif()
    said[0x010E] = "at Anna's"
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind, exif=said)
    return file.getvalue()


def test_photos_wait_until_they_are_accepted_and_then_are_everybodys(class_home: Path) -> None:
    one, other = keys.new(), keys.new()
    for k in range(3):
        collecting.add(place_of(one), CUPS, "cup", shot(k))
        collecting.add(place_of(other), CUPS, "no cup", shot(10 + k))
    with working(other):
        assert allowed.folders_offered() == {}, "nobody sees what the teacher has not looked at"
        assert not allowed.is_inside(collecting.waiting_dir("cups"))
    waiting = collecting.waiting(CUPS)
    assert [each.label for each in waiting] == ["cup", "no cup"] * 3
    assert {each.mark for each in waiting} == {publishing.mark(place_of(one)), publishing.mark(place_of(other))}
    for each in waiting[:4]:
        collecting.accept(CUPS, each)
    for each in waiting[4:]:
        collecting.reject(each)
    collecting.accept(CUPS, waiting[0])  # another window was quicker
    assert collecting.accepted(CUPS) == {"cup": 2, "no cup": 2}
    assert collecting.waiting(CUPS) == []
    with working(other):
        assert list(allowed.folders_offered()) == ["class/cups"]


def test_what_is_kept_is_a_jpeg_of_limited_size_without_what_a_camera_adds(class_home: Path) -> None:
    for k, kind in enumerate(("JPEG", "PNG", "WEBP")):
        path = collecting.add(place_of(keys.new()), CUPS, "cup", shot(k, (40, 3000), kind))
        data = path.read_bytes()
        image = Image.open(io.BytesIO(data))
        assert (image.format, image.width) == ("JPEG", collecting.LONGEST_SIDE)
        assert b"Anna" not in data
        assert not image.getexif()


def test_the_same_photo_twice_is_one(class_home: Path) -> None:
    place = place_of(keys.new())
    collecting.add(place, CUPS, "cup", shot(1))
    collecting.add(place, CUPS, "cup", shot(1))
    (one,) = collecting.waiting(CUPS)
    collecting.accept(CUPS, one)
    with pytest.raises(PlaygroundError, match="already"):
        collecting.add(place, CUPS, "cup", shot(1))


def test_what_is_too_much_or_no_picture_is_refused_in_a_sentence(
    class_home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = place_of(keys.new())
    for into, label, content, words in (
        (CUPS, "dog", shot(1), "Choose one of cup, no cup"), (CUPS, "../..", shot(1), "Choose one of"),
        (CUPS, "cup", b"no picture", "picture"), (CUPS, "cup", b"x" * (collecting.MOST_BYTES + 1), "15 MB"),
        (Collection("cups", CUPS.labels, is_open=False), "cup", shot(1), "any more"),
    ):
        with pytest.raises(PlaygroundError, match=words):
            collecting.add(place, into, label, content)
    monkeypatch.setattr(collecting, "MOST_OF_ONE", 2)
    for k in range(2):
        collecting.add(place, CUPS, "cup", shot(k))
    collecting.accept(CUPS, collecting.waiting(CUPS)[0])
    with pytest.raises(PlaygroundError, match="leave some to the others"):
        collecting.add(place, CUPS, "cup", shot(5))
    collecting.add(place_of(keys.new()), CUPS, "cup", shot(6))
    monkeypatch.setattr(collecting, "MOST_WAITING", 2)
    with pytest.raises(PlaygroundError, match="Too many"):
        collecting.add(place_of(keys.new()), CUPS, "cup", shot(7))


@pytest.mark.parametrize(("name", "labels"), [
    ("cups", ["cup"]), ("cups", ["cup", "CUP"]), ("cups", ["a/b", "c"]), ("../x", ["a", "b"]), ("cups", [".", "b"]),
    ("cups", [str(k) for k in range(21)]),
])
def test_a_collection_has_a_plain_name_and_some_classes(name: str, labels: list[str], class_home: Path) -> None:
    with pytest.raises(PlaygroundError):
        collecting.opened(name, labels)
    assert collecting.opened("cups", [" cup ", "no cup", ""]) == CUPS


def test_who_leaves_takes_his_photos_along_and_what_was_computed_from_them(class_home: Path) -> None:
    one, other = place_of(keys.new()), place_of(keys.new())
    for k in range(2):
        collecting.add(one, CUPS, "cup", shot(k))
        collecting.add(other, CUPS, "no cup", shot(10 + k))
    for each in collecting.waiting(CUPS)[:2]:
        collecting.accept(CUPS, each)
    assert collecting.accepted(CUPS) == {"cup": 1, "no cup": 1}
    paths = sorted(publishing.folder("cups").rglob("*.jpg"))
    digests = [publishing.features.content_digest(path) for path in paths]
    with home.entered(home.shared()):
        assert list(PixelStore(8).fill(list(zip(digests, paths, strict=True)), 1, lambda: False)) == [2]
    leaving.delete_everything(one)
    assert collecting.accepted(CUPS) == {"cup": 0, "no cup": 1}
    assert [each.label for each in collecting.waiting(CUPS)] == ["no cup"]
    with home.entered(home.shared()):
        assert [digest in PixelStore(8) for digest in digests] == [False, True]


def test_a_collection_that_ends_keeps_what_was_accepted(class_home: Path) -> None:
    for k in range(2):
        collecting.add(place_of(keys.new()), CUPS, "cup", shot(k))
    collecting.accept(CUPS, collecting.waiting(CUPS)[0])
    state.collect(CUPS, "class")
    collecting.discard("cups")
    assert collecting.waiting(CUPS) == []
    assert publishing.photo_folders() == {"cups": 1}
    collecting.discard("cups")
