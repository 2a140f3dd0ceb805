"""A picture file as the pixels a model is asked about: upright RGB, 0..255, no larger than it needs; or a sentence.

Everything that reads a picture reads it by this file: the app's pages, its command line, its trainers, and the program
that comes with a downloaded model. It needs NumPy and Pillow and nothing else, so it can be taken along as it is.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is tried, so that a file never reaches a decoder nobody needs here (EPS starts Ghostscript)."""
LONGEST_SIDE = 1024
"""Larger pictures are made so large: networks look at 224 pixels or so, and a phone takes 4,000."""
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 64_000_000
"""About four bytes a pixel are needed to read one, 256 MB; a phone's camera takes up to 50 million."""
MOST_PIXELS_COPIED = 16_000_000
"""The same where several copies are made: WebP and AVIF, a TIFF that has to be turned, a PNG of 16 bits a channel with
a transparent colour."""
MOST_PIXELS_A_SIDE = 65_535
DIGITS = tuple("0123456789")
GRAY = np.array([0.299, 0.587, 0.114])
"""ITU-R 601: how bright red, green and blue look."""
FAINT = 40.0
"""Levels below the paper's brightness: strokes that are nowhere darker than this are none."""

_TILE = 1024  # pixels a side that are brought to RGB at once, so that no second copy of a large picture is needed
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEEP, _LOWER_BYTES = "RGB;16B", "RGB;16L"  # red, green and blue of 16 bits: the bytes that Pillow takes of them
_STEPS = {"1": 255, "L;1": 255, "L;2": 85, "L;4": 17}  # levels between two grays of so few bits


class PictureError(ValueError):
    """One sentence for a person: why there are no pixels."""


def read(source: bytes | Path | BinaryIO, longest: int = LONGEST_SIDE) -> np.ndarray:
    """The pixels of a picture: uint8 (H, W, 3) RGB, 0..255, upright, H and W at most `longest`.

    A camera's EXIF orientation is applied, transparency is laid on white, an animation gives its first picture, 16 and
    32 bits a channel are brought to 8, gray, palette and CMYK become RGB. Colour profiles are not applied. Larger
    pictures are made smaller (bicubic, antialiased), and a picture is never held in memory more than once: it takes
    about four bytes a pixel. Raises PictureError with a sentence when there is no picture in it, it is damaged, or too
    large (MOST_BYTES, MOST_PIXELS).

    >>> file = io.BytesIO()
    >>> Image.new("L", (3, 2), 200).save(file, "PNG")
    >>> read(file.getvalue()).shape
    (2, 3, 3)
    """
    name, data = contents(source)
    image = opened(data, name)
    try:
        image.draft("RGB", (2 * longest, 2 * longest))  # a JPEG is unpacked at a fraction of its size, and faster
        _declare_transparency(image)
        deep = _deep_transparency(image)
        image.load()
        if deep is not None:
            _clear(image, opened(data, name), deep)
        small = _shrunk(image, longest)
        return np.array(_upright(image, small), dtype=np.uint8)
    except MemoryError:
        raise PictureError(f"There is not enough memory to open {name}.") from None
    except Exception as error:  # decoders raise anything on bytes that are not what they claim to be
        raise PictureError(_damaged(name, error)) from error


def for_model(source: bytes | Path | BinaryIO, labels: Sequence[str]) -> np.ndarray:
    """The pixels that a model with these labels is asked about: `read`, and `ink` for one of handwritten digits."""
    pixels = read(source)
    return ink(pixels) if are_digits(labels) else pixels


def are_digits(labels: Sequence[str]) -> bool:
    """Whether a model with these labels reads handwriting, which it has learnt as light strokes on black.

    >>> are_digits(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]), are_digits(["cat", "dog"])
    (True, False)
    """
    return tuple(labels) == DIGITS


def ink(pixels: np.ndarray) -> np.ndarray:
    """Dark strokes on light paper as light strokes on black that fill a square, the way handwritten digits are stored.

    pixels uint8 (H, W, 3) -> uint8 (S, S, 3). The median is the paper's brightness, for most of it is paper; what is
    nearly as bright becomes 0, the darkest 255. Where the median is dark, the strokes are light already: nothing is
    changed.

    >>> paper = np.full((9, 9, 3), 200, np.uint8)
    >>> paper[2:5, 4] = 20
    >>> ink(paper)[:, :, 0]
    array([[  0, 255,   0],
           [  0, 255,   0],
           [  0, 255,   0]], dtype=uint8)
    """
    gray = pixels @ GRAY
    paper = float(np.median(gray))
    if paper < 128:
        return pixels
    dark = (paper - gray) / max(FAINT, paper - float(gray.min()))
    strokes = np.rint(255 * np.clip((dark - 0.25) / 0.75, 0, 1)).astype(np.uint8)
    return filled(strokes) if strokes.any() else np.zeros_like(pixels)


def filled(strokes: np.ndarray) -> np.ndarray:
    """A drawing cut to its ink and centred in a square: uint8 (H, W) -> raw RGB (S, S, 3) for a model of digits.

    Those digits fill their frame from top to bottom, so a small digit in a corner has to as well. No resampling here:
    the exported model takes a picture of any size.

    >>> strokes = np.zeros((8, 8), np.uint8); strokes[1:5, 2:4] = 255
    >>> filled(strokes).shape
    (4, 4, 3)
    """
    rows, columns = np.nonzero(strokes.any(axis=1))[0], np.nonzero(strokes.any(axis=0))[0]
    cut = strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(cut.shape)
    square = np.zeros((side, side), np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return np.repeat(square[..., None], 3, axis=-1)


def contents(source: bytes | Path | BinaryIO) -> tuple[str, bytes]:
    """A name for sentences, and the bytes. Raises PictureError when there are none, or too many."""
    if isinstance(source, bytes):
        name, data = "the picture", source
    elif isinstance(source, Path):
        name = source.name or str(source)
        try:
            with open(source, "rb") as file:
                data = file.read(MOST_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise PictureError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    else:
        name = Path(str(getattr(source, "name", "") or "the picture")).name
        data = source.read(MOST_BYTES + 1)
    if not data:
        raise PictureError(f"{_capital(name)} is an empty file.")
    if len(data) > MOST_BYTES:
        raise PictureError(
            f"{_capital(name)} is larger than {MOST_BYTES // 2**20} MB, which is more than a picture needs.")
    return name, data


def opened(data: bytes, name: str) -> Image.Image:
    """The picture's header, its size checked before a pixel is unpacked. Raises PictureError."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(_too_many(name, MOST_PIXELS)) from None
    except UnidentifiedImageError:
        heic = data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
        hint = "is a HEIC picture, which cannot be read here: save it as JPEG" if heic else \
            "is not a picture that can be read (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF)"
        raise PictureError(f"{_capital(name)} {hint}.") from None
    except MemoryError:
        raise PictureError(f"There is not enough memory to open {name}.") from None
    except Exception as error:
        raise PictureError(_damaged(name, error)) from error
    copied = (image.format in ("WEBP", "AVIF") or (image.format == "TIFF" and orientation(image) != 1)
              or ("transparency" in image.info and _rawmode(image) == _DEEP))
    most = MOST_PIXELS_COPIED if copied else MOST_PIXELS
    if image.width * image.height > most:
        raise PictureError(_too_many(name, most))
    if max(image.size) > MOST_PIXELS_A_SIDE:
        raise PictureError(f"{_capital(name)} has a side of more than {MOST_PIXELS_A_SIDE:,} pixels; cut it first.")
    return image


def orientation(image: Image.Image) -> int:
    """How the camera was held, 1 to 8. An EXIF block that cannot be read says nothing: 1."""
    try:
        said = image.getexif().get(_ORIENTATION)
    except Exception:
        return 1
    return said if isinstance(said, int) and said in _UPRIGHT else 1


def _upright(image: Image.Image, small: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(orientation(image))
    return small if turn is None else small.transpose(turn)


def _declare_transparency(image: Image.Image) -> None:
    """A PNG declares a gray transparent in its own bits; the pixels are compared in 8."""
    declared, rawmode = image.info.get("transparency"), _rawmode(image)
    if image.format != "PNG" or declared is None:
        return
    if isinstance(declared, int) and rawmode in _STEPS:
        image.info["transparency"] = min(255, declared * _STEPS[rawmode])


def _deep_transparency(image: Image.Image) -> tuple[int, ...] | None:
    """The colour of 16 bits a channel that a PNG declares transparent, taken out of what Pillow compares in 8 bits."""
    declared = image.info.get("transparency")
    if image.format != "PNG" or not isinstance(declared, tuple) or _rawmode(image) != _DEEP:
        return None
    del image.info["transparency"]
    return declared


def _clear(image: Image.Image, again: Image.Image, colour: tuple[int, ...]) -> None:
    """Make the pixels of one colour of 16 bits a channel transparent. `again` is the same picture, not yet unpacked: of
    it the lower bytes are taken, which Pillow leaves out."""
    again.tile = [tile._replace(args=_LOWER_BYTES) for tile in again.tile]  # type: ignore[attr-defined]
    again.load()
    alpha = Image.new("L", image.size, 255)
    for (left, top, high), (_, _, low) in zip(_tiles(image, 1), _tiles(again, 1), strict=True):
        levels = np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
        seen = np.where((levels == colour).all(axis=-1), 0, 255).astype(np.uint8)
        alpha.paste(Image.fromarray(seen), (left, top))
    image.putalpha(alpha)


def _rawmode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    return str(tiles[0][3]) if tiles else ""


def _shrunk(image: Image.Image, longest: int) -> Image.Image:
    """Any of Pillow's modes as RGB no larger than `longest`, a tile at a time: the only copy is the small one."""
    factor = max(1, max(image.size) // (2 * longest))
    white = _white(image)
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for left, top, tile in _tiles(image, factor):
        part = _rgb(tile, white)
        small.paste(part.reduce(factor) if factor > 1 else part, (left // factor, top // factor))
    small.thumbnail((longest, longest))
    return small


def _tiles(image: Image.Image, factor: int) -> Iterator[tuple[int, int, Image.Image]]:
    """Parts of a picture (left, top, part) whose sides are multiples of a factor, but for the last ones."""
    side = factor * -(-_TILE // factor)
    for top in range(0, image.height, side):
        for left in range(0, image.width, side):
            yield left, top, image.crop((left, top, min(left + side, image.width), min(top + side, image.height)))


def _white(image: Image.Image) -> float:
    """The level of deep gray that becomes 255: 65535 for integers, 1 for floats; their largest where that is more."""
    if image.mode not in ("I", "F"):
        return 65535.0
    largest = max(float(_levels(part).max()) for _, _, part in _tiles(image, 1))
    return max(1.0 if image.mode == "F" else 65535.0, largest)


def _levels(image: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0, neginf=0)


def _rgb(image: Image.Image, white: float) -> Image.Image:
    """Deep gray scaled to 8 bits, transparency on white, everything as RGB."""
    declared = image.info.get("transparency")
    if image.mode[0] in "IF":
        levels = _levels(image) if image.mode in ("I", "F") else np.asarray(image).astype(np.float32)
        gray = np.round(levels.clip(0, white) * (255 / white)).astype(np.uint8)
        if isinstance(declared, int):
            gray[levels == declared] = 255
        return Image.fromarray(gray).convert("RGB")
    alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or str(getattr(image.palette, "mode", "")).endswith("A")
    if alpha or declared is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _damaged(name: str, error: BaseException) -> str:
    cut = "truncated" in str(error) or isinstance(error, EOFError)
    return f"{_capital(name)} is damaged: " + ("it ends before the picture does." if cut else "it cannot be unpacked.")


def _too_many(name: str, most: int) -> str:
    return f"{_capital(name)} has more than {most // 10**6} million pixels; make it smaller first."


def _capital(name: str) -> str:
    """A file's name stays as it is; the words that stand for one begin a sentence."""
    return "The picture" if name == "the picture" else name
