"""Images resized by a scale: the engine, torch, the exported file in onnxruntime, and that file read back agree."""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as TF
from onnx import TensorProto, helper, numpy_helper

from engine import Tensor, layers
from engine import functional as F
from playground.deploy.engine_backend import onnx_to_engine
from playground.deploy.engine_export import engine_to_onnx
from tests.parity.test_engine_onnx_roundtrip import by_onnxruntime

SIZES = [(1, 2), (2, 9), (3, 6), (5, 7), (10, 14), (28, 10)]
SCALES = [0.1, 0.3, 1 / 3, 0.5, 0.6, 2 / 3, 0.7, 0.9, 1.0, 1.05, 1.1, 1.25, 4 / 3, 1.7, 2.0, 2.3, 3.0, 3.3]
MODES = [("nearest", None), ("nearest-exact", None), ("bilinear", None), ("bilinear", True), ("bicubic", None),
         ("bicubic", True), ("area", None)]


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape, np.float32)


@pytest.mark.parametrize(("mode", "corners"), MODES)
@pytest.mark.parametrize("recomputed", [None, True])
def test_value_and_gradient_are_torchs(mode, corners, recomputed):
    asked = 0
    for size in SIZES:
        for scale in [*SCALES, (0.7, 1.3), (2.3, 1 / 3)]:
            options = {"scale_factor": scale, "mode": mode, "recompute_scale_factor": recomputed,
                       "align_corners": corners}
            x = numbers(2, 3, *size)
            ours, right = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            try:
                z = TF.interpolate(right, **options)
            except RuntimeError:  # nothing would be left
                with pytest.raises(ValueError, match="cannot become"):
                    F.interpolate(ours, **options)
                continue
            y = F.interpolate(ours, **options)
            np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=f"{size} by {scale}")
            if not y.size:
                continue
            g = numbers(*y.shape)
            y.backward(g)
            z.backward(torch.tensor(g))
            if not (mode == "bicubic" and not corners and y.shape == x.shape):
                # (torch's own bicubic of that size is not the way back of what it computed: it copies)
                np.testing.assert_allclose(ours.grad, right.grad.numpy(), rtol=1e-3, atol=1e-4)
            asked += 1
    assert asked > 80


@pytest.mark.parametrize(("mode", "corners"), MODES)
def test_the_exported_file_means_the_same_in_onnxruntime_and_read_back(mode, corners):
    asked = 0
    for size in SIZES:
        for scale in SCALES:
            if min(size) * scale < 1:
                continue
            layer = layers.Upsample(scale_factor=scale, mode=mode, align_corners=corners)
            x = numbers(2, 1, *size)
            right = TF.interpolate(torch.tensor(x), scale_factor=scale, mode=mode, align_corners=corners).numpy()
            model = engine_to_onnx(layers.Sequential(layer), (1, 1, *size))
            for who, found in (("onnxruntime", by_onnxruntime(model, x)), ("read back", onnx_to_engine(model)(x).data)):
                assert found.shape == right.shape, (who, size, scale)
                np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5, err_msg=f"{who}, {size} by {scale}")
            asked += 1
    assert asked > 60


def test_an_area_of_nothing_is_not_exported():
    from playground.errors import PlaygroundError

    with pytest.raises(PlaygroundError, match="leaves no pixels"):
        engine_to_onnx(layers.Sequential(layers.Upsample(scale_factor=0.5, mode="area")), (1, 1, 1, 4))


# --- files of others: Resize with scales or sizes, by onnxruntime and by the engine ---

# Not the roundings that prefer a side: onnxruntime computes in float32, and what is half way there is not told.
RESIZES = [{"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
           for coordinates, rounding in (("asymmetric", "floor"), ("asymmetric", "ceil"), ("half_pixel", "floor"),
                                         ("half_pixel", "ceil"), ("pytorch_half_pixel", "floor"))]
RESIZES += [{"mode": mode, "coordinate_transformation_mode": coordinates} for mode in ("linear", "cubic")
            for coordinates in ("asymmetric", "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")]


@pytest.mark.parametrize("attributes", RESIZES, ids=lambda a: " ".join(map(str, a.values())))
def test_resize_of_any_file_is_onnxruntimes(attributes):
    asked = 0
    for size in SIZES:
        for scale in SCALES:
            outs = [int(np.float32(n) * np.float32(scale)) for n in size]
            if min(outs) < 1:
                continue
            for inputs, value in ((["pixels", "", "v"], np.full(2, scale, np.float32)),
                                  (["pixels", "", "", "v"], np.array(outs))):
                node = helper.make_node("Resize", inputs, ["y"], axes=[2, 3], **attributes)
                x = numbers(1, 1, *size)
                graph = helper.make_graph(
                    [node], "one", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, x.shape)],
                    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, *outs])],
                    [numpy_helper.from_array(value, "v")])
                model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
                found, right = onnx_to_engine(model)(x).data, by_onnxruntime(model, x)
                assert found.shape == right.shape
                np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4, err_msg=f"{size} by {scale}, {inputs}")
                asked += 1
    assert asked > 120


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_pixel_of_an_imported_resize_reaches_its_neighbours_only(mode, antialias):
    x = numbers(1, 1, 12, 12)
    attributes = {"mode": mode, "antialias": antialias, "axes": [2, 3]}
    node = helper.make_node("Resize", ["pixels", "", "", "v"], ["y"], **attributes)
    graph = helper.make_graph([node], "one", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, x.shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 5, 5])],
                              [numpy_helper.from_array(np.array([5, 5]), "v")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    clean = by_onnxruntime(model, x)
    np.testing.assert_allclose(onnx_to_engine(model)(x).data, clean, rtol=1e-3, atol=1e-4)
    x[0, 0, 6, 6] = np.inf
    y = onnx_to_engine(model)(x).data
    near = ~np.isfinite(y)
    assert 0 < near.sum() <= 16
    np.testing.assert_allclose(y[~near], clean[~near], rtol=1e-3, atol=1e-4)
