"""The Images page: it opens on any picture, its numbers are the picture's, and its code agrees."""

import numpy as np
import pytest

from playground.datasets import samples
from playground.errors import PlaygroundError
from playground.steps.images import colours, mean_squared_error, quantised
from playground.ui import images
from tests.pages.on_a_page import OpenPage, printed, texts


@pytest.mark.parametrize("query", [
    {}, {"picture": "Handwritten digit", "digit": "7", "bits": "1"}, {"size": "16", "cell": "32", "bits": "8"},
    {"size": "5", "cell": "1", "row": "4", "column": "4"},
], ids=["default", "a digit", "largest patch", "smallest patch"])
def test_it_opens_on_any_picture(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("images", **query)
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 5


def test_the_inspected_number_is_the_patchs_mean(open_page: OpenPage) -> None:
    app = open_page("images", size="8", cell="4", across="0", down="0", row="1", column="2")
    cat = samples.photo("cat") @ np.array([0.299, 0.587, 0.114])
    value = round(float(cat[4:8, 8:12].mean()))
    assert f"x[1,2] = **{value}**" in texts(app)
    red, green, blue = np.rint(samples.photo("cat")[4:8, 8:12].mean(axis=(0, 1))).astype(int)
    assert f"red **{red}**, green **{green}**, blue **{blue}**" in texts(app)


def test_the_question_is_answered_by_the_pictures_shape(open_page: OpenPage) -> None:
    app = open_page("images")
    height, width, _ = samples.photo("cat").shape
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value(height * width * 3).run()
    assert app.success[0].value.startswith("Yes")


def test_fewer_bits_are_fewer_levels_and_a_larger_error() -> None:
    photo = samples.photo("cat")
    errors = [mean_squared_error(photo, quantised(photo, bits)) for bits in range(1, 9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0
    for bits in (1, 3, 8):
        ramp = quantised(np.arange(256, dtype=np.uint8)[None], bits)
        assert colours(ramp) == 2**bits
        assert np.abs(ramp.astype(int) - np.arange(256)).max() <= 256 / 2**bits / 2
    with pytest.raises(PlaygroundError, match="1 to 8"):
        quantised(photo, 9)


def test_the_code_on_the_page_runs_in_the_engine_and_in_torch_and_agrees() -> None:
    assert printed(images.CODE["Our engine"]) == printed(images.CODE["PyTorch"])
    compile(images.CODE["Keras"], "keras", "exec")
