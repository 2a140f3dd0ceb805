"""Names that look alike are one; names that only look strange stay what they are."""

import unicodedata
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.datasets import collection, folders, names, unzip, versions
from playground.errors import PlaygroundError

pytestmark = pytest.mark.usefixtures("playground_home")
COMPOSED, TAKEN_APART = (unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD"))


def photo(seed: int) -> bytes:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 8, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def zipped(*names_of_files: str) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for k, name in enumerate(names_of_files):
            archive.writestr(name, photo(k))
    return content.getvalue()


def test_a_class_written_in_two_ways_is_one_in_a_zip_a_folder_and_a_set(tmp_path: Path) -> None:
    assert COMPOSED != TAKEN_APART
    content = zipped(f"{COMPOSED}/1.png", f"{TAKEN_APART}/1.png", f"{TAKEN_APART}/2.png", "Brot/1.png", "Brot/2.png")
    found = folders.scan(unzip.unzip(content, tmp_path / "zip"), seed=0)
    assert found.classes == ("Brot", COMPOSED)
    made = versions.from_zip(content, "x")
    assert made.counts == {"Brot": 2, COMPOSED: 3}
    for name in (COMPOSED, TAKEN_APART, "Brot"):
        (tmp_path / "plain" / name).mkdir(parents=True)
        for k in range(2):
            (tmp_path / "plain" / name / f"{k}.png").write_bytes(photo(len(name) * 10 + k))
    found = folders.scan(tmp_path / "plain", seed=0)
    assert found.classes == ("Brot", COMPOSED)
    assert len(found.train) + len(found.validation) == 6
    assert versions.from_folder(tmp_path / "plain", "y").counts == {"Brot": 2, COMPOSED: 4}


def test_a_half_may_spell_a_class_otherwise(tmp_path: Path) -> None:
    content = zipped(f"train/{COMPOSED}/1.png", "train/Brot/1.png", f"test/{TAKEN_APART}/2.png", "test/brot/2.png")
    found = folders.scan(unzip.unzip(content, tmp_path / "zip"), seed=0)
    assert found.classes == ("Brot", COMPOSED)
    assert [label for _, label in found.validation] == [0, 1]


def test_a_class_that_looks_like_another_is_refused_and_found() -> None:
    made = collection.create("x", [COMPOSED])
    with pytest.raises(PlaygroundError, match="already"):
        collection.add_class(made.set_id, TAKEN_APART.upper())
    made, _ = collection.add(made.set_id, COMPOSED, [("a.png", photo(0))])
    assert collection.rename_class(made.set_id, COMPOSED, TAKEN_APART).classes == (COMPOSED,)


FAMILY, HEART, PERSIAN, HINDI = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f\u200d\U0001f525", \
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0915\u094d\u200d\u0937"


@pytest.mark.parametrize("name", [FAMILY, HEART, PERSIAN, HINDI, "\U0001f469\U0001f3fd\u200d\U0001f373"])
def test_joiners_that_shape_a_name_stay(name: str, tmp_path: Path) -> None:
    assert names.class_name(name) == name
    made = versions.from_zip(zipped(f"{name}/1.png", "other/1.png"), "x")
    assert name in made.classes


@pytest.mark.parametrize("name", ["ca\u200dt", "cat\u200d", "\u200ccat", "c\u200bat", "\u202ecat", "ca\xadt",
                                  "\ufeffcat"])
def test_invisible_characters_make_no_other_name(name: str) -> None:
    assert names.class_name(name) == "cat"


@pytest.mark.parametrize("other", ["my\xa0cat", "my  cat", "my cat ", "my\u3000cat", "my ca\u200bt", "My Cat\ufeff"])
def test_names_that_differ_only_in_what_nobody_sees_are_one_class(other: str, tmp_path: Path) -> None:
    for k, name in enumerate(("my cat", other, "dog")):
        (tmp_path / name).mkdir()
        for each in range(2):
            (tmp_path / name / f"{each}.png").write_bytes(photo(10 * k + each))
    found = folders.scan(tmp_path, seed=0)
    assert len(found.classes) == 2
    assert len(found.train) + len(found.validation) == 6
    assert sorted(versions.from_folder(tmp_path, "x").counts.values()) == [2, 4]


def test_flags_that_differ_in_their_tags_are_two_names() -> None:
    flags = ["\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in f"gb{where}") + "\U000e007f"
             for where in ("eng", "sct")]
    assert [names.class_name(flag) for flag in flags] == flags
    assert names.look(flags[0]) != names.look(flags[1])
    assert names.class_name("cat" + flags[0][1:]) == "cat"
