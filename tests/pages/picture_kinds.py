"""Picture files of every kind a person may have, each with the pixels it shows, made with Pillow and by hand."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Kind:
    """A file's name and bytes, the pixels uint8 (H, W, 3) it shows, and how far a lossy format may be from them."""

    name: str
    data: bytes
    shown: np.ndarray
    off: int = 0


def scene(height: int = 24, width: int = 36) -> np.ndarray:
    """Wider than high, smooth, and unlike itself however it is turned."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([250 * x // width, 250 * y // height, (120 + 3 * x + 2 * y) % 200], -1).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG put together by hand: depths and transparencies Pillow would not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + \
        chunk(b"IEND", b"")


def rows(levels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in levels)


def gray(levels: np.ndarray) -> np.ndarray:
    return np.asarray(levels, np.uint8)[..., None].repeat(3, -1)


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(np.rot90(scene()).copy()), "JPEG", quality=95, subsampling=0, exif=exif)


def _turned_by_xmp() -> bytes:
    plain = saved(Image.fromarray(scene()[::-1, ::-1].copy()), "PNG")
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    return plain[:33] + chunk(b"iTXt", text) + plain[33:]


def _on_white(alpha: np.ndarray) -> np.ndarray:
    a = alpha[..., None] / 255
    return np.rint(scene() * a + 255 * (1 - a)).astype(np.uint8)


def kinds() -> list[Kind]:
    """Every kind, in an order that does not change."""
    here, image = scene(), Image.fromarray(scene())
    height, width = here.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    alpha[:, : width // 2], alpha[: height // 2, width // 2 :] = 255, 128
    clear = Image.fromarray(np.dstack([here, alpha]))
    deep = np.arange(height * width, dtype=np.uint16).reshape(height, width) * 75
    hidden = np.where(deep > 30000, 255, np.rint(deep / 257))
    coarse = (np.arange(height * width).reshape(height, width) // 7 % 4).astype(np.uint8)
    packed = np.packbits(np.unpackbits(coarse[..., None], axis=-1)[..., 6:].reshape(height, -1), axis=1)
    palette = image.quantize(16)
    of_palette = np.asarray(palette.convert("RGB"))
    first = int(np.asarray(palette)[0, 0])
    large = scene(1300, 2600)
    deep_rgb = ((here.astype(np.uint16) << 8) + 77).astype(">u2")
    block = here.copy()
    block[8:16, 10:30] = (18, 52, 86)
    lower = (block.astype(np.uint16) << 8) + (0x34 + np.arange(width) % 2)[None, :, None]  # two that look alike
    found = [
        Kind("turned.jpg", _turned(), here, 30),
        Kind("turned-by-xmp.png", _turned_by_xmp(), here),
        Kind("clear.png", saved(clear, "PNG"), _on_white(alpha), 1),
        Kind("clear.webp", saved(clear, "WEBP", lossless=True, exact=True), _on_white(alpha), 1),
        Kind("sixteen.png", saved(Image.fromarray(deep), "PNG"), gray(np.rint(deep / 257))),
        Kind("sixteen-clear.png", png(width, height, 16, 0, rows(np.where(deep > 30000, 30001, deep).astype(">u2")),
                                      chunk(b"tRNS", struct.pack(">H", 30001))), gray(hidden)),
        Kind("sixteen-colours.png", png(width, height, 16, 2, rows(deep_rgb.reshape(height, -1))), here),
        Kind("sixteen-colours-clear.png", png(width, height, 16, 2, rows(deep_rgb.reshape(height, -1)), chunk(
            b"tRNS", struct.pack(">3H", *map(int, deep_rgb[5, 7])))), _but_white(here, here[5, 7])),
        Kind("sixteen-colours-lower-byte-clear.png", png(
            width, height, 16, 2, rows(lower.astype(">u2").reshape(height, -1)), chunk(b"tRNS", struct.pack(
                ">3H", *map(int, lower[9, 12])))), _but_white(block, lower[9, 12], lower)),
        Kind("two-bits-clear.png", png(width, height, 2, 0, rows(packed), chunk(b"tRNS", struct.pack(">H", 1))),
             gray(np.where(coarse == 1, 255, coarse * 85))),
        Kind("palette.png", saved(palette, "PNG"), of_palette),
        Kind("palette-clear.png", saved(palette, "PNG", transparency=first), np.where(
            (np.asarray(palette) == first)[..., None], 255, of_palette).astype(np.uint8)),
        Kind("gray.png", saved(image.convert("L"), "PNG"), gray(np.asarray(image.convert("L")))),
        Kind("cmyk.jpg", saved(image.convert("CMYK"), "JPEG", quality=95, subsampling=0), here, 12),
        Kind("moving.gif", saved(palette, "GIF", save_all=True, append_images=[Image.new("P", image.size, 3)]),
             of_palette),
        Kind("moving.png", saved(image, "PNG", save_all=True, append_images=[Image.new("RGB", image.size, "red")]),
             here),
        Kind("float.tif", saved(Image.fromarray((deep / 65535).astype(np.float32)), "TIFF"),
             gray(np.rint(deep / 257))),
        Kind("whole.tif", saved(Image.fromarray(deep.astype(np.int32)), "TIFF"), gray(np.rint(deep / 257))),
        Kind("plain.bmp", saved(image, "BMP"), here),
        Kind("plain.ppm", saved(image, "PPM"), here),
        Kind("column.png", saved(Image.fromarray(scene(40, 1)), "PNG"), scene(40, 1)),
        Kind("row.png", saved(Image.fromarray(scene(1, 40)), "PNG"), scene(1, 40)),
        Kind("large.png", saved(Image.fromarray(large), "PNG"), _made_smaller(large), 12),
        Kind("large.jpg", saved(Image.fromarray(large), "JPEG", quality=95), _made_smaller(large), 45),
    ]
    return found


def _but_white(pixels: np.ndarray, colour: np.ndarray, levels: np.ndarray | None = None) -> np.ndarray:
    clear = ((pixels if levels is None else levels) == colour).all(-1, keepdims=True)
    return np.where(clear, 255, pixels).astype(np.uint8)


def _made_smaller(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((1024, 1024), Image.Resampling.LANCZOS, reducing_gap=None)
    return np.asarray(image)


def handwriting() -> bytes:
    """A seven in dark ink on light paper, in a corner."""
    paper = np.full((120, 90, 3), 225, np.uint8)
    paper[20:26, 30:60] = 30
    for k in range(40):
        paper[26 + k, 54 - k // 2 : 60 - k // 2] = 30
    return saved(Image.fromarray(paper), "PNG")


