"""Each set of the catalogue becomes what can be trained on, and no archive writes elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from playground.datasets import catalogue, downloads, named
from playground.datasets.downloads import File, download
from playground.errors import PlaygroundError
from tests.playground.a_server import Server, here, idx, photo, serving, tar_gz
from tests.playground.test_downloads import put, refusal


@pytest.fixture
def server(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(monkeypatch) as one:
        yield one


def test_fashion_mnist_stays_idx_files_that_can_be_trained_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    files = {f"{half}-{what}-ubyte.gz": idx(array) for half in ("train", "t10k") for what, array in (
        ("images-idx3", rng.integers(0, 255, (20, 4, 4), dtype=np.uint8)),
        ("labels-idx1", np.arange(20, dtype=np.uint8) % 10))}
    put(server, monkeypatch, "fashion-mnist", "fashion-mnist", files)
    told = list(download("fashion-mnist"))
    assert max(step.done for step in told) == max(step.total for step in told) == sum(map(len, files.values()))
    train, test = named.load(str(downloads.folder("fashion-mnist")))
    assert (len(train), len(test), train.classes) == (20, 20, named.FASHION)


def cifar_record(label: int) -> bytes:
    return bytes([label]) + bytes([200] * 1024) + bytes([10] * 1024) + bytes(range(256)) * 4


def test_cifar_becomes_folders_of_pictures_and_a_set_to_train_on(
        server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = {f"cifar-10-batches-bin/{name}": cifar_record(3) + cifar_record(8) for name in named.CIFAR_FILES}
    put(server, monkeypatch, "cifar", "cifar-10", {"cifar.tar.gz": tar_gz(**batches)})
    list(download("cifar"))
    folder = downloads.folder("cifar")
    assert folder is not None
    train, test = named.load(str(folder))
    assert (train.images.shape, test.images.shape) == ((10, 32, 32, 3), (2, 32, 32, 3))
    assert train.images[0, 0, 5].tolist() == [200, 10, 5]
    assert [train.classes[label] for label in train.labels[:2]] == ["cat", "ship"]
    assert len(list(folder.glob("train/cat/*.png"))) == 5
    assert len(list(folder.glob("validation/ship/*.png"))) == 1


@pytest.mark.parametrize("content", [b"", b"\x03", cifar_record(10), cifar_record(1) + b"\x00"])
def test_cifar_batches_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    for name in named.CIFAR_FILES:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PlaygroundError, match="no batch"):
        named.load(str(tmp_path))


def test_cifar_with_a_missing_batch_is_refused(tmp_path: Path) -> None:
    for name in named.CIFAR_TRAIN:
        (tmp_path / name).write_bytes(cifar_record(0))
    with pytest.raises(PlaygroundError, match="six files"):
        named.load(str(tmp_path))


def pet_archives(**more: bytes) -> dict[str, bytes]:
    listed = b"#Image CLASS-ID SPECIES BREED ID\nAbyssinian_1 1 1 1\nbeagle_2 5 2 2\nmissing_3 5 2 2\n"
    pictures = {"images/Abyssinian_1.jpg": photo((200, 0, 0), "JPEG"), "images/beagle_2.jpg": photo((0, 0, 9), "JPEG"),
                "images/unlisted_4.jpg": photo((0, 9, 0), "JPEG"), "images/Abyssinian_1.mat": b"no picture"}
    return {"annotations.tar.gz": tar_gz(**{"annotations/list.txt": listed, "annotations/._list.txt": b"x"}),
            "images.tar.gz": tar_gz(**pictures, **more)}


def test_the_oxford_pets_are_sorted_by_species(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put(server, monkeypatch, "oxford", "oxford_iiit_pet", pet_archives())
    list(download("oxford"))
    assert here(downloads.folder("oxford") or Path()) == ["cat/Abyssinian_1.jpg", "dog/beagle_2.jpg"]


def test_an_archive_that_leads_outside_writes_nothing_outside(
        server: Server, playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(server, monkeypatch, "oxford", "oxford_iiit_pet", pet_archives(**{"../../../outside.jpg": b"x"}))
    list(download("oxford"))
    assert not list(playground_home.parent.glob("**/outside.jpg"))


def test_an_archive_that_is_too_large_or_none_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put(server, monkeypatch, "oxford", "oxford_iiit_pet", pet_archives())
    with monkeypatch.context() as small:
        small.setattr(catalogue, "MOST_BYTES", 100)
        assert "larger than" in refusal("oxford")
    put(server, monkeypatch, "other", "oxford_iiit_pet",
        {"annotations.tar.gz": b"no archive", "images.tar.gz": b"none either"})
    assert "damaged" in refusal("other")


def test_the_catalogue_says_where_everything_is_from_and_how_large_it_is() -> None:
    for name, one in downloads.CATALOGUE.items():
        assert all((one.title, one.about, one.source, one.licence, one.files)), name
        assert one.page.startswith("https://")
        assert all(file.size > 5000 and file.url.startswith(("https://", "http://")) for file in one.files)
        assert all(file.sha256 is None or len(file.sha256) == 64 for file in one.files)
        assert all(file.sha256 for file in one.files if file.url.startswith("http://")), "http and no checksum"
        assert len({file.name for file in one.files}) == len(one.files)
    assert downloads.find("cats_and_dogs_filtered").size == 68_606_236
    with pytest.raises(PlaygroundError, match="oxford_iiit_pet"):
        downloads.find("../etc")
    assert File("https://a.org/b/c.zip", 1).name == "c.zip"
