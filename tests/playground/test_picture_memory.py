"""What reading the largest pictures takes: about four bytes a pixel, asked of a process of its own."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.datasets import picture
from tests.pages.picture_kinds import chunk
from tests.waiting import HOPE_SECONDS

SIDE = 7_900
CODE = """
import resource, sys
from pathlib import Path
from playground.datasets import picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pixels = picture.read(Path(sys.argv[1]))
print(max(pixels.shape), 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def large_png(path: Path, depth: int, colour: int, bytes_a_pixel: int) -> None:
    """A picture of zeros, written a row at a time, so that this process stays small: a child begins as large as it."""
    deflate = zlib.compressobj(1)
    row, body = bytes(1 + SIDE * bytes_a_pixel), b""
    for _ in range(SIDE):
        body += deflate.compress(row)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body + deflate.flush())
                     + chunk(b"IEND", b""))


@pytest.mark.parametrize(("depth", "colour", "bytes_a_pixel"), [(16, 0, 2), (8, 6, 4)],
                         ids=["16 bits of gray", "transparent"])
def test_the_largest_pictures_take_about_four_bytes_a_pixel(
    depth: int, colour: int, bytes_a_pixel: int, tmp_path: Path
) -> None:
    large_png(tmp_path / "large.png", depth, colour, bytes_a_pixel)
    # A shell between: the largest size of a process that forks is its child's, too.
    command = ["/bin/sh", "-c", '"$0" -c "$1" "$2"; exit', sys.executable, CODE, str(tmp_path / "large.png")]
    done = subprocess.run(command,
                          capture_output=True, text=True, timeout=HOPE_SECONDS, check=True)
    side, taken = map(int, done.stdout.split())
    assert side == picture.LONGEST_SIDE
    constant = 60e6  # of the decoder, of NumPy, of the tiles
    assert taken <= 4.2 * SIDE * SIDE + constant


def test_the_limit_is_said_with_its_number(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4_001, 4_001), np.uint8)).save(tmp_path / "a.webp", lossless=True, method=0)
    with pytest.raises(picture.PictureError, match=r"a\.webp has more than 16 million pixels"):
        picture.read(tmp_path / "a.webp")
    Image.fromarray(np.zeros((1, 65_536), np.uint8)).save(tmp_path / "long.png")
    with pytest.raises(picture.PictureError, match=r"long\.png has a side of more than"):
        picture.read(tmp_path / "long.png")
