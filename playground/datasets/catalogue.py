"""Sets of photographs that others offer: what they are, where, under which licence, and how their archives unpack."""

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from playground.datasets import folders, named
from playground.datasets.unzip import MOST_BYTES, MOST_FILES, unzip
from playground.errors import PlaygroundError


@dataclass(frozen=True)
class File:
    """One file to fetch: its exact size in bytes, and its SHA-256 (in hexadecimal digits) or SHA-512 (in base64, as npm
    writes it) where one was published."""

    url: str
    size: int
    sha256: str | None = None
    sha512: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Progress:
    """How far a download is: "waiting", "downloading" (bytes), "checking" (bytes) or "unpacking" (pictures)."""

    doing: str
    done: int
    total: int


Unpack = Callable[[Mapping[str, Path], Path], Iterator[Progress]]


@dataclass(frozen=True)
class Downloadable:
    """A set somebody else offers. `unpack` turns its files, by name, into a folder the playground can read.

    `photographs` says that it becomes a folder a class, `small` that it is a set of pictures of one small size.
    """

    title: str
    about: str
    files: tuple[File, ...]
    unpack: Unpack
    source: str
    page: str
    licence: str
    photographs: bool = True
    small: bool = False

    @property
    def size(self) -> int:
        """Bytes to fetch, all files together."""
        return sum(file.size for file in self.files)


def _zip_of_folders(files: Mapping[str, Path], into: Path) -> Iterator[Progress]:
    """The one folder in the one zip."""
    yield Progress("unpacking", 0, 1)
    (archive,) = files.values()
    with open(archive, "rb") as content:
        unpacked = unzip(content, into / ".unpacked")
    inside = [path for path in unpacked.iterdir() if path.is_dir()]
    top = inside[0] if len(inside) == 1 and not folders.half_of(inside[0].name) else unpacked
    for path in list(top.iterdir()):
        os.rename(path, into / path.name)
    shutil.rmtree(unpacked)


def _as_they_are(files: Mapping[str, Path], into: Path) -> Iterator[Progress]:
    """The files themselves, once they can be read as IDX files."""
    yield Progress("unpacking", 0, 1)
    for name, path in files.items():
        shutil.copyfile(path, into / name)
    named.load(str(into))


def _cifar(files: Mapping[str, Path], into: Path) -> Iterator[Progress]:
    """The binary batches, to train on from scratch, and a PNG of every picture, in a folder of its class."""
    (archive,) = files.values()
    for name, content in _members(archive):
        if name in named.CIFAR_FILES:
            (into / name).write_bytes(content.read())
    train, test = named.load(str(into))
    done, total = 0, len(train) + len(test)
    for half, pictures in (("train", train), ("validation", test)):
        for kind in pictures.classes:
            (into / half / kind).mkdir(parents=True)
        for k, (image, label) in enumerate(zip(pictures.images, pictures.labels, strict=True)):
            Image.fromarray(np.ascontiguousarray(image)).save(into / half / pictures.classes[label] / f"{k:05d}.png")
            done += 1
            if done % 100 == 0 or done == total:
                yield Progress("unpacking", done, total)


def _pets(files: Mapping[str, Path], into: Path) -> Iterator[Progress]:
    """cat/ and dog/ by the species in list.txt: name, class, species (1 cat, 2 dog), breed."""
    listed = next((content.read().decode("utf-8") for name, content in _members(files["annotations.tar.gz"])
                   if name == "list.txt"), "")
    rows = [row.split() for row in listed.splitlines() if not row.startswith("#")]
    species = {row[0]: {"1": "cat", "2": "dog"}.get(row[2]) for row in rows if len(row) == 4}
    for kind in ("cat", "dog"):
        (into / kind).mkdir()
    done = 0
    for name, content in _members(files["images.tar.gz"]):
        known = species.get(name.removesuffix(".jpg"))
        if not name.endswith(".jpg") or known is None:
            continue
        with open(into / known / name, "xb") as target:
            shutil.copyfileobj(content, target)
        done += 1
        if done % 50 == 0 or done == len(species):
            yield Progress("unpacking", done, len(species))
    if not done:
        raise PlaygroundError("The archives hold no picture that their list names: nothing was unpacked.")


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The regular files of a .tar.gz, by the last part of their names: where they would like to lie does not matter.

    Raises PlaygroundError for more than MOST_FILES files or MOST_BYTES bytes.
    """
    count = size = 0
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            count, size = count + 1, size + member.size
            if count > 2 * MOST_FILES or size > MOST_BYTES:
                raise PlaygroundError(f"Unpacked, {archive.name} would be larger than it can be.")
            name = member.name.replace("\\", "/").rsplit("/", 1)[-1]
            if member.isfile() and name not in ("", ".", "..") and not name.startswith("."):
                content = tar.extractfile(member)
                if content is not None:
                    yield name, content


# Sizes and checksums as the makers or TensorFlow Datasets publish them.
CATALOGUE: dict[str, Downloadable] = {
    "cats_and_dogs_filtered": Downloadable(
        "Cats and dogs (filtered)",
        "3\u202f000 photos of cats and dogs, 1\u202f000 of them for validation: the set of TensorFlow's "
        "transfer-learning tutorial.",
        (File("https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip", 68_606_236),),
        _zip_of_folders,
        "Google; a part of Asirra (Microsoft Research and Petfinder.com, 2007)",
        "https://www.tensorflow.org/tutorials/images/transfer_learning",
        "none is stated for the photos: for teaching and research only",
    ),
    "oxford_iiit_pet": Downloadable(
        "Oxford-IIIT Pet, cats vs dogs",
        "7,349 photos of 37 breeds, sorted here into two classes: cat and dog.",
        (
            File("https://thor.robots.ox.ac.uk/pets/annotations.tar.gz", 19_173_078,
                 "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91"),
            File("https://thor.robots.ox.ac.uk/pets/images.tar.gz", 791_918_971,
                 "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d"),
        ),
        _pets,
        "Parkhi, Vedaldi, Zisserman and Jawahar (2012), University of Oxford",
        "https://www.robots.ox.ac.uk/~vgg/data/pets/",
        "CC BY-SA 4.0; the photos stay their owners'",
    ),
    "cifar-10": Downloadable(
        "CIFAR-10",
        "60\u202f000 colour pictures of 32 × 32 pixels in ten classes from airplane to truck, 10\u202f000 of them for "
        "validation. A network from scratch takes them as they are (Build and train); to retrain a pretrained one on "
        "all of them wants a GPU.",
        (File("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", 170_052_171,
              "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),),
        _cifar,
        "Krizhevsky (2009), University of Toronto",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none is stated; its makers ask to be cited (Learning Multiple Layers of Features from Tiny Images, 2009)",
        small=True,
    ),
    "fashion-mnist": Downloadable(
        "Fashion-MNIST",
        "70\u202f000 gray pictures of 28 × 28 pixels in ten classes of clothing, 10\u202f000 of them for the test.",
        tuple(
            File(f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}-ubyte.gz", size, sha256)
            for name, size, sha256 in (
                ("train-images-idx3", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
                ("train-labels-idx1", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
                ("t10k-images-idx3", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
                ("t10k-labels-idx1", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
            )
        ),
        _as_they_are,
        "Xiao, Rasul and Vollgraf (2017), Zalando SE",
        "https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
        photographs=False,
        small=True,
    ),
}
