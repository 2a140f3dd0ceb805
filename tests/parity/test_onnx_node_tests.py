"""ONNX's own node tests, asked of the engine: values by onnx's judge, then the derivative of what they computed."""

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase as NodeTest
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_backend import EngineBackend
from playground.deploy.engine_import import OPERATORS as TABLE
from playground.deploy.engine_import import Operator, find

pytestmark = pytest.mark.slow

OPERATORS = """
    Abs Add Sub Mul Div Neg Exp Log Sqrt Pow Reciprocal Min Max Mean Sum Where Clip Cast Identity Constant
    ConstantOfShape Shape Expand Gather Slice Concat Reshape Flatten Transpose Squeeze Unsqueeze Pad MatMul Gemm Conv
    ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization LayerNormalization
    InstanceNormalization GroupNormalization Dropout Relu LeakyRelu Elu Gelu HardSigmoid HardSwish Sigmoid Tanh Softmax
    LogSoftmax NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss ReduceMean ReduceSum ReduceMax Resize
    LRN LpNormalization MeanVarianceNormalization ArgMax ArgMin TopK Hardmax NonZero Compress EyeLike Trilu Tile
    DepthToSpace SpaceToDepth CumSum CumProd GatherElements GatherND Scatter ScatterElements ScatterND ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceProd ReduceSumSquare Celu Selu Mish ThresholdedRelu Softsign Shrink Round IsInf
    IsNaN Xor Sin Cos Tan GridSample QuantizeLinear DequantizeLinear DynamicQuantizeLinear ConvInteger MatMulInteger
    QLinearConv QLinearMatMul LSTM GRU RNN
""".split()

BFLOAT16 = "computes in bfloat16, which is no type of NumPy's; it is cast, not computed with"

# Every exemption and its reason. One that passes after all fails the suite.
EXEMPT = {
    "test_identity_sequence": "a sequence of tensors; a model of the engine takes and gives tensors",
    "test_identity_opt": "an optional sequence; a model of the engine takes and gives tensors",
    "test_convtranspose_3d": "volumes: the engine convolves images and signals",
    "test_celu_bfloat16": BFLOAT16,
}
AT_MOST = 0.12  # of the tests

# The same for the other tests of graphs made of operators the table knows: the definitions ONNX gives of its larger
# operators, written out in small ones.
EXEMPT_GRAPHS = {
    "test_einsum_batch_diagonal": "the engine's einsum refuses '...' and a letter twice in one input",
    "test_einsum_batch_matmul_bfloat16": BFLOAT16,
    "test_einsum_sum_bfloat16": BFLOAT16,
    "test_celu_bfloat16_expanded": BFLOAT16,
    "test_attention_3d_causal_bf16_expanded": BFLOAT16,
    "test_attention_4d_attn_mask_causal_bf16_expanded": BFLOAT16,
    "test_attention_4d_causal_bf16_expanded": BFLOAT16,
    "test_attention_4d_causal_padded_kv_bf16_expanded": BFLOAT16,
    "test_attention_4d_padded_kv_bf16_expanded": BFLOAT16,
}


@pytest.fixture(scope="module")
def every_test() -> list[NodeTest]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their expected overflows
        return load_model_tests(kind="node")


@pytest.fixture(scope="module")
def node_tests(every_test: list[NodeTest]) -> dict[str, list[NodeTest]]:
    """The tests of graphs of one node, by operator."""
    tests = defaultdict(list)
    for test in every_test:
        if len(test.model.graph.node) == 1:
            tests[test.model.graph.node[0].op_type].append(test)
    return tests


def as_array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def complaint(test: NodeTest) -> str | None:
    """What onnx's own judge says about the engine's answers, or None."""
    try:
        prepared = EngineBackend.prepare(test.model)
        for inputs, expected in test.data_sets:
            answers = prepared.run([as_array(x) for x in inputs])
            Runner.assert_similar_outputs([as_array(y) for y in expected], answers, test.rtol, test.atol)
    except Exception as error:  # whatever went wrong is the answer
        return f"{test.name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return None


@pytest.mark.parametrize("op_type", OPERATORS)
def test_the_official_node_tests_of_an_operator_pass(op_type: str, node_tests: dict[str, list[NodeTest]]) -> None:
    assert node_tests[op_type], "onnx has no test of this operator: is it spelled right?"
    complaints = [complaint(test) for test in node_tests[op_type] if test.name not in EXEMPT]
    assert [c for c in complaints if c] == []


def test_exempted_tests_do_fail_and_are_few(node_tests: dict[str, list[NodeTest]]) -> None:
    asked = {test.name: test for op_type in OPERATORS for test in node_tests[op_type]}
    assert len(asked) > 570
    assert EXEMPT.keys() <= asked.keys()
    assert len(EXEMPT) <= AT_MOST * len(asked)
    assert [name for name in EXEMPT if complaint(asked[name]) is None] == []


def test_every_other_official_graph_of_known_operators_passes(every_test: list[NodeTest]) -> None:
    others = {
        test.name: test for test in every_test
        if all(node.op_type in TABLE and not node.domain for node in test.model.graph.node)
        and not (len(test.model.graph.node) == 1 and test.model.graph.node[0].op_type in OPERATORS)
    }
    assert len(others) > 500
    assert EXEMPT_GRAPHS.keys() <= others.keys()
    complaints = {name: complaint(test) for name, test in others.items()}
    assert [c for name, c in complaints.items() if c and name not in EXEMPT_GRAPHS] == []
    assert [name for name in EXEMPT_GRAPHS if complaints[name] is None] == []


def test_a_planted_wrong_value_and_a_planted_wrong_gradient_are_seen(
    node_tests: dict[str, list[NodeTest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (relu,) = node_tests["Relu"]
    inputs = [as_array(x) for x in relu.data_sets[0][0]]
    assert complaint(relu) is None
    monkeypatch.setitem(TABLE, "Relu", [Operator("Relu", 1, lambda x: F.relu(x) * 1.01, frozenset(), False)])
    assert "Not equal to tolerance" in (complaint(relu) or "")
    flat = Operator("Relu", 1, lambda x: Tensor(np.maximum(x.data, 0)) + 0.0 * x, frozenset(), False)
    monkeypatch.setitem(TABLE, "Relu", [flat])
    assert complaint(relu) is None
    with pytest.raises(AssertionError):
        _derivative_checked(relu, inputs)


# Operators whose inputs or results are whole numbers, constants, steps or masks, or that only pass a type on.
NOT_DIFFERENTIABLE = {"ArgMax", "ArgMin", "Cast", "Constant", "ConstantOfShape", "ConvInteger", "DequantizeLinear",
                      "DynamicQuantizeLinear", "EyeLike", "Hardmax", "IsInf", "IsNaN", "MatMulInteger", "NonZero",
                      "QLinearConv", "QLinearMatMul", "QuantizeLinear", "Round", "Shape", "Xor"}
OF_WHOLE_NUMBERS = {"Trilu"}  # so are its official tests; test_engine_operators asks torch for its gradient
# Inputs that are numbers of the node rather than data: bounds, ratios, scales, exponents, what pads are filled with.
DATA_INPUTS = {"BatchNormalization": 3, "Clip": 1, "Dropout": 1, "NegativeLogLikelihoodLoss": 1, "Pad": 1, "Pow": 1,
               "Resize": 1, "SoftmaxCrossEntropyLoss": 1}


@pytest.mark.parametrize("op_type", [name for name in OPERATORS
                                     if name not in NOT_DIFFERENTIABLE | OF_WHOLE_NUMBERS])
def test_the_gradient_of_an_imported_operator_is_its_derivative(
    op_type: str, node_tests: dict[str, list[NodeTest]]
) -> None:
    """In float64, along one random direction a test, on the test's own inputs moved off ties and kinks a little."""
    asked = 0
    for test in node_tests[op_type]:
        if test.name not in EXEMPT:
            asked += _derivative_checked(test, [np.asarray(as_array(x)) for x in test.data_sets[0][0]])
    assert asked > 0


def _derivative_checked(test: NodeTest, inputs: list[np.ndarray[Any, Any]]) -> bool:
    node = test.model.graph.node[0]
    row = find(node, {entry.domain: entry.version for entry in test.model.opset_import})
    rng = np.random.default_rng(0)
    data = DATA_INPUTS.get(node.op_type, len(inputs))
    leaves = [k for k, x in enumerate(inputs[:data]) if x.dtype in (np.float32, np.float64) and x.size]
    if not leaves:
        return False
    doubles = [x.astype(np.float64) if x.dtype == np.float32 else x for x in inputs]
    for k in leaves:
        doubles[k] += rng.uniform(0.01, 0.2, doubles[k].shape)
    directions = {k: rng.standard_normal(doubles[k].shape) for k in leaves}

    def run(step: float, wants: bool = False) -> tuple[list[Tensor], Tensor]:
        moved = [Tensor(np.asarray(x + step * directions[k]) if k in leaves else x, requires_grad=wants and k in leaves)
                 for k, x in enumerate(doubles)]
        rest = iter(moved)
        return moved, row(node, [next(rest) if name else None for name in node.input])[0]

    tensors, y = run(0.0, wants=True)
    if y.dtype.kind != "f" or y.dtype != np.float64 or not y.size:
        return False
    assert y.requires_grad, f"{test.name} left the tape"
    weights = rng.standard_normal(y.shape)
    y.backward(weights)
    found = sum(float((tensors[k].grad * directions[k]).sum()) for k in leaves if tensors[k].grad is not None)
    step = 1e-6
    wanted = float(((run(step)[1].data - run(-step)[1].data) * weights).sum()) / (2 * step)
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6 * max(1.0, float(np.abs(weights).sum()))), test.name
    return True


def test_a_cast_between_floating_point_types_stays_on_the_tape() -> None:
    x = Tensor(np.array([1.5, 2.5], np.float32), requires_grad=True)
    node = onnx.helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.DOUBLE)
    (y,) = find(node, {"": 20})(node, [x])
    y.backward(np.array([3.0, 4.0]))
    assert y.dtype == np.float64
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3.0, 4.0]


def test_one_node_can_be_run_on_its_own() -> None:
    node = onnx.helper.make_node("Clip", ["x", "", "high"], ["y"])
    (y,) = EngineBackend.run_node(node, [np.array([1.0, 5.0], np.float32), np.array(2.0, np.float32)])
    assert y.tolist() == [1.0, 2.0]


def test_only_the_cpu_is_offered() -> None:
    assert EngineBackend.supports_device("CPU")
    assert not EngineBackend.supports_device("CUDA:0")
