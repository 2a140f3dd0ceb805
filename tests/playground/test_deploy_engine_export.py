"""The NumPy engine's models as ONNX give the engine's answers in onnxruntime."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from engine import Tensor, layers
from engine import functional as F
from playground.deploy import contract
from playground.deploy.engine_export import engine_answers, engine_to_onnx
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from tests.playground.tiny_models import GRAY, pictures


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def unsettled(model: layers.Module, seed: int = 0) -> layers.Module:
    """Running statistics as after training: those of a fresh layer would hide a mistake."""
    source = rng(seed)
    for name, array in model.named_buffers():
        if array.dtype.kind == "f":
            array[...] = source.uniform(0.5, 2, array.shape) if "var" in name else source.normal(size=array.shape)
    return model


def onnx_answers(model: onnx.ModelProto, pixels: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"pixels": pixels})[0]


def lenet() -> layers.Sequential:
    r = rng()
    return layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1, rng=r), layers.BatchNorm2d(4), layers.ReLU(), layers.MaxPool2d(2),
        layers.Flatten(), layers.Dropout(0.5, rng=r), layers.Linear(64, 3, rng=r),
    )


class Residual(layers.Module):
    def __init__(self, channels: int):
        self.conv = layers.Conv2d(channels, channels, 3, padding=1, rng=rng(1))
        self.norm = layers.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)) + x)


def _linear(inputs: int) -> layers.Linear:
    return layers.Linear(inputs, 3, rng=rng(2))


CHANNELS, SIDE = 2, 8
NETWORKS: dict[str, Callable[[], layers.Module]] = {
    "stride and padding": lambda: layers.Sequential(
        layers.Conv2d(2, 3, 3, stride=2, padding=1, rng=rng()), layers.Flatten(), _linear(48)),
    "same padding, dilation": lambda: layers.Sequential(
        layers.Conv2d(2, 3, 3, padding="same", dilation=2, rng=rng()), layers.Flatten(), _linear(192)),
    "depthwise, no bias": lambda: layers.Sequential(
        layers.Conv2d(2, 4, 3, groups=2, bias=False, rng=rng()), layers.Flatten(), _linear(144)),
    "rectangular filters": lambda: layers.Sequential(
        layers.Conv2d(2, 3, (1, 5), stride=(2, 1), padding=(0, 2), rng=rng()), layers.Flatten(), _linear(96)),
    "transposed convolution": lambda: layers.Sequential(
        layers.ConvTranspose2d(2, 3, 3, stride=2, rng=rng()), layers.AdaptiveAvgPool2d(1), layers.Flatten(),
        _linear(3)),
    "overlapping max pool": lambda: layers.Sequential(layers.MaxPool2d(3, 2, 1), layers.Flatten(), _linear(32)),
    "max pool, ceil": lambda: layers.Sequential(
        layers.MaxPool2d(3, 2, ceil_mode=True), layers.Flatten(), _linear(32)),
    "average pool with padding": lambda: layers.Sequential(layers.AvgPool2d(3, 2, 1), layers.Flatten(), _linear(32)),
    "average pool, padding not counted": lambda: layers.Sequential(
        layers.AvgPool2d(3, 2, 1, count_include_pad=False), layers.Flatten(), _linear(32)),
    "adaptive average pool": lambda: layers.Sequential(layers.AdaptiveAvgPool2d(3), layers.Flatten(), _linear(18)),
    "adaptive max pool": lambda: layers.Sequential(layers.AdaptiveMaxPool2d(4), layers.Flatten(), _linear(32)),
    "batch norm without scale": lambda: layers.Sequential(
        layers.BatchNorm2d(2, affine=False), layers.Flatten(), _linear(128)),
    "batch norm of features": lambda: layers.Sequential(
        layers.Flatten(), layers.BatchNorm1d(128), _linear(128)),
    "group norm": lambda: layers.Sequential(layers.GroupNorm(2, 2), layers.Flatten(), _linear(128)),
    "layer norm": lambda: layers.Sequential(layers.LayerNorm((2, 8, 8)), layers.Flatten(), _linear(128)),
    "instance norm": lambda: layers.Sequential(layers.InstanceNorm2d(2, affine=True), layers.Flatten(), _linear(128)),
    "skip connection": lambda: layers.Sequential(Residual(2), Residual(2), layers.Flatten(), _linear(128)),
    "without bias": lambda: layers.Sequential(layers.Flatten(), layers.Linear(128, 3, bias=False, rng=rng())),
    "nested": lambda: layers.Sequential(
        layers.Sequential(layers.Conv2d(2, 3, 3, rng=rng()), layers.ReLU()), layers.Flatten(), _linear(108)),
    "lonely linear": lambda: layers.Sequential(layers.Flatten(), _linear(128)),
    "reflected border": lambda: layers.Sequential(layers.ReflectionPad2d(1), layers.Flatten(), _linear(200)),
    "enlarged": lambda: layers.Sequential(
        layers.Upsample(scale_factor=2, mode="nearest"), layers.AvgPool2d(4), layers.Flatten(), _linear(32)),
} | {
    kind.__name__: lambda kind=kind: layers.Sequential(kind(), layers.Flatten(), _linear(128))
    for kind in (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.GELU, layers.SiLU, layers.Hardswish,
                 layers.Hardsigmoid, layers.Softplus, layers.Sigmoid, layers.Tanh)
}


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_the_engines_answers_for_any_batch(name: str) -> None:
    model = unsettled(NETWORKS[name]())
    exported = engine_to_onnx(model, (1, CHANNELS, SIDE, SIDE))
    onnx.checker.check_model(exported, full_check=True)
    for count in (1, 2, 5):
        pixels = rng(count).normal(size=(count, CHANNELS, SIDE, SIDE)).astype(np.float32)
        expected = engine_answers(model, pixels)
        found = onnx_answers(exported, pixels)
        assert found.shape == expected.shape == (count, 3)
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_random_small_networks_agree(data: st.DataObject) -> None:
    source = rng(data.draw(st.integers(0, 999)))
    channels, parts = CHANNELS, []
    for _ in range(data.draw(st.integers(1, 3))):
        wider = data.draw(st.integers(1, 5))
        parts.append(layers.Conv2d(channels, wider, data.draw(st.sampled_from((1, 3))),
                                   stride=data.draw(st.sampled_from((1, 2))), padding=data.draw(st.integers(0, 1)),
                                   bias=data.draw(st.booleans()), rng=source))
        channels = wider
        kinds = [lambda c=channels: layers.BatchNorm2d(c), layers.ReLU, layers.Tanh, layers.SiLU]
        parts += [kind() for kind in data.draw(st.lists(st.sampled_from(kinds), max_size=2))]
    parts += [layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Linear(channels, 4, rng=source)]
    model = unsettled(layers.Sequential(*parts))
    exported = engine_to_onnx(model, (1, CHANNELS, 9, 11))
    pixels = source.normal(size=(4, CHANNELS, 9, 11)).astype(np.float32)
    np.testing.assert_allclose(onnx_answers(exported, pixels), engine_answers(model, pixels), atol=5e-5, rtol=1e-4)


def test_initialisers_are_the_state_dict_by_name() -> None:
    model = unsettled(lenet())
    exported = engine_to_onnx(model, (1, 1, 8, 8))
    initialisers = {tensor.name: numpy_helper.to_array(tensor) for tensor in exported.graph.initializer}
    kept = model.state_dict()
    used = {name for name in kept if not name.endswith("num_batches_tracked")}
    assert used <= set(initialisers)
    for name in used:
        np.testing.assert_array_equal(initialisers[name], kept[name])


def test_the_model_is_left_in_the_mode_it_was_in() -> None:
    model = lenet()
    model[1].eval()  # a frozen batch norm in a model that trains
    before = [(module, module.training) for _, module in model.named_modules()]
    statistics = {name: array.copy() for name, array in model.named_buffers()}
    engine_to_onnx(model, (1, 1, 8, 8))
    engine_answers(model, np.ones((3, 1, 8, 8), np.float32))
    assert [(module, module.training) for _, module in model.named_modules()] == before
    for name, array in model.named_buffers():
        np.testing.assert_array_equal(array, statistics[name])


def test_frozen_parameters_are_exported_too() -> None:
    model = lenet().requires_grad_(False)
    pixels = rng().normal(size=(2, 1, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(onnx_answers(engine_to_onnx(model, (1, 1, 8, 8)), pixels),
                               engine_answers(model, pixels), atol=1e-5)


def test_a_model_in_float64_is_exported_in_float32() -> None:
    model = layers.Sequential(layers.Flatten(), layers.Linear(64, 3, rng=rng()))
    for tensor in model.parameters():
        tensor.data = tensor.data.astype(np.float64)
    pixels = rng().normal(size=(2, 1, 8, 8)).astype(np.float32)
    found = onnx_answers(engine_to_onnx(model, (1, 1, 8, 8)), pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, engine_answers(model, pixels), atol=1e-5)


def test_one_parameter_used_twice_is_written_once() -> None:
    class Tied(layers.Module):
        def __init__(self) -> None:
            self.weight = Tensor(rng().normal(size=(64, 64)).astype(np.float32), requires_grad=True)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(F.relu(F.linear(x.flatten(1), self.weight)), self.weight)

    model = Tied()
    exported = engine_to_onnx(model, (1, 1, 8, 8))
    assert [tensor.name for tensor in exported.graph.initializer if tensor.data_type == TensorProto.FLOAT] == ["weight"]
    pixels = rng().normal(size=(2, 1, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(onnx_answers(exported, pixels), engine_answers(model, pixels), atol=1e-4)


def test_a_comparison_with_the_picture_is_exported_as_one() -> None:
    class Gate(layers.Module):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(1)
            return F.where(flat > 0.5, flat, flat * 2.0)

    model = Gate()
    pixels = rng().normal(size=(3, 1, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(onnx_answers(engine_to_onnx(model, (1, 1, 2, 2)), pixels), engine_answers(model, pixels))


def test_a_tape_of_ten_thousand_ops_is_walked() -> None:
    class Long(layers.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x.flatten(1)
            for _ in range(10_000):
                y = y + 1.0
            return y

    assert len(engine_to_onnx(Long(), (1, 1, 1, 2)).graph.node) == 10_001


# --- guards: each is seen to fail ---

def test_an_op_without_a_spelling_is_refused_with_its_own_sentence() -> None:
    class AlwaysDropping(layers.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x.flatten(1), 0.5, training=True, rng=rng())

    with pytest.raises(PlaygroundError, match="Dropout in training mode"):
        engine_to_onnx(AlwaysDropping(), (1, 1, 2, 2))


def test_what_is_computed_beside_the_tape_is_refused() -> None:
    class Peeks(layers.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) * Tensor(x.data.mean(keepdims=True).reshape(1))

    with pytest.raises(PlaygroundError, match="without Tensors"):
        engine_to_onnx(Peeks(), (1, 1, 2, 2))


def test_a_model_made_for_one_batch_size_is_refused() -> None:
    class Counts(layers.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) * float(len(x.data))

    with pytest.raises(PlaygroundError, match="how many there are"):
        engine_to_onnx(Counts(), (1, 1, 2, 2))


@pytest.mark.parametrize("forward", [lambda x: x, lambda x: Tensor([[1.0, 2.0]])], ids=["the picture", "a constant"])
def test_an_answer_that_needs_no_model_is_refused(forward: Callable[[Tensor], Tensor]) -> None:
    model = layers.Module()
    model.forward = forward  # type: ignore[method-assign]
    with pytest.raises(PlaygroundError, match="does not depend on the picture"):
        engine_to_onnx(model, (1, 1, 2, 2))


def test_a_finished_file_keeps_the_contract() -> None:
    model = unsettled(lenet())
    finished = contract.finish(engine_to_onnx(model, (1, 1, 8, 8)), GRAY, ["a", "b", "c"], "the engine")
    images = pictures((30, 20), (8, 8), (5, 60), (1, 1))
    answers = Classifier(finished.SerializeToString()).predict(images)
    np.testing.assert_allclose([answer.logits for answer in answers], engine_answers(model, GRAY.apply_all(images)),
                               atol=1e-4)
