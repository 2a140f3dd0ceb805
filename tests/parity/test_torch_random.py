"""Shapes, broadcasting, views and small networks drawn at random: values and gradients beside torch's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from torch import nn

from engine import Tensor, layers
from engine import functional as F

DRAWN = settings(max_examples=60, deadline=None, derandomize=True)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
seeds = st.integers(0, 2**16)


def numbers(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape)


def agree(ours, theirs, arrays, tolerance=1e-9):
    """Values and all gradients of a function of some arrays."""
    mine = [Tensor(a, requires_grad=True) for a in arrays]
    torchs = [torch.tensor(np.ascontiguousarray(a).reshape(a.shape), requires_grad=True) for a in arrays]
    y, t = ours(*mine), theirs(*torchs)
    assert y.shape == tuple(t.shape)
    np.testing.assert_allclose(y.data, t.detach().numpy(), rtol=tolerance, atol=tolerance)
    g = numbers(9, y.shape)
    y.backward(g)
    t.backward(torch.tensor(g))
    for a, b in zip(mine, torchs, strict=True):
        right = np.zeros(a.shape) if b.grad is None else b.grad.numpy()
        assert a.grad is not None
        np.testing.assert_allclose(a.grad, right, rtol=tolerance, atol=tolerance)


@DRAWN
@given(mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4),
       st.sampled_from(["add", "sub", "mul", "div", "maximum", "minimum"]), seeds)
def test_arithmetic_broadcasts_as_torchs(drawn, name, seed):
    a, b = (numbers([seed, k], shape) for k, shape in enumerate(drawn.input_shapes))
    agree(getattr(F, name), getattr(torch, name), [a, b + np.where(b < 0, -1, 1)])


@DRAWN
@given(mutually_broadcastable_shapes(num_shapes=3, min_side=1, max_side=4, max_dims=3), seeds)
def test_where_broadcasts_as_torchs(drawn, seed):
    c, a, b = (numbers([seed, k], shape) for k, shape in enumerate(drawn.input_shapes))
    agree(lambda x, y: F.where(c > 0, x, y), lambda x, y: torch.where(torch.tensor(c > 0), x, y), [a, b])


@DRAWN
@given(mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_side=4, max_dims=2), seeds)
def test_matrices_multiply_and_broadcast_as_torchs(drawn, seed):
    agree(F.matmul, torch.matmul, [numbers([seed, k], shape) for k, shape in enumerate(drawn.input_shapes)])


@DRAWN
@given(st.lists(st.integers(1, 4), max_size=4).map(tuple), st.data(), st.booleans(),
       st.sampled_from(["sum", "mean", "amax", "amin"]), seeds)
def test_reductions_agree_along_any_axes(shape, data, keepdim, name, seed):
    axes = data.draw(st.sets(st.integers(0, max(len(shape) - 1, 0)), max_size=len(shape)).map(tuple))
    dim = tuple(a - len(shape) if data.draw(st.booleans()) else a for a in axes)
    agree(lambda x: getattr(F, name)(x, dim, keepdim), lambda x: getattr(torch, name)(x, dim, keepdim),
          [numbers(seed, shape)])


indices = st.one_of(st.integers(-3, 2), st.slices(3).filter(lambda s: (s.step or 1) > 0), st.just(None), st.just(...),
                    st.lists(st.integers(-3, 2), min_size=1, max_size=3))


@DRAWN
@given(st.lists(indices, max_size=3), seeds)
def test_indexing_agrees(index, seed):
    if index.count(...) > 1 or any(isinstance(i, slice) and i.stop is not None and i.stop < 0 for i in index):
        index = [i for i in index if i is not ...]
    arrays = [i for i in index if isinstance(i, list)]
    if len({len(i) for i in arrays}) > 1:
        index = [i if not isinstance(i, list) else i[0] for i in index]
    key = tuple(np.array(i) if isinstance(i, list) else i for i in index)
    agree(lambda x: x[key], lambda x: x[tuple(torch.tensor(i) if isinstance(i, np.ndarray) else i for i in key)],
          [numbers(seed, (3, 3, 3))])


@pytest.mark.slow
@DRAWN
@given(st.permutations(range(4)), st.tuples(*[st.booleans()] * 4), st.tuples(*[st.sampled_from([1, 2])] * 4), seeds)
def test_views_are_read_like_the_arrays_they_show(order, reversed_axes, steps, seed):
    """What lies in memory in another order, backwards or with gaps gives what its copy gives."""
    whole = numbers(seed, tuple(4 * step for step in steps))
    cut = tuple(slice(None, None, -step if back else step) for back, step in zip(reversed_axes, steps, strict=True))
    view = whole[cut].transpose(order)
    w = numbers(seed, (3, 4, 2, 2))
    for ours, theirs in [
        (lambda x: F.conv2d(x, w, padding=1), lambda x: TF.conv2d(x, torch.tensor(w), padding=1)),
        (lambda x: F.max_pool2d(F.relu(x), 2), lambda x: TF.max_pool2d(TF.relu(x), 2)),
        (lambda x: F.avg_pool2d(F.softmax(x, 1), 2), lambda x: TF.avg_pool2d(TF.softmax(x, 1), 2)),
        (lambda x: F.batch_norm(x, None, None, training=True), lambda x: TF.batch_norm(x, None, None, training=True)),
        (lambda x: F.linear(F.flatten(x, 1), w.reshape(3, -1)[:, [0] * 64]),
         lambda x: TF.linear(torch.flatten(x, 1), torch.tensor(w.reshape(3, -1)[:, [0] * 64]))),
        (lambda x: F.gelu(F.tanh(x)), lambda x: TF.gelu(torch.tanh(x))),
    ]:
        agree(ours, theirs, [view])


@DRAWN
@given(st.integers(1, 4), st.integers(2, 5), shapes.map(lambda s: s[:2]), seeds, st.booleans(), st.booleans(),
       st.sampled_from(["mean", "sum", "none"]), st.sampled_from([0.0, 0.2]), st.booleans())
def test_cross_entropy_agrees_with_every_option(n, c, places, seed, weighted, soft, reduction, smoothing, ignoring):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, c, *places))
    target = rng.dirichlet(np.ones(c), (n, *places)) if soft else rng.integers(0, c, (n, *places))
    target = np.moveaxis(target, -1, 1) if soft else target
    weight = rng.uniform(0.1, 2, c) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if ignoring and not soft:
        options["ignore_index"] = 1
    t, w = torch.tensor(target), None if weight is None else torch.tensor(weight)
    agree(lambda a: F.cross_entropy(a, target, weight, **options), lambda a: TF.cross_entropy(a, t, w, **options), [x])


ACTIVATIONS = ["ReLU", "GELU", "SiLU", "LeakyReLU", "Hardswish", "Tanh", "Identity"]


def network(m, dtype, rng, channels):
    """A few layers for images of `channels` channels, drawn; the same with torch.nn and with engine.layers."""
    made = []
    for _ in range(rng.integers(1, 4)):
        kind = rng.choice(["conv", "depthwise", "pool", "norm", "strided", "upsample", "dropout"])
        if kind == "conv":
            after = int(rng.integers(1, 6))
            size, bias = int(rng.integers(1, 4)), bool(rng.random() < 0.5)
            made.append(m.Conv2d(channels, after, size, padding=1, bias=bias, dtype=dtype))
            channels = after
        elif kind == "depthwise":
            made.append(m.Conv2d(channels, channels, 3, padding="same", groups=channels, dtype=dtype))
        elif kind == "pool":
            made.append(getattr(m, rng.choice(["MaxPool2d", "AvgPool2d"]))(2, ceil_mode=True))
        elif kind == "norm":
            made.append(m.BatchNorm2d(channels, dtype=dtype) if rng.random() < 0.5
                        else m.GroupNorm(channels, channels, dtype=dtype))
        elif kind == "strided":
            made.append(m.Conv2d(channels, channels, 3, 2, (1, 2), dtype=dtype))
        elif kind == "upsample":
            made.append(m.Upsample(scale_factor=2, mode="bilinear"))
        else:
            made.append(m.Dropout(0.0))
        made.append(getattr(m, rng.choice(ACTIVATIONS))())
    return m.Sequential(*made, m.AdaptiveAvgPool2d(2), m.Flatten(), m.Linear(channels * 4, 3, dtype=dtype))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds)
def test_small_networks_have_torchs_answers_and_gradients(seed):
    ours = network(layers, np.float64, np.random.default_rng(seed), 2)
    theirs = network(nn, torch.float64, np.random.default_rng(seed), 2)
    ours.load_state_dict(theirs.state_dict())
    x, target = numbers(seed, (3, 2, 7, 6)), np.array([0, 2, 1])
    agree(lambda a: F.cross_entropy(ours(a), target), lambda a: TF.cross_entropy(theirs(a), torch.tensor(target)), [x])
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-7, atol=1e-9, err_msg=name)
