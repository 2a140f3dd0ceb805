"""onnxruntime's own operators and its quantised files: it is the judge of the numbers, torch of the gradients."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import parser
from onnxruntime import quantization

from engine import Tensor, no_grad
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.engine_backend import onnx_to_engine
from playground.errors import PlaygroundError
from playground.view.asks import checks
from playground.view.asks.chosen import Chosen
from playground.view.gradients import Target
from playground.view.sources import File


def model_of(body: str, inputs: str, output: str = "float y") -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 9, opset_import: ["": 17, "com.microsoft": 1]> '
                              f"g ({inputs}) => ({output}) {{ {body} }}")


def answer(model: onnx.ModelProto, given: dict[str, np.ndarray]) -> np.ndarray:
    unshaped = onnx.ModelProto.FromString(model.SerializeToString())
    unshaped.graph.output[0].type.tensor_type.ClearField("shape")
    (result,) = onnxruntime.InferenceSession(unshaped.SerializeToString()).run(None, given)
    return np.asarray(result)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


CONV = "kernel_shape = [3, 3], pads = [1, 1, 1, 1]"


@pytest.mark.parametrize(("body", "shapes", "torchs"), [
    (f'y = com.microsoft.FusedConv<{CONV}, activation = "Relu"> (a, b, c)', [(2, 3, 5, 4), (4, 3, 3, 3), (4,)],
     lambda a, b, c: torch.conv2d(a, b, c, padding=1).relu()),
    (f'y = com.microsoft.FusedConv<{CONV}, activation = "Relu"> (a, b, c, d)',
     [(2, 3, 5, 4), (4, 3, 3, 3), (4,), (2, 4, 5, 4)],
     lambda a, b, c, d: (torch.conv2d(a, b, c, padding=1) + d).relu()),
    (f'y = com.microsoft.FusedConv<{CONV}, strides = [2, 2], activation = "Clip", activation_params = [-0.5, 0.7]>'
     " (a, b)", [(2, 3, 5, 4), (4, 3, 3, 3)], lambda a, b: torch.conv2d(a, b, padding=1, stride=2).clamp(-0.5, 0.7)),
    (f'y = com.microsoft.FusedConv<{CONV}, activation = "LeakyRelu", activation_params = [0.1]> (a, b)',
     [(1, 3, 5, 4), (2, 3, 3, 3)], lambda a, b: torch.nn.functional.leaky_relu(torch.conv2d(a, b, padding=1), 0.1)),
    ("y = com.microsoft.FusedMatMul<transB = 1, alpha = 0.5> (a, b)", [(2, 3, 4), (2, 5, 4)],
     lambda a, b: 0.5 * a @ b.mT),
    ("y = com.microsoft.FusedMatMul<transA = 1> (a, b)", [(4, 3), (4, 5)], lambda a, b: a.mT @ b),
    ("y = com.microsoft.FusedMatMul<transBatchA = 1> (a, b)", [(3, 2, 4), (2, 4, 5)],
     lambda a, b: a.movedim(0, -2) @ b),
    ("y = com.microsoft.Gelu (a)", [(3, 4)], torch.nn.functional.gelu),
    ("y = com.microsoft.BiasGelu (a, b)", [(3, 4), (4,)], lambda a, b: torch.nn.functional.gelu(a + b)),
    ("y = com.microsoft.FastGelu (a, b)", [(3, 4), (4,)],
     lambda a, b: torch.nn.functional.gelu(a + b, approximate="tanh")),
    ("y = com.microsoft.QuickGelu<alpha = 1.5> (a)", [(3, 4)], lambda a: a * torch.sigmoid(1.5 * a)),
    ("y = com.microsoft.SkipLayerNormalization<epsilon = 0.001> (a, b, c, d)", [(2, 3, 4), (2, 3, 4), (4,), (4,)],
     lambda a, b, c, d: torch.nn.functional.layer_norm(a + b, (4,), c, d, 1e-3)),
    ("z, , , s = com.microsoft.SkipLayerNormalization (a, b, c, , d) y = Add (z, s)",
     [(2, 3, 4), (2, 3, 4), (4,), (4,)],
     lambda a, b, c, d: torch.nn.functional.layer_norm(a + b + d, (4,), c, None, 1e-12) + a + b + d),
    ('y = com.microsoft.FusedGemm<transB = 1, alpha = 0.5, activation = "LeakyRelu", activation_alpha = 0.2> (a, b, c)',
     [(3, 4), (5, 4), (5,)], lambda a, b, c: torch.nn.functional.leaky_relu(0.5 * a @ b.T + c, 0.2)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_operator_of_onnxruntime_is_onnxruntimes_and_its_gradients_are_torchs(
        body: str, shapes: list[tuple[int, ...]], torchs: Callable[..., torch.Tensor]) -> None:
    given = {name: normal(*shape, seed=k) for k, (name, shape) in enumerate(zip("abcd", shapes, strict=False))}
    model = model_of(body, ", ".join(f"float[{', '.join(map(str, x.shape))}] {name}" for name, x in given.items()))
    mine = {name: Tensor(x, requires_grad=True) for name, x in given.items()}
    y = onnx_to_engine(model)(**mine)
    np.testing.assert_allclose(y.data, answer(model, given), rtol=1e-4, atol=1e-5)
    theirs = [torch.from_numpy(x.copy()).requires_grad_() for x in given.values()]
    arriving = normal(*y.shape, seed=9)
    torchs(*theirs).backward(torch.from_numpy(arriving))
    y.backward(arriving)
    for (name, x), wanted in zip(mine.items(), theirs, strict=True):
        np.testing.assert_allclose(x.grad, wanted.grad.numpy(), rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_fused_convolution_with_an_unknown_activation_is_refused_by_its_name() -> None:
    body = f'y = com.microsoft.FusedConv<{CONV}, activation = "Sine"> (a, b)'
    with pytest.raises(PlaygroundError, match="its convolution has the activation Sine"):
        onnx_to_engine(model_of(body, "float[N, 1, 4, 4] a, float[1, 1, 3, 3] b"))(
            normal(1, 1, 4, 4), normal(1, 1, 3, 3))


SCALES = ("s = Constant<value = float {0.1}> () z = Constant<value = uint8 {120}> () "
          "t = Constant<value = float {0.07}> () v = Constant<value = uint8 {90}> ()"
          "p = QuantizeLinear (a, s, z) q = QuantizeLinear (b, t, v)")


@pytest.mark.parametrize("body", [
    "r = com.microsoft.QLinearAdd (p, s, z, q, t, v, s, z) y = DequantizeLinear (r, s, z)",
    "r = com.microsoft.QLinearMul (p, s, z, q, t, v, s, z) y = DequantizeLinear (r, s, z)",
    "r = com.microsoft.QLinearGlobalAveragePool<channels_last = 0> (p, s, z, t, v) y = DequantizeLinear (r, t, v)",
    "r = com.microsoft.QLinearAveragePool<kernel_shape = [2, 3], pads = [1, 0, 0, 1], strides = [2, 1]> (p, s, z, t, v)"
    " y = DequantizeLinear (r, t, v)",
    "r = com.microsoft.QLinearSigmoid (p, s, z, t, v) y = DequantizeLinear (r, t, v)",
    "r = com.microsoft.QLinearLeakyRelu<alpha = 0.3> (p, s, z, t, v) y = DequantizeLinear (r, t, v)",
    "r = com.microsoft.QLinearSoftmax<axis = 1, opset = 13> (p, s, z, t, v) y = DequantizeLinear (r, t, v)",
    "r = com.microsoft.QLinearSoftmax<axis = 2, opset = 11> (p, s, z, t, v) y = DequantizeLinear (r, t, v)",
    "r = com.microsoft.QLinearConcat<axis = 1> (t, v, p, s, z, q, t, v) y = DequantizeLinear (r, t, v)",
    "e = Flatten (p) f = Flatten (q) y = com.microsoft.QGemm<transB = 1, alpha = 1.0> (e, s, z, f, t, v)",
    "e = Flatten (p) f = Flatten (q) c = Constant<value = int32[2] {70, -3000}> () w = Constant<value = float {2}> () "
    "r = com.microsoft.QGemm<transB = 1, alpha = 1.0> (e, s, z, f, t, v, c, w, v) y = DequantizeLinear (r, w, v)",
])
def test_an_operator_of_quantised_numbers_is_onnxruntimes(body: str) -> None:
    """To one step of the scale: onnxruntime multiplies by a quotient of scales, and so rounds a tie the other way."""
    given = {"a": 3 * normal(2, 3, 4, 4), "b": 2 * normal(2, 3, 4, 4, seed=1)}
    model = model_of(f"{SCALES} {body}", "float[2, 3, 4, 4] a, float[2, 3, 4, 4] b")
    apart = np.abs(onnx_to_engine(model)(**given).data - answer(model, given))
    assert apart.max() <= (2.001 if "QGemm" in body else 0.1001)
    assert (apart > 1e-5).mean() <= (0.1 if "Softmax" in body or "QLinearAverage" in body else 0.02)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_whole_numbers_are_resized_as_onnxruntime_does(kind: str, coordinates: str) -> None:
    model = model_of(f'y = Resize<mode = "linear", coordinate_transformation_mode = "{coordinates}"> (x, , scales)',
                     f"{kind}[2, 3, 5, 6] x", f"{kind} y")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([1, 1, 2, 2]), "scales"))
    x = np.random.default_rng(0).integers(-100 if kind == "int8" else 0, 127, (2, 3, 5, 6)).astype(kind)
    apart = np.abs(onnx_to_engine(model)(x).data.astype(int) - answer(model, {"x": x}))
    assert apart.max() <= 1
    assert apart.mean() <= 0.01


class Calibration(quantization.CalibrationDataReader):
    def __init__(self) -> None:
        self.batches = iter([{"x": normal(8, 3, 8, 8, seed=k)} for k in range(3)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def network() -> onnx.ModelProto:
    model = model_of("""
        a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w) b = Relu (a)
        c = Conv<kernel_shape = [3, 3], group = 2> (b, v) d = Add (c, c) e = GlobalAveragePool (d)
        f = Flatten (e) logits = MatMul (f, m)""", "float[N, 3, 8, 8] x", "float[N, 5] logits")
    for k, (name, shape) in enumerate({"w": (4, 3, 3, 3), "v": (6, 2, 3, 3), "m": (6, 5)}.items()):
        model.graph.initializer.append(onnx.numpy_helper.from_array(normal(*shape, seed=k) / 2, name))
    return model


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantised") / "float.onnx"
    onnx.save(network(), path)
    return path


@pytest.mark.parametrize("kind", ["QDQ", "QDQ per channel", "QOperator", "dynamic"])
def test_a_file_that_onnxruntime_quantised_says_the_same(float_file: Path, kind: str) -> None:
    path = float_file.parent / f"{kind}.onnx"
    if kind == "dynamic":
        quantization.quantize_dynamic(float_file, path)
    else:
        form = quantization.QuantFormat.QOperator if kind == "QOperator" else quantization.QuantFormat.QDQ
        # weights of 7 bits: with 8 onnxruntime's sums overflow 16 bits on processors without VNNI, as it says itself
        quantization.quantize_static(float_file, path, Calibration(), form, per_channel="per" in kind,
                                     reduce_range=True)
    x = normal(16, 3, 8, 8, seed=7)
    (wanted,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    model = onnx_to_engine(path)
    with no_grad():
        said = model(x).data
    spread = float(np.ptp(wanted))
    assert np.abs(said - wanted).max() <= 0.02 * spread  # a few steps: a tie may be rounded the other way
    assert np.abs(said - wanted).mean() <= 0.004 * spread
    if kind != "dynamic":
        assert {name for name, _ in model.named_parameters()} == set()


def test_a_file_that_computes_in_whole_numbers_is_not_looked_into_but_says_why(float_file: Path) -> None:
    path = float_file.parent / "whole.onnx"
    quantization.quantize_static(float_file, path, Calibration(), quantization.QuantFormat.QOperator)
    source = File(onnx.load(path), Preprocessing((8, 8), False, (0.0,) * 3, (1.0,) * 3), tuple("abcde"))
    assert source.scores(normal(2, 3, 8, 8)).shape == (2, 5)
    with pytest.raises(PlaygroundError, match="scores have no gradient"):
        source.run(normal(2, 3, 8, 8))


@pytest.mark.parametrize("per_channel", [False, True], ids=["", "per channel"])
def test_a_gradient_goes_straight_through_quantised_pairs(float_file: Path, per_channel: bool) -> None:
    """The network view works on an int8 file, and its gradient is about that of the file it was made from."""
    path = float_file.parent / f"looked-into-{per_channel}.onnx"
    quantization.quantize_static(float_file, path, Calibration(), quantization.QuantFormat.QDQ, per_channel=per_channel)
    plain = Preprocessing((8, 8), False, (0.0,) * 3, (1.0,) * 3)
    x, gradients = normal(1, 3, 8, 8, seed=3), []
    for file in (float_file, path):
        trace = File(onnx.load(file), plain, tuple("abcde")).run(x)
        trace.logits.backward(np.float32([[1, 0, 0, 0, 0]]))
        gradients.append(trace.picture.grad)
    mine, wanted = (one.ravel() / np.linalg.norm(one) for one in gradients)
    assert 0.9 < mine @ wanted < 1 - 1e-7


@pytest.mark.parametrize("axis", [None, 1], ids=["one scale", "a scale a channel"])
def test_the_straight_gradient_is_torchs_fake_quantize(axis: int | None) -> None:
    scale, zero = (np.float32(0.05), np.int8(-3)) if axis is None else (
        np.float32([0.05, 0.02, 0.1]), np.int8([0, 5, -20]))
    model = model_of("q = QuantizeLinear (a, s, z) y = DequantizeLinear (q, s, z)", "float[2, 3, 4, 5] a")
    model.graph.initializer.extend([onnx.numpy_helper.from_array(np.asarray(scale), "s"),
                                    onnx.numpy_helper.from_array(np.asarray(zero), "z")])
    x = 4 * normal(2, 3, 4, 5)
    mine = Tensor(x, requires_grad=True)
    y = onnx_to_engine(model)(mine)
    np.testing.assert_array_equal(y.data, answer(model, {"a": x}))
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    wanted = torch.fake_quantize_per_tensor_affine(theirs, float(scale), int(zero), -128, 127) if axis is None else \
        torch.fake_quantize_per_channel_affine(theirs, torch.from_numpy(scale), torch.from_numpy(zero).int(), axis,
                                               -128, 127)
    np.testing.assert_allclose(y.data, wanted.detach().numpy(), atol=1e-6)
    arriving = normal(2, 3, 4, 5, seed=1)
    y.backward(arriving)
    wanted.backward(torch.from_numpy(arriving))
    np.testing.assert_allclose(mine.grad, theirs.grad.numpy(), rtol=1e-6)
    assert (mine.grad == 0).sum() > 3


def test_a_gradient_of_a_rounding_file_is_not_checked_by_finite_differences(float_file: Path) -> None:
    path = float_file.parent / "rounding.onnx"
    quantization.quantize_static(float_file, path, Calibration(), quantization.QuantFormat.QDQ)
    trace = File(onnx.load(path), Preprocessing((8, 8), False, (0.0,) * 3, (1.0,) * 3), tuple("abcde")).run(
        normal(1, 3, 8, 8))
    with pytest.raises(PlaygroundError, match="straight through"):
        checks.difference(trace, Target("loss", 0), Chosen(part=0, place=(0, 0, 0)))
