"""What is sent to the player, replayed as the player replays it, is the engine's convolution."""

import json

import numpy as np
import pytest

from engine import functional as F
from playground.figures import style
from playground.ui.lessons.convolution import story
from playground.ui.lessons.convolution_setting import Setting
from playground.ui.parts.image_input import Picture, cut
from playground.ui.parts.kernel_editor import PRESETS, parse, text_of
from playground.ui.parts.stepper import Equation, Grid, Story, payload

PIXELS = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
PICTURE = Picture("noise", PIXELS)


def setting(
    kernel: str = "-1 0 1; -2 0 2; -1 0 1", size: int = 8, stride: int = 1, padding: int = 1, dilation: int = 1,
    bias: float = 0.0,
) -> Setting:
    return Setting(PICTURE, cut(PICTURE.gray, size, 2, 30, 60), parse(kernel), stride, padding, dilation, bias)


CASES = [
    *(setting(text_of(rows)) for sizes in PRESETS.values() for rows in sizes.values()),
    setting(stride=2, padding=0),
    setting(stride=3, padding=4, dilation=2, bias=-7.5),
    setting("1", size=5, padding=0),
    setting(text_of(PRESETS["Gaussian blur"][5]), size=16, padding=4),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kernel.name}-{c.kernel.size}-{c.options}")
def test_a_replayed_story_ends_at_the_engines_output(case: Setting) -> None:
    told = json.loads(json.dumps(payload(story(case))))  # as it travels
    grids = {grid["name"]: grid for grid in told["grids"]}
    cells = {name: {} for name in told["writes"]}
    for step in range(len(told["groups"])):
        for name, values in told["writes"].items():
            cells[name][told["marks"][name][step]] = values[step]
    shape = (grids["y"]["rows"], grids["y"]["columns"])
    y = np.array([cells["y"][index] for index in range(shape[0] * shape[1])]).reshape(shape)
    expected = F.conv2d(
        case.patch.values[None, None].astype(float), case.kernel.weights[None, None], np.array([case.bias]),
        **case.options,
    ).numpy()[0, 0]
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kernel.name}-{c.kernel.size}-{c.options}")
def test_the_cells_a_step_marks_hold_the_numbers_it_multiplies(case: Setting) -> None:
    told = story(case)
    values = {grid.name: grid.values for grid in told.grids}
    running = case.bias
    for step, group in enumerate(told.groups):
        if step and told.groups[step - 1] != group:
            running = case.bias
        weight, pixel = (values[name][told.marks[name][step]] for name in told.equation.operands)  # type: ignore[index]
        assert told.writes["products"][step] == weight * pixel
        running += weight * pixel
        assert told.writes["y"][step] == running


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kernel.name}-{c.kernel.size}-{c.options}")
def test_no_number_lies_beyond_its_colour_scale(case: Setting) -> None:
    told = story(case)
    for grid in told.grids:
        drawn = np.array(grid.values if grid.values is not None else told.writes[grid.name])
        if grid.name == "y" and case.pictures and not case.averages:  # sharpened: cut off, and the page says so
            assert (grid.scale, grid.limit) == ("gray", 255)
            continue
        low = -grid.limit if grid.scale == "signed" else 0
        assert low - 1e-9 <= drawn.min()
        assert drawn.max() <= grid.limit + 1e-9


def test_an_average_is_drawn_as_the_picture_it_is_and_an_edge_is_not() -> None:
    scale = {name: next(g.scale for g in story(setting(text_of(PRESETS[name][3]))).grids if g.name == "y")
             for name in ("Box blur", "Identity", "Sharpen", "Sobel x")}
    assert scale == {"Box blur": "gray", "Identity": "gray", "Sharpen": "gray", "Sobel x": "signed"}


def test_the_page_opens_at_a_window_without_padding_and_with_the_strongest_answer() -> None:
    case = setting()
    told = story(case)
    first = told.start // 9 * 9
    y = case.respond(case.patch.values)
    assert abs(told.writes["y"][first + 8]) == np.abs(y[1:-1, 1:-1]).max()


def grid(**changes: object) -> Grid:
    return Grid(**{"name": "a", "symbol": "a", "title": "a", "rows": 1, "columns": 2, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"marks": {"b": [0]}}, "a grid 'b' that is not in the story"),
        ({"marks": {"a": [0, 1]}}, "2 entries for 1 steps"),
        ({"marks": {"a": [2]}}, "leave its 2 cells"),
        ({"grids": [grid(values=[1.0])]}, "2 cells and 1 values"),
    ],
)
def test_a_story_that_contradicts_itself_is_refused(changes: dict, sentence: str) -> None:
    whole = {
        "label": "", "grids": [grid()], "marks": {"a": [0]}, "writes": {}, "groups": [0],
        "equation": Equation(result="a", operands=()),
    }
    Story(**whole)
    with pytest.raises(ValueError, match=sentence):
        Story(**{**whole, **changes})


def test_colours_are_centred_on_zero() -> None:
    assert style.colour_at(style.SIGNED, 0.5) == style.SIGNED[2][1]
    assert style.signed_limit([[-3.0, 1.0]]) == 3.0
    assert [at for at, _ in style.SIGNED] == [0.0, 0.25, 0.5, 0.75, 1.0]
