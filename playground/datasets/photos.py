"""Photographs from anywhere (a file, an upload, a camera): as pixels, for looking at, and as a set keeps them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from playground.datasets import metadata, picture
from playground.datasets.picture import MOST_BYTES, PictureError
from playground.errors import PlaygroundError

__all__ = ["MOST_BYTES", "SUFFIXES", "for_model", "open_photo", "open_small", "opened", "to_keep", "why_unreadable"]

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
            ".pbm", ".pnm", ".avif")
_KEPT = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}  # formats every reader of a set knows
_LOSSLESS = ("PNG", "BMP", "TIFF", "PPM", "GIF")


def open_photo(source: bytes | Path | BinaryIO) -> np.ndarray:
    """The pixels of a picture, uint8 (H, W, 3), as `picture.read` gives them. Raises PlaygroundError."""
    with _plainly():
        return picture.read(source)


def for_model(source: bytes | Path | BinaryIO, labels: tuple[str, ...]) -> np.ndarray:
    """What a model with these labels is asked about, as `picture.for_model` gives it. Raises PlaygroundError."""
    with _plainly():
        return picture.for_model(source, labels)


def open_small(source: bytes | Path | BinaryIO, side: int) -> np.ndarray:
    """The same picture no larger than `side` pixels, for looking at. Raises PlaygroundError as `open_photo` does."""
    with _plainly():
        return picture.read(source, side)


def opened(source: Path) -> np.ndarray | None:
    """The pixels of a picture, or None when it is gone or damaged."""
    try:
        return open_photo(source)
    except PlaygroundError:
        return None


def to_keep(data: bytes, name: str, longest: int) -> tuple[bytes, str, np.ndarray]:
    """A photograph as a set keeps it: (its bytes, the suffix they want, the pixels), upright, `longest` pixels at most.

    What a camera adds (where and when it was taken, by whom, a smaller copy of it) is taken out wherever it stands.
    Where that can be done without packing the pixels again, they stay as they are; everything else is written anew:
    what was packed without loss as PNG, the rest as JPEG. Raises PlaygroundError as `open_photo` does; the sentence
    calls the picture `name`.
    """
    file = io.BytesIO(data)
    file.name = name
    with _plainly():
        name, data = picture.contents(file)
        image = picture.opened(data, name)
        kind, plain, small = image.format or "", image.mode in ("L", "RGB"), max(image.size) <= longest
        file.seek(0)
        pixels = picture.read(file, longest)
    bare = metadata.without(data, kind) if plain and small else None
    if bare is not None and _same(data, bare, pixels, longest):
        return bare, _KEPT[kind], pixels
    file = io.BytesIO()
    if kind in _LOSSLESS:
        Image.fromarray(pixels).save(file, "PNG")
    else:
        Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue(), ".png" if kind in _LOSSLESS else ".jpg", pixels


def _same(data: bytes, bare: bytes, pixels: np.ndarray, longest: int) -> bool:
    """Whether a picture still shows the same without what was taken out: it might have told how it was held."""
    if data == bare:
        return True
    try:
        return np.array_equal(picture.read(bare, longest), pixels)
    except PictureError:
        return False


def why_unreadable(path: Path) -> str | None:
    """The reason a file cannot be used as a picture, as a sentence, or None when it can.

    Every byte goes through the decoder, but a JPEG only to a fraction of its size: a truncated file is found in a third
    of the time opening it takes.
    """
    try:
        picture.read(path, 64)
    except PictureError as error:
        return str(error)
    return None


@contextmanager
def _plainly() -> Iterator[None]:
    """What is wrong with a picture, as the error that pages and the command line show."""
    try:
        yield
    except PictureError as error:
        raise PlaygroundError(str(error)) from error
