"""A model's card says where the photographs are from, as the set, its import or the catalogue of downloads say it."""

import io
from pathlib import Path

import pytest

from playground import home, jobs
from playground.datasets import collection, downloads, provenance, versions
from playground.deploy import package, registry
from playground.training.runs.events import Finished, Started
from playground.training.runs.runs import RunSpec
from tests.pages.on_a_page import gray_photos, put_model

SOURCE, LICENCE = "Anna's [garden](x), spring", "CC BY 4.0"


def card_of(data: Path | str) -> str:
    """MODEL_CARD.md of a model that learnt from a folder."""
    facts = jobs.facts(RunSpec("transfer", {"data": str(data)}, 0, "light"),
                       Started("transfer", 1, 1, 4, ("dark", "bright"), {"train": 8}, "cpu", 0.0),
                       Finished("completed", 1, 0.8, 10, 1.0, (), 0.0))
    return package.model_card(put_model(f"light-{len(registry.entries())}", **facts))


def own_set(tmp_path: Path) -> collection.PhotoSet:
    gray_photos(tmp_path / "given")
    made = versions.from_folder(tmp_path / "given", "Grays")
    return collection.describe(made.set_id, "Grays", SOURCE, LICENCE)


def test_an_own_set_says_it_itself(playground_home: Path, tmp_path: Path) -> None:
    text = card_of(versions.version(own_set(tmp_path)))
    assert "- source: Anna's \\[garden\\]\\(x\\), spring (an own set)" in text
    assert "- licence: CC BY 4.0" in text


@pytest.mark.parametrize("wrapped", [False, True], ids=["as it is", "in one more folder"])
def test_what_was_imported_with_the_photos_is_said(wrapped: bool, playground_home: Path, tmp_path: Path) -> None:
    zipped = versions.zipped(own_set(tmp_path))
    again = versions.from_zip(io.BytesIO(zipped), "again")
    assert provenance.of(str(versions.version(again))) == (SOURCE, LICENCE)
    into = home.data_dir() / "uploads" / "0123456789abcdef"
    versions.unzip(zipped, into / "inside" if wrapped else into)
    assert provenance.of(str(into)) == (SOURCE, LICENCE)


@pytest.mark.parametrize("name", [name for name, one in downloads.CATALOGUE.items() if one.photographs])
def test_a_download_is_named_with_its_maker_and_licence(name: str, playground_home: Path) -> None:
    one = downloads.find(name)
    text = card_of(home.data_dir() / name)
    for said in (one.title, one.source, one.page, one.licence):
        assert package.plain(said) in text


def test_what_nobody_said_is_not_invented(playground_home: Path, tmp_path: Path) -> None:
    gray_photos(tmp_path / "plain")
    (tmp_path / "plain" / "manifest.json").write_text('{"format": "cnn-playground photos", "version": 1}')
    assert provenance.of(str(tmp_path / "plain")) == provenance.of(str(tmp_path / "gone")) == ("", "")
    assert "- source: photographs in a folder" in card_of(tmp_path / "plain")
    assert "scikit-image" in card_of("faces")
    made = collection.describe(own_set(tmp_path).set_id, "Grays", "", LICENCE)
    text = card_of(versions.version(made))
    assert "- source: photographs in a folder (an own set)" in text
    assert "- licence: CC BY 4.0" in text
