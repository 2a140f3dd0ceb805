"""ONNX files as models of the engine: stepped, differentiated, trained on, and refused where it must be."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper, parser
from torch import nn

from engine import Tensor, backward_steps, optim
from engine import functional as F
from playground.deploy.engine_backend import EngineModel, onnx_to_engine
from playground.deploy.torch_export import torch_to_onnx
from playground.errors import PlaygroundError

SMALL = """
<ir_version: 9, opset_import: ["": 20]>
small (float[N, 1, 4, 4] pixels) => (float[N, 2] scores)
<float zero = {0}, float six = {6}, float[3] scale = {1, 2, 1}, float[3] shift = {0.5, 0, 1},
 float[3] mean = {0.1, 0.2, 0.3}, float[3] var = {0.5, 0.6, 0.7}, float[2] bias = {0.1, -0.1}> {
    maps = Conv<pads = [1, 1, 1, 1]> (pixels, kernels)
    normal = BatchNormalization (maps, scale, shift, mean, var)
    active = Clip (normal, zero, six)
    pooled = MaxPool<kernel_shape = [2, 2], strides = [2, 2]> (active)
    flat = Flatten (pooled)
    scores = Gemm<transB = 1> (flat, weight, bias)
}
"""


def small() -> EngineModel:
    """A convolution, batch norm, relu6, a pool and a linear layer, as an exporter writes them."""
    rng = np.random.default_rng(0)
    model = parser.parse_model(SMALL)
    for name, shape in (("kernels", (3, 1, 3, 3)), ("weight", (2, 12))):
        model.graph.initializer.append(numpy_helper.from_array(rng.standard_normal(shape, np.float32) / 2, name))
    return onnx_to_engine(model)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((5, 1, 4, 4)).astype(np.float32)


def graph(body: str, inputs: str = "float[N] x", opset: int = 20) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 9, opset_import: ["": {opset}]> g ({inputs}) => (float y) {{ {body} }}')


def test_weights_are_leaves_and_statistics_and_bounds_are_not() -> None:
    model = small()
    assert {name for name, _ in model.named_parameters()} == {"kernels", "weight", "bias", "scale", "shift"}
    assert {name for name, _ in model.named_buffers()} == {"mean", "var", "zero", "six"}
    assert all(parameter.node is None and parameter.requires_grad for parameter in model.parameters())


def test_a_step_of_sgd_lowers_the_loss_and_moves_no_statistics(pixels: np.ndarray) -> None:
    model = small()
    labels = np.array([0, 1, 1, 0, 1])
    before = model.state_dict()["var"].copy()
    descent = optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(4):
        model.zero_grad()
        loss = F.cross_entropy(model(pixels), labels)
        loss.backward()
        losses.append(loss.item())
        descent.step()
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    np.testing.assert_array_equal(model.state_dict()["var"], before)


def test_the_graph_can_be_stepped_forward_and_back(pixels: np.ndarray) -> None:
    model = small()
    steps = list(model.steps(pixels))
    assert [step.op_type for step in steps] == ["Conv", "BatchNormalization", "Clip", "MaxPool", "Flatten", "Gemm"]
    assert steps[0].inputs[0].data is pixels
    np.testing.assert_array_equal(steps[-1].outputs[0].data, model(pixels).data)
    back = list(backward_steps(steps[-1].outputs[0].sum()))
    assert back[-1].op.name == "conv2d"
    assert back[-1].input_gradients[1].shape == (3, 1, 3, 3)


def test_gradients_reach_the_pixels(pixels: np.ndarray) -> None:
    image = Tensor(pixels, requires_grad=True)
    small()(pixels=image).sum().backward()
    assert image.grad.shape == pixels.shape
    assert np.abs(image.grad).max() > 0


class Branching(nn.Module):
    """A residual block, a depthwise convolution, average and maximum pooling, a hard activation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.hardswish(self.norm(self.stem(x)))
        x = x + nn.functional.gelu(self.depthwise(x))
        x = nn.functional.interpolate(self.up(x), scale_factor=2, mode="bilinear")
        x = nn.functional.max_pool2d(x, 3, 2, 1) - nn.functional.avg_pool2d(x, 2)
        return self.head(x.mean(dim=(2, 3))).log_softmax(dim=1)


@pytest.mark.slow
def test_values_and_all_gradients_equal_torchs() -> None:
    torch.manual_seed(0)
    module = Branching()
    pixels = np.random.default_rng(0).standard_normal((3, 2, 8, 8)).astype(np.float32)
    model = onnx_to_engine(torch_to_onnx(module, pixels.shape))
    answers = model(pixels)
    wanted = module(torch.from_numpy(pixels))
    np.testing.assert_allclose(answers.data, wanted.detach().numpy(), atol=1e-5)
    weights = np.arange(9, dtype=np.float32).reshape(3, 3)
    answers.backward(weights)
    wanted.backward(torch.from_numpy(weights))
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    shared = {name: p.grad.numpy() for name, p in module.named_parameters() if name in found}
    assert len(shared) >= 8  # the exporter keeps torch's names of most weights
    for name, gradient in shared.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_state_of_another_shape_or_with_another_name_is_refused(pixels: np.ndarray) -> None:
    model, other = small(), small()
    state = {name: array * 2 for name, array in other.state_dict().items()}
    model.load_state_dict(state)
    np.testing.assert_array_equal(model.state_dict()["bias"], state["bias"])
    with pytest.raises(ValueError, match=r"bias has shape \(2,\) in the graph and \(3,\) in the state"):
        model.load_state_dict({**state, "bias": np.zeros(3)})
    with pytest.raises(ValueError, match="bias is missing"):
        model.load_state_dict({name: array for name, array in state.items() if name != "bias"})
    with pytest.raises(ValueError, match="more is not in the graph"):
        model.load_state_dict({**state, "more": np.zeros(3)})


@pytest.mark.parametrize(("body", "sentence"), [
    ("y = Det (x)", r"cannot import this file: it lacks the ONNX operator Det \(1\) of opset 20\."),
    ("a = Det (x) b = StringNormalizer (x) c = Det (x) y = Add (a, c)",
     r"it lacks the ONNX operators Det \(2\), StringNormalizer \(1\) of opset 20\."),
    ("y = Cast<to = 8> (x)", "casts numbers to text"),
    ('y = BatchNormalization<training_mode = 1> (x)', "valid ONNX model|BatchNormalization"),
])
def test_what_the_engine_does_not_know_is_refused_by_name(body: str, sentence: str) -> None:
    with pytest.raises(PlaygroundError, match=sentence):
        onnx_to_engine(graph(body, "float[N, 4] x"))(np.zeros((2, 4), np.float32))


def test_an_attribute_the_table_does_not_know_is_refused_and_not_ignored() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"], slope=0.1)
    model = graph("y = Relu (x)")
    model.graph.node[0].CopyFrom(node)
    with pytest.raises(PlaygroundError, match="attribute slope of the ONNX operator Relu"):
        EngineModel(model)


def test_an_input_of_another_type_or_shape_is_refused_by_name(pixels: np.ndarray) -> None:
    model = small()
    with pytest.raises(PlaygroundError, match="input pixels holds float32 numbers, not float64"):
        model(pixels.astype(np.float64))
    with pytest.raises(PlaygroundError, match=r"input pixels has the shape \(N, 1, 4, 4\), not \(5, 1, 4, 3\)"):
        model(pixels[..., :3])
    with pytest.raises(PlaygroundError, match="needs its input pixels"):
        model()
    with pytest.raises(TypeError, match="takes 1 inputs"):
        model(pixels, pixels)


def test_a_file_is_read_and_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    onnx.save(graph("y = Abs (x)"), tmp_path / "abs.onnx")
    assert onnx_to_engine(tmp_path / "abs.onnx")(np.array([-1.0], np.float32)).data.tolist() == [1.0]
    (tmp_path / "no.onnx").write_bytes(b"not a model")
    with pytest.raises(PlaygroundError, match=r"no\.onnx is not an ONNX model"):
        onnx_to_engine(tmp_path / "no.onnx")


@pytest.mark.parametrize(("opset", "body"), [
    (9, "y = Clip<min = 0.0, max = 2.0> (x)"),
    (6, "y = Clip<max = 2.0> (x)"),
    (11, "y = Softmax<axis = 1> (x)"),
    (11, "y = LogSoftmax<axis = 0> (x)"),
    (9, "y = Slice<starts = [0, 1], ends = [1, 9]> (x)"),
    (9, "y = Slice<axes = [-1], starts = [-2], ends = [9]> (x)"),
    (12, "z = Unsqueeze<axes = [0, 2]> (x) y = Squeeze<axes = [2]> (z)"),
    (12, "z = Unsqueeze<axes = [0]> (x) y = Squeeze (z)"),
    (11, "y = ReduceSum<axes = [1], keepdims = 0> (x)"),
    (13, "y = ReduceMean<axes = [0, 2]> (x)"),
    (13, "y = ReduceMax (x)"),
    (13, "y = ReduceMin<axes = [-1]> (x)"),
    (10, "y = Pad<pads = [0, 1, 0, 0, 0, 2], value = 9.0> (x)"),
    (10, 'y = Pad<pads = [0, 1, 1, 0, 0, 1], mode = "reflect"> (x)'),
    (11, "y, z = Split<axis = 2, split = [1, 3]> (x)"),
    (13, "y, z = Split<axis = 1> (x)"),
    (18, "y, z, last = Split<axis = 2, num_outputs = 3> (x)"),
    (9, "y = Dropout (x)"),
    (9, "scales = Constant<value = float[3] {1, 2, 1.5}> () y = Upsample<mode = \"nearest\"> (x, scales)"),
    (10, "scales = Constant<value = float[3] {1, 2, 0.5}> () y = Resize<mode = \"nearest\"> (x, scales)"),
    (15, "w = Constant<value = float[2] {2, -1}> () b = Constant<value = float[2] {0.5, 1}> ()"
         "y = BatchNormalization (x, w, b, b, b)"),
    (9, "w = Constant<value = float[2] {2, -1}> () b = Constant<value = float[2] {0.5, 1}> ()"
        "y = BatchNormalization (x, w, b, b, b)"),
    (13, "s = Shape (x) y = Expand (x, s)"),
    (19, "y = CastLike (x, x)"),
    (13, "w = Constant<value = float[2, 1] {0.1, 0.3}> () y = PRelu (x, w)"),
    (13, "y = Erf (x)"),
    (13, "y = Softplus (x)"),
    (13, "y = Sign (x)"),
    (13, "y = Floor (x)"),
    (13, "y = Ceil (x)"),
    (13, "n = Size (x) f = Cast<to = 1> (n) y = Div (x, f)"),
    (13, "o = Constant<value_int = 0> () n = Constant<value_int = 8> () d = Constant<value_int = 3> ()"
         "r = Range (o, n, d) y = Cast<to = 1> (r)"),
    (16, "z = Neg (x) a = Less (x, z) b = LessOrEqual (x, z) c = Greater (x, z) d = GreaterOrEqual (x, z)"
         "e = Equal (x, z) f = Or (a, e) g = And (b, f) h = Not (g) y = Where (h, x, z)"),
])
def test_other_opsets_and_small_operators_mean_what_onnx_says(opset: int, body: str) -> None:
    """Against onnxruntime, which keeps the old meanings; the official node tests are of the newest opsets."""
    model = graph(body, "float[2, 2, 4] x", opset)
    x = np.random.default_rng(0).standard_normal((2, 2, 4)).astype(np.float32)
    unshaped = onnx.ModelProto.FromString(model.SerializeToString())
    unshaped.graph.output[0].type.tensor_type.ClearField("shape")
    (wanted,) = onnxruntime.InferenceSession(unshaped.SerializeToString()).run(None, {"x": x})
    y = onnx_to_engine(model)(x)
    assert y.dtype == wanted.dtype
    np.testing.assert_allclose(y.data, wanted, atol=1e-6)


def test_a_long_chain_of_nodes_is_no_recursion(pixels: np.ndarray) -> None:
    chain = "".join(f"x{k + 1} = Neg (x{k})\n" for k in range(3000))
    model = onnx_to_engine(graph(f"{chain} y = Identity (x3000)", "float[N] x0"))
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    model(x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def with_a_default() -> EngineModel:
    """y = x * w, where w is an initialiser and an input: a default."""
    return onnx_to_engine(parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]> g (float[N] x, float[1] w) => (float[N] y) <float[1] w = {2}> '
        "{ y = Mul (x, w) }"))


def test_an_initialiser_that_is_an_input_may_be_given_as_in_onnxruntime() -> None:
    model, x, w = with_a_default(), np.float32([1, 2]), np.float32([10])
    source = parser.parse_model('<ir_version: 9, opset_import: ["": 20]> g (float[N] x, float[1] w) => (float[N] y) '
                                "<float[1] w = {2}> { y = Mul (x, w) }")
    session = onnxruntime.InferenceSession(source.SerializeToString())
    for given in ({"x": x}, {"x": x, "w": w}):
        np.testing.assert_array_equal(model(**given).data, session.run(None, given)[0])
    assert model(x).data.tolist() == [2, 4]  # for that call only
    assert list(model.inputs) == ["x"]
    leaf = Tensor(w, requires_grad=True)
    model(x, w=leaf).sum().backward()
    assert leaf.grad.tolist() == [3]


def test_a_misspelt_or_doubled_input_is_refused_naming_the_right_ones() -> None:
    model, x = with_a_default(), np.float32([1, 2])
    with pytest.raises(PlaygroundError, match=r"The model has no input X: it takes x \(and, if you like, w\)\."):
        model(x, X=x)
    with pytest.raises(PlaygroundError, match=r"The model has no input pixel: it takes pixels\."):
        small()(pixel=x)
    with pytest.raises(PlaygroundError, match="holds float32 numbers, not float64"):
        model(x, w=np.array([1.0]))
    with pytest.raises(TypeError, match="given twice"):
        model(x, x=x)
