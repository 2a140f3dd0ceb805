"""A picture from anywhere (a file, an upload, a camera) as upright RGB pixels, or a sentence that says why not."""

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from playground.errors import PlaygroundError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is tried, so that a file never reaches a decoder nobody needs here (EPS starts Ghostscript)."""
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
            ".pbm", ".pnm", ".avif")
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 64_000_000  # 192 MB once unpacked; a phone's camera takes up to 50 million

_KEPT = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}  # formats every reader of a set knows
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise on bytes that are not what they claim to be.
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
           struct.error, ZeroDivisionError, NotImplementedError, RuntimeError, AssertionError)


def open_photo(source: bytes | Path | BinaryIO) -> np.ndarray:
    """The pixels of a picture: uint8 (H, W, 3) RGB, 0..255, upright.

    A camera's EXIF orientation is applied, transparency is laid on white, an animation gives its first picture, 16 bits
    a channel are brought to 8, gray, palette and CMYK become RGB. Colour profiles are not applied: whoever runs the
    exported model on raw pixels would not either. Raises PlaygroundError with a sentence when there is no picture in
    it, it is damaged, or too large (MOST_BYTES, MOST_PIXELS).

    >>> file = io.BytesIO()
    >>> Image.new("L", (3, 2), 200).save(file, "PNG")
    >>> open_photo(file.getvalue()).shape
    (2, 3, 3)
    """
    name, data = _read(source)
    image = _open(data, name)
    try:
        image.load()
        image = _rgb(_upright(image))
    except MemoryError:
        raise PlaygroundError(f"There is not enough memory to open {name}.") from None
    except _BROKEN as error:
        raise PlaygroundError(_damaged(name, error)) from error
    return np.array(image, dtype=np.uint8)


def opened(source: Path) -> np.ndarray | None:
    """The pixels of a picture, or None when it is gone or damaged."""
    try:
        return open_photo(source)
    except PlaygroundError:
        return None


def open_small(source: bytes | Path | BinaryIO, side: int) -> np.ndarray:
    """The same picture no larger than `side` pixels, for looking at: uint8 (H, W, 3) RGB, upright.

    A JPEG is unpacked at a fraction of its size, several times faster. Raises PlaygroundError as `open_photo` does.
    """
    name, data = _read(source)
    image = _open(data, name)
    try:
        image.draft("RGB", (2 * side, 2 * side))  # at least that large: enough to be made smaller well
        image.load()
        image = _rgb(_upright(image))
        image.thumbnail((side, side))
    except MemoryError:
        raise PlaygroundError(f"There is not enough memory to open {name}.") from None
    except _BROKEN as error:
        raise PlaygroundError(_damaged(name, error)) from error
    return np.array(image, dtype=np.uint8)


def to_keep(data: bytes, name: str, longest: int) -> tuple[bytes, str, np.ndarray]:
    """A photograph as a set keeps it: (its bytes, the suffix they want, the pixels), upright, `longest` pixels at most.

    Bytes that are so already are kept as they are: nothing is lost by packing them twice. Everything else is written
    anew, without what a camera adds (where and when it was taken): what was packed without loss as PNG, the rest as
    JPEG. Raises PlaygroundError as `open_photo` does; the sentence calls the picture `name`.
    """
    file = io.BytesIO(data)
    file.name = name
    name, _ = _read(file)
    image = _open(data, name)
    told = image.info.get("exif") or image.info.get("xmp")  # what the camera adds: how it was held, where, when
    kind, plain = image.format or "", image.mode in ("L", "RGB") and not told
    single, small = getattr(image, "n_frames", 1) == 1, max(image.size) <= longest
    lossless = kind in ("PNG", "BMP", "TIFF", "PPM", "GIF")
    file.seek(0)
    pixels = open_photo(file)
    if kind in _KEPT and plain and single and small:
        return data, _KEPT[kind], pixels
    shrunk = Image.fromarray(pixels)
    shrunk.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if lossless:
        shrunk.save(file, "PNG")
    else:
        shrunk.save(file, "JPEG", quality=95)
    return file.getvalue(), ".png" if lossless else ".jpg", np.array(shrunk, dtype=np.uint8)


def why_unreadable(path: Path) -> str | None:
    """The reason a file cannot be used as a picture, as a sentence, or None when it can.

    Every byte goes through the decoder, but a JPEG only to an eighth of its size: a truncated file is found in a third
    of the time opening it takes.
    """
    try:
        name, data = _read(path)
        image = _open(data, name)
    except PlaygroundError as error:
        return str(error)
    try:
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
        if image.mode in ("LAB", "HSV"):
            image.convert("RGB")
    except MemoryError:
        return f"There is not enough memory to open {name}."
    except _BROKEN as error:
        return _damaged(name, error)
    return None


def _read(source: bytes | Path | BinaryIO) -> tuple[str, bytes]:
    """A name for sentences, and the bytes."""
    if isinstance(source, bytes):
        name, data = "the picture", source
    elif isinstance(source, Path):
        name = source.name
        try:
            with open(source, "rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise PlaygroundError(f"{name} cannot be read: {error.strerror}.") from error
    else:
        name = Path(str(getattr(source, "name", "") or "the picture")).name
        data = source.read(MOST_BYTES + 1)
    if not data:
        raise PlaygroundError(f"{_capital(name)} is an empty file.")
    if len(data) > MOST_BYTES:
        raise PlaygroundError(
            f"{_capital(name)} is larger than {MOST_BYTES // 2**20} MB, which is more than a picture needs.")
    return name, data


def _open(data: bytes, name: str) -> Image.Image:
    """The picture's header, its size checked before a pixel is unpacked."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PlaygroundError(_too_many(name)) from None
    except UnidentifiedImageError:
        heic = data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
        hint = "is a HEIC picture, which cannot be read here: save it as JPEG" if heic else \
            "is not a picture that can be read (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF)"
        raise PlaygroundError(f"{_capital(name)} {hint}.") from None
    except _BROKEN as error:
        raise PlaygroundError(_damaged(name, error)) from error
    if image.width * image.height > MOST_PIXELS:
        raise PlaygroundError(_too_many(name))
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Turned as the camera was held. An EXIF block that cannot be read says nothing."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except _BROKEN:
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB: deep gray scaled to 8 bits, transparency on white."""
    if image.mode[0] in "IF":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(levels: np.ndarray) -> np.ndarray:
    """Deep gray as uint8: integers from 0..65535, floats from 0..1; from 0..their largest where that is more."""
    known = np.nan_to_num(levels.astype(np.float64), posinf=0, neginf=0)
    white = max(1.0 if levels.dtype.kind == "f" else 65535.0, float(known.max()))
    scaled: np.ndarray = np.round(known.clip(0, white) * (255 / white)).astype(np.uint8)
    return scaled


def _damaged(name: str, error: BaseException) -> str:
    cut = "truncated" in str(error) or isinstance(error, EOFError)
    return f"{_capital(name)} is damaged: " + ("it ends before the picture does." if cut else "it cannot be unpacked.")


def _too_many(name: str) -> str:
    return f"{_capital(name)} has more than {MOST_PIXELS // 10**6} million pixels; make it smaller first."


def _capital(name: str) -> str:
    """A file's name stays as it is; the words that stand for one begin a sentence."""
    return "The picture" if name == "the picture" else name
