"""Layers, chains of them, their names and modes, and the summary."""

import copy

import numpy as np
import pytest

import engine
from engine import ShapeError, Tensor, layers, optim
from engine import functional as F
from engine.core import RefusedArgument
from engine.layers import (
    AdaptiveAvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GroupNorm,
    LayerNorm,
    Linear,
    MaxPool2d,
    Module,
    ModuleList,
    ReLU,
    Sequential,
    summary,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def images(*shape):
    return rng(1).standard_normal(shape).astype(np.float32)


def lenet(generator):
    return Sequential(
        Conv2d(1, 4, 3, padding=1, rng=generator), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(),
        Dropout(0.2, rng=generator), Linear(4 * 4 * 4, 10, rng=generator),
    )


@pytest.mark.parametrize(("chain", "said"), [
    (lambda: [Conv2d(1, 8, 3), ReLU(), Conv2d(4, 8, 3)], r"layer 0, Conv2d.*gives 8 chann.*layer 2, Conv2d.*takes 4"),
    (lambda: [Conv2d(1, 8, 3), BatchNorm2d(9)], r"layer 0, Conv2d.*8 channels.*layer 1, BatchNorm2d\(9\), takes 9"),
    (lambda: [Conv2d(1, 8, 3), MaxPool2d(2), GroupNorm(2, 6)], r"8 channels.*GroupNorm\(2, 6\), takes 6"),
    (lambda: [Linear(3, 4), ReLU(), Linear(5, 4)], r"layer 0, Linear\(3, 4\), gives 4 feat.*layer 2, Linear.*takes 5"),
    (lambda: [Flatten(), Linear(3, 4), LayerNorm(5)], r"4 features.*LayerNorm"),
    (lambda: [Flatten(), Linear(3, 4), BatchNorm1d(5)], r"4 channels.*BatchNorm1d\(5\), takes 5"),
    (lambda: [Conv2d(1, 8, 3), Flatten(), Linear(15, 2)], r"a multiple of 8 features.*Linear\(15, 2\), takes 15"),
    (lambda: [Conv2d(1, 8, 3), AdaptiveAvgPool2d(1), Flatten(), Linear(16, 2)], r"8 features.*takes 16"),
    (lambda: [Conv2d(1, 8, 3), AdaptiveAvgPool2d((2, 3)), Flatten(), Linear(8, 2)], r"48 features.*takes 8"),
    (lambda: [Conv2d(1, 8, 3), Sequential(ReLU(), Conv2d(4, 1, 1))], r"layer 0, Conv2d.*layer 1\.1, Conv2d"),
    (lambda: [Sequential(Conv2d(1, 8, 3), ReLU()), Conv2d(4, 1, 1)], r"layer 0\.0, Conv2d.*layer 1, Conv2d"),
    (lambda: [Flatten(), Linear(3, 4), Conv2d(4, 1, 1)], r"flat features.*Conv2d.*takes images"),
])
def test_a_chain_that_does_not_fit_is_refused_when_made_naming_both_layers(chain, said):
    with pytest.raises(ShapeError, match=said):
        Sequential(*chain())


@pytest.mark.parametrize("chain", [
    lambda: [Conv2d(1, 8, 3), Flatten(), Linear(16, 2)], lambda: [Linear(4, 4), Linear(4, 2)],
    lambda: [Conv2d(3, 8, 3), AdaptiveAvgPool2d(2), Flatten(), Dropout(), Linear(32, 2)],
    lambda: [Conv2d(1, 8, 3), AdaptiveAvgPool2d((None, 2)), Flatten(), Linear(24, 2)],
    lambda: [Conv2d(1, 8, 3), Linear(5, 2)], lambda: [Conv2d(1, 8, 3), Flatten(2), Linear(5, 2)], list,
])
def test_a_chain_that_may_fit_is_made(chain):
    Sequential(*chain())


def test_a_chain_takes_modules_only():
    with pytest.raises(TypeError, match="modules"):
        Sequential(ReLU(), F.relu)


def test_names_are_torchs():
    model = Sequential(Conv2d(1, 4, 3), Sequential(BatchNorm2d(4), ReLU()), ModuleListed())
    assert list(model.state_dict()) == [
        "0.weight", "0.bias", "1.0.weight", "1.0.bias", "1.0.running_mean", "1.0.running_var",
        "1.0.num_batches_tracked", "2.heads.0.weight", "2.heads.0.bias", "2.heads.1.weight", "2.heads.1.bias",
    ]
    assert [name for name, _ in model.named_parameters()][2] == "1.0.weight"
    assert next(name for name, _ in model.named_buffers()) == "1.0.running_mean"


class ModuleListed(Module):
    def __init__(self):
        self.heads = ModuleList([Linear(2, 3), Linear(2, 3)])

    def forward(self, x):
        return sum(head(x) for head in self.heads)


def test_a_state_goes_out_and_in_by_name():
    one, other = lenet(rng(0)), lenet(rng(1))
    x = images(2, 1, 8, 8)
    one(x)  # moves the running statistics
    other.load_state_dict({name: array.copy() for name, array in one.state_dict().items()})
    np.testing.assert_array_equal(one.eval()(x).data, other.eval()(x).data)
    assert all(t.dtype == np.float32 for t in other.parameters())


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    model = lenet(rng(0))
    before = model.state_dict()["0.weight"].copy()
    state = {name: np.ones_like(array) for name, array in model.state_dict().items()}
    with pytest.raises(KeyError, match=r"missing 6\.weight; unexpected 7\.weight"):
        model.load_state_dict({("7.weight" if name == "6.weight" else name): array for name, array in state.items()})
    with pytest.raises(ShapeError, match=r"6\.weight has shape \(10, 64\).*\(64, 10\)"):
        model.load_state_dict(state | {"6.weight": np.ones((64, 10))})
    np.testing.assert_array_equal(model.state_dict()["0.weight"], before)
    assert model.load_state_dict({"0.bias": np.ones(4)}, strict=False)[0][0] == "0.weight"
    assert model.state_dict()["0.bias"].tolist() == [1.0] * 4


def test_the_same_seed_makes_the_same_model():
    x = images(4, 1, 8, 8)
    np.testing.assert_array_equal(lenet(rng(3))(x).data, lenet(rng(3))(x).data)
    assert not np.array_equal(lenet(rng(3))(x).data, lenet(rng(4))(x).data)


def test_first_weights_are_spread_as_torchs():
    layer = Linear(100, 400, rng=rng())
    assert np.abs(layer.weight.data).max() <= 0.1
    assert np.abs(layer.bias.data).max() <= 0.1
    assert layer.weight.data.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
    conv = Conv2d(4, 64, 5, rng=rng())
    assert 0.099 < np.abs(conv.weight.data).max() <= 0.1


def test_modes_reach_every_layer():
    model = Sequential(Sequential(Dropout(0.5, rng=rng())), BatchNorm1d(3))
    x = images(8, 3)
    assert model.eval() is model
    np.testing.assert_array_equal(model(x).data, model(x).data)
    model.train()
    assert not np.array_equal(model(x).data, model(x).data)


def test_batch_norm_keeps_running_statistics_while_training_only():
    norm = BatchNorm2d(2)
    x = images(4, 2, 3, 3) * 3 + 1
    norm.eval()(x)
    assert norm.running_mean.tolist() == [0.0, 0.0]
    norm.train()(x)
    np.testing.assert_allclose(norm.running_mean, 0.1 * x.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, 0.9 + 0.1 * x.var(axis=(0, 2, 3), ddof=1), rtol=1e-5)
    assert norm.num_batches_tracked == 1


def test_batch_norm_without_a_momentum_averages_all_batches():
    norm, batches = BatchNorm2d(2, momentum=None), [images(4, 2, 3, 3), images(4, 2, 3, 3) + 5]
    for batch in batches:
        norm(batch)
    np.testing.assert_allclose(norm.running_mean, np.mean([b.mean(axis=(0, 2, 3)) for b in batches], axis=0), rtol=1e-5)


def test_a_layer_norm_refuses_an_input_of_other_rank():
    with pytest.raises(ShapeError, match="4 axes"):
        BatchNorm2d(3)(images(5, 3))
    with pytest.raises(ShapeError, match="2 or 3 axes"):
        BatchNorm1d(3)(images(5, 3, 2, 2))


def test_parameters_shared_by_two_layers_count_once():
    first, second = Linear(3, 3), Linear(3, 3)
    second.weight = first.weight
    model = Sequential(first, second)
    assert len(list(model.parameters())) == 3
    assert summary(model, (3,)).parameters == 9 + 3 + 3


def test_a_copy_is_a_model_of_its_own():
    model = lenet(rng(0)).eval()
    other = copy.deepcopy(model)
    x = images(2, 1, 8, 8)
    np.testing.assert_array_equal(model(x).data, other(x).data)
    other[0].weight.data += 1.0
    assert not np.array_equal(model(x).data, other(x).data)


def test_frozen_parameters_get_no_gradient():
    model = Sequential(Linear(3, 4, rng=rng()), ReLU(), Linear(4, 2, rng=rng()))
    model[0].requires_grad_(False)
    model(images(5, 3)).sum().backward()
    assert model[0].weight.grad is None
    assert model[2].weight.grad is not None
    assert summary(model, (3,)).frozen == 16
    model.zero_grad()
    assert model[2].weight.grad is None


def test_the_summary_is_keras_like():
    model = lenet(rng())
    table = summary(model, (1, 8, 8))
    assert [(r.name, r.layer, r.output_shape, r.parameters) for r in table.rows][:2] == [
        ("0", "Conv2d", (4, 8, 8), 40), ("1", "BatchNorm2d", (4, 8, 8), 8)]
    assert table.parameters == sum(r.parameters for r in table.rows) == sum(t.size for t in model.parameters())
    assert str(table).splitlines()[-4:] == [
        "Total params: 698", "Trainable params: 698", "Non-trainable params: 0", "Buffers: 9"]
    assert "(None, 4, 8, 8)" in str(table)
    assert all(module.training for _, module in model.named_modules())
    assert model.state_dict()["1.num_batches_tracked"] == 0
    with pytest.raises(ShapeError):
        summary(model, (2, 8, 8))


class Residual(Module):
    """Two convolutions and a way round them."""

    def __init__(self, channels, generator):
        self.conv1 = Conv2d(channels, channels, 3, padding=1, bias=False, rng=generator)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = Conv2d(channels, channels, 3, padding=1, bias=False, rng=generator)
        self.bn2 = BatchNorm2d(channels)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


def separable(before, after, generator):
    """A depthwise convolution and a pointwise one."""
    return Sequential(
        Conv2d(before, before, 3, padding=1, groups=before, bias=False, rng=generator), BatchNorm2d(before), ReLU(),
        Conv2d(before, after, 1, bias=False, rng=generator), BatchNorm2d(after), ReLU(),
    )


def test_the_summary_names_layers_inside_a_module():
    rows = summary(Sequential(Conv2d(1, 4, 3, padding=1), Residual(4, rng())), (1, 6, 6)).rows
    assert [r.name for r in rows] == ["0", "1.conv1", "1.bn1", "1.conv2", "1.bn2"]
    assert rows[1].parameters == 4 * 4 * 9


def stripes():
    """Images of horizontal and of vertical stripes, shifted and noisy."""
    generator = rng(5)
    labels = generator.integers(0, 2, 96)
    phase = generator.integers(0, 4, 96)
    waves = ((np.arange(8) + phase[:, None]) // 2 % 2).astype(np.float32)
    across = np.repeat(waves[:, :, None], 8, axis=2)
    x = np.where(labels[:, None, None] == 0, across, across.swapaxes(1, 2))
    x += 0.3 * generator.standard_normal(x.shape).astype(np.float32)
    return x[:, None], labels


@pytest.mark.parametrize("make", [
    lambda g: [Residual(4, g)], lambda g: [separable(4, 4, g)],
    lambda g: [Conv2d(4, 4, 3, rng=g), GroupNorm(2, 4), ReLU()],
], ids=["residual", "depthwise separable", "group norm"])
@pytest.mark.parametrize("optimizer", [
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4),
    lambda p: optim.AdamW(p, lr=0.01), lambda p: optim.RMSprop(p, lr=0.003),
], ids=["SGD", "AdamW", "RMSprop"])
def test_nested_blocks_train(make, optimizer):
    generator = rng(7)
    model = Sequential(Conv2d(1, 4, 3, padding=1, rng=generator), *make(generator), AdaptiveAvgPool2d(2), Flatten(),
                       Linear(16, 2, rng=generator))
    x, labels = stripes()
    steps = optimizer(model.parameters())
    for _ in range(30):
        steps.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optim.clip_grad_norm_(model.parameters(), 5.0)
        steps.step()
    with engine.no_grad():
        right = (model.eval()(x).data.argmax(axis=1) == labels).mean()
    assert right >= 0.95


def test_float64_models_stay_float64():
    model = Sequential(Conv2d(1, 2, 3, dtype=np.float64), BatchNorm2d(2, dtype=np.float64), Flatten(),
                       Linear(8, 2, dtype=np.float64))
    x = images(3, 1, 4, 4).astype(np.float64)
    y = F.cross_entropy(model(x), np.array([0, 1, 0]))
    y.backward()
    assert y.dtype == np.float64
    assert all(t.grad.dtype == np.float64 for t in model.parameters())
    assert summary(model, (1, 4, 4)).parameters == 20 + 4 + 18


@pytest.mark.parametrize(("call", "argument"), [
    (lambda: layers.ReLU(inplace=True), "inplace"), (lambda: layers.Dropout(0.5, True), "inplace"),
    (lambda: layers.Linear(2, 2, device="cuda"), "device"), (lambda: F.relu(np.ones(2), True), "inplace"),
    (lambda: F.dropout(np.ones(2), inplace=True), "inplace"), (lambda: F.softmax(np.ones(2)), "dim"),
    (lambda: F.interpolate(np.ones((1, 1, 2, 2)), 4, mode="bilinear", antialias=True), "antialias"),
    (lambda: F.div(np.ones(2), 2, rounding_mode="floor"), "rounding_mode"),
    (lambda: F.cross_entropy(np.ones((1, 2)), np.array([0]), Tensor(np.ones(2), requires_grad=True)), "weight"),
    (lambda: layers.ConvTranspose2d(1, 1, 2, padding_mode="reflect"), "padding_mode"),
    (lambda: optim.lr_scheduler.OneCycleLR(optim.SGD([Tensor([1.0])]), 1.0, 10, cycle_momentum=True), "cycle_momentum"),
])
def test_what_torch_accepts_and_the_engine_does_not_is_refused_by_name(call, argument):
    with pytest.raises(RefusedArgument, match=f"'{argument}'") as caught:
        call()
    assert caught.value.argument == argument


@pytest.mark.parametrize(("call", "said"), [
    (lambda: F.dropout(np.ones(2), 1.5), "probability"), (lambda: F.gelu(np.ones(2), "erf"), "approximate"),
    (lambda: F.mse_loss(np.ones((3, 1)), np.ones(3)), r"\(3, 1\).*\(3,\)"),
    (lambda: F.mse_loss(np.ones(3), np.ones(3), reduction="avg"), "reduction"),
    (lambda: F.cross_entropy(np.ones((3, 2)), np.array([0, 1, 2])), "from 0 to 1, found 0 to 2"),
    (lambda: F.cross_entropy(np.ones((3, 2)), np.array([0, 1])), r"\(3, 2\).*\(2,\)"),
    (lambda: F.cross_entropy(np.ones((3, 2)), np.array([0, 1, 0]), np.ones(3)), "2 weights"),
    (lambda: F.cross_entropy(np.ones((1, 2)), np.array([0]), label_smoothing=2.0), "label_smoothing"),
    (lambda: F.binary_cross_entropy(np.array([2.0]), np.array([1.0])), "with_logits"),
    (lambda: F.pad(np.ones((2, 3)), (3, 0), "reflect"), "too wide"), (lambda: F.pad(np.ones(2), (1,)), "two numbers"),
    (lambda: F.pad(np.ones(2), (1, 1), "mirror"), "mode"), (lambda: F.one_hot(np.array([3]), 3), "from 0 to 2"),
    (lambda: F.linear(np.ones((2, 3)), np.ones((4, 5))), r"\(2, 3\).*\(4, 5\)"),
    (lambda: F.batch_norm(np.ones((2, 3)), None, None), "running_mean"),
    (lambda: F.einsum("ii->i", np.ones((2, 2))), "twice"), (lambda: F.einsum("...i->i", np.ones((2, 2))), "every axis"),
    (lambda: F.reshape(np.ones(6), (4, 2)), r"\(6,\).*\(4, 2\)"), (lambda: F.sum(np.ones(2), 1), "no axis"),
    (lambda: F.concat([np.ones((2, 3)), np.ones((3, 2))]), "end to end"), (lambda: F.clip(np.ones(2)), "min, max"),
    (lambda: F.mean(np.array([1, 2])), "floating-point"), (lambda: F.softmax(np.array([1, 2]), 0), "floating-point"),
    (lambda: F.cross_entropy(np.array([[1, 2]]), np.array([0])), "floating-point"),
    (lambda: F.cross_entropy(np.ones((2, 3)), np.array([0.0, 1.0])), r"whole numbers; not float64 of shape \(2,\)"),
    (lambda: Linear(3, 2)(images(2, 4)), r"\(2, 4\).*\(2, 3\)"),
])
def test_what_means_nothing_is_refused_with_a_sentence(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_dropout_leaves_out_the_share_it_says_and_keeps_the_sum():
    x = np.ones((200, 500), np.float32)
    y = F.dropout(x, 0.3, rng=rng()).data
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert y.mean() == pytest.approx(1.0, abs=0.01)
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1 / 0.7)}
    assert (F.dropout(x, 1.0).data == 0).all()
    assert F.dropout(x, 0.3, training=False).data is x


def test_dropout2d_leaves_out_whole_channels():
    y = F.dropout2d(np.ones((8, 16, 3, 3)), 0.5, rng=rng()).data
    assert set(np.unique(y.sum(axis=(2, 3)))) == {0.0, 18.0}


def test_a_module_without_a_forward_says_so():
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        ModuleList([])(1)
