"""Whatever a person's camera, phone or scanner wrote becomes upright RGB pixels or a sentence."""

import doctest
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from playground.datasets import collection, picture
from playground.datasets.photos import open_photo, why_unreadable
from playground.errors import PlaygroundError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(header: bytes, rows: bytes) -> bytes:
    """A PNG put together by hand: what Pillow would not write."""
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks)


def arrow() -> Image.Image:
    """Wider than high, every corner of another brightness, so that each of the eight orientations is told apart."""
    return Image.fromarray(np.array([[10, 80, 200], [40, 120, 250]], np.uint8).repeat(8, 0).repeat(8, 1)).convert("RGB")


def refusal(data: bytes | Path) -> str:
    with pytest.raises(PlaygroundError) as caught:
        open_photo(data)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP"])
def test_a_lossless_format_gives_the_very_pixels(kind: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 7), np.uint8))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = open_photo(saved(image.convert("RGB") if kind != "GIF" else image, kind, **options))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (9, 7, 3)
    assert np.array_equal(pixels, np.asarray(image)[..., None].repeat(3, 2))


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_a_lossy_format_gives_nearly_the_pixels(kind: str) -> None:
    pixels = open_photo(saved(arrow(), kind, quality=95))
    assert np.abs(pixels.astype(int) - np.asarray(arrow())).max() < 25


def test_pixels_belong_to_the_caller() -> None:
    data = saved(arrow())
    open_photo(data)[:] = 0  # may be written to
    assert open_photo(data).any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_picture_stands_as_the_camera_was_held(orientation: int, kind: str) -> None:
    # What each value means, from the EXIF standard: where the stored first row and first column are to be seen.
    upright = np.asarray(arrow())
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
              6: np.rot90(upright), 7: np.rot90(upright, 2).swapaxes(0, 1), 8: np.rot90(upright, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    pixels = open_photo(saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).max() < 25


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_says_nothing() -> None:
    pixels = open_photo(saved(arrow(), "JPEG", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff"))
    assert pixels.shape == (16, 24, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    half.putpixel((0, 0), (0, 0, 0, 128))
    pixels = open_photo(saved(half.convert(mode), "TIFF" if mode == "PA" else "PNG"))
    assert pixels[0, 1].tolist() == [255] * 3
    assert np.allclose(pixels[0, 0], 127, atol=1)


@pytest.mark.parametrize("mode", ["P", "RGB", "L", "1"])
def test_a_colour_declared_transparent_is_white(mode: str) -> None:
    image = Image.new("RGB", (2, 1), "black").convert(mode)
    image.putpixel((1, 0), image.getpixel((0, 0)) if mode != "1" else 255)
    transparent = {"P": 0, "RGB": (0, 0, 0), "L": 0, "1": 0}[mode]
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.putdata([0, 1])
    pixels = open_photo(saved(image, transparency=transparent))
    assert pixels[0, 0].tolist() == [255] * 3


def test_palettes_and_bits_become_rgb() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putdata([0, 1])
    assert open_photo(saved(image)).tolist() == [[list(RED), list(BLUE)]]
    assert open_photo(saved(Image.new("1", (1, 1), 1))).tolist() == [[[255] * 3]]


def test_cmyk_becomes_rgb() -> None:
    pixels = open_photo(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - np.array(RED)).max() < 12


def test_sixteen_bits_are_scaled_not_cut_off() -> None:
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        assert open_photo(saved(Image.fromarray(deep), kind))[0, :, 0].tolist() == [0, 100, 255]


def test_sixteen_bits_a_colour_become_eight() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 0, 65535)
    data = png(struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0), row)
    assert open_photo(data).tolist() == [[list(RED), list(BLUE)]]


def test_float_pictures_are_scaled_by_their_range() -> None:
    unit = np.array([[0.0, 0.25, 1.0, -3.0, np.nan]], np.float32)
    assert open_photo(saved(Image.fromarray(unit), "TIFF"))[0, :, 0].tolist() == [0, 64, 255, 0, 0]
    assert open_photo(saved(Image.fromarray(unit * 400), "TIFF"))[0, :3, 0].tolist() == [0, 64, 255]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_gives_its_first_picture(kind: str) -> None:
    first, second = Image.new("RGB", (4, 4), RED), Image.new("RGB", (4, 4), BLUE)
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = open_photo(saved(first, kind, save_all=True, append_images=[second], **options))
    assert pixels[0, 0].tolist() == list(RED)


def test_a_path_and_a_file_are_as_good_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(arrow()))
    with open(path, "rb") as file:
        assert np.array_equal(open_photo(path), open_photo(file))


def test_what_is_no_picture_is_told_by_name(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("hello")
    assert refusal(notes).startswith("notes.txt is not a picture")
    assert refusal(b"hello").startswith("The picture is not a picture")
    assert refusal(b"") == "The picture is an empty file."
    assert "cannot be read" in refusal(tmp_path / "absent.jpg")
    assert "HEIC" in refusal(b"\0\0\0\x18ftypheic" + bytes(64))


def test_postscript_never_reaches_a_decoder() -> None:
    assert "is not a picture" in refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_truncated_file_is_damaged_for_both_who_look(kind: str, kept: float, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = saved(noise, kind)
    path = tmp_path / "cut"
    path.write_bytes(data[:int(len(data) * kept)])
    assert refusal(path).startswith("cut is ")
    assert why_unreadable(path) is not None


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    for side, where in ((9_000, "over the limit"), (50_000, "over Pillow's own")):
        path = tmp_path / f"{side}.png"
        path.write_bytes(png(struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0), bytes(100)))
        assert "million pixels" in refusal(path), where
        assert "million pixels" in str(why_unreadable(path)), where


def test_a_file_too_large_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MOST_BYTES", 2**20)

    class Endless(io.RawIOBase):
        asked = 0

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= 2**20 + 1
            return bytes(size)

    assert "larger than 1 MB" in refusal(Endless())  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 3)])
def test_the_smallest_jpeg_can_be_read(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "small.jpg"
    path.write_bytes(saved(Image.new("RGB", size), "JPEG"))
    assert why_unreadable(path) is None
    assert open_photo(path).shape == (size[1], size[0], 3)


WHOLE = {kind: saved(arrow(), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM")}


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    kept=st.floats(0.2, 1),
)
@pytest.mark.filterwarnings("ignore")  # Pillow grumbles before it gives up
def test_damaged_bytes_give_pixels_or_a_sentence_never_a_crash(
    kind: str, edits: list[tuple[float, int]], kept: float,
) -> None:
    data = bytearray(WHOLE[kind])
    for where, value in edits:
        data[int(where * len(data))] = value
    try:
        pixels = open_photo(bytes(data[:int(len(data) * kept)]))
    except PlaygroundError as error:
        sentence, pixels = str(error), np.zeros((1, 1, 3), np.uint8)
    else:
        sentence = "."
    assert sentence.endswith(".")
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)


def test_the_examples_run() -> None:
    result = doctest.testmod(picture)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_animation_among_good_photos_loses_only_itself(kind: str, playground_home: Path) -> None:
    frames = [Image.fromarray(np.random.default_rng(k).integers(0, 255, (32, 32), np.uint8)) for k in range(3)]
    whole = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    good = saved(arrow(), "PNG")
    rng = np.random.default_rng(0)
    for _ in range(25):
        damaged = bytearray(whole[:int(len(whole) * rng.uniform(0.1, 1))])
        for place in rng.integers(0, len(damaged), 12):
            damaged[place] = rng.integers(256)
        made = collection.create("x", ["a"])
        made, refused = collection.add(made.set_id, "a", [("bad", bytes(damaged)), ("good.png", good)])
        assert "good.png" in [photo.name for photo in made.photos.values()]
        assert len(made.photos) + len(refused) == 2
        assert all(each.why.endswith(".") for each in refused)
