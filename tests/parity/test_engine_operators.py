"""Operators of imported files where the official node tests do not look: torch's gradients at ties, zeros and bounds,
and older opsets, whose judge is onnxruntime."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import parser

from engine import Tensor
from playground.deploy.engine_backend import onnx_to_engine

Values = np.ndarray


def model_of(body: str, shape: str, opset: int = 20, dtype: str = "double") -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 9, opset_import: ["": {opset}, "com.microsoft": 1]> '
                              f"g ({dtype}[{shape}] x) => ({dtype} y) {{ {body} }}")


def gradients(body: str, x: Values, torchs: Callable[[torch.Tensor], torch.Tensor], opset: int = 20) -> None:
    """Value and gradient, against torch, for a gradient that differs from number to number."""
    model = model_of(body, ", ".join("ABCDEF"[: x.ndim]), opset)
    mine = Tensor(x, requires_grad=True)
    y = onnx_to_engine(model)(mine)
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    wanted = torchs(theirs)
    np.testing.assert_allclose(y.data, wanted.detach().numpy(), rtol=1e-10, atol=1e-12)
    arriving = np.random.default_rng(5).standard_normal(y.shape)
    y.backward(arriving)
    wanted.backward(torch.from_numpy(arriving))
    np.testing.assert_allclose(mine.grad, theirs.grad.numpy(), rtol=1e-8, atol=1e-10)


def normal(*shape: int) -> Values:
    return np.random.default_rng(0).standard_normal(shape)


def with_zeros(*shape: int) -> Values:
    x = normal(*shape)
    x[0] = 0
    return x


@pytest.mark.parametrize("size", [1, 4, 5])
def test_local_response_norm_is_torchs(size: int) -> None:
    gradients(f"y = LRN<size = {size}, alpha = 0.5, beta = 0.75, bias = 2.0> (x)", normal(2, 7, 3, 2),
              lambda x: torch.nn.functional.local_response_norm(x, size, 0.5, 0.75, 2.0)
              if size % 2 else _lrn(x, size, 0.5, 0.75, 2.0))


def _lrn(x: torch.Tensor, size: int, alpha: float, beta: float, bias: float) -> torch.Tensor:
    """ONNX's window of an even size reaches one channel further up, torch's one further down."""
    return torch.nn.functional.local_response_norm(x.flip(1), size, alpha, beta, bias).flip(1)


@pytest.mark.parametrize(("body", "x", "torchs"), [
    ("y = ReduceL2<axes = [1], keepdims = 0> (x)", with_zeros(3, 4), lambda x: torch.linalg.vector_norm(x, dim=1)),
    ("y = ReduceL1<axes = [1]> (x)", with_zeros(3, 4), lambda x: x.abs().sum(dim=1, keepdim=True)),
    ("y = ReduceSumSquare (x)", normal(3, 4), lambda x: (x * x).sum().reshape(1, 1)),
    ("y = ReduceLogSum<axes = [0]> (x)", np.abs(normal(3, 4)), lambda x: x.sum(dim=0, keepdim=True).log()),
    ("y = ReduceLogSumExp<axes = [1], keepdims = 0> (x)", 1000 * normal(3, 4), lambda x: x.logsumexp(dim=1)),
    ("y = ReduceProd<axes = [1], keepdims = 0> (x)", np.array([[2.0, 0, 3, 4, 5], [0, 1, 2, 0, 3], [1, 2, 3, 4, 5]]),
     lambda x: x.prod(dim=1)),
    ("y = ReduceProd<axes = [0, 2]> (x)", normal(3, 2, 2), lambda x: x.prod(2, True).prod(0, True)),
], ids=lambda value: value.split(" (")[0] if isinstance(value, str) else "")
def test_a_reduction_is_torchs_also_where_numbers_are_zero(
        body: str, x: Values, torchs: Callable[[torch.Tensor], torch.Tensor]) -> None:
    gradients(body, x, torchs, opset=13)


INDICES = "i = Constant<value = int64[4, 2] {1, 0, 0, 0, -1, 1, 1, 1}> ()"


@pytest.mark.parametrize(("reduction", "torchs"), [("add", "sum"), ("mul", "prod"), ("max", "amax"), ("min", "amin")])
def test_what_is_scattered_to_one_place_several_times_is_torchs(reduction: str, torchs: str) -> None:
    places = torch.tensor([[1, 0], [0, 0], [2, 1], [1, 1]])
    gradients(f'{INDICES} s = Constant<value = int64[2] {{3, 2}}> () t = Constant<value = int64[1] {{3}}> ()'
              f'a, b = Split<axis = 0> (x, z) y = ScatterElements<axis = 0, reduction = "{reduction}"> (a, i, b)'
              .replace("a, b =", "z = Constant<value = int64[2] {3, 4}> () a, b ="), normal(7, 2),
              lambda x: x[:3].scatter_reduce(0, places, x[3:], torchs))


def test_the_last_of_several_updates_of_one_place_counts_and_the_others_get_no_gradient() -> None:
    x = Tensor(np.arange(5.0), requires_grad=True)
    body = ("z = Constant<value = int64[2] {2, 3}> () a, b = Split<axis = 0> (x, z) "
            "i = Constant<value = int64[3, 1] {0, 0, 1}> () y = ScatterND (a, i, b)")
    y = onnx_to_engine(model_of(body, "N"))(x)
    assert y.data.tolist() == [3, 4]
    y.backward(np.array([5.0, 7.0]))
    assert x.grad.tolist() == [0, 0, 0, 5, 7]


@pytest.mark.parametrize(("body", "torchs"), [
    ("k = Constant<value = int64 {1}> () y = Trilu (x, k)", lambda x: x.triu(1)),
    ("k = Constant<value = int64 {-2}> () y = Trilu<upper = 0> (x, k)", lambda x: x.tril(-2)),
    ("y = Trilu (x)", lambda x: x.triu()),
    ("a = Constant<value = int64 {-1}> () y = CumSum (x, a)", lambda x: x.cumsum(-1)),
    ("a = Constant<value = int64 {0}> () y = CumSum<reverse = 1, exclusive = 1> (x, a)",
     lambda x: x.flip(0).cumsum(0).flip(0) - x),
    ("k = Constant<value = int64[1] {2}> () y, i = TopK<axis = 0> (x, k)", lambda x: x.topk(2, 0).values),
    ("r = Constant<value = int64[2] {2, 3}> () y = Tile (x, r)", lambda x: x.tile(2, 3)),
    ("y = Celu<alpha = 0.5> (x)", lambda x: torch.celu(x, 0.5)),
    ("y = Mish (x)", torch.nn.functional.mish),
    ("y = Softsign (x)", torch.nn.functional.softsign),
    ("y = Selu (x)", torch.selu),
    ("y = ThresholdedRelu<alpha = 0.5> (x)", lambda x: torch.nn.functional.threshold(x, 0.5, 0)),
    ("y = LpNormalization<axis = 1, p = 2> (x)", lambda x: torch.nn.functional.normalize(x, dim=1)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_operator_and_its_gradient_are_torchs(body: str, torchs: Callable[[torch.Tensor], torch.Tensor]) -> None:
    gradients(body, normal(6, 5), torchs)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_moves_gradients_as_it_moves_numbers(mode: str) -> None:
    def shuffled(x: torch.Tensor) -> torch.Tensor:
        if mode == "DCR":  # the block before the channels: torch has it the other way round
            x = x.reshape(2, 4, 3, 2, 2).transpose(1, 2).reshape(2, 12, 2, 2)
        return torch.pixel_shuffle(x, 2)

    gradients(f'y = DepthToSpace<blocksize = 2, mode = "{mode}"> (x)', normal(2, 12, 2, 2), shuffled)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_a_sampled_grid_and_both_its_gradients_are_torchs(mode: str, padding: str, corners: int) -> None:
    """Far outside too, so that places are mirrored several times."""
    body = (f'y = GridSample<mode = "{mode}", padding_mode = "{padding}", align_corners = {corners}> (x, grid)')
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["": 16]> g (double[A, B, C, D] x, double[A, E, F, 2] '
                               f"grid) => (double y) {{ {body} }}")
    given = [normal(2, 3, 4, 5), 2.5 * np.random.default_rng(1).standard_normal((2, 6, 7, 2))]
    mine = [Tensor(x, requires_grad=True) for x in given]
    theirs = [torch.from_numpy(x.copy()).requires_grad_() for x in given]
    y = onnx_to_engine(model)(*mine)
    wanted = torch.nn.functional.grid_sample(*theirs, mode, padding, bool(corners))
    np.testing.assert_allclose(y.data, wanted.detach().numpy(), rtol=1e-9, atol=1e-9)
    arriving = np.random.default_rng(5).standard_normal(y.shape)
    y.backward(arriving)
    wanted.backward(torch.from_numpy(arriving))
    np.testing.assert_allclose(mine[0].grad, theirs[0].grad.numpy(), rtol=1e-7, atol=1e-9)
    if mode == "nearest":
        assert mine[1].grad is None or not np.any(mine[1].grad)
    else:
        np.testing.assert_allclose(mine[1].grad, theirs[1].grad.numpy(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("opset", "body"), [
    (9, "y, i = TopK<k = 2, axis = 1> (x)"),
    (10, "k = Constant<value = int64[1] {3}> () v, i = TopK (x, k) y = Cast<to = 1> (i)"),
    (9, "i = ArgMax<axis = 1, keepdims = 0> (x) y = Cast<to = 1> (i)"),
    (12, "i = ArgMin<axis = -1, select_last_index = 1> (x) y = Cast<to = 1> (i)"),
    (9, "i = Constant<value = int64[1, 2, 1] {1, 0}> () u = Constant<value = float[1, 2, 1] {7, 8}> ()"
        "y = Scatter<axis = 2> (x, i, u)"),
    (11, "i = Constant<value = int64[1, 2] {1, 0}> () y = GatherND (x, i)"),
    (8, "r = Constant<value = int64[3] {1, 2, 2}> () y = Tile (x, r)"),
    (9, "y = Shrink<lambd = 0.3, bias = 0.1> (x)"),
    (13, "n = IsNaN (x) m = IsInf (x) b = Or (n, m) t = Equal (x, x) o = Xor (b, t) y = Cast<to = 1> (o)"),
    (13, "y = Round (x)"),
    (13, "y = LRN<size = 3, alpha = 0.1> (x)"),
    (13, "c = Constant<value = bool[2] {0, 1}> () y = Compress<axis = 1> (x, c)"),
])
def test_other_opsets_mean_what_onnx_says(opset: int, body: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 4) if "LRN" not in body else (1, 3, 2, 2)).astype(np.float32)
    model = model_of(body, ", ".join("ABCD"[: x.ndim]), opset, "float")
    unshaped = onnx.ModelProto.FromString(model.SerializeToString())
    unshaped.graph.output[0].type.tensor_type.ClearField("shape")
    (wanted,) = onnxruntime.InferenceSession(unshaped.SerializeToString()).run(None, {"x": x})
    y = onnx_to_engine(model)(x)
    assert y.dtype == wanted.dtype
    np.testing.assert_allclose(y.data, wanted, rtol=1e-6, atol=1e-6)
