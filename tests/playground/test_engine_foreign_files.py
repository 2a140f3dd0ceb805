"""What files of others are like: out of order, in pieces, with weights in Constant nodes, with functions of their own.

The judge of the numbers is onnxruntime.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, parser

from engine import Tensor
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.engine_backend import EngineBackend, EngineModel, onnx_to_engine
from playground.errors import PlaygroundError
from playground.view.sources import File

HEAD = '<ir_version: 9, opset_import: ["": 20]>'


def model_of(body: str, inputs: str = "float[N, 2] x", output: str = "float[N, 2] y",
             more: str = "") -> onnx.ModelProto:
    return parser.parse_model(f"{HEAD} g ({inputs}) => ({output}) {more} {{ {body} }}")


def test_nodes_out_of_order_are_put_in_order() -> None:
    ordered = model_of("a = Neg (x) b = Exp (a) y = Add (a, b)")
    shuffled = onnx.ModelProto.FromString(ordered.SerializeToString())
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(reversed(ordered.graph.node))
    before = shuffled.SerializeToString()
    x = np.float32([[1, -2]])
    (wanted,) = onnxruntime.InferenceSession(ordered.SerializeToString()).run(None, {"x": x})
    for model in (onnx_to_engine(shuffled), EngineModel(shuffled)):
        np.testing.assert_allclose(model(x).data, wanted, rtol=1e-6)
        assert [node.op_type for node, _ in model.nodes] == ["Neg", "Exp", "Add"]
        assert [step.op_type for step in model.steps(x)] == ["Neg", "Exp", "Add"]
    assert shuffled.SerializeToString() == before


def test_a_circle_of_nodes_is_a_sentence_that_names_one_of_them() -> None:
    with pytest.raises(PlaygroundError, match=r"its nodes go in a circle, in which [ab] \((Add|Exp)\) stands\."):
        onnx_to_engine(model_of("y = Neg (b) a = Add (x, b) b = Exp (a)"))


@pytest.mark.parametrize("length", [0, -1])
def test_a_length_that_is_no_length_leaves_the_axis_open(length: int) -> None:
    model = model_of("y = Neg (x)")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = length
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = length
    assert onnx_to_engine(model)(np.ones((3, 2), np.float32)).shape == (3, 2)
    with pytest.raises(PlaygroundError, match=r"has the shape \(any, 2\), not \(3, 4\)"):
        onnx_to_engine(model)(np.ones((3, 4), np.float32))


def kept_outside(path: Path) -> np.ndarray:
    """A file whose weights are in weights.bin beside it."""
    model = model_of("y = MatMul (x, w)")
    w = np.random.default_rng(0).standard_normal((2, 2)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(w, "w"))
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return w


def test_weights_in_a_file_beside_it_are_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    w = kept_outside(tmp_path / "m.onnx")
    np.testing.assert_array_equal(onnx_to_engine(tmp_path / "m.onnx").state_dict()["w"], w)
    with pytest.raises(PlaygroundError, match=r"in another file, weights\.bin, which is missing"):
        onnx_to_engine(onnx.load(tmp_path / "m.onnx", load_external_data=False))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(PlaygroundError, match=r"m\.onnx keeps its weights in another file, weights\.bin, which is not"):
        onnx_to_engine(tmp_path / "m.onnx")


def test_weights_cut_short_or_outside_the_folder_are_a_sentence(tmp_path: Path) -> None:
    kept_outside(tmp_path / "m.onnx")
    (tmp_path / "weights.bin").write_bytes(b"1")
    with pytest.raises(PlaygroundError, match="cannot be read"):
        onnx_to_engine(tmp_path / "m.onnx")
    inside = tmp_path / "inside"
    inside.mkdir()
    kept_outside(inside / "m.onnx")
    model = onnx.load(inside / "m.onnx", load_external_data=False)
    place = next(entry for entry in model.graph.initializer[0].external_data if entry.key == "location")
    place.value = "../weights.bin"
    (inside / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PlaygroundError, match="cannot be read"):
        onnx_to_engine(inside / "m.onnx")


STORED = """
    kernel = Constant<value = float[2, 2] {1, -2, 0.5, 3}> ()
    shift = Constant<value_floats = [0.5, -0.5]> ()
    two = Constant<value_float = 2.0> ()
    low = Constant<value = float[1] {-9}> ()
    shape = Constant<value = int64[2] {0, 2}> ()
    a = MatMul (x, kernel)
    b = Add (a, shift)
    c = Mul (b, two)
    d = Clip (c, low)
    y = Reshape (d, shape)
"""


def test_weights_in_constant_nodes_are_leaves_that_can_be_trained() -> None:
    source = model_of(STORED)
    model = onnx_to_engine(source)
    x = np.float32([[1, 2], [3, -4]])
    y = model(x)
    (wanted,) = onnxruntime.InferenceSession(source.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y.data, wanted)
    assert {name for name, _ in model.named_parameters()} == {"kernel", "shift"}
    assert model.state_dict().keys() == {"kernel", "shift"}
    y.sum().backward()
    seen = 2 * (wanted > -9)
    found = dict(model.named_parameters())
    np.testing.assert_allclose(found["kernel"].grad, x.T @ seen)
    np.testing.assert_allclose(found["shift"].grad, seen.sum(axis=0))
    model.load_state_dict({name: array * 0 for name, array in model.state_dict().items()})
    assert not model(x).data.any()


def test_local_functions_are_inlined() -> None:
    source = parser.parse_model("""
        <ir_version: 9, opset_import: ["": 20, "own": 1]>
        g (float[N, 2] x) => (float[N, 2] y) <float[2] w = {2, 3}> { y = own.twice_scaled <by = 2.0> (x, w) }
        <domain: "own", opset_import: ["": 20, "own": 1]>
        scaled (x, w) => (y) { y = Mul (x, w) }
        <domain: "own", opset_import: ["": 20, "own": 1]>
        twice_scaled <by> (x, w) => (y) {
            a = own.scaled (x, w) b = Constant <value_float: float = @by> () y = Mul (a, b) }
    """)
    model = onnx_to_engine(source)
    x = np.float32([[1, 2]])
    (wanted,) = onnxruntime.InferenceSession(source.SerializeToString()).run(None, {"x": x})
    y = model(x)
    np.testing.assert_allclose(y.data, wanted)
    y.sum().backward()
    assert dict(model.named_parameters())["w"].grad.tolist() == [2, 4]


@pytest.mark.parametrize("body", ["y = Conv (x, w)", "y = Conv<kernel_shape = [1, 1, 1]> (x, v)",
                                  "y = ConvTranspose (x, w)"])
def test_a_convolution_of_volumes_is_refused_when_the_file_is_read(body: str) -> None:
    model = model_of(body, "float[N, 1, 3, 3, 3] x, float[1, 1, A, B, C] v", "float[N, 1, D, H, W] y",
                     "<float[1, 1, 1, 1, 1] w = {2}>")
    with pytest.raises(PlaygroundError, match="convolves volumes"):
        onnx_to_engine(model)


def test_every_operator_that_is_missing_is_named_once_with_its_domain() -> None:
    body = "a = Det (x) b = Det (a) c = own.Thing (b) d = own.Other (c) y = NonMaxSuppression (d, d)"
    model = parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 17, "own": 3]> g (float[N] x) => (float y) {{ {body} }}')
    with pytest.raises(PlaygroundError) as said:
        EngineModel(model)
    assert str(said.value) == ("The engine cannot import this file: it lacks the ONNX operators Det (2), "
                               "NonMaxSuppression (1) of opset 17 and own.Other (1), own.Thing (1) of opset 3.")


@pytest.mark.parametrize("opset", [6, 3])
def test_a_file_of_an_old_opset_with_its_own_broadcasting_is_torchs(opset: int) -> None:
    """onnxruntime has no such operators any more."""
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((3, 2, 3, 3)), "b": rng.standard_normal(3), "s": rng.random(3) + 0.5,
              "m": rng.standard_normal(3), "v": rng.random(3) + 0.5}
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3]),
             helper.make_node("Add", ["a", "b"], ["c"], broadcast=1, axis=1),
             helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["d"], is_test=1, spatial=1,
                              **({"consumed_inputs": [0] * 5} if opset < 6 else {})),
             helper.make_node("PRelu", ["d", "s"], ["e"], **({"consumed_inputs": [0]} if opset < 6 else {})),
             helper.make_node("Dropout", ["e"], ["y", "mask"], is_test=1, ratio=0.5)]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
             for name, shape in {"x": (1, 2, 5, 5), **{name: array.shape for name, array in arrays.items()}}.items()]
    graph = helper.make_graph(nodes, "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 3, 3))],
                              [numpy_helper.from_array(array.astype(np.float32), name)
                               for name, array in arrays.items()])
    model = onnx_to_engine(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3))
    x = rng.standard_normal((1, 2, 5, 5)).astype(np.float32)
    w, b, s, mean, var = (torch.from_numpy(array.astype(np.float32)).requires_grad_() for array in arrays.values())
    normal = torch.batch_norm(torch.conv2d(torch.from_numpy(x), w, b), s, b, mean.detach(), var.detach(), False, 0.1,
                              1e-5, False)
    wanted = torch.prelu(normal, s)
    y = model(x)
    np.testing.assert_allclose(y.data, wanted.detach().numpy(), rtol=1e-4, atol=1e-5)
    y.sum().backward()
    wanted.sum().backward()
    for name, leaf in {"w": w, "b": b}.items():
        np.testing.assert_allclose(dict(model.named_parameters())[name].grad, leaf.grad.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("op_type", "shape", "options", "spread"), [
    ("Mul", (3,), {"broadcast": 1, "axis": 1}, (3, 1)), ("Sub", (4,), {"broadcast": 1}, (4,)),
    ("Div", (3, 4), {"broadcast": 1, "axis": -2}, (3, 4)), ("Add", (2, 3), {"broadcast": 1, "axis": 0}, (2, 3, 1)),
])
def test_before_opset_7_a_node_says_along_which_axis_the_smaller_one_stands(
        op_type: str, shape: tuple[int, ...], options: dict[str, int], spread: tuple[int, ...]) -> None:
    x, y = np.random.default_rng(0).random((2, 3, 4), np.float32), np.random.default_rng(1).random(shape, np.float32)
    (found,) = EngineBackend.run_node(helper.make_node(op_type, ["x", "y"], ["z"], **options), [x, y], opset_version=6)
    combine = {"Mul": np.multiply, "Sub": np.subtract, "Div": np.divide, "Add": np.add}[op_type]
    np.testing.assert_allclose(found, combine(x, y.reshape(spread)), rtol=1e-6)


@pytest.mark.parametrize("op_type", ["Dropout", "BatchNormalization"])
def test_training_mode_of_an_old_opset_is_refused(op_type: str) -> None:
    names = ["x"] if op_type == "Dropout" else ["x", "a", "b", "c", "d"]
    with pytest.raises(PlaygroundError, match="training mode"):
        EngineBackend.run_node(helper.make_node(op_type, names, ["y"]), [np.ones((1, 1), np.float32)] * len(names),
                               opset_version=6)


def test_a_file_out_of_order_with_weights_in_constant_nodes_is_looked_into_under_its_own_names() -> None:
    core = model_of("""
        scores = Flatten (pooled) pooled = GlobalAveragePool (blocks)
        blocks = SpaceToDepth<blocksize = 2> (active) active = Mish (normal) normal = LRN<size = 3, alpha = 0.3> (maps)
        kernels = Constant<value = float[2, 1, 1, 1] {1, -2}> () shape = Constant<value = int64[4] {0, 1, 4, 4}> ()
        maps = Conv (image, kernels) image = Reshape (x, shape)""", "float[N, 1, 4, 4] x", "float[N, 8] scores")
    source = File(core, Preprocessing((4, 4), True, (0.0,), (1.0,)), tuple("abcdefgh"))
    parts = source.run(np.random.default_rng(0).random((2, 1, 4, 4), np.float32)).parts
    assert [(part.name, part.sort.words) for part in parts] == [
        ("image", "flatten"), ("maps", "convolution"), ("normal", "local response norm"), ("active", "Mish"),
        ("blocks", "space to depth"), ("pooled", "mean of each map"), ("scores", "flatten")]
    assert list(source.weights()) == ["kernels"]


BRANCHES = """
    s = Shape (x) two = Constant<value = int64 {2}> () zero = Constant<value = int64 {0}> ()
    rows = Gather (s, zero) large = Greater (rows, two) a = MatMul (x, w)
    c = If (large) <then_branch = one () => (float[N, 2] p) { p = Mul (a, v) },
                    else_branch = other () => (float[N, 2] q) <float[2] k = {5, 6}> {
                        none = Equal (rows, zero)
                        q = If (none) <then_branch = in () => (float[N, 2] same) { same = Identity (a) },
                                       else_branch = no () => (float[N, 2] r) { r = Add (a, k) }> }>
    y = Neg (c)
"""


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_a_branch_is_chosen_when_the_graph_is_run_and_a_gradient_goes_through_it(rows: int) -> None:
    source = model_of(BRANCHES, more="<float[2, 2] w = {1, 2, 3, 4}, float[2] v = {2, -1}>")
    x = np.random.default_rng(0).standard_normal((rows, 2)).astype(np.float32)
    model = onnx_to_engine(source)
    mine = Tensor(x, requires_grad=True)
    y = model(mine)
    (wanted,) = onnxruntime.InferenceSession(source.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y.data, wanted, rtol=1e-5)
    assert {name for name, _ in model.named_parameters()} == {"w", "v"}
    y.sum().backward()
    factor = np.float32([2, -1] if rows > 2 else [1, 1])
    np.testing.assert_allclose(mine.grad, -np.ones((rows, 2)) * factor @ np.float32([[1, 3], [2, 4]]), rtol=1e-5)
    assert [step.op_type for step in model.steps(x)].count("If") == 1


def test_what_only_a_branch_needs_stands_before_it_and_what_it_lacks_is_named() -> None:
    source = model_of(BRANCHES, more="<float[2, 2] w = {1, 2, 3, 4}, float[2] v = {2, -1}>")
    nodes = list(reversed(source.graph.node))
    del source.graph.node[:]
    source.graph.node.extend(nodes)
    assert onnx_to_engine(source)(np.ones((1, 2), np.float32)).shape == (1, 2)
    inner = next(node for node in source.graph.node if node.op_type == "If").attribute[0].g
    inner.node[0].op_type = "Bernoulli"
    del inner.node[0].input[1:]
    with pytest.raises(PlaygroundError, match=r"lacks the ONNX operator Bernoulli \(1\) of opset 20"):
        onnx_to_engine(source)
