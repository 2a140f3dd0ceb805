"""How people arrange photographs: the layouts they come in, from a folder, from a zip and taken into a set."""

import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.datasets import folders, unzip, versions
from playground.datasets.arrangement import half_of, is_half
from playground.errors import PlaygroundError

PETS = ("cats", "dogs")
LAYOUTS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "a half inside of its own name": (["training_set/training_set/{}"], ["test_set/test_set/{}"], []),
    "halves with an affix": (["seg_train/seg_train/{}"], ["seg_test/seg_test/{}"], ["seg_pred/seg_pred"]),
    "pictures to be named": (["train/train/{}"], ["val/{}"], ["test/test"]),
    "numbered by year": (["train2017/{}"], ["val2017/{}"], []),
    "numbered": (["Train 1/{}"], ["Test 1/{}"], []),
    "numbered in front": (["01_train/{}"], ["02_test/{}"], []),
    "a copy": (["Train copy/{}"], ["tests/{}"], []),
    "of a download": (["train (1)/{}"], ["test (1)/{}"], []),
    "a data set's": (["dataset_train/{}"], ["dataset_test/{}"], []),
    "x and y": (["x_train/{}"], ["x_test/{}"], []),
    "in one word": (["PetsTrain/{}"], ["PetsTest/{}"], []),
    "one folder in each": (["train/images/{}"], ["test/images/{}"], []),
    "in every class": (["{}/train"], ["{}/test"], []),
    "two aside in every class": (["{}/Training"], ["{}/val", "{}/test"], []),
    "class and half in a name": (["{}_train"], ["{}_test"], []),
    "wrapped": (["archive/pets/train/{}"], ["archive/pets/test/{}"], []),
    "the same again deeper": (["xray/train/{}"], ["xray/test/{}"], ["xray/xray/train/cats", "xray/xray/test/dogs"]),
}


def zipped(layout: str) -> bytes:
    """Three pictures of each class to train on and two kept aside, every one another."""
    train, aside, more = LAYOUTS[layout]
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for places, count in ((train, 3), (aside, 2), (more, 1)):
            for folder in (place.format(name) for place in places for name in (PETS if "{}" in place else ("",))):
                for k in range(count):
                    file = io.BytesIO()
                    Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(file, "PNG")
                    archive.writestr(f"{folder}/{k}.png", file.getvalue())
    return content.getvalue()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_set_keeps_its_classes_and_its_division_however_it_is_arranged(layout: str, tmp_path: Path) -> None:
    aside = 2 * len(LAYOUTS[layout][1])
    path = unzip.unzip(zipped(layout), tmp_path / "zip")
    found = folders.scan(path, seed=0)
    assert found.classes == PETS
    assert Counter(label for _, label in found.train) == {0: 3, 1: 3}
    assert Counter(label for _, label in found.validation) == {0: aside, 1: aside}
    assert "kept aside, as they came" in folders.division(path)
    assert folders.looks_like_classes(path)
    for made in (versions.from_zip(zipped(layout), "pets"), versions.from_folder(path, "pets")):
        assert made.counts == dict.fromkeys(PETS, 3 + aside)
        assert Counter((photo.label, photo.half) for photo in made.photos.values()) == {
            (name, half): count for name in PETS for half, count in (("train", 3), ("validation", aside))}


def test_the_division_is_said_with_the_folders_names(tmp_path: Path) -> None:
    said = {layout: folders.division(unzip.unzip(zipped(layout), tmp_path / layout)) for layout in (
        "in every class", "class and half in a name", "two aside in every class")}
    assert said == {
        "in every class": "train/ is trained on, test/ kept aside, as they came.",
        "class and half in a name": "cats_train/ and dogs_train/ are trained on, cats_test/ and dogs_test/ kept aside, "
                                    "as they came.",
        "two aside in every class": "Training/ is trained on, test/ and val/ kept aside, as they came."}


@pytest.mark.parametrize(("name", "half"), [
    ("train_1", "train"), ("Train 1", "train"), ("01_train", "train"), ("train (1)", "train"), ("Train copy", "train"),
    ("test1", "validation"), ("tests", "validation"), ("dataset_train", "train"), ("val2017", "validation"),
    ("x_test", None), ("driver training", None), ("tram", None), ("trainer", None), ("latest", None), ("1", None)])
def test_a_name_alone_says_a_half_or_does_not(name: str, half: str | None) -> None:
    assert half_of(name) == half


@pytest.mark.parametrize("names", [("bus", "train", "tram"), ("Test 1", "Test 2"), ("driver rest", "driver training"),
                                   ("test strip", "test tube"), ("class 1", "class 2")])
def test_classes_that_only_sound_like_halves_stay_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name / "deep").mkdir(parents=True) if name == "bus" else (tmp_path / name).mkdir()
        for k in range(2):
            Image.new("L", (4, 4), 40 * k).save(tmp_path / name / f"{k}.png")
    assert folders.scan(tmp_path, seed=0).classes == names
    assert folders.division(tmp_path) == ""


def test_a_class_without_its_half_is_not_divided(tmp_path: Path) -> None:
    for place in ("cats/train", "cats/test", "dogs/monday"):
        (tmp_path / place).mkdir(parents=True)
        for k in range(2):
            Image.new("L", (4, 4), 40 * k).save(tmp_path / place / f"{k}.png")
    assert folders.scan(tmp_path, seed=0).classes == PETS
    assert folders.division(tmp_path) == ""
    (tmp_path / "dogs" / "monday").rename(tmp_path / "dogs" / "test")
    assert folders.division(tmp_path) == ""  # nothing of the dogs would be trained on


def test_which_folders_are_halves_of_the_one_they_lie_in(tmp_path: Path) -> None:
    path = unzip.unzip(zipped("halves with an affix"), tmp_path / "zip")
    assert [name for name in ("seg_pred", "seg_test", "seg_train") if is_half(path / name)] == ["seg_test", "seg_train"]


def test_halves_with_an_affix_but_no_classes_get_a_sentence(tmp_path: Path) -> None:
    for place in ("x_train", "x_test"):
        (tmp_path / place).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / place / "1.png")
    with pytest.raises(PlaygroundError, match=r"x_test/ and x_train/, and these hold no folders"):
        folders.scan(tmp_path, seed=0)
