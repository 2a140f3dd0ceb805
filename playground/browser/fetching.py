"""Fetching onnxruntime-web from npm's registry with the downloader of the sets: checked, whole or not at all."""

import gzip
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from playground.browser import runtime
from playground.datasets import downloads
from playground.datasets.catalogue import Downloadable, File, Progress
from playground.errors import PlaygroundError

LONGEST_NOTICE = 2**20
KEPT = {f"package/dist/{file.name}": file.name for file in runtime.FILES}


def unpack(files: Mapping[str, Path], into: Path) -> Iterator[Progress]:
    """The three files of the package, and compressed beside each what a server sends to browsers that take that."""
    (archive,) = files.values()
    done = 0
    yield Progress("unpacking", done, len(KEPT))
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            if member.name not in KEPT or not member.isfile():
                continue
            size = next(file.size for file in runtime.FILES if file.name == KEPT[member.name])
            content = tar.extractfile(member)
            if content is None or member.size != size:
                raise PlaygroundError(f"{KEPT[member.name]} in the package is not the file that is expected.")
            target = into / KEPT[member.name]
            with open(target, "xb") as file:
                shutil.copyfileobj(content, file)
            with open(target, "rb") as plain, gzip.GzipFile(f"{target}{runtime.PACKED}", "xb", 9, mtime=0) as packed:
                shutil.copyfileobj(plain, packed)
            done += 1
            yield Progress("unpacking", done, len(KEPT))
    if done < len(KEPT):
        raise PlaygroundError("The package does not hold the files that are expected: nothing was unpacked.")


PACKAGE = Downloadable(
    f"onnxruntime-web {runtime.VERSION}",
    "onnxruntime for browsers, so that a reader's own browser runs a model.",
    (File(f"https://registry.npmjs.org/onnxruntime-web/-/{runtime.NAME}.tgz", 33_106_585,
          sha512="q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="),),
    unpack,
    "Microsoft, npm",
    "https://www.npmjs.com/package/onnxruntime-web",
    "MIT",
    photographs=False,
)
"""The package with the SHA-512 that npm publishes of it ("integrity" in npm's own words)."""


def fetch(should_stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """Fetch the package into the data folder, unless it is there. Raises PlaygroundError with one sentence."""
    yield from downloads.fetch(PACKAGE, runtime.NAME, should_stop,
                               offline="without it, models run on this server alone")
