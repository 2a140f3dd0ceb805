"""The Images page: it opens on any picture, its numbers are the picture's, and its code prints its numbers."""

import numpy as np
import onnxruntime as ort
import pytest

from playground.datasets import samples
from playground.errors import PlaygroundError
from playground.numbers import count, number
from playground.steps.images import colours, mean_squared_error, peak_signal_to_noise, quantised
from playground.ui.lessons import images
from tests.pages.on_a_page import OpenPage, codes, printed, put_model, sent, texts


@pytest.mark.parametrize("query", [
    {}, {"picture": "Handwritten digit", "digit": "7", "bits": "1"}, {"size": "16", "cell": "32", "bits": "8"},
    {"size": "5", "cell": "1", "row": "4", "column": "4"},
], ids=["default", "a digit", "largest patch", "smallest patch"])
def test_it_opens_on_any_picture(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("images", **query)
    assert not app.exception
    assert not app.error
    (charts,) = sent(app, "chart")
    assert len(charts["charts"]) == 2
    gray, *planes = sent(app, "number_table")
    assert len(planes) == 3
    side = int(query.get("size", 8))
    assert len(gray["values"]) == len(planes[0]["values"]) == len(planes[0]["colours"]) == side * side
    row, column = (int(query.get(name, usual)) for name, usual in (("row", 2), ("column", 3)))
    assert gray["inspected"] == row * side + column
    assert len(app.code) == 2  # the order in memory, and the chosen library


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
    assert app.success[0].value == (f"Yes. 300 · 451 · 3 = {count(height * width * 3)}: every pixel is three numbers, "
                                    "each one byte, so 396 KiB in memory.")


def test_a_small_picture_is_counted_in_bytes(open_page: OpenPage) -> None:
    app = open_page("images", picture="Handwritten digit")
    next(radio for radio in app.radio if radio.key.startswith("guess")).set_value(8 * 8 * 3).run()
    assert "so 192 bytes in memory" in app.success[0].value


def test_both_layouts_are_shown_with_the_pictures_shape_and_bytes(open_page: OpenPage) -> None:
    app = open_page("images")
    table = next(str(text.value) for text in app.markdown if str(text.value).startswith("| array"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [shape for _, shape, _, _ in rows] == ["(8, 8)", "(300, 451)", "(300, 451, 3)", *2 * ["(3, 300, 451)"],
                                                  "(28, 28)", "(700, 1050, 3)"]
    size = samples.photo("cat").nbytes
    assert [told for *_, told in rows] == list(map(count, (64, size // 3, size, size, 4 * size, 784, 2205000)))


def test_colours_and_errors_are_those_of_the_whole_picture(open_page: OpenPage) -> None:
    app = open_page("images", picture="Rocket", bits="3")  # 640 pixels wide: what is drawn is a smaller copy
    rocket = samples.photo("rocket")
    captions = [image.caption for drawn in app.get("image") for image in drawn.proto.imgs]
    assert f"8 bits: {count(len(np.unique(rocket.reshape(-1, 3), axis=0)))} colours in it" in captions
    error = mean_squared_error(rocket, quantised(rocket, 3))
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["mean squared error"] == number(error)
    assert shown["signal to noise"] == f"{peak_signal_to_noise(error):.1f} dB"


def test_the_formulas_hold_the_inspected_numbers_and_what_the_code_computes(open_page: OpenPage) -> None:
    app = open_page("images", size="8", cell="1", across="0", down="0", row="1", column="2", bits="8")
    red, green, blue = (int(v) for v in samples.photo("cat")[1, 2])
    formulas = "\n".join(latex.value for latex in app.latex)
    assert rf"0.299 \cdot {red} + 0.587 \cdot {green} + 0.114 \cdot {blue}" in formulas
    assert f"= {0.299 * red + 0.587 * green + 0.114 * blue:.1f}" in formulas
    assert rf"&= \left\lfloor {red + 0.5} \cdot \tfrac{{256}}{{256}} \right\rfloor = {red} " in formulas
    assert "no loss" in [metric.value for metric in app.metric]


def test_a_place_outside_a_smaller_patch_does_no_harm(open_page: OpenPage) -> None:
    app = open_page("images", size="5", row="15", column="-3", bits="x")
    assert not app.exception
    assert not app.error


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


@pytest.mark.parametrize("query", [
    {}, {"size": "16", "row": "15", "column": "0", "bits": "8"}, {"picture": "Handwritten digit", "bits": "1"},
], ids=["default", "largest patch", "a digit"])
def test_the_code_on_the_page_prints_the_numbers_on_the_page(
    open_page: OpenPage, query: dict[str, str]
) -> None:
    app = open_page("images", **query)
    ours, *_ = codes(app)
    answer = printed(ours)
    shapes, pixel, levels = answer.splitlines()
    side = int(query.get("size", 8))
    assert shapes == f"({side}, {side}, 3) (1, {side}, {side})"
    red = pixel.strip("[").split(",")[0]
    assert f"red **{red}**" in texts(app)
    assert int(levels.strip("[]").split(",")[0]) == int(red) * 2 ** int(query.get("bits", 3)) // 256


def test_nine_numbers_are_shown_as_the_picture_they_are(open_page: OpenPage) -> None:
    app = open_page("images")
    assert r"\begin{bmatrix} 255 & 0 & 255 \\ 0 & 255 & 0 \\ 255 & 0 & 255 \end{bmatrix}" in texts(app)
    assert set(np.unique(images.SMALLEST)) == {0, 255}
    assert "28 · 28 = 784 numbers, the photo 700 · 1050 · 3 = 2\u202f205\u202f000" in texts(app)


def test_files_of_this_app_take_pictures_as_the_page_says(open_page: OpenPage) -> None:
    entry = put_model("a-model")
    (image,) = ort.InferenceSession(str(entry.onnx)).get_inputs()
    assert image.shape[-1] == 3
    assert len(image.shape) == 4
    assert "with the channels last, as they lie in memory, (N, H, W, 3)" in texts(open_page("images"))
