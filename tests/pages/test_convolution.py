"""The Convolution page: it opens, asks, obeys every control, refuses what cannot be, and the code it shows runs."""

import contextlib
import io
import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground.datasets import samples
from playground.steps.images import neighbour_correlation
from playground.ui.lessons import locality
from playground.ui.lessons.convolution_passes import UPSTREAM, gradients, turned
from playground.ui.lessons.convolution_setting import Setting
from playground.ui.parts.image_input import Patch, Picture
from playground.ui.parts.kernel_editor import DEFAULT, PRESETS, parse, text_of
from tests.pages.on_a_page import OpenPage, codes, sent, texts


def played(app: AppTest) -> dict[str, Any]:
    """What the player on the page was given."""
    (found,) = sent(app, "stepper")
    return found


def output(app: AppTest) -> np.ndarray:
    """The finished output, as the page's player shows it at the last step."""
    told = played(app)
    y = next(grid for grid in told["grids"] if grid["name"] == "y")
    cells = dict(zip(told["marks"]["y"], told["writes"]["y"], strict=True))
    return np.array([cells[k] for k in range(len(cells))]).reshape(y["rows"], y["columns"])


@pytest.mark.parametrize("query", [
    {}, {"upstream": list(UPSTREAM)[1], "stride": "2", "bias": "3"}, {"upstream": list(UPSTREAM)[2], "dilation": "2"},
    {"kernel": "1", "picture": "Handwritten digit"},
    {"size": "16", "padding": "4", "kernel": text_of(PRESETS["Box blur"][5])},
], ids=["default", "strided", "one place", "smallest", "largest"])
def test_backward_ends_with_torchs_gradients(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("convolution", **{"pass": "Backward"}, **query)
    assert not app.exception
    assert not app.error
    told = played(app)
    grids = {grid["name"]: grid for grid in told["grids"]}

    def last(name: str) -> np.ndarray:
        written = zip(told["marks"][name], told["writes"][name], strict=True)
        cells = {cell: value for cell, value in written if cell >= 0}
        shape = grids[name]["rows"], grids[name]["columns"]
        return np.array([cells.get(k, 0.0) for k in range(shape[0] * shape[1])]).reshape(shape)

    x = torch.tensor(picture(app), requires_grad=True)
    w = torch.tensor(np.reshape(grids["w"]["values"], (grids["w"]["rows"],) * 2), requires_grad=True)
    dy = torch.tensor(np.reshape(grids["dy"]["values"], (grids["dy"]["rows"], grids["dy"]["columns"])))
    y = torch.nn.functional.conv2d(x[None, None], w[None, None], stride=app.slider(key="stride").value,
                                   padding=app.slider(key="padding").value, dilation=app.slider(key="dilation").value)
    y.backward(dy[None, None])
    np.testing.assert_allclose(last("dx"), x.grad, atol=1e-9)
    np.testing.assert_allclose(last("dw"), w.grad, atol=1e-9)
    assert last("db").item() == pytest.approx(dy.sum().item())


@pytest.mark.parametrize("query", [{}, {"kernel": "1"}, {"size": "16", "padding": "4"}])
def test_the_matrix_product_shows_every_window_and_agrees(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("convolution", **{"pass": "As a matrix product"}, **query)
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 4
    said = texts(app)
    apart = float(said.split("engine's convolution: ")[1].split(". Backward")[0])
    assert apart < 1e-9


def picture(app: AppTest) -> np.ndarray:
    """The patch, without its padding."""
    x = next(grid for grid in played(app)["grids"] if grid["name"] == "x")
    padded = np.array(x["values"], dtype=float).reshape(x["rows"], x["columns"])
    return padded[x["border"] : x["rows"] - x["border"], x["border"] : x["columns"] - x["border"]]


def test_it_opens_with_an_edge_detector_on_the_cats_eye(open_page: OpenPage) -> None:
    app = open_page("convolution")
    assert not app.exception
    assert app.text_input(key="kernel").value == DEFAULT
    assert app.selectbox(key="preset").value == "Sobel x"
    assert picture(app).shape == (8, 8)
    assert picture(app).std() > 20, "a patch with something in it"
    assert output(app).shape == (8, 8)
    assert "576" in texts(app)
    assert len(app.get("plotly_chart")) == 2


@pytest.mark.parametrize("query", [
    {},
    {"kernel": "1", "size": "5", "padding": "0", "picture": "Handwritten digit", "digit": "8"},
    {"kernel": "0 -1 0; -1 5 -1; 0 -1 0", "stride": "2", "padding": "2", "bias": "-12.5", "picture": "Astronaut"},
    {"kernel": text_of(PRESETS["Gaussian blur"][5]), "dilation": "2", "size": "16", "padding": "4", "cell": "2"},
], ids=["default", "smallest", "strided", "largest"])
def test_the_address_sets_every_control_and_the_output_is_torchs(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("convolution", **query)
    assert not app.exception
    assert not app.error
    kernel = [[eval_fraction(v) for v in row.split()] for row in query.get("kernel", DEFAULT).split(";")]
    theirs = torch.nn.functional.conv2d(
        torch.tensor(picture(app))[None, None], torch.tensor(kernel, dtype=torch.float64)[None, None],
        torch.tensor([float(query.get("bias", 0))], dtype=torch.float64), stride=int(query.get("stride", 1)),
        padding=int(query.get("padding", 1)), dilation=int(query.get("dilation", 1)),
    )
    np.testing.assert_allclose(output(app), theirs[0, 0].numpy(), atol=1e-9)


def eval_fraction(text: str) -> float:
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_writes_its_weights(open_page: OpenPage, preset: str) -> None:
    app = open_page("convolution")
    app.selectbox(key="preset").set_value(preset).run()
    assert not app.exception
    assert app.text_input(key="kernel").value == text_of(PRESETS[preset][3])
    assert app.selectbox(key="preset").value == preset


def test_the_size_keeps_a_preset_where_it_exists_and_pads_or_crops_otherwise(open_page: OpenPage) -> None:
    app = open_page("convolution")
    app.segmented_control(key="kernel_size").set_value(5).run()
    assert app.selectbox(key="preset").value == "Sobel x"
    assert app.text_input(key="kernel").value == text_of(PRESETS["Sobel x"][5])
    app.segmented_control(key="kernel_size").set_value(1).run()
    assert app.text_input(key="kernel").value == "1"
    assert not app.exception


def test_a_text_that_is_no_kernel_is_explained_and_the_last_kernel_stays(open_page: OpenPage) -> None:
    app = open_page("convolution")
    before = output(app)
    app.text_input(key="kernel").set_value("1 2; 3").run()
    assert not app.exception
    assert "rows of 2, 1" in app.error[0].value
    np.testing.assert_array_equal(output(app), before)


def test_a_kernel_that_does_not_fit_is_refused_in_one_sentence(open_page: OpenPage) -> None:
    app = open_page("convolution", size="5", dilation="4", padding="0")
    assert not app.exception
    assert [w.value for w in app.warning if "spans 9 × 9 pixels, but the picture is only 5 × 5" in w.value]
    assert not sent(app, "stepper")
    app.slider(key="padding").set_value(2).run()
    assert output(app).shape == (1, 1)


def test_the_prediction_is_computed_for_the_kernel_at_hand(open_page: OpenPage) -> None:
    app = open_page("convolution")
    assert set(app.radio[0].options) >= {"0", "120"}
    app.radio[0].set_value("0").run()
    assert app.success[0].value.startswith("Yes.")
    app.text_input(key="kernel").set_value("2").run()
    assert app.radio[0].value is None, "another kernel is another question"
    app.radio[0].set_value("120").run()
    assert app.info[0].value.startswith("Not 120.")
    assert "120 · 2 + 0 = **240**" in app.info[0].value


@pytest.mark.parametrize("query", [
    {}, {"kernel": text_of(PRESETS["Box blur"][3]), "stride": "2", "dilation": "2", "bias": "3.5", "padding": "0"},
], ids=["default", "everything changed"])
def test_the_code_shown_prints_the_numbers_shown(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("convolution", **query)
    ours, pytorch, keras = codes(app)
    for code in (ours, pytorch):
        names: dict[str, object] = {}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "<the page>", "exec"), names)
        y = names["y"]
        np.testing.assert_allclose(np.asarray(y.numpy())[0, 0], output(app), rtol=1e-5, atol=1e-3)  # type: ignore[attr-defined]
        assert printed.getvalue().strip()
    compile(keras, "<the page>", "exec")


def test_a_lesson_can_lock_and_hide_controls(open_page: OpenPage) -> None:
    app = open_page("convolution", lock="1", hide="stride,bias,<script>", stride="2")
    assert not app.exception
    for name in ("stride", "padding", "dilation", "size"):
        assert app.slider(key=name).disabled
    assert app.slider(key="stride").value == 2
    assert output(app).shape == (4, 4)
    css = "".join(str(e.proto.body) for e in app.get("html"))
    assert ".st-key-stride, .st-key-bias { display: none; }" in css
    assert "<script>" not in css


def test_an_own_photo_takes_the_samples_place(open_page: OpenPage) -> None:
    from PIL import Image

    half = np.zeros((30, 40, 3), np.uint8)
    half[:, 20:] = 200
    png = io.BytesIO()
    Image.fromarray(half).save(png, "PNG")
    app = open_page("convolution", picture="Your photo", across="50", cell="1")
    assert "Until there is a photo of yours" in texts(app)
    app.file_uploader(key="upload").set_value(("half.png", png.getvalue(), "image/png")).run()
    assert not app.exception
    assert set(np.unique(picture(app))) == {0.0, 200.0}
    app.file_uploader(key="upload").set_value(("half.png", b"not a picture", "image/png")).run()
    assert not app.exception
    assert app.error


@pytest.mark.parametrize(("kernel", "padding", "dilation"), [
    (DEFAULT, 1, 1), (DEFAULT, 0, 1), (DEFAULT, 4, 1), (DEFAULT, 2, 1), (DEFAULT, 1, 2), ("3", 2, 1),
    (text_of(PRESETS["Sobel x"][5]), 1, 1),
])
def test_what_is_said_of_the_turned_kernel_gives_the_pictures_gradient(
    kernel: str, padding: int, dilation: int
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (7, 7))
    setting = Setting(Picture("a test", np.zeros((7, 7, 3), np.uint8)), Patch(values, 0, 0, 1), parse(kernel), 1,
                      padding, dilation, 0.0)
    dy = np.random.default_rng(1).standard_normal(setting.respond(values).shape)
    said = turned(setting)
    padded, cut = re.search(r"padded by d\(K − 1\) − P = (\d+)\.", said), re.search(r"with (\d+) rows? and", said)
    around = int(padded[1]) if padded else -int(cut[1]) if cut else 0
    assert padded or cut or "as it is" in said
    whole = torch.nn.functional.pad(torch.tensor(dy)[None, None], [around] * 4)
    w = torch.tensor(setting.kernel.weights[::-1, ::-1].copy())[None, None]
    np.testing.assert_allclose(torch.nn.functional.conv2d(whole, w, dilation=dilation)[0, 0],
                               gradients(setting, dy)[0], atol=1e-9)


@pytest.mark.parametrize("preset", ["Sharpen", "Emboss"])
def test_what_keeps_the_brightness_is_drawn_as_a_picture_with_its_scale_said(
    open_page: OpenPage, preset: str
) -> None:
    assert parse(text_of(PRESETS[preset][3])).total == 1
    app = open_page("convolution", kernel=text_of(PRESETS[preset][3]))
    y = next(grid for grid in played(app)["grids"] if grid["name"] == "y")
    assert (y["scale"], y["limit"]) == ("gray", 255)
    assert "black at 0 and below, white at 255 and above" in texts(app)
    app.number_input(key="bias").set_value(5.0).run()
    assert next(grid for grid in played(app)["grids"] if grid["name"] == "y")["scale"] == "signed"
    assert "full colour from ±" in texts(app)


@pytest.mark.parametrize(("kernel", "bias", "answer", "lesson"), [
    (DEFAULT, "7", "7", "so the bias alone is left"), ("1", "-20", "100", "the bias then makes it darker"),
    ("1", "0", "120", "keep the brightness"), (DEFAULT, "0", "0", "only where something changes"),
])
def test_the_explanation_of_a_flat_wall_minds_the_bias(
    open_page: OpenPage, kernel: str, bias: str, answer: str, lesson: str
) -> None:
    app = open_page("convolution", kernel=kernel, bias=bias)
    app.radio[0].set_value(answer).run()
    assert lesson in app.success[0].value


def test_patches_tell_what_they_are_and_neighbours_are_alike(open_page: OpenPage) -> None:
    for cut, (name, top, left) in zip(locality.patches(), locality.PATCHES, strict=True):
        gray = np.asarray(Image.fromarray(samples.photo(name)).convert("L")).astype(int)
        assert np.abs(gray[top : top + locality.SIDE, left : left + locality.SIDE] - cut).max() <= 1
        np.testing.assert_array_equal(np.sort(locality.shuffled(cut), axis=None), np.sort(cut, axis=None))
        assert neighbour_correlation(cut, 1) > 0.7
        assert abs(neighbour_correlation(locality.shuffled(cut), 1)) < 0.1
    said = texts(open_page("convolution"))
    assert "how pixels lie to each other" in said
    assert "cross-correlation" in said
    cat = samples.photo("cat") @ np.array([0.299, 0.587, 0.114])
    pairs = np.array([*zip(cat[:, 1:].ravel(), cat[:, :-1].ravel(), strict=True),
                      *zip(cat[1:].ravel(), cat[:-1].ravel(), strict=True)])
    assert f"neighbouring pixels have a correlation of {np.corrcoef(pairs.T)[0, 1]:.2g}" in said
