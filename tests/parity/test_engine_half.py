"""Files in float16, computed in float32 by the engine: onnxruntime is the judge, to the rounding of float16."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from onnxruntime.transformers.float16 import convert_float_to_float16

from engine import Tensor, no_grad
from playground.deploy import engine_layers
from playground.deploy.engine_backend import onnx_to_engine
from playground.deploy.engine_import.half import in_single, up
from playground.errors import PlaygroundError


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def whole() -> onnx.ModelProto:
    model = parser.parse_model("""<ir_version: 9, opset_import: ["": 17]> g (float[N, 3, 12, 12] x) => (float[N, 5] y) {
        a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
        n = BatchNormalization (a, scale, shift, mean, variance) b = Relu (n)
        c = Conv<kernel_shape = [3, 3], group = 2> (b, v) h = HardSwish (c) e = GlobalAveragePool (h)
        f = Flatten (e) half = Constant<value = float {0.5}> () g = Mul (f, half) y = Gemm (g, m)}""")
    shapes = {"w": (4, 3, 3, 3), "v": (6, 2, 3, 3), "m": (6, 5), "scale": (4,), "shift": (4,), "mean": (4,),
              "variance": (4,)}
    for k, (name, shape) in enumerate(shapes.items()):
        array = normal(*shape, seed=k) / 2
        model.graph.initializer.append(numpy_helper.from_array(np.abs(array) if name == "variance" else array, name))
    return model


@pytest.mark.parametrize("keep", [True, False], ids=["float32 outside", "float16 outside"])
def test_a_half_file_gives_onnxruntimes_answers_to_its_rounding(
        whole: onnx.ModelProto, keep: bool, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    onnx.save(convert_float_to_float16(whole, keep_io_types=keep), path)
    x = normal(4, 3, 12, 12, seed=9).astype(np.float32 if keep else np.float16)
    (wanted,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    model = onnx_to_engine(path)
    with no_grad():
        said = model(x)
    assert said.dtype == wanted.dtype == x.dtype
    np.testing.assert_allclose(said.data.astype(np.float32), wanted.astype(np.float32), rtol=0,
                               atol=4e-3 * float(np.abs(wanted).max()))
    assert {step.outputs[0].dtype.name for step in model.steps(x) if step.outputs[0].dtype.kind == "f"} == {"float32"}
    picture = Tensor(x, requires_grad=True)
    model(picture).sum().backward()
    assert picture.grad is not None
    assert picture.grad.dtype == x.dtype
    assert picture.grad.any()
    assert all(weight.dtype == np.float32 for weight in model.parameters())
    assert engine_layers.layers(onnx.load(path), "x", x)["parted"] is None


def test_every_number_of_half_precision_goes_up_exactly() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(up(every), every.astype(np.float32))
    np.testing.assert_array_equal(up(every.reshape(256, 256).T), every.reshape(256, 256).T.astype(np.float32))


def test_what_is_half_inside_is_found_wherever_it_stands() -> None:
    model = parser.parse_model("""<ir_version: 9, opset_import: ["": 20]> g (float[2] x) => (float[2] y) {
        a = Cast<to = 10> (x) k = Constant<value = float16[1] {16384}> ()
        n = Constant<value_int = 2> () s = Unsqueeze (n, zero) f = ConstantOfShape<value = float16[1] {15360}> (s)
        b = Mul (a, k) c = Add (b, f) y = Cast<to = 1> (c)}""")
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zero"))
    before = model.SerializeToString()
    x = np.float32([1.25, -3])
    (wanted,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(onnx_to_engine(model)(x).data, wanted, rtol=1e-3)
    assert in_single(model) is not model
    assert model.SerializeToString() == before
    single = in_single(model)
    assert in_single(single) is single


def test_a_half_input_is_still_demanded_as_declared() -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [2]) for name in "xy"]
    model = onnx_to_engine(helper.make_model(helper.make_graph([node], "g", kinds[:1], kinds[1:]),
                                             opset_imports=[helper.make_opsetid("", 20)], ir_version=9))
    assert model(np.float16([1, -2])).data.tolist() == [-1, 2]
    with pytest.raises(PlaygroundError, match="holds float16 numbers, not float32"):
        model(np.float32([1, -2]))
