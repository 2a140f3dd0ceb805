"""Sets a person makes: photographs in, edits and the way back, versions nothing changes, a zip and the set again."""

import io
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.datasets import collection, folders, photo_set, versions
from playground.datasets.collection import PhotoSet
from playground.datasets.photos import open_photo
from playground.errors import PlaygroundError

pytestmark = pytest.mark.usefixtures("playground_home")


def jpeg(seed: int, size: tuple[int, int] = (24, 16), **options: object) -> bytes:
    file = io.BytesIO()
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(levels).save(file, "JPEG", **options)
    return file.getvalue()


def two_classes(each: int = 5) -> PhotoSet:
    made = collection.create("Cups", ["cup", "no cup"])
    for k, label in enumerate(made.classes):
        made, refused = collection.add(made.set_id, label, [(f"{i}.jpg", jpeg(100 * k + i)) for i in range(each)])
        assert refused == []
    return made


def without_journal(chosen: PhotoSet) -> PhotoSet:
    return replace(chosen, edits=(), following=0)


def test_photos_are_taken_in_upright_small_and_without_what_a_camera_adds() -> None:
    made = collection.create("x", ["a"])
    exif = Image.Exif()
    exif[0x0112] = 6  # held sideways
    exif[0x9003] = "2024:01:01 10:00:00"
    made, refused = collection.add(made.set_id, "a", [
        ("plain.jpg", jpeg(0)), ("turned.jpg", jpeg(1, (40, 20), exif=exif)), ("large.jpg", jpeg(2, (1700, 20))),
        ("../../evil\n.jpg", jpeg(3)), ("again.jpg", jpeg(0)), ("broken.jpg", jpeg(4, (64, 64))[:-1500]),
        ("empty.jpg", b"")])
    stored = {photo.name: made.path(photo) for photo in made.photos.values()}
    assert list(stored) == ["plain.jpg", "turned.jpg", "large.jpg", "../../evil .jpg"]
    assert stored["plain.jpg"].read_bytes() == jpeg(0)
    assert open_photo(stored["turned.jpg"]).shape == (40, 20, 3)
    assert not Image.open(stored["turned.jpg"]).getexif()
    assert Image.open(stored["large.jpg"]).width == collection.LONGEST_SIDE
    assert {path.parent.name for path in stored.values()} == {"photos"}
    assert {each.name: each.why for each in refused} == {
        "again.jpg": "again.jpg is among these photos already.",
        "broken.jpg": "broken.jpg is damaged: it ends before the picture does.",
        "empty.jpg": "empty.jpg is an empty file."}
    assert collection.read(made.set_id).refused == tuple(refused)


def test_every_edit_is_taken_back_one_after_the_other() -> None:
    before = [two_classes()]
    set_id = before[0].set_id
    keys = list(before[0].photos)
    for edit in (
        lambda: collection.relabel(set_id, keys[:2], "no cup"),
        lambda: collection.leave_out(set_id, keys[2:4]),
        lambda: collection.put_back(set_id, keys[2:3]),
        lambda: collection.add_class(set_id, "mug"),
        lambda: collection.rename_class(set_id, "cup", "glass"),
        lambda: collection.fix_half(set_id, keys[5:7], "validation"),
        lambda: collection.divide_again(set_id, 7, 0.3),
        lambda: collection.describe(set_id, "Glasses", "my kitchen", "CC0"),
        lambda: collection.remove_class(set_id, "no cup"),
        lambda: collection.add(set_id, "mug", [("m.jpg", jpeg(999)), ("bad.jpg", b"?")])[0],
    ):
        after = edit()
        assert after == collection.read(set_id)
        assert without_journal(after) != without_journal(before[-1])
        before.append(after)
    assert before[-1].counts == {"glass": 2, "mug": 1}
    for expected in reversed(before[:-1]):
        assert without_journal(collection.undo(set_id)) == without_journal(expected)
        assert collection.read(set_id).edits == expected.edits
    for _ in range(3):  # the additions, and then there is nothing to take back
        empty = collection.undo(set_id)
    assert (empty.photos, empty.classes, empty.edits) == ({}, ("cup", "no cup"), ())
    assert list((collection.folder_of(set_id) / "photos").iterdir()) == []  # what nothing leads back to is gone


def test_an_edit_that_changes_nothing_is_none() -> None:
    made = two_classes()
    assert collection.leave_out(made.set_id, ["no such photo"]) == made
    assert collection.relabel(made.set_id, list(made.photos)[:1], "cup") == made


def test_the_journal_has_an_end_and_photos_only_it_knew_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_set, "MOST_EDITS", 2)
    made = two_classes(2)
    collection.remove_class(made.set_id, "cup")
    files = collection.folder_of(made.set_id) / "photos"
    assert len(list(files.iterdir())) == 4
    for name in "xyz":
        made = collection.add_class(made.set_id, name)
    assert len(made.edits) == 2
    assert len(list(files.iterdir())) == 2


def test_forgetting_leaves_nothing_of_a_photo_anywhere(playground_home: Path) -> None:
    made = two_classes()
    secret = jpeg(0)
    folder = versions.version(made)
    collection.leave_out(made.set_id, list(made.photos)[:1])
    assert any(path.read_bytes() == secret for path in folder.rglob("*.jpg"))
    made = collection.forget(made.set_id)
    assert made.edits == ()
    assert len(made.photos) == 9
    assert not any(path.read_bytes() == secret for path in playground_home.rglob("*.jpg"))
    collection.remove(made.set_id)
    assert not list(playground_home.rglob("*.jpg"))
    assert not collection.exists(made.set_id)


@pytest.mark.parametrize("name", ["", " . ", "a/b", "..", "a\\b", ".hidden/", "Thumbs.db", "\0"])
def test_what_cannot_be_a_folder_cannot_be_a_class(name: str) -> None:
    with pytest.raises(PlaygroundError, match="cannot be called"):
        collection.class_name(name)
    folders_safe = collection.class_name(name, mend=True)
    assert folders_safe
    assert Path(folders_safe).name == folders_safe


def test_two_classes_do_not_differ_by_capitals_only() -> None:
    made = collection.create("x", ["Cats"])
    with pytest.raises(PlaygroundError, match="already"):
        collection.add_class(made.set_id, "cats")
    assert collection.rename_class(made.set_id, "Cats", "cats").classes == ("cats",)


@pytest.mark.parametrize("set_id", ["", "..", "../sets", "0" * 32, "a" * 31 + "/", ".versions"])
def test_an_address_leads_to_no_other_folder(set_id: str, playground_home: Path) -> None:
    two_classes(1)
    assert not collection.exists(set_id)
    with pytest.raises(PlaygroundError, match="no such set"):
        collection.read(set_id)


def test_a_damaged_manifest_is_a_sentence() -> None:
    made = two_classes(1)
    for text in ("", "[]", "{}", '{"name": 1, "photos": {"1": {"file": "../../x"}}}'):
        (collection.folder_of(made.set_id) / "manifest.json").write_text(text)
        with pytest.raises(PlaygroundError, match=r"manifest\.json is damaged"):
            collection.read(made.set_id)


def test_a_version_is_what_scan_finds_and_what_the_set_says() -> None:
    made = two_classes(6)
    made = collection.add_class(made.set_id, "still empty")
    folder = versions.version(made)
    found = folders.scan(folder, seed=99)  # divided already: no seed decides
    assert found == versions.as_folder(made)
    assert found.classes == ("cup", "no cup")
    assert (len(found.train), len(found.validation)) == (10, 2)
    assert folder.name == "cups"
    assert made.set_id not in str(folder)


def test_a_version_stays_while_the_set_is_edited() -> None:
    made = two_classes(6)
    folder = versions.version(made)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    collection.relabel(made.set_id, list(made.photos)[:3], "no cup")
    collection.remove_class(made.set_id, "cup")
    other = versions.version(collection.read(made.set_id), in_use=lambda: [str(folder)])
    assert other != folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    collection.undo(made.set_id)
    assert versions.version(collection.undo(made.set_id)) == folder  # the same state is the same folder


def test_versions_nobody_trains_on_go_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "KEPT_SECONDS", -1)
    made = two_classes(3)
    used = versions.version(made)
    unused = versions.version(collection.add_class(made.set_id, "x"), in_use=lambda: [str(used)])
    versions.version(collection.add_class(made.set_id, "y"), in_use=lambda: [str(used)])
    assert used.is_dir()
    assert not unused.is_dir()


def test_a_run_that_looks_while_somebody_edits_sees_one_state(playground_home: Path) -> None:
    made = two_classes(8)
    done = threading.Event()

    def edit() -> None:
        try:
            for k in range(30):
                keys = list(made.photos)[:8]
                collection.relabel(made.set_id, keys, ("no cup", "cup")[k % 2])
        finally:
            done.set()

    thread = threading.Thread(target=edit)
    thread.start()
    sizes = set()
    while not done.is_set():
        now = collection.read(made.set_id)
        if now.trainable:
            found = folders.scan(versions.version(now), seed=0)
            sizes.add(len(found.train) + len(found.validation))
        else:
            assert now.counts == {"cup": 0, "no cup": 16}
    thread.join()
    assert sizes <= {16}


def test_two_who_edit_at_once_are_one_after_the_other() -> None:
    made = collection.create("x", ["a"])
    threads = [threading.Thread(target=collection.add, args=(made.set_id, "a", [(f"{k}.jpg", jpeg(k))]))
               for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(collection.read(made.set_id).photos) == 12


def test_a_zip_brings_back_classes_halves_and_notes(tmp_path: Path) -> None:
    made = two_classes(10)
    set_id, keys = made.set_id, list(made.photos)
    collection.describe(set_id, "Cups & mugs", "my kitchen, January", "CC BY 4.0")
    collection.add_class(set_id, "still empty")
    collection.divide_again(set_id, 5, 0.3)
    collection.fix_half(set_id, keys[:2], "validation")
    collection.leave_out(set_id, keys[3:5], "blurred")
    collection.add(set_id, "cup", [("bad.jpg", b"?"), ("0.jpg", jpeg(500))])  # a name that is taken
    made = collection.read(set_id)
    file = versions.write_zip(made, tmp_path / "cups.zip")
    assert file.read_bytes() == versions.zipped(made)
    with zipfile.ZipFile(file) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist()[0] == "manifest.json"
        assert "train/cup/0-2.jpg" in archive.namelist() or "validation/cup/0-2.jpg" in archive.namelist()
    back = versions.from_zip(file.read_bytes(), "another name")
    assert back.set_id != set_id
    for what in ("name", "created", "classes", "source", "licence", "seed", "share", "counts"):
        assert getattr(back, what) == getattr(made, what), what
    assert list(back.kept.values()) == list(made.kept.values())
    assert list(back.halves.values()) == list(made.halves.values())
    assert [each.why for each in back.refused] == ["blurred", "blurred", "bad.jpg is not a picture that can be read "
                                                   "(JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF)."]
    assert versions.manifest(back) == versions.manifest(made)
    assert versions.zipped(back) == versions.zipped(made)


def test_small_sets_come_back_too(tmp_path: Path) -> None:
    for count, classes in ((0, ["a", "b"]), (1, ["a"]), (2, ["a"])):
        made = collection.create("few", classes)
        made, _ = collection.add(made.set_id, "a", [(f"{k}.jpg", jpeg(k)) for k in range(count)])
        back = versions.from_zip(versions.zipped(made), "x")
        assert versions.manifest(back) == versions.manifest(made)


def test_a_plain_zip_and_a_folder_become_sets(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for k in range(4):
            archive.writestr(f"photos/Cats/{k}.jpg", jpeg(k))
            archive.writestr(f"photos/dogs/deep/{k}.jpg", jpeg(10 + k))
        archive.writestr("photos/dogs/cut.jpg", jpeg(3)[:100])
        archive.writestr("photos/manifest.json", '{"format": "of another program"}')
    made = versions.from_zip(content.getvalue(), "Pets")
    assert (made.name, made.counts) == ("Pets", {"Cats": 4, "dogs": 4})
    assert [each.name for each in made.refused] == ["cut.jpg"]
    for half in ("train", "validation"):
        for label in ("a", "b"):
            (tmp_path / half / label).mkdir(parents=True)
            (tmp_path / half / label / "1.jpg").write_bytes(jpeg(hash((half, label)) % 1000))
    divided = versions.from_folder(tmp_path, "divided")
    assert sorted(divided.halves.values()) == ["train", "train", "validation", "validation"]
    assert all(photo.half for photo in divided.photos.values())
    assert {path.name for path in collection.sets_dir().iterdir()} == {made.set_id, divided.set_id}


def exported(**changes: object) -> bytes:
    said = versions.manifest(two_classes(2)) | changes
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("manifest.json", json.dumps(said))
        for k, label in enumerate(("a", "b")):
            archive.writestr(f"{label}/1.jpg", jpeg(k))
    return content.getvalue()


@pytest.mark.parametrize("changes", [
    {"version": 2}, {"name": 3}, {"classes": ["../x"]}, {"classes": [["a"]]}, {"classes": "ab/"},
    {"split": {"seed": -1, "share": 0.2}}, {"split": {"seed": True, "share": 0.2}},
    {"split": {"seed": 0, "share": float("nan")}}, {"split": {"seed": 0, "share": 0.99}}, {"split": None},
    {"photos": [{"file": "a/1.jpg", "name": "x", "half": "test"}]}, {"photos": [1]}, {"photos": {}, "left_out": 3},
    {"left_out": [{"name": "x"}]}, {"classes": [f"c{k}" for k in range(300)]},
], ids=lambda changes: str(changes)[:40])
def test_an_untrusted_manifest_is_refused_and_leaves_nothing(changes: dict[str, object]) -> None:
    content = exported(**changes)
    before = set(collection.sets_dir().iterdir())
    with pytest.raises(PlaygroundError):
        versions.from_zip(content, "x")
    assert set(collection.sets_dir().iterdir()) == before


def test_a_manifest_cannot_name_a_file_that_is_not_in_the_zip() -> None:
    entries = [{"file": "/etc/passwd", "name": "x", "half": None},
               {"file": "../../b.jpg", "name": "y", "half": "train"},
               {"file": "b/1.jpg", "name": "z.jpg", "half": "train"}]
    made = versions.from_zip(exported(photos=entries, classes=["b"]), "x")
    assert [(photo.name, photo.label, photo.half) for photo in made.photos.values()] == [
        ("z.jpg", "b", "train"), ("1.jpg", "a", None)]
    assert made.classes == ("b", "a")


@pytest.mark.parametrize("name", ["../../outside/a/1.jpg", "/a/1.jpg", "C:/a/1.jpg"])
def test_a_hostile_zip_makes_no_set(name: str, playground_home: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, jpeg(0))
    with pytest.raises(PlaygroundError, match="outside its folder"):
        versions.from_zip(content.getvalue(), "x")
    assert list(collection.sets_dir().iterdir()) == []
    with pytest.raises(PlaygroundError, match="not a zip"):
        versions.from_zip(b"no zip", "x")


def test_halves_fixed_so_that_nothing_can_be_learnt_or_checked_are_a_sentence() -> None:
    made = two_classes(3)
    aside = collection.fix_half(made.set_id, list(made.photos)[:3], "validation")
    with pytest.raises(PlaygroundError, match="Every photo of cup is kept aside"):
        versions.as_folder(aside)
    learnt = collection.fix_half(made.set_id, list(made.photos), "train")
    with pytest.raises(PlaygroundError, match="No photo is kept aside"):
        versions.as_folder(learnt)
