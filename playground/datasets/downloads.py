"""Sets of photographs that can be downloaded: what they are, and how they get here whole, checked, or not at all."""

import fcntl
import gzip
import hashlib
import http.client
import os
import shutil
import ssl
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from playground import home
from playground.datasets import named
from playground.datasets.unzip import MOST_BYTES, MOST_FILES, move_into_place, unzip
from playground.errors import PlaygroundError

PARTIAL = ".downloads"  # below data/: what has come so far; a file put there by hand is checked and used as well
TIMEOUT_SECONDS = 20.0  # without a single byte
PAUSE_SECONDS = 1.0  # before asking again a server that broke off
TRIES = 4  # in a row that brought nothing new
CHUNK = 1 << 18
OFFLINE = "the handwritten digits (Train a CNN) and the sample photos of faces (Transfer learning) need none"
_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # answers of a server that may think otherwise in a moment
_DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
_BROKEN_OFF = (TimeoutError, ConnectionError, http.client.HTTPException)


@dataclass(frozen=True)
class File:
    """One file to fetch: its exact size in bytes, and its SHA-256 where it was published."""

    url: str
    size: int
    sha256: str | None = None

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


def find(name: str) -> Downloadable:
    """The set of that name. Raises PlaygroundError when there is none."""
    if name not in CATALOGUE:
        raise PlaygroundError(f"There is no set {name!r} to download: choose {' or '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def folder(name: str) -> Path | None:
    """Where the set is, if it is here."""
    find(name)
    path = home.data_dir() / name
    return path if path.is_dir() else None


def host(name: str) -> str:
    """Who is asked for the set: its maker's server, or the mirror."""
    return _host(_address(name, find(name).files[0]))


def received(name: str) -> int:
    """Bytes of the set that have come so far, in a download that was not finished."""
    paths = (home.data_dir() / PARTIAL / name / file.name for file in find(name).files)
    return sum(path.stat().st_size for path in paths if path.is_file())


def download(name: str, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """Fetch a set into data/NAME, whole or not at all, and tell how far it is; what is there already stays.

    What has come is kept when it is stopped or breaks off, and the next call goes on from there (HTTP Range), or from
    the beginning where the server does not allow that. Size and SHA-256 are checked before anything is unpacked; a file
    that is wrong is deleted. PLAYGROUND_MIRROR names a server that is asked instead, for NAME/FILE. Two at a time: the
    second waits for the first. Raises PlaygroundError with what went wrong as one sentence.
    """
    wanted, into = find(name), home.data_dir() / name
    partial = home.data_dir() / PARTIAL / name
    if into.is_dir():
        return
    partial.mkdir(parents=True, exist_ok=True)
    with open(partial.parent / f"{name}.lock", "w") as lock:
        while not _held(lock):
            yield Progress("waiting", 0, 1)
            if should_stop():
                return
            time.sleep(0.1)
        if into.is_dir():
            return
        _demand_space(wanted, into.parent, partial)
        with _plainly():
            before = 0
            for file in wanted.files:
                for progress in _fetch(name, file, partial / file.name, should_stop):
                    yield (Progress("downloading", before + progress.done, wanted.size)
                           if progress.doing == "downloading" else progress)
                if should_stop():
                    return
                before += file.size
            incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=into.parent))
            try:
                for progress in wanted.unpack({file.name: partial / file.name for file in wanted.files}, incoming):
                    yield progress
                    if should_stop():
                        return
                move_into_place(incoming, into)
            except (PlaygroundError, *_DAMAGED):
                for file in wanted.files:
                    if file.sha256 is None:  # right in size alone: the next attempt fetches it again
                        (partial / file.name).unlink(missing_ok=True)
                raise
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)


def _held(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _plainly() -> Iterator[None]:
    """What the disk refuses, and what is wrong with an archive, as a sentence."""
    try:
        yield
    except _DAMAGED as error:
        raise PlaygroundError("What was downloaded cannot be unpacked: the archive is damaged.") from error
    except OSError as error:
        raise PlaygroundError(f"The download could not be written: {error.strerror or error}.") from error


def _demand_space(wanted: Downloadable, where: Path, partial: Path) -> None:
    here = sum(path.stat().st_size for path in partial.iterdir())
    needed = 7 * wanted.size // 2 - here  # the files, what is in them, and some air
    if (free := shutil.disk_usage(where).free) < needed:
        raise PlaygroundError(f"{wanted.title} needs {needed / 1e6:,.0f} MB of disk; {free / 1e6:,.0f} MB are free.")


# -- fetching ----------------------------------------------------------------------------------------------------------


def _fetch(name: str, file: File, path: Path, should_stop: Callable[[], bool]) -> Iterator[Progress]:
    """One file, from what is there of it to its checked whole."""
    url = _address(name, file)
    furthest, tries, whole_at_once, ranges = _size(path), TRIES, False, True
    while True:
        have = _size(path)
        if have > file.size:
            path.unlink()
            have = 0
        if have == file.size:
            yield Progress("checking", have, file.size)
            if file.sha256 is None or _sha256(path) == file.sha256:
                return
            path.unlink()
            if whole_at_once:
                raise PlaygroundError(f"{file.name} from {_host(url)} is not what was published (its SHA-256 differs): "
                                      "it was deleted, and nothing was unpacked.")
            have, furthest = 0, 0  # put together from pieces of different files perhaps: once more in one piece
        if not ranges and have:
            path.unlink()
            have = 0
        whole_at_once = have == 0
        try:
            yield from _receive(url, file, path, have, should_stop)
            if should_stop():
                return
            if _size(path) == file.size:
                continue
            problem = "broke off"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and have:
                ranges = False
            elif error.code not in _AGAIN:
                raise PlaygroundError(f"{_host(url)} does not hand out {file.name}: it answered {error.code} "
                                      f"{http.client.responses.get(error.code, '')}".rstrip() + ".") from error
            problem = f"answered {error.code}"
        except urllib.error.URLError as error:
            if not isinstance(error.reason, _BROKEN_OFF) or isinstance(error.reason, ConnectionRefusedError):
                raise _unreachable(url, error.reason) from error
            problem = "does not answer"
        except _BROKEN_OFF as error:
            problem = "went silent" if isinstance(error, TimeoutError) else "broke off"
        have = _size(path)
        if have > furthest:
            furthest, tries = have, TRIES
        else:
            tries -= 1
        if not tries:
            raise PlaygroundError(f"{_host(url)} {problem}, {TRIES} times in a row, with {have / 1e6:,.1f} of "
                                  f"{file.size / 1e6:,.1f} MB here: start again later, and it goes on from there.")
        wait_until = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < wait_until:
            if should_stop():
                return
            time.sleep(min(0.1, PAUSE_SECONDS))


def _receive(url: str, file: File, path: Path, have: int, should_stop: Callable[[], bool]) -> Iterator[Progress]:
    """Append to `path` what the server sends of the file after its first `have` bytes, until it ends or stops."""
    headers = {"User-Agent": "cnn-playground", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    yield Progress("downloading", have, file.size)
    with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
        begins, total = _extent(response.headers, response.status)
        if total not in (None, file.size) or begins not in (0, have):
            raise PlaygroundError(
                f"{_host(url)} offers {total or 0:,} bytes for {file.name} where {file.size:,} are expected: the file "
                "was changed, or something in between (a network's login page) answered; nothing was downloaded.")
        with open(path, "ab" if begins else "wb") as target:
            have = begins
            while not should_stop() and have <= file.size and (chunk := response.read1(CHUNK)):
                target.write(chunk)
                target.flush()  # a worker that is killed leaves what has come
                have += len(chunk)
                yield Progress("downloading", min(have, file.size), file.size)
    if have > file.size:
        path.unlink()
        raise PlaygroundError(f"{_host(url)} sends more for {file.name} than the {file.size:,} bytes expected: it was "
                              "deleted, and nothing was unpacked.")


def _extent(headers: Mapping[str, str], status: int) -> tuple[int, int | None]:
    """(the first byte an answer brings, the size of the whole file); the size is None where it is not told."""
    if status == 206:
        span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        return (int(first) if first.isdigit() else -1), (int(total) if total.isdigit() else None)
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https back to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise PlaygroundError(f"{_host(req.full_url)} wants to lead to {newurl[:80]!r}, which is not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """http and https, redirects, and the proxies of the environment; no files, no ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
                    _Redirects(), urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
                    urllib.request.UnknownHandler()):
        opener.add_handler(handler)
    return opener


def _address(name: str, file: File) -> str:
    mirror = os.environ.get("PLAYGROUND_MIRROR", "").rstrip("/")
    return f"{mirror}/{name}/{file.name}" if mirror else file.url


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _unreachable(url: str, reason: object) -> PlaygroundError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return PlaygroundError(f"{_host(url)} could not prove who it is ({reason.verify_message}): nothing was "
                               "downloaded.")
    return PlaygroundError(f"{_host(url)} cannot be reached from this server, perhaps there is no network; {OFFLINE}.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- unpacking ---------------------------------------------------------------------------------------------------------


def _zip_of_folders(files: Mapping[str, Path], into: Path) -> Iterator[Progress]:
    """The one folder in the one zip."""
    yield Progress("unpacking", 0, 1)
    (archive,) = files.values()
    with open(archive, "rb") as content:
        unpacked = unzip(content, into / ".unpacked")
    inside = [path for path in unpacked.iterdir() if path.is_dir()]
    top = inside[0] if len(inside) == 1 and inside[0].name != "train" else unpacked
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
        "transfer-learning "
        "tutorial.",
        (File("https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip", 68_606_236),),
        _zip_of_folders,
        "Google; a part of Asirra (Microsoft Research and Petfinder.com, 2007)",
        "https://www.tensorflow.org/tutorials/images/transfer_learning",
        "none is stated for the photos: for teaching and research only",
    ),
    "oxford_iiit_pet": Downloadable(
        "Oxford-IIIT Pet, cats vs dogs",
        "7\u202f349 photos of 37 breeds, sorted here into two classes: cat and dog.",
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
        "validation. A network from scratch takes them as they are (Train a CNN); to retrain a pretrained one on "
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
