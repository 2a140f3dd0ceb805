"""One pipeline from pixels to a network's input: its crop, its gray, its resize, its numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from playground.datasets.preprocessing import Preprocessing

PLAIN = Preprocessing((4, 4), False, (0.0,) * 3, (1.0,) * 3)
GRAY = Preprocessing((8, 8), True, (0.5,), (0.25,))


def triangle_weights(source: int, target: int) -> np.ndarray:
    """The antialiased triangle filter written down again: (target, source), rows that sum to 1."""
    scale = source / target
    support = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source)[None, :] + 0.5 - centres[:, None]) / support
    weights = np.maximum(0, 1 - distance)
    return weights / weights.sum(1, keepdims=True)


def random_image(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, shape, dtype=np.uint8)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_is_crop_then_triangle_resize_then_scaling_for_every_size(h: int, w: int, rows: int, columns: int, gray: bool):
    channels = 1 if gray else 3
    preprocessing = Preprocessing((rows, columns), gray, (0.4,) * channels, (0.2,) * channels)
    image = random_image(np.random.default_rng(h * 61 + w), h, w, 3)
    top, left, ch, cw = preprocessing.crop(h, w)
    pixels = image[top:top + ch, left:left + cw].astype(np.float64)
    planes = [pixels @ [0.299, 0.587, 0.114]] if gray else list(pixels.transpose(2, 0, 1))
    resized = np.stack([triangle_weights(ch, rows) @ plane @ triangle_weights(cw, columns).T for plane in planes])
    result = preprocessing.apply(image)
    assert result.dtype == np.float32
    assert result.shape == (channels, rows, columns)
    np.testing.assert_allclose(result, (resized / 255 - 0.4) / 0.2, atol=1e-5)


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 300), st.integers(1, 300))
def test_crops_the_largest_rectangle_of_the_proportions_from_the_middle(h: int, w: int, rows: int, columns: int):
    top, left, ch, cw = Preprocessing((rows, columns), True, (0.0,), (1.0,)).crop(h, w)
    assert 1 <= ch <= h
    assert 1 <= cw <= w
    assert ch == h or cw == w
    assert (top, left) == ((h - ch) // 2, (w - cw) // 2)
    if rows == columns:
        assert ch == cw == min(h, w)


def test_lets_no_pixel_outside_the_crop_bleed_in() -> None:
    image = np.zeros((40, 120, 3), np.uint8)
    image[:, :40] = image[:, 80:] = 255
    assert PLAIN.apply(image).max() == 0


def test_averages_what_it_shrinks_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(PLAIN.apply(stripes) - 0.5).max() < 0.02


def test_does_not_round_between_resizing_and_scaling() -> None:
    ramp = np.repeat(np.arange(16, dtype=np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    levels = Preprocessing((5, 5), False, (0.0,) * 3, (1.0,) * 3).apply(ramp)[0, 0] * 255
    assert np.abs(levels - np.rint(levels)).max() > 0.05


def test_gray_is_pillows_gray() -> None:
    image = random_image(np.random.default_rng(0), 8, 8, 3)
    pillow = np.asarray(Image.fromarray(image).convert("L"), np.float32)
    ours = (GRAY.apply(image)[0] * 0.25 + 0.5) * 255
    assert np.abs(ours - pillow).max() <= 1  # Pillow rounds


def test_a_gray_picture_is_the_colour_picture_of_three_equal_channels() -> None:
    image = random_image(np.random.default_rng(0), 13, 11)
    colour = image[:, :, None].repeat(3, 2)
    for preprocessing in (GRAY, PLAIN):
        np.testing.assert_allclose(preprocessing.apply(image), preprocessing.apply(colour), atol=1e-5)


def test_many_pictures_at_once_are_each_picture_alone() -> None:
    rng = np.random.default_rng(0)
    for preprocessing, images in ((GRAY, random_image(rng, 5, 8, 8)), (GRAY, random_image(rng, 5, 9, 8)),
                                  (PLAIN, random_image(rng, 5, 8, 8, 3))):
        alone = np.stack([preprocessing.apply(image) for image in images])
        np.testing.assert_allclose(preprocessing.apply_all(images), alone, atol=1e-6)
    assert PLAIN.apply_all([]).shape == (0, 3, 4, 4)


def test_survives_the_round_trip_through_its_dictionary() -> None:
    assert Preprocessing.from_dict(GRAY.to_dict()) == GRAY


def test_says_in_a_sentence_what_it_does() -> None:
    assert "gray" in GRAY.sentence()
    assert "gray" not in PLAIN.sentence()
    assert "8 x 8" in GRAY.sentence()
    assert "0.25" in GRAY.sentence()


@pytest.mark.parametrize("image", [
    np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((1, 4, 4, 3), np.uint8),
    np.zeros((0, 4, 3), np.uint8),
], ids=["floats", "alpha", "a batch", "empty"])
def test_refuses_what_is_no_picture(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture"):
        PLAIN.apply(image)


@pytest.mark.parametrize("arguments", [((4, 4), True, (0.5,) * 3, (0.5,) * 3), ((4, 4), False, (0.5,), (0.5,)),
                                       ((0, 4), True, (0.5,), (0.5,)), ((4, 4), True, (0.5,), (0.0,))])
def test_refuses_numbers_that_make_no_pipeline(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"need|not possible"):
        Preprocessing(*arguments)
