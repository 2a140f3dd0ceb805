"""The Kernels page: all presets answer, detectors are computed, and learnt kernels are read from files."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract, registry
from playground.deploy.first_layer import first_kernels
from playground.deploy.torch_export import torch_to_onnx
from playground.errors import PlaygroundError
from playground.steps.detectors import feature_pictures, strongest
from playground.ui.lessons import kernels
from playground.ui.parts.image_input import Picture
from playground.ui.parts.kernel_editor import MEANING, OWN, PRESETS, parse, text_of
from tests.pages.on_a_page import OpenPage, errors, put_model, texts


def put_convolution(name: str, channels: int, **facts: object) -> np.ndarray:
    """A real model with a convolution, and what its card says besides; returns its kernels."""
    weights = np.random.default_rng(0).normal(size=(4, channels, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["maps"]), helper.make_node("ReduceMean", ["maps", "axes"], ["scores"],
                                                                         keepdims=0)],
        "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", channels, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([2, 3]), "axes")])
    core = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    preparation = Preprocessing((8, 8), gray=channels == 1, mean=(0.5,) * channels, std=(0.5,) * channels)
    model: onnx.ModelProto = contract.finish(core, preparation, ("a", "b", "c", "d"), "a test")
    registry.put(name, model, {"preprocessing": {**preparation.to_dict(), "sentence": preparation.sentence()}, **facts})
    return weights


def put_deep(name: str) -> None:
    """A real model of two convolutions: 4 maps of 6 x 6, then 3 maps of 1 x 1."""
    rng = np.random.default_rng(1)
    first, second = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 1, 3, 3), (3, 4, 6, 6)))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["maps"]), helper.make_node("Conv", ["maps", "v"], ["last"]),
         helper.make_node("ReduceMean", ["last", "axes"], ["scores"], keepdims=0)],
        "deep", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(first, "w"), numpy_helper.from_array(second, "v"),
         numpy_helper.from_array(np.array([2, 3]), "axes")])
    core = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    preparation = Preprocessing((8, 8), gray=True, mean=(0.5,), std=(0.5,))
    model: onnx.ModelProto = contract.finish(core, preparation, ("a", "b", "c"), "a test")
    registry.put(name, model, {"preprocessing": {**preparation.to_dict(), "sentence": preparation.sentence()}})


@pytest.mark.parametrize("query", [
    {}, {"picture": "Handwritten digit"}, {"kernel": text_of(PRESETS["Box blur"][5])},
    {"kernel": "1 2 3; 4 5 6; 7 8 9"}, {"answers": "true"},
], ids=["default", "smallest picture", "a picture again", "own", "all answers"])
@pytest.mark.usefixtures("without_shipped")
def test_it_opens_and_shows_every_kernel(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("kernels", **query)
    assert not app.exception
    assert not app.error
    assert "There are no models yet" in texts(app)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1024), (600, 2), (4, 300), (5, 5)])
@pytest.mark.parametrize("kernel", ["1", text_of(PRESETS["Sobel y"][3]), text_of(PRESETS["Laplacian"][5])])
def test_a_picture_too_small_for_some_kernels_says_so_and_shows_the_others(
        open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], kernel: str) -> None:
    tiny = Picture("tiny", np.full((*shape, 3), 90, np.uint8))
    monkeypatch.setattr(kernels, "choose_picture", lambda live: tiny)
    app = open_page("kernels", kernel=kernel)
    assert not errors(app)
    assert any("too small for" in info.value for info in app.info) == (min(shape) < max(3, parse(kernel).size))
    assert app.code, "the page goes on to its end"


def test_every_kernel_has_its_meaning_beside_it_and_sobels_directions_are_told(open_page: OpenPage) -> None:
    app = open_page("kernels", kernel="0 0 0; 0 2 0; 0 0 0")
    captions = [image.caption for drawn in app.get("image") for image in drawn.proto.imgs]
    for name in kernels.presets():
        assert f"**{name}.** {MEANING[name]}" in captions
    assert f"**Your kernel.** {MEANING[OWN]}" in captions
    assert "vertical edge 0°, horizontal edge 90°, diagonal edge 45°" in texts(app)


def test_a_kernel_of_ones_own_does_not_change_how_the_others_look(open_page: OpenPage) -> None:
    said = [next(c.value for c in open_page("kernels", **query).caption if "full colour from" in c.value)
            for query in ({}, {"kernel": "0 0 0; 0 99999 0; 0 0 0"})]
    assert said[0] == said[1]


def test_sobel_x_finds_vertical_edges_and_the_flat_wall_leaves_it_cold(open_page: OpenPage) -> None:
    pictures, known = feature_pictures(), kernels.presets()
    found = {name: strongest(kernels.respond(x, known["Sobel x"].weights)) for name, x in pictures.items()}
    assert found["flat wall"] == found["horizontal edge"] == 0
    assert found["vertical edge"] == max(found.values()) == 4 * 180
    app = open_page("kernels", kernel=text_of(PRESETS["Laplacian"][3]))
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value("several alike").run()
    assert app.success, "dot and checkerboard excite it alike"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.usefixtures("without_shipped")
def test_learnt_kernels_are_the_files_and_answer_to_the_photo(open_page: OpenPage, channels: int) -> None:
    weights = put_convolution("net", channels)
    (entry,) = registry.entries()
    found = first_kernels(entry.onnx)
    assert found is not None
    np.testing.assert_array_equal(found.weights, weights)
    app = open_page("kernels", which="3")
    assert not app.exception
    assert not app.error
    assert f"4 kernels of {channels} × 3 × 3 weights" in texts(app)
    assert "Kernel 3 on cat" in texts(app)


def test_a_model_without_a_convolution_and_a_broken_file_are_a_sentence(open_page: OpenPage, tmp_path: Path) -> None:
    entry = put_model("linear")
    assert first_kernels(entry.onnx) is None
    (tmp_path / "broken.onnx").write_bytes(b"\xff" * 20)
    with pytest.raises(PlaygroundError, match="cannot be read"):
        first_kernels(tmp_path / "broken.onnx")
    app = open_page("kernels")
    assert not app.exception
    assert not app.error
    assert "no convolution" in app.info[0].value
    assert app.code, "the rest of the page stands"


def test_kernels_that_keep_the_brightness_are_drawn_as_pictures() -> None:
    pictures = {name for name, kernel in kernels.presets().items() if kernels.is_picture(kernel)}
    assert pictures == {"Identity", "Box blur", "Gaussian blur", "Sharpen", "Emboss"}
    assert all(np.isclose(kernels.presets()[name].weights.sum(), 1) for name in pictures)
    assert "and the pixel itself" in MEANING["Emboss"]


def test_of_a_network_from_torch_it_says_that_batch_norm_is_in_the_kernels(open_page: OpenPage, tmp_path: Path) -> None:
    convolution, norm = nn.Conv2d(3, 2, 3, bias=False), nn.BatchNorm2d(2)
    norm.weight.data, norm.running_var.data = torch.tensor([-2.0, 0.5]), torch.tensor([4.0, 1.0])  # type: ignore[union-attr]
    onnx.save(torch_to_onnx(nn.Sequential(convolution, norm), (2, 3, 8, 8)), tmp_path / "model.onnx")
    found = first_kernels(tmp_path / "model.onnx")
    assert found is not None
    assert not found.batch_norm
    factors = np.array([-2 / np.sqrt(4 + norm.eps), 0.5 / np.sqrt(1 + norm.eps)])[:, None, None, None]
    np.testing.assert_allclose(found.weights, convolution.weight.detach().numpy() * factors, rtol=1e-5)
    put_convolution("ours", 3, task="digits")
    assert "folded" not in texts(open_page("kernels"))
    put_convolution("theirs", 3, task="transfer")
    assert "where γ is below 0, the kernel has its sign turned" in texts(open_page("kernels", model="theirs"))
