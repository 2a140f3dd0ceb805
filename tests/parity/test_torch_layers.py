"""Layers, optimizers and schedules beside torch's: weights move across by name, and the same steps are taken."""

import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn

from engine import Tensor, init, layers, optim
from engine import functional as F

LAYERS = {
    "Linear": ((6, 4), (5, 6)), "Conv2d": ((4, 6, 3, 2, 1, 1, 2), (2, 4, 7, 8)), "ReLU": ((), (3, 4)),
    "ConvTranspose2d": ((4, 6, 3, 2, 1, 1, 2), (2, 4, 5, 4)), "BatchNorm2d": ((3,), (4, 3, 5, 2)),
    "BatchNorm1d": ((3,), (6, 3)), "LayerNorm": (((3, 4),), (2, 3, 4)), "GroupNorm": ((2, 4), (3, 4, 2, 2)),
    "InstanceNorm2d": ((3,), (2, 3, 4, 4)), "LeakyReLU": ((0.2,), (3, 4)), "ELU": ((0.7,), (3, 4)),
    "GELU": ((), (3, 4)),
    "SiLU": ((), (3, 4)), "Hardswish": ((), (3, 4)), "Hardsigmoid": ((), (3, 4)), "Softplus": ((2.0, 3.0), (3, 4)),
    "Sigmoid": ((), (3, 4)), "Tanh": ((), (3, 4)), "Softmax": ((1,), (3, 4)), "LogSoftmax": ((1,), (3, 4)),
    "MaxPool2d": ((3, 2, 1), (2, 3, 7, 7)), "AvgPool2d": ((3, 2, 1, True, False), (2, 3, 7, 7)),
    "AdaptiveAvgPool2d": ((3,), (2, 3, 7, 8)), "AdaptiveMaxPool2d": ((3,), (2, 3, 7, 8)), "Flatten": ((), (2, 3, 4)),
    "Upsample": ((None, 2.0, "bilinear"), (1, 2, 3, 4)), "ZeroPad2d": (((1, 2, 0, 1),), (1, 2, 3, 4)),
    "ReflectionPad2d": ((2,), (1, 2, 3, 4)), "ReplicationPad2d": (((1, 2, 3, 4),), (1, 2, 3, 4)),
    "Identity": ((), (3,)),
}
MORE = [
    ("Conv2d", (2, 3, 3), {"padding": "same", "dilation": 2, "bias": False}, (1, 2, 6, 6)),
    ("Conv2d", (2, 3, 3), {"padding": (1, 2), "padding_mode": "reflect"}, (1, 2, 6, 6)),
    ("Conv2d", (2, 3, 4), {"padding": "same", "padding_mode": "circular"}, (1, 2, 6, 6)),
    ("Conv2d", (2, 3, 3), {"padding": 1, "padding_mode": "replicate"}, (2, 6, 6)),
    ("BatchNorm2d", (3,), {"affine": False, "momentum": 0.3}, (4, 3, 2, 2)),
    ("BatchNorm2d", (3,), {"momentum": None}, (4, 3, 2, 2)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 2, 2)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (4, 3, 2, 2)),
    ("InstanceNorm2d", (3,), {}, (3, 4, 4)), ("LayerNorm", (4,), {"bias": False}, (3, 4)),
    ("BatchNorm1d", (3,), {}, (4, 3, 5)), ("GELU", (), {"approximate": "tanh"}, (3, 4)),
]
LOSSES = {
    "CrossEntropyLoss": ({"label_smoothing": 0.1, "reduction": "sum"}, "classes"),
    "NLLLoss": ({"ignore_index": 1}, "classes"), "MSELoss": ({"reduction": "none"}, "numbers"),
    "L1Loss": ({}, "numbers"), "SmoothL1Loss": ({"beta": 0.5}, "numbers"),
    "HuberLoss": ({"delta": 0.5}, "numbers"), "BCELoss": ({}, "shares"), "BCEWithLogitsLoss": ({}, "shares"),
}
NOT_BESIDE_TORCH = {"Dropout", "Dropout2d", "Flow", "Function", "Module", "ModuleList", "Row", "Sequential", "Summary",
                    "summary"}


def test_every_layer_is_here():
    assert set(layers.__all__) == set(LAYERS) | set(LOSSES) | NOT_BESIDE_TORCH


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def both(name, arguments, options):
    theirs = getattr(nn, name)(*arguments, **options).double()
    takes_dtype = "dtype" in inspect.signature(getattr(layers, name)).parameters
    ours = getattr(layers, name)(*arguments, **options, **({"dtype": np.float64} if takes_dtype else {}))
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.tensor(draw(p.shape, 3)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_same_state(ours, theirs):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("name", "arguments", "options", "shape"),
                         [(name, a, {}, s) for name, (a, s) in LAYERS.items()] + MORE)
def test_layers_take_torchs_arguments_and_weights_and_give_its_answers(name, arguments, options, shape):
    ours, theirs = both(name, arguments, options)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = draw(shape)
        a, t = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(t)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-9, atol=1e-11)
        g = draw(y.shape, 1)
        ours.zero_grad()
        theirs.zero_grad()
        y.backward(g)
        z.backward(torch.tensor(g))
        np.testing.assert_allclose(a.grad, t.grad.numpy(), rtol=1e-7, atol=1e-9)
        for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-7, atol=1e-9, err_msg=key)
    assert_same_state(ours, theirs)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_torchs(name):
    options, kind = LOSSES[name]
    target = {"classes": np.array([0, 2, 1, 1]), "numbers": draw((4, 3), 1),
              "shares": np.random.default_rng(0).uniform(size=(4, 3))}[kind]
    x = draw((4, 3))
    x = 1 / (1 + np.exp(-x)) if name == "BCELoss" else x
    a, t = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = getattr(layers, name)(**options)(a, target), getattr(nn, name)(**options)(t, torch.tensor(target))
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-12)
    y.backward(np.ones(y.shape))
    z.sum().backward()
    np.testing.assert_allclose(a.grad, t.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_network_moves_both_ways_by_name():
    def build(m, **dtype):
        return m.Sequential(m.Conv2d(1, 3, 3, **dtype), m.BatchNorm2d(3, **dtype), m.ReLU(), m.Flatten(),
                            m.Linear(48, 2, **dtype))

    ours, theirs = build(layers, dtype=np.float64), build(nn).double()
    theirs(torch.tensor(draw((4, 1, 6, 6))))
    ours.load_state_dict(theirs.state_dict())
    assert_same_state(ours, theirs)
    ours[4].bias.data += 1.0
    theirs.load_state_dict({name: torch.tensor(array) for name, array in ours.state_dict().items()})
    x = draw((4, 1, 6, 6), 8)
    np.testing.assert_allclose(ours.eval()(x).data, theirs.eval()(torch.tensor(x)).detach().numpy(), rtol=1e-10)


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9}), ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}), ("Adam", {}), ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3}), ("AdamW", {}), ("AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    ("RMSprop", {}), ("RMSprop", {"lr": 0.1, "alpha": 0.5, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
]


def walk(optimizer_of, parameters, steps, gradient):
    """`steps` steps with the same gradients for both engines: 2p plus noise."""
    noise = np.random.default_rng(0)
    for _ in range(steps):
        for p in parameters:
            gradient(p, noise.standard_normal(tuple(p.shape)))
        optimizer_of.step()


def our_gradient(p, noise):
    p.grad = 2 * p.data + noise


def their_gradient(p, noise):
    p.grad = 2 * p.detach() + torch.tensor(noise)


def start():
    values = [draw((3, 4)), draw((5,), 1)]
    return ([Tensor(v.copy(), requires_grad=True) for v in values],
            [torch.tensor(v.copy(), requires_grad=True) for v in values])


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizers_take_torchs_steps(name, options):
    ours, theirs = start()
    one, other = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    walk(one, ours, 7, our_gradient)
    walk(other, theirs, 7, their_gradient)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_an_optimizer_goes_on_from_its_state(name, options):
    (p, _), (q, _) = start()[0], start()[0]
    whole, first = getattr(optim, name)([p], **options), getattr(optim, name)([q], **options)
    gradients = [draw(p.shape, k) for k in range(6)]
    for g in gradients:
        p.grad = g
        whole.step()
    for g in gradients[:3]:
        q.grad = g
        first.step()
    second = getattr(optim, name)([q], lr=99.0)
    second.load_state_dict(first.state_dict())
    for g in gradients[3:]:
        q.grad = g
        second.step()
    np.testing.assert_array_equal(p.data, q.data)


def test_groups_have_their_own_settings():
    ours, theirs = start()
    one = optim.SGD([{"params": ours[:1]}, {"params": ours[1:], "lr": 0.5}], lr=0.1)
    other = torch.optim.SGD([{"params": theirs[:1]}, {"params": theirs[1:], "lr": 0.5}], lr=0.1)
    walk(one, ours, 3, our_gradient)
    walk(other, theirs, 3, their_gradient)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-12)
    one.lr = 0.3
    assert [g["lr"] for g in one.param_groups] == [0.3, 0.3]


def test_an_optimizer_refuses_nonsense():
    p = Tensor([1.0], requires_grad=True)
    for call, said in [
        (lambda: optim.SGD([]), "at least one"), (lambda: optim.SGD([p], lr=-1.0), "negative"),
        (lambda: optim.SGD([p], nesterov=True), "momentum"), (lambda: optim.Adam([p], betas=(1.0, 0.9)), "betas"),
        (lambda: optim.SGD([{"params": [p], "beta": 1}]), "beta"),
    ]:
        with pytest.raises(ValueError, match=said):
            call()
    with pytest.raises(TypeError, match="Tensors"):
        optim.SGD([p.data])


SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}), ("MultiStepLR", {"milestones": [2, 5], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}), ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}),
    ("LinearLR", {"start_factor": 0.25, "total_iters": 4}), ("LinearLR", {"end_factor": 0.1, "start_factor": 1.0}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 13, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 2.0, "epochs": 4, "steps_per_epoch": 4, "anneal_strategy": "linear", "pct_start": 0.5,
                    "cycle_momentum": False}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_schedules_are_torchs(name, options):
    ours, theirs = start()
    one, other = optim.SGD(ours, lr=0.8), torch.optim.SGD(theirs, lr=0.8)
    plan = getattr(optim.lr_scheduler, name)(one, **options)
    torchs = getattr(torch.optim.lr_scheduler, name)(other, **options)
    for _ in range(12):
        assert one.lr == pytest.approx(other.param_groups[0]["lr"], rel=1e-9)
        assert plan.get_last_lr() == [one.lr]
        other.step()
        plan.step()
        torchs.step()


def test_a_warm_up_and_a_cosine_follow_each_other_as_in_torch():
    ours, theirs = start()
    rates = []
    for module, optimizer in ((optim.lr_scheduler, optim.SGD(ours, lr=0.8)),
                              (torch.optim.lr_scheduler, torch.optim.SGD(theirs, lr=0.8))):
        parts = [module.LinearLR(optimizer, 0.1, total_iters=3), module.CosineAnnealingLR(optimizer, 9)]
        plan = module.SequentialLR(optimizer, parts, milestones=[3])
        seen = []
        for _ in range(11):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            plan.step()
        rates.append(seen)
    assert rates[0] == pytest.approx(rates[1], rel=1e-9)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_gradients_are_clipped_as_torch_clips_them(norm_type, max_norm):
    ours, theirs = start()
    for p, q in zip(ours, theirs, strict=True):
        our_gradient(p, 0.0)
        q.grad = 2 * q.detach()
    total = optim.clip_grad_norm_(ours, max_norm, norm_type)
    assert total == pytest.approx(nn.utils.clip_grad_norm_(theirs, max_norm, norm_type).item())
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-9)
    optim.clip_grad_value_(ours, 0.3)
    nn.utils.clip_grad_value_(theirs, 0.3)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-9)


@pytest.mark.parametrize(("name", "options"), [
    ("uniform_", {"a": -2.0, "b": 3.0}), ("normal_", {"mean": 1.0, "std": 2.0}), ("trunc_normal_", {"std": 1.5}),
    ("xavier_uniform_", {"gain": 2.0}), ("xavier_normal_", {}), ("kaiming_uniform_", {"a": 0.3}),
    ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}), ("kaiming_normal_", {"nonlinearity": "tanh"}),
    ("zeros_", {}), ("ones_", {}), ("constant_", {"val": 0.25}),
])
def test_first_weights_are_drawn_from_torchs_distributions(name, options):
    shape = (60, 40, 3, 3)
    random = {} if name in ("zeros_", "ones_", "constant_") else {"rng": np.random.default_rng(0)}
    ours = getattr(init, name)(Tensor(np.empty(shape)), **options, **random).data
    torch.manual_seed(0)
    theirs = getattr(nn.init, name)(torch.empty(shape, dtype=torch.float64), **options).numpy()
    scale = max(theirs.std(), 1e-9)
    assert abs(ours.mean() - theirs.mean()) < 0.03 * scale + 1e-9
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.3)
    for q in (0.1, 0.9):
        assert np.quantile(ours, q) == pytest.approx(np.quantile(theirs, q), abs=0.05 * scale)


@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "leaky_relu", "sigmoid", "conv2d", "selu"])
def test_gains_are_torchs(name):
    assert init.calculate_gain(name) == pytest.approx(nn.init.calculate_gain(name))


@pytest.mark.filterwarnings("ignore:size_average and reduce")
def test_functions_take_arguments_by_torchs_positions():
    """The positions that differ from one's guess: checked against torch's own answer."""
    x, w = draw((2, 4, 5, 5)), draw((4, 2, 3, 3), 1)
    t, v = torch.tensor(x), torch.tensor(w)
    tf = nn.functional
    for ours, theirs in [
        (F.conv_transpose2d(x, w, None, 2, 1, 1, 2, 1), tf.conv_transpose2d(t, v, None, 2, 1, 1, 2, 1)),
        (F.max_pool2d(x, 2, 1, 1, 2, True), tf.max_pool2d(t, 2, 1, 1, 2, True)),
        (F.avg_pool2d(x, 2, 2, 1, True, False, 3), tf.avg_pool2d(t, 2, 2, 1, True, False, 3)),
        (F.softmax(x, 1, 3, np.float32), tf.softmax(t, 1, 3, torch.float32)),
        (F.pad(x, [1, 1], "constant", 2.0), tf.pad(t, [1, 1], "constant", 2.0)),
        (F.cross_entropy(x[:, :, 0, 0], np.array([1, 3]), None, None, 1, None, "sum", 0.2),
         tf.cross_entropy(t[:, :, 0, 0], torch.tensor([1, 3]), None, None, 1, None, "sum", 0.2)),
        (F.mse_loss(x, x * 0.5, False), tf.mse_loss(t, t * 0.5, False)),
        (F.smooth_l1_loss(x, x * 0.5, None, False, "mean", 0.3),
         tf.smooth_l1_loss(t, t * 0.5, None, False, "mean", 0.3)),
        (F.huber_loss(x, x * 0.5, "sum", 0.3), tf.huber_loss(t, t * 0.5, "sum", 0.3)),
        (F.mse_loss(x, x * 0.5, weight=abs(x)), tf.mse_loss(t, t * 0.5, weight=abs(t))),
        (F.interpolate(x, None, 2.0, "bilinear", True), tf.interpolate(t, None, 2.0, "bilinear", True)),
        (F.transpose(x, 1, 3), torch.transpose(t, 1, 3)), (F.add(x, x, alpha=3), torch.add(t, t, alpha=3)),
        (F.sum(x, (1, 2), True), torch.sum(t, (1, 2), True)), (F.amax(x), torch.amax(t)),
    ]:
        np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-6)


OPTIMIZERS = sorted(name for name, value in vars(optim).items()
                    if isinstance(value, type) and issubclass(value, optim.Optimizer) and value is not optim.Optimizer)


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate parameters")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_in_two_groups_is_refused_as_torch_does(name):
    p, q = (Tensor(np.zeros(2), requires_grad=True) for _ in range(2))
    t, u = (torch.zeros(2, requires_grad=True) for _ in range(2))
    with pytest.raises(ValueError, match="some parameters appear in more than one"):
        getattr(torch.optim, name)([{"params": [t, u]}, {"params": [t], "lr": 0.1}], lr=0.01)
    for params in ([{"params": [p, q]}, {"params": [p], "lr": 0.1}], [p, q, p], [{"params": [p, p]}]):
        with pytest.raises(ValueError, match="moved twice"):
            getattr(optim, name)(params, lr=0.01)
    getattr(optim, name)([{"params": [p]}, {"params": [q], "lr": 0.1}], lr=0.01)  # equal numbers are not the same
