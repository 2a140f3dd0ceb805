"""Sets of small pictures that have a name: scikit-learn's digits, IDX files (MNIST, Fashion-MNIST), CIFAR-10."""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from playground.datasets.small_photos import halves, photos_named
from playground.errors import PlaygroundError
from playground.home import located

IMAGES_MAGIC, LABELS_MAGIC = 0x803, 0x801  # uint8 in three dimensions, and in one
MOST_PIXELS = 2**31
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_TRAIN, CIFAR_TEST = tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"
CIFAR_FILES = (*CIFAR_TRAIN, CIFAR_TEST)
FASHION_LABELS_SHA256 = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled pictures: images uint8 (N, H, W) or (N, H, W, 3), labels int64 (N,), classes[label] is its name.

    remarks: what is wrong with the files that those to train on came from, as sentences.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    source: str
    licence: str
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def load(data: str) -> tuple[ImageSet, ImageSet]:
    """(train, test) of "digits", of a folder of IDX files or of CIFAR-10's binary batches, or of photographs made small
    (small_photos: "photos:48:FOLDER").

    The split is part of the data: the same every time. Raises PlaygroundError when there is no such set, or the files
    are missing, damaged, or do not fit together.
    """
    if data == "digits":
        return _digits()
    if (photos := photos_named(data)) is not None:
        return _photos(located(photos[0]), photos[1])
    folder = located(Path(data).expanduser())
    if not folder.is_dir():
        raise PlaygroundError(f"There are no data called {data}: name digits, or a folder of IDX files.")
    return _cifar(folder.resolve()) if (folder / CIFAR_TRAIN[0]).is_file() else _idx(folder.resolve())


def _photos(folder: Path, side: int) -> tuple[ImageSet, ImageSet]:
    train, test, classes, remarks = halves(folder, side)
    source, licence = f"the photographs in {folder.name}, {side} × {side} pixels", "as their makers say"
    return (_frozen(ImageSet("photographs", *train, classes, source, licence, remarks)),
            _frozen(ImageSet("photographs", *test, classes, source, licence)))


@lru_cache(maxsize=1)
def _digits() -> tuple[ImageSet, ImageSet]:
    """1,797 handwritten digits of 8 x 8 pixels: every fifth picture of each digit is a test picture, the rest train.

    Counting instead of drawing makes the split the same on every machine and in every version of NumPy. The pictures
    are in the order they were written in, so both halves hold every writer's hand.
    """
    from sklearn.datasets import load_digits  # a second of imports that only this set needs

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    held_out = np.zeros(len(labels), bool)
    for digit in range(10):
        held_out[np.flatnonzero(labels == digit)[4::5]] = True
    classes = tuple(str(digit) for digit in range(10))
    source = "UCI ML hand-written digits (Alpaydin and Kaynak, 1998), as scikit-learn holds them"
    return (
        _frozen(ImageSet("digits", images[~held_out], labels[~held_out], classes, source, "CC BY 4.0")),
        _frozen(ImageSet("digits", images[held_out], labels[held_out], classes, source, "CC BY 4.0")),
    )


def _idx(folder: Path) -> tuple[ImageSet, ImageSet]:
    train_images, train_labels = _split(folder, "train")
    test_images, test_labels = _split(folder, "t10k")
    if train_images.shape[1:] != test_images.shape[1:]:
        raise PlaygroundError(f"The training pictures in {folder} are {_size(train_images)} pixels, the test pictures "
                              f"{_size(test_images)}: they have to be of one size.")
    count = int(train_labels.max()) + 1
    if count < 2 or int(test_labels.max()) >= count:
        raise PlaygroundError(f"The labels in {folder} do not make classes: training knows 0 to {count - 1}, the test "
                              f"asks for up to {int(test_labels.max())}.")
    classes = tuple(str(label) for label in range(count))
    name, source, licence = folder.name, f"IDX files in {folder}", "not stated by the files"
    fingerprint = hashlib.sha256(train_labels.astype(np.uint8).tobytes()).hexdigest()
    if count == len(FASHION) and (fingerprint == FASHION_LABELS_SHA256 or "fashion" in str(folder).lower()):
        name, classes = "fashion-mnist", FASHION
        source, licence = "Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), Zalando SE", "MIT"
    return (
        _frozen(ImageSet(name, train_images, train_labels, classes, source, licence)),
        _frozen(ImageSet(name, test_images, test_labels, classes, source, licence)),
    )


def _cifar(folder: Path) -> tuple[ImageSet, ImageSet]:
    """CIFAR-10 in its binary version: records of a label and 32 x 32 bytes each of red, green and blue."""
    halves = []
    for names in (CIFAR_TRAIN, (CIFAR_TEST,)):
        try:
            data = np.concatenate([np.fromfile(folder / name, np.uint8) for name in names])
        except OSError as error:
            raise PlaygroundError(f"{folder} does not hold all of {', '.join(CIFAR_FILES)}: CIFAR-10's binary version "
                                  "has these six files.") from error
        if not len(data) or len(data) % 3073 or data[::3073].max() >= len(CIFAR):
            raise PlaygroundError(f"{folder / names[0]} is no batch of CIFAR-10's binary version, or is damaged.")
        records = data.reshape(-1, 3073)
        images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        source = "CIFAR-10 (Krizhevsky, 2009), University of Toronto"
        halves.append(_frozen(ImageSet("cifar-10", images, records[:, 0].astype(np.int64), CIFAR, source,
                                       "not stated")))
    return halves[0], halves[1]


def _split(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    images_path, labels_path = _find(folder, prefix, "images", 3), _find(folder, prefix, "labels", 1)
    images = _read(images_path, IMAGES_MAGIC, 3)
    labels = _read(labels_path, LABELS_MAGIC, 1).astype(np.int64)
    if len(images) != len(labels):
        raise PlaygroundError(f"{images_path.name} holds {len(images)} pictures, {labels_path.name} {len(labels)} "
                              "labels: there has to be one label a picture.")
    if images.size == 0:
        raise PlaygroundError(f"{images_path.name} holds no picture.")
    return images, labels


def _find(folder: Path, prefix: str, what: str, dimensions: int) -> Path:
    """The file of one split, under either of the two spellings in use, compressed or not."""
    names = [f"{prefix}-{what}{dash}idx{dimensions}-ubyte" for dash in ("-", ".")]
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise PlaygroundError(f"{folder} holds no {names[0]} (or .gz): a folder of IDX files has images and labels of both "
                          "train and t10k.")


def _read(path: Path, magic: int, dimensions: int) -> np.ndarray:
    """The array in an IDX file: a big-endian header (magic, then a length a dimension), then the bytes."""
    damaged = PlaygroundError(f"{path} is no IDX file of {'pictures' if dimensions == 3 else 'labels'}, or is damaged.")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            header = file.read(4 * (1 + dimensions))
            if len(header) < 4 * (1 + dimensions):
                raise damaged
            found, *shape = struct.unpack(f">{1 + dimensions}I", header)
            size = int(np.prod(shape, dtype=object))
            if found != magic or size > MOST_PIXELS:
                raise damaged
            data = file.read(size + 1)  # one more than promised, to see that there is no more
    except (OSError, EOFError, zlib.error) as error:
        raise damaged from error
    if len(data) != size:
        raise damaged
    return np.frombuffer(data, np.uint8).reshape(shape)


def _size(images: np.ndarray) -> str:
    return f"{images.shape[1]} x {images.shape[2]}"


def _frozen(images: ImageSet) -> ImageSet:
    """Sets are shared (digits are kept in memory), so nobody may write into one."""
    images.images.flags.writeable = False
    images.labels.flags.writeable = False
    return images
