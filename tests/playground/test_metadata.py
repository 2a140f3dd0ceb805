"""A stored photo has nothing of what a camera or program wrote beside its pixels, wherever that stood."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from playground.datasets import metadata, photos, picture

MARK = b"48.2082N-16.3738E-owner"
SCENE = np.stack([np.add.outer(np.arange(24) * 3, np.arange(36) * 4)] * 3, -1).astype(np.uint8)


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(SCENE).save(file, kind, **options)
    return file.getvalue()


def exif(turn: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[0x0112], made[0x010E] = turn, MARK.decode()
    made.get_ifd(0x8825)[1] = MARK.decode()
    return made


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def in_png(name: bytes, body: bytes, late: bool) -> bytes:
    plain = saved("PNG")
    place = plain.index(b"IEND") - 4 if late else 33
    return plain[:place] + chunk(name, body) + plain[place:]


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def in_jpeg(marker: int, body: bytes, early: bool = True, **options: object) -> bytes:
    plain = saved("JPEG", quality=95, **options)
    place = 2 if early else plain.index(b"\xff\xda")
    return plain[:place] + segment(marker, body) + plain[place:]


def in_webp(name: bytes, **options: object) -> bytes:
    plain = saved("WEBP", lossless=True, **options)
    body = MARK + b"\0" * (len(MARK) % 2)
    made = plain[12:] + name + struct.pack("<I", len(MARK)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(made)) + b"WEBP" + made


def tiff() -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (270, 305, 315, 33432):
        tags[tag] = MARK.decode()
    tags[700] = MARK
    return saved("TIFF", tiffinfo=tags)


def png_text() -> bytes:
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", MARK.decode())
    told.add_itxt("XML:com.adobe.xmp", MARK.decode())
    return saved("PNG", pnginfo=told)


PROFILE = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n" + MARK)
PLACES: dict[str, Callable[[], bytes]] = {
    "JPEG EXIF": lambda: saved("JPEG", quality=95, exif=exif()),
    "JPEG EXIF, turned": lambda: saved("JPEG", quality=95, exif=exif(3)),
    "JPEG XMP": lambda: in_jpeg(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + MARK),
    "JPEG IPTC": lambda: in_jpeg(0xED, b"Photoshop 3.0\0" + MARK),
    "JPEG comment": lambda: in_jpeg(0xFE, MARK),
    "JPEG comment before the scan": lambda: in_jpeg(0xFE, MARK, early=False),
    "JPEG progressive, between its scans": lambda: in_jpeg(0xFE, MARK, early=False, progressive=True),
    "JPEG profile": lambda: in_jpeg(0xE2, b"ICC_PROFILE\0\1\1" + MARK),
    "JPEG thumbnail in JFIF": lambda: saved("JPEG", quality=95).replace(
        segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\10" + MARK + b"0")),
    "JPEG JFXX": lambda: in_jpeg(0xE0, b"JFXX\0\x10" + MARK),
    "JPEG behind the picture": lambda: saved("JPEG", quality=95) + MARK + saved("JPEG"),
    "PNG eXIf": lambda: in_png(b"eXIf", exif().tobytes(), late=False),
    "PNG eXIf after the pixels": lambda: in_png(b"eXIf", exif(3).tobytes(), late=True),
    "PNG XMP after the pixels": lambda: in_png(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + MARK, late=True),
    "PNG text": png_text,
    "PNG zTXt profile": lambda: in_png(b"zTXt", PROFILE, late=False),
    "PNG zTXt profile after the pixels": lambda: in_png(b"zTXt", PROFILE, late=True),
    "PNG time": lambda: in_png(b"tIME", b"\x07\xe8\1\1\n\0\0", late=False),
    "PNG a chunk of its own": lambda: in_png(b"maRk", MARK, late=True),
    "PNG behind the picture": lambda: saved("PNG") + MARK,
    "WebP EXIF": lambda: saved("WEBP", lossless=True, exif=exif()),
    "WebP EXIF, turned": lambda: saved("WEBP", lossless=True, exif=exif(6)),
    "WebP XMP": lambda: saved("WEBP", lossless=True, xmp=MARK),
    "WebP a chunk of its own": lambda: in_webp(b"MARK"),
    "WebP behind the picture": lambda: saved("WEBP", lossless=True) + MARK,
    "TIFF": tiff,
    "GIF comment": lambda: saved("GIF", comment=MARK),
    "AVIF": lambda: saved("AVIF", quality=95, exif=exif(), xmp=MARK),
    "PPM comment": lambda: saved("PPM").replace(b"P6\n", b"P6\n#" + MARK + b"\n"),
    "BMP behind the picture": lambda: saved("BMP") + MARK,
}


@pytest.mark.parametrize("place", PLACES)
def test_what_a_camera_adds_goes_wherever_it_stands(place: str) -> None:
    given = PLACES[place]()
    if "time" not in place and "zTXt" not in place:
        assert MARK in given, "or nothing is tested"
    shown = picture.read(given)
    kept, suffix, pixels = photos.to_keep(given, "a photo", 1600)
    lossy = suffix == ".jpg" and place.startswith(("WebP", "AVIF", "JPEG EXIF, turned"))
    for bytes_of_it in (MARK, b"Raw profile", b"tIME", b"eXIf", b"zTXt", b"iTXt", b"maRk", b"Exif"):
        assert bytes_of_it not in kept
    read = picture.read(kept)
    assert read.shape == shown.shape == pixels.shape
    assert np.abs(read.astype(int) - shown).max() <= (12 if lossy else 0)
    assert photos.to_keep(kept, "a photo", 1600)[0] == kept, "what is stored stays as it is"
    if "turned" not in place and place.startswith(("JPEG", "PNG", "WebP")) and "eXIf after" not in place:
        assert metadata.without(given, place.split()[0].upper()) == kept, "and nothing was packed twice"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_cut_file_is_no_file_without_metadata(kind: str) -> None:
    data = saved(kind)
    for length in range(len(data)):
        bare = metadata.without(data[:length], kind)
        assert bare is None or len(bare) <= len(data)
