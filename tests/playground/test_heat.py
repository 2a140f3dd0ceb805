"""Heat maps: hot where a planted network really looks, and nowhere else."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract
from playground.deploy.engine_heat import grad_cam
from playground.deploy.occlusion import GRAY, occluded, occlusion
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from tests.playground.tiny_models import linear_file

PLAIN = Preprocessing((16, 16), gray=True, mean=(0.0,), std=(1.0,))


@pytest.fixture
def corner(tmp_path: Path) -> Path:
    """A network whose second class is the brightness of the upper left quarter: Conv, ReLU, a weighted sum."""
    mask = np.zeros((1, 1, 16, 16), np.float32)
    mask[..., :8, :8] = 1 / 64
    graph = helper.make_graph([
        helper.make_node("Conv", ["x", "one"], ["maps"]), helper.make_node("Relu", ["maps"], ["seen"]),
        helper.make_node("Mul", ["seen", "mask"], ["weighted"]), helper.make_node("Flatten", ["weighted"], ["flat"]),
        helper.make_node("Gemm", ["flat", "sums"], ["scores"]),
    ], "corner", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2])], [
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one"), numpy_helper.from_array(mask, "mask"),
        numpy_helper.from_array(np.array([[0, 5]] * 256, np.float32), "sums")])
    core = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path / "corner.onnx"
    onnx.save(contract.finish(core, PLAIN, ("dark", "bright"), "a test"), path)
    return path


@pytest.fixture
def white() -> np.ndarray:
    return np.full((32, 32, 3), 255, np.uint8)


def test_grad_cam_is_hot_where_the_score_comes_from(corner: Path, white: np.ndarray) -> None:
    found = grad_cam(corner, PLAIN, white, 1)
    assert found.shape == (16, 16)
    assert (found[:8, :8] > 0).all()
    assert np.abs(found[8:]).max() == 0
    assert np.abs(found[:, 8:]).max() == 0
    np.testing.assert_allclose(grad_cam(corner, PLAIN, white, 0), -found)  # for one is against the other


def test_a_network_without_maps_is_told_apart(tmp_path: Path, white: np.ndarray) -> None:
    path = tmp_path / "linear.onnx"
    onnx.save(linear_file(), path)
    with pytest.raises(PlaygroundError, match="no feature maps"):
        grad_cam(path, Preprocessing((8, 8), gray=True, mean=(0.5,), std=(0.5,)), white, 0)
    with pytest.raises(PlaygroundError, match="cannot be read"):
        grad_cam(tmp_path / "nothing.onnx", PLAIN, white, 0)


def test_covering_what_matters_costs_probability(corner: Path, white: np.ndarray) -> None:
    found = occlusion(Classifier(corner), white, 1, places=5, patch=0.25)
    assert found.shape == (5, 5)
    assert (found[:2, :2] > 0.003).all()
    np.testing.assert_allclose(found[3:], 0, atol=1e-6)
    np.testing.assert_allclose(found[:, 3:], 0, atol=1e-6)


def test_the_patch_reaches_every_edge(white: np.ndarray) -> None:
    covered = occluded(white[:, :20], places=3, patch=0.5)
    assert covered.shape == (9, 32, 20, 3)
    assert (covered[0, :16, :10] == GRAY).all()
    assert (covered[8, 16:, 10:] == GRAY).all()
    assert (covered == GRAY).any(0).all()
