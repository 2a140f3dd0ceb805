"""Cutting a patch out of any picture: always inside it, always whole numbers, smaller when it must be."""

import doctest

import numpy as np
import pytest

from playground.figures import matrix, style
from playground.steps import conv
from playground.ui import links
from playground.ui.parts import image_input, kernel_editor
from playground.ui.parts.image_input import Picture, cut

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (5, 5), (17, 31), (300, 451)], ids=str)
@pytest.mark.parametrize("size", [5, 8, 16])
@pytest.mark.parametrize("cell", [1, 8, 32])
@pytest.mark.parametrize("corner", [(0, 0), (100, 100), (36, 34)])
def test_a_patch_lies_inside_and_holds_the_means_of_its_cells(
    shape: tuple[int, int], size: int, cell: int, corner: tuple[int, int]
) -> None:
    gray = RNG.uniform(0, 255, shape)
    patch = cut(gray, size, cell, *corner)
    n = len(patch.values)
    assert patch.values.shape == (n, n)
    assert 1 <= n <= size
    assert 1 <= patch.cell <= cell
    assert n == size or n == min(shape), "fewer cells only when there are not enough pixels"
    assert patch.top + n * patch.cell <= shape[0]
    assert patch.left + n * patch.cell <= shape[1]
    for row, column in ((0, 0), (n - 1, n - 1)):
        top, left = patch.top + row * patch.cell, patch.left + column * patch.cell
        mean = gray[top : top + patch.cell, left : left + patch.cell].mean()
        assert patch.values[row, column] == round(mean)


def test_gray_is_the_brightness_of_itu_601() -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(Picture("colours", pixels).gray, [[76.245, 149.685, 29.07, 255.0]])


@pytest.mark.parametrize("module", [conv, matrix, style, image_input, kernel_editor, links], ids=lambda m: m.__name__)
def test_the_examples_in_the_docstrings_are_true(module: object) -> None:
    result = doctest.testmod(module, extraglobs={"np": np})  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0
