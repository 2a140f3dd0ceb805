"""Engine -> ONNX -> onnxruntime -> and back into the engine: the same numbers, for every op that has a spelling."""

import numpy as np
import onnx
import onnxruntime
import pytest

from engine import OPS, Tensor, layers
from engine import functional as F
from engine.core import Op
from engine.module import Module
from playground.deploy.engine_backend import EngineBackend, onnx_to_engine
from playground.deploy.engine_export import INPUT, _Writer, engine_to_onnx
from playground.errors import PlaygroundError
from tests.engine.op_cases import CASES, Case

# Ops whose spelling is a sentence for some of their rows or all: the beginning of the sentence. A row that has a
# spelling after all, or a refusal that is not here, fails.
REFUSED = {
    "batch_norm_training": ["Batch norm in training mode"],
    "dropout": ["Dropout in training mode"],
    "getitem": ["Indexing by masks or by several arrays"],
    "adaptive_max_pool2d": ["adaptive_max_pool2d to (3, 3) is a plain MaxPool only where"],
    "nll_loss": ["A loss of a single sample"],
    "cross_entropy": ["A loss of a single sample", "cross_entropy with label smoothing or soft targets"],
}
ENTIRELY = {"batch_norm_training", "dropout"}

ROWS = [pytest.param(OPS[name], row, id=f"{name}-{k}") for name, rows in CASES.items() for k, row in enumerate(rows)]


def exported(op: Op, row: Case, position: int) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """One call of an op as a graph whose input is the array at `position`: (graph, input, the engine's answer)."""
    arrays = [a if a is None or a.dtype.kind != "f" else a.astype(np.float32) for a in row.arrays]
    given = np.atleast_1d(arrays[position].astype(np.float32))
    example = Tensor(np.ascontiguousarray(given), requires_grad=True)
    inputs = [None if a is None else Tensor(a) for a in arrays]
    inputs[position] = example if arrays[position].ndim else example.reshape(())
    if arrays[position].dtype != np.float32:
        inputs[position] = OPS["cast"](inputs[position], dtype=arrays[position].dtype)
    y = OPS["cast"](op(*inputs, **row.options), dtype=np.float32)
    return _Writer(example, {}).write(y), example.data, y.data


def by_onnxruntime(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    unshaped = onnx.ModelProto.FromString(model.SerializeToString())  # a row's axis 0 is not always the batch
    unshaped.graph.output[0].type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(unshaped.SerializeToString(), options).run(None, {INPUT: x})[0]


def refusal(op: Op, row: Case, position: int) -> str | None:
    """The sentence a person reads when the row cannot be exported."""
    try:
        exported(op, row, position)
    except PlaygroundError as error:
        return str(error)
    return None


def number_inputs(row: Case) -> list[int]:
    """The positions of a row's floating-point arrays, or the first where there is none."""
    return [k for k, a in enumerate(row.arrays) if a is not None and a.dtype.kind == "f"] or [0]


@pytest.mark.parametrize(("op", "row"), ROWS)
def test_an_op_means_the_same_in_onnxruntime_and_read_back(op: Op, row: Case) -> None:
    for position in number_inputs(row):  # each takes its turn as the graph's input
        sentence = refusal(op, row, position)
        if sentence is not None:
            assert sentence.startswith(tuple(REFUSED.get(op.name, ())))
            continue
        model, x, y = exported(op, row, position)
        (back,) = EngineBackend.run_model(model, [x])
        there = by_onnxruntime(model, x)
        for name, answer in (("read back", back), ("onnxruntime", there)):
            assert answer.shape == y.shape
            np.testing.assert_allclose(answer, y, rtol=1e-4, atol=1e-5, err_msg=f"{name}, input {position}")


def test_every_op_is_asked_and_every_refusal_happens() -> None:
    assert set(OPS) == set(CASES)
    for name, sentences in REFUSED.items():
        found = [refusal(OPS[name], row, number_inputs(row)[0]) or "" for row in CASES[name]]
        assert all(any(text.startswith(sentence) for text in found) for sentence in sentences)
        assert all(found) == (name in ENTIRELY)


class Block(Module):
    """A depthwise-separable block with a skip connection."""

    def __init__(self, channels: int, rng: np.random.Generator):
        self.depthwise = layers.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False, rng=rng)
        self.norm = layers.BatchNorm2d(channels)
        self.pointwise = layers.Conv2d(channels, channels, 1, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pointwise(F.hardswish(self.norm(self.depthwise(x))))


@pytest.fixture
def network() -> Module:
    rng = np.random.default_rng(0)
    model = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1, rng=rng), layers.BatchNorm2d(4), layers.ReLU(), layers.MaxPool2d(2),
        Block(4, rng), layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Dropout(0.5), layers.Linear(4, 3, rng=rng),
    )
    for _ in range(3):  # so that the running statistics are not what they began with
        model(Tensor(rng.standard_normal((16, 1, 8, 8), np.float32) * 2 + 1))
    return model.eval()


def test_a_network_comes_back_with_its_names_answers_and_gradients(network: Module) -> None:
    back = onnx_to_engine(engine_to_onnx(network, (1, 1, 8, 8)))
    x = np.random.default_rng(1).standard_normal((5, 1, 8, 8), np.float32)
    there, here = back(x), network(Tensor(x))
    np.testing.assert_allclose(there.data, here.data, rtol=1e-5, atol=1e-6)
    there.backward(np.ones((5, 3)))
    here.backward(np.ones((5, 3)))
    wanted = dict(network.named_parameters())
    found = dict(back.named_parameters())
    assert wanted.keys() <= back.state_dict().keys()
    for name in wanted.keys() & found.keys():
        np.testing.assert_allclose(found[name].grad.reshape(wanted[name].shape), wanted[name].grad, rtol=1e-4,
                                   atol=1e-5, err_msg=name)
    assert found.keys() == wanted.keys()
