"""Pictures without what cameras and programs write beside the pixels: place, time, owner, comments, thumbnails.

Only what is needed to unpack the pixels is copied, so that it does not matter what else there is or where it stands.
"""

import re
import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JFIF, _ADOBE = b"JFIF\0", b"Adobe"
_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # a marker that is neither a stuffed 0 nor a restart
_STANDALONE = (0x01, *range(0xD0, 0xD8))


def without(data: bytes, kind: str) -> bytes | None:
    """The same JPEG, PNG or WebP file with its pixels alone; None where that cannot be done without packing it anew.

    An animation keeps its first picture only. `kind` is Pillow's name of the format.
    """
    try:
        return {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}[kind](data)
    except (KeyError, ValueError, IndexError, struct.error):
        return None


def _jpeg(data: bytes) -> bytes:
    """Tables, frame and scans; of the application segments JFIF and Adobe, which say what the colours mean."""
    kept, place = [b"\xff\xd8"], 2
    while True:
        while data[place] == 0xFF and data[place + 1] == 0xFF:  # fill bytes
            place += 1
        if data[place] != 0xFF:
            raise ValueError("no marker")
        marker = data[place + 1]
        if marker == 0xD9:
            return b"".join([*kept, b"\xff\xd9"])  # and nothing of what follows the picture
        if marker in _STANDALONE:
            place += 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        body, place = data[place + 4 : place + 2 + length], place + 2 + length
        if length < 2 or place > len(data):
            raise ValueError("cut")
        if marker == 0xE0 and body.startswith(_JFIF):
            kept.append(_segment(marker, body[:12].ljust(12, b"\0") + b"\0\0"))  # without its thumbnail
        elif marker == 0xEE and body.startswith(_ADOBE):
            kept.append(_segment(marker, body[:12]))
        elif marker < 0xE0 or marker in (0xF7, 0xF8):
            kept.append(_segment(marker, body))
        if marker == 0xDA:
            found = _SCAN_END.search(data, place)
            if found is None:
                raise ValueError("cut")
            kept.append(data[place : found.start()])
            place = found.start()


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _png(data: bytes) -> bytes:
    kept, place = [_PNG], len(_PNG)
    while True:
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            raise ValueError("cut")
        if name in _PNG_KEPT:
            kept.append(data[place:end])
        place = end
        if name == b"IEND":
            return b"".join(kept)


def _webp(data: bytes) -> bytes:
    """The one picture of a simple file; one with transparency or several has to be packed anew."""
    (size,) = struct.unpack_from("<I", data, 4)
    place, end = 12, min(len(data), 8 + size)
    while place + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, place)
        if name in (b"ALPH", b"ANMF"):
            raise ValueError("not simple")
        if name in (b"VP8 ", b"VP8L"):
            chunk: bytes = data[place : place + 8 + length] + b"\0" * (length % 2)
            return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
        place += 8 + length + length % 2
    raise ValueError("no picture")
