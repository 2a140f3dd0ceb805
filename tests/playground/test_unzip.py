"""A stranger's zip: unpacked whole and inside its folder, or not at all."""

import io
import os
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from playground.datasets import unzip as module
from playground.datasets.unzip import is_junk, unzip
from playground.errors import PlaygroundError


def zipped(files: dict[str, bytes], **options: object) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(content: bytes, tmp_path: Path) -> str:
    """The sentence; and nothing may be left anywhere."""
    here = tmp_path / "below" / "data"
    here.mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PlaygroundError) as caught:
        unzip(content, here / "new")
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


def test_folders_and_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    files = {"cats/1.jpg": b"one", "dogs/sub/2.jpg": b"two", "Kätzchen/3.jpg": b"three"}
    assert unzip(zipped(files), tmp_path / "new") == tmp_path / "new"
    assert tree(tmp_path / "new") == files
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_an_open_file_is_as_good_as_bytes(tmp_path: Path) -> None:
    unzip(io.BytesIO(zipped({"a/1.jpg": b"x"})), tmp_path / "new")
    assert tree(tmp_path / "new") == {"a/1.jpg": b"x"}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "a\\..\\..\\evil", "C:\\evil",
                                  "C:/evil", "\\\\server\\evil"])
def test_a_name_that_leads_outside_is_refused(name: str, tmp_path: Path) -> None:
    assert "outside" in refused(zipped({"cats/1.jpg": b"x", name: b"x"}), tmp_path)


def test_backslashes_are_folders(tmp_path: Path) -> None:
    unzip(zipped({"cats\\1.jpg": b"x"}), tmp_path / "new")
    assert tree(tmp_path / "new") == {"cats/1.jpg": b"x"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_not_unpacked(kind: int, tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("cats/link.jpg")
        link.external_attr = (kind | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("cats/1.jpg", b"x")
    unzip(file.getvalue(), tmp_path / "new")
    assert tree(tmp_path / "new") == {"cats/1.jpg": b"x"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_what_systems_leave_behind_is_not_unpacked(tmp_path: Path) -> None:
    junk = ["__MACOSX/cats/._1.jpg", "cats/.DS_Store", "cats/Thumbs.db", ".git/config", "cats/desktop.ini"]
    unzip(zipped({"cats/1.jpg": b"x", **dict.fromkeys(junk, b"junk")}), tmp_path / "new")
    assert tree(tmp_path / "new") == {"cats/1.jpg": b"x"}
    assert all(any(map(is_junk, Path(name).parts)) for name in junk)


def test_macs_umlauts_are_read(tmp_path: Path) -> None:
    data = zipped({"K__tzchen/1.jpg": b"x"}).replace(b"K__tzchen", "Kätzchen".encode())  # the UTF-8 flag is not set
    unzip(data, tmp_path / "new")
    assert tree(tmp_path / "new") == {"Kätzchen/1.jpg": b"x"}


def test_the_same_name_twice_is_two_files(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cats/1.jpg", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("cats/1.jpg", b"y")
    unzip(file.getvalue(), tmp_path / "new")
    assert tree(tmp_path / "new") == {"cats/1.jpg": b"x", "cats/1-2.jpg": b"y"}


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    assert "not a zip" in refused(b"Rar!\x1a\x07\x00 and so on", tmp_path)
    assert "not a zip" in refused(b"", tmp_path)
    assert "not a zip" in refused(zipped({"a/1.jpg": bytes(5000)})[:-30], tmp_path)


def test_a_zip_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "no files" in refused(zipped({}), tmp_path)
    assert "no files" in refused(zipped({"__MACOSX/a": b"x", "cats/": b""}), tmp_path)


def test_a_file_with_flipped_bits_is_refused_by_name(tmp_path: Path) -> None:
    data = bytearray(zipped({"cats/1.jpg": os.urandom(1000)}))
    data[200] ^= 255
    assert refused(bytes(data), tmp_path) == "This zip is damaged: cats/1.jpg cannot be unpacked."


def test_a_password_is_told(tmp_path: Path) -> None:
    data = bytearray(zipped({"a/1.jpg": b"x" * 50}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    assert "password" in refused(bytes(data), tmp_path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 3)
    assert "more than 3 files" in refused(zipped({f"a/{k}.jpg": b"x" for k in range(4)}), tmp_path)


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2**30)
    bomb = zipped({"a/1.jpg": bytes(2 * 2**20)})
    truth, lie = struct.pack("<I", 2 * 2**20), struct.pack("<I", 2**30 + 1)
    assert bomb.count(truth) >= 1
    assert "larger than 1 GB" in refused(bomb.replace(truth, lie), tmp_path)


def test_a_zip_that_lies_about_its_size_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped({"a/1.jpg": bytes(2 * 2**20)}).replace(struct.pack("<I", 2 * 2**20), struct.pack("<I", 10))
    assert "damaged" in refused(bomb, tmp_path)


def test_a_name_too_long_is_refused(tmp_path: Path) -> None:
    assert "too long" in refused(zipped({"a/" + "x" * 300 + ".jpg": b"x"}), tmp_path)


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    assert "could not be unpacked" in refused(zipped({"a": b"x", "a/b": b"x"}), tmp_path)


def test_a_folder_that_is_there_already_stays(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "theirs").write_text("x")
    unzip(zipped({"a/1.jpg": b"x"}), tmp_path / "new")
    assert tree(tmp_path / "new") == {"theirs": b"x"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_thousands_of_one_name_take_no_longer_than_others(tmp_path: Path) -> None:
    # Counted, not timed: each name is looked up a bounded number of times, however many came before it.
    asked = 0

    class Counting(dict[str, int]):
        def __contains__(self, key: object) -> bool:
            nonlocal asked
            asked += 1
            return super().__contains__(key)

    taken = Counting()
    made = [module._free(("cats", "1.jpg"), taken) for _ in range(5_000)]
    assert len(set(made)) == 5_000
    assert asked <= 4 * 5_000


def test_a_name_as_long_as_can_be_may_come_twice(tmp_path: Path) -> None:
    name = "cats/" + "ä" * 125 + ".jpg"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for k in range(12):
            if k:
                with pytest.warns(UserWarning, match="Duplicate"):
                    archive.writestr(name, f"{k}")
            else:
                archive.writestr(name, f"{k}")
    found = tree(unzip(file.getvalue(), tmp_path / "new"))
    assert sorted(found.values()) == sorted(f"{k}".encode() for k in range(12))
    assert all(len(os.fsencode(Path(path).name)) <= 255 for path in found)


@pytest.mark.parametrize("name", ["/".join(["x" * 99] * 50) + "/1.jpg", "/".join(["d"] * 2000) + "/1.jpg"])
def test_paths_too_long_or_too_deep_are_a_sentence(name: str, tmp_path: Path) -> None:
    assert refused(zipped({"a/1.jpg": b"x", name: b"x"}), tmp_path).startswith(("A name in this zip", "In this zip"))


def test_what_a_killed_server_left_is_swept_at_the_next_use(tmp_path: Path) -> None:
    code = ("import sys, time\nfrom pathlib import Path\nfrom playground.datasets.disk import unfinished\n"
            "with unfinished(Path(sys.argv[1])) as folder:\n"
            "    (folder / 'half.jpg').write_text('x')\n    print(folder.name, flush=True)\n"
            "    time.sleep(60)  # until it is killed\n")
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    left = tmp_path / child.stdout.readline().strip()
    os.utime(left, (0, 0))
    unzip(zipped({"a/1.jpg": b"x"}), tmp_path / "one")
    assert left.is_dir(), "somebody works on it"
    child.kill()
    child.wait()
    unzip(zipped({"a/1.jpg": b"x"}), tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
