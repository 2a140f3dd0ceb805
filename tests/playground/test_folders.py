"""Folders of pictures: which classes there are, which pictures, and how they are divided."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.datasets import folders
from playground.datasets.folders import PhotoFolder, divide, looks_like_classes, scan, write_faces
from playground.datasets.photos import open_photo
from playground.errors import PlaygroundError


def fill(top: Path, counts: dict[str, int]) -> Path:
    """Tiny pictures, so many in each folder; every one is of another brightness."""
    shade = 0
    for name, count in counts.items():
        (top / name).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            Image.new("L", (4, 4), shade % 256).save(top / name / f"{k:03d}.png")
            shade += 1
    return top


def names(pictures: tuple[tuple[Path, int], ...], top: Path) -> list[tuple[str, int]]:
    return [(str(path.relative_to(top)), label) for path, label in pictures]


def refused(path: Path) -> str:
    with pytest.raises(PlaygroundError) as caught:
        scan(path, seed=0)
    return str(caught.value)


def test_a_divided_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, {"train/cats": 2, "train/dogs": 1, "validation/cats": 1, "validation/dogs": 1})
    found = scan(tmp_path, seed=0)
    assert found.classes == ("cats", "dogs")
    assert names(found.train, tmp_path) == [
        ("train/cats/000.png", 0), ("train/cats/001.png", 0), ("train/dogs/000.png", 1)]
    assert names(found.validation, tmp_path) == [("validation/cats/000.png", 0), ("validation/dogs/000.png", 1)]
    assert found.unreadable == ()


@pytest.mark.parametrize("name", ["validation", "valid", "val"])
def test_validation_has_three_names(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {"train/a": 1, "train/b": 1, f"{name}/a": 1, f"{name}/b": 1})
    assert len(scan(tmp_path, seed=0).validation) == 2


def test_a_fifth_of_each_class_is_kept_aside(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 10, "b": 25, "c": 2})
    found = scan(tmp_path, seed=0)
    assert found.classes == ("a", "b", "c")
    assert Counter(label for _, label in found.validation) == {0: 2, 1: 5, 2: 1}
    assert Counter(label for _, label in found.train) == {0: 8, 1: 20, 2: 1}
    assert not {path for path, _ in found.train} & {path for path, _ in found.validation}


def test_only_train_is_divided_too(tmp_path: Path) -> None:
    fill(tmp_path, {"train/a": 10, "train/b": 10})
    found = scan(tmp_path, seed=0)
    assert found.classes == ("a", "b")
    assert len(found.validation) == 4


def test_the_seed_decides_the_division_and_nothing_else_does(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 40, "b": 40})
    assert scan(tmp_path, seed=1) == scan(tmp_path, seed=1)
    assert scan(tmp_path, seed=1).validation != scan(tmp_path, seed=2).validation
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    again = scan(moved, seed=1)
    tmp_path.mkdir()
    fill(tmp_path, {"b": 40, "a": 40})
    assert names(again.validation, moved) == names(scan(tmp_path, seed=1).validation, tmp_path)


def test_dividing_draws_from_everywhere() -> None:
    pictures = [(Path(f"{k}"), 0) for k in range(100)]
    held_out = [int(path.name) for path, _ in divide(pictures, seed=0)[1]]
    assert len(held_out) == 20
    assert min(held_out) < 20
    assert max(held_out) > 80
    assert held_out == sorted(held_out)
    assert held_out != list(range(0, 100, 5))


def test_what_a_zip_wraps_its_folders_in_is_looked_through(tmp_path: Path) -> None:
    fill(tmp_path, {"my photos/a": 2, "my photos/b": 2})
    (tmp_path / "__MACOSX").mkdir()
    assert scan(tmp_path, seed=0).classes == ("a", "b")
    fill(tmp_path / "two", {"wrapped/twice/train/a": 2, "wrapped/twice/train/b": 2})
    assert scan(tmp_path / "two", seed=0).classes == ("a", "b")


def test_pictures_in_a_classes_own_folders_are_the_classes(tmp_path: Path) -> None:
    fill(tmp_path, {"a/monday": 1, "a/tuesday": 1, "b": 2})
    found = scan(tmp_path, seed=0)
    assert Counter(label for _, label in (*found.train, *found.validation)) == {0: 2, 1: 2}


def test_vehicles_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, {"bus": 2, "train": 2, "tram": 2})
    assert scan(tmp_path, seed=0).classes == ("bus", "train", "tram")


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2, ".hidden": 2})
    for name in ("a/.DS_Store", "a/Thumbs.db", "b/._001.png"):
        (tmp_path / name).write_bytes(b"junk")
    found = scan(tmp_path, seed=0)
    assert found.classes == ("a", "b")
    assert found.unreadable == ()


def test_unreadable_files_are_listed_with_the_reason_and_left_out(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "notes.txt").write_text("hello")
    whole = (tmp_path / "a" / "000.png").read_bytes()
    (tmp_path / "a" / "cut.png").write_bytes(whole[:-25])
    (tmp_path / "b" / "empty.jpg").touch()
    found = scan(tmp_path, seed=0)
    assert len(found.train) + len(found.validation) == 6
    reasons = {path.name: reason for path, reason in found.unreadable}
    assert set(reasons) == {"notes.txt", "cut.png", "empty.jpg"}
    assert "damaged" in reasons["cut.png"]
    assert "empty file" in reasons["empty.jpg"]
    assert "not a picture" in reasons["notes.txt"]


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    os.symlink(tmp_path, tmp_path / "a" / "up")
    assert sum(map(len, (scan(tmp_path, 0).train, scan(tmp_path, 0).validation))) == 4


def test_what_cannot_be_trained_on_gets_one_sentence(tmp_path: Path) -> None:
    assert "no folder" in refused(tmp_path / "absent")
    assert "no folders that could be classes" in refused(tmp_path)
    flat = tmp_path / "flat"
    fill(flat, {".": 3})
    assert "no folders that could be classes" in refused(flat)
    assert "one class only (cats)" in refused(fill(tmp_path / "one", {"cats": 3}))
    assert "'dogs' has no picture" in refused(fill(tmp_path / "empty", {"cats": 3, "dogs": 0}))
    assert "one picture only" in refused(fill(tmp_path / "few", {"cats": 1, "dogs": 1}))
    strange = fill(tmp_path / "strange", {"train/a": 1, "train/b": 1, "validation/c": 1})
    assert "'c' that train/ has not" in refused(strange)
    bare = fill(tmp_path / "bare", {"train/a": 1, "train/b": 1, "validation/a": 0})
    assert "no picture that can be read" in refused(bare)


def test_looking_at_names_finds_folders_of_pictures(tmp_path: Path) -> None:
    fill(tmp_path / "flat", {"a": 1, "b": 1})
    fill(tmp_path / "divided", {"train/a": 1, "train/b": 1, "validation/a": 1})
    fill(tmp_path / "one", {"a": 1, "b": 0})
    said = {name: looks_like_classes(tmp_path / name) for name in ("flat", "divided", "one", "absent")}
    assert said == {"flat": True, "divided": True, "one": False, "absent": False}


def test_the_faces_are_two_hundred_pictures(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "data" / "faces")
    found: PhotoFolder = scan(folder, seed=0)
    assert found.classes == ("faces", "non-faces")
    assert (len(found.train), len(found.validation)) == (160, 40)
    first = open_photo(folder / "faces" / "000.png")
    from skimage.data import lfw_subset
    assert np.array_equal(first[..., 0], np.round(lfw_subset()[0] * 255).astype(np.uint8))
    assert [path.name for path in folder.parent.iterdir()] == ["faces"]


def test_faces_cut_short_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders.Image.Image, "save", full)
    with pytest.raises(PlaygroundError, match="disk of this server is full: the sample photos were not written"):
        write_faces(tmp_path / "faces")
    assert list(tmp_path.iterdir()) == []


SPELLINGS = [("train", "test"), ("Train", "Test"), ("TRAIN", "VAL"), ("training", "testing"),
             ("Training", "Validation"),
             ("train_set", "test_set"), ("training_data", "valid"), ("train-images", "dev"), ("trainset", "eval"),
             ("Training Set", "Test Set"), ("trn", "tst")]


@pytest.mark.parametrize(("train", "aside"), SPELLINGS)
def test_halves_are_never_classes_however_they_are_spelt(train: str, aside: str, tmp_path: Path) -> None:
    fill(tmp_path, {f"{train}/cats": 3, f"{train}/dogs": 2, f"{aside}/cats": 1, f"{aside}/dogs": 2})
    found = scan(tmp_path, seed=0)
    assert found.classes == ("cats", "dogs")
    assert (len(found.train), len(found.validation)) == (5, 3)
    assert {path.parts[-3] for path, _ in found.train} == {train}
    assert {(label, half) for _, label, half in folders.arranged(tmp_path)[1]} == {
        (name, half) for name in ("cats", "dogs") for half in ("train", "validation")}
    assert folders.division(tmp_path) == f"{train}/ is trained on, {aside}/ kept aside, as they came."


def test_of_three_halves_two_are_kept_aside(tmp_path: Path) -> None:
    fill(tmp_path, {f"{half}/{name}": k for k, half in enumerate(("train", "validation", "test"), 2)
                    for name in ("a", "b")})
    found = scan(tmp_path, seed=0)
    assert found.classes == ("a", "b")
    assert (len(found.train), len(found.validation)) == (4, 14)
    assert folders.division(tmp_path) == "train/ is trained on, test/ and validation/ kept aside, as they came."


def test_halves_without_classes_get_a_sentence(tmp_path: Path) -> None:
    flat = fill(tmp_path / "flat", {"train": 3, "test": 2})
    assert "train/" in refused(flat)
    assert "no folders that could be classes" in refused(flat)
    assert folders.arranged(flat)[1] == []
    assert not looks_like_classes(flat)
    assert "no train/" in refused(fill(tmp_path / "no train", {"val/a": 1, "val/b": 1, "test/a": 1, "test/b": 1}))


def test_pictures_to_be_named_beside_training_are_no_half(tmp_path: Path) -> None:
    fill(tmp_path, {"train/a": 5, "train/b": 5, "test": 4})
    found = scan(tmp_path, seed=0)
    assert found.classes == ("a", "b")
    assert len(found.train) + len(found.validation) == 10


@pytest.mark.parametrize("depth", [0, 1, 3, 4, 9])
def test_classes_are_found_however_deep_they_lie(depth: int, tmp_path: Path) -> None:
    above = "/".join(f"level {k}" for k in range(depth)) or "."
    fill(tmp_path, {f"{above}/cats": 2, f"{above}/dogs": 2})
    if depth:
        (tmp_path / "level 0" / "readme.txt").write_text("photos of pets")
        (tmp_path / "scripts").mkdir()
        (tmp_path / "scripts" / "make.py").write_text("print()")
    assert scan(tmp_path, seed=0).classes == ("cats", "dogs")
    assert {label for _, label, _ in folders.arranged(tmp_path)[1]} == {"cats", "dogs"}
    assert looks_like_classes(tmp_path)
