"""Named sets: what they hold, and one sentence for every way a folder of IDX files can be wrong."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from playground.datasets import named
from playground.errors import PlaygroundError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, size: tuple[int, int] = (9, 7), classes: int = 3) -> Path:
    """30 training and 12 test pictures of 9 x 7 pixels and 3 classes, or of others."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", 30), ("t10k", 12)):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (count, *size))))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % classes))
    return folder


def test_digits_are_all_there_and_a_fifth_of_each_digit_is_kept_for_the_test() -> None:
    train, test = named.load("digits")
    assert len(train) + len(test) == 1797
    assert train.images.dtype == np.uint8
    assert train.images.shape[1:] == test.images.shape[1:] == (8, 8)
    assert (train.images.min(), train.images.max()) == (0, 255)
    assert train.classes == tuple("0123456789")
    counts, held = np.bincount(train.labels), np.bincount(test.labels)
    assert np.abs(held / (counts + held) - 0.2).max() < 0.01


def test_no_test_digit_is_a_training_digit() -> None:
    from sklearn.datasets import load_digits
    train, test = named.load("digits")
    together = np.concatenate([train.images, test.images]).astype(int)
    original = np.rint(load_digits().images * 255 / 16).astype(int)
    as_rows = [sorted(map(bytes, images.astype(np.uint8).reshape(-1, 64))) for images in (together, original)]
    assert as_rows[0] == as_rows[1]  # every picture once: none is in both splits, none is missing


def test_nobody_can_write_into_a_set_that_all_share() -> None:
    train, _ = named.load("digits")
    with pytest.raises(ValueError, match="read-only"):
        train.images[0] = 0


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_reads_idx_files_in_either_spelling_compressed_or_not(tmp_path: Path, compressed: bool, dotted: bool) -> None:
    folder = write_idx(tmp_path / "mine")
    wanted = np.frombuffer((folder / "t10k-images-idx3-ubyte").read_bytes()[16:], np.uint8).reshape(12, 9, 7)
    for path in list(folder.iterdir()):
        name = path.name.replace("-idx", ".idx") if dotted else path.name
        data = path.read_bytes()
        path.unlink()
        (folder / (name + ".gz" * compressed)).write_bytes(gzip.compress(data) if compressed else data)
    train, test = named.load(str(folder))
    assert train.images.shape == (30, 9, 7)
    np.testing.assert_array_equal(test.images, wanted)
    assert test.labels.tolist() == [0, 1, 2] * 4
    assert test.classes == ("0", "1", "2")
    assert test.name == "mine"


def test_knows_fashion_mnist_by_its_labels_and_names_its_classes(tmp_path: Path) -> None:
    if not FASHION_MNIST.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    (tmp_path / "anything").symlink_to(FASHION_MNIST)
    train, test = named.load(str(tmp_path / "anything"))
    assert (train.images.shape, test.images.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert train.classes[9] == "Ankle boot"
    assert train.licence == "MIT"


def keep(part: Callable[[bytes], bytes], name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(part((folder / name).read_bytes())) and None


@pytest.mark.parametrize(("damage", "says"), [
    (lambda folder: (folder / "t10k-labels-idx1-ubyte").unlink(), "holds no t10k-labels"),
    (keep(lambda data: data[:-1], "train-images-idx3-ubyte"), "no IDX file of pictures, or is damaged"),
    (keep(lambda data: data + b"x", "train-labels-idx1-ubyte"), "no IDX file of labels, or is damaged"),
    (keep(lambda data: b"", "train-labels-idx1-ubyte"), "damaged"),
    (keep(lambda data: b"\xff" * 16 + data[16:], "train-images-idx3-ubyte"), "damaged"),
    (keep(lambda data: data[:4] + b"\xff" * 12, "train-images-idx3-ubyte"), "damaged"),
    (keep(lambda data: idx(np.arange(29) % 3), "train-labels-idx1-ubyte"), "one label a picture"),
    (keep(lambda data: idx(np.zeros(30)), "train-labels-idx1-ubyte"), "do not make classes"),
    (keep(lambda data: idx(np.arange(12)), "t10k-labels-idx1-ubyte"), "do not make classes"),
    (keep(lambda data: idx(np.zeros((12, 8, 8))), "t10k-images-idx3-ubyte"), "of one size"),
    (keep(lambda data: idx(np.zeros((0, 9, 7))), "train-images-idx3-ubyte"), "one label a picture"),
])
def test_says_in_one_sentence_what_is_wrong_with_a_folder(
        tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    folder = write_idx(tmp_path / "mine")
    damage(folder)
    with pytest.raises(PlaygroundError, match=says) as raised:
        named.load(str(folder))
    assert "\n" not in str(raised.value)


def test_says_so_when_compressed_bytes_are_damaged(tmp_path: Path) -> None:
    folder = write_idx(tmp_path / "mine")
    path = folder / "train-images-idx3-ubyte"
    data = bytearray(gzip.compress(path.read_bytes()))
    data[len(data) // 2] ^= 0xFF
    path.unlink()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(bytes(data))
    with pytest.raises(PlaygroundError, match="damaged"):
        named.load(str(folder))


@pytest.mark.parametrize("data", ["digts", "/nowhere", ""])
def test_says_so_when_there_are_no_such_data(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlaygroundError, match=r"no data called|holds no train-images"):
        named.load(data)
