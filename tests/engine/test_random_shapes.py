"""Shapes, strides and paddings drawn at random: every way back beside a finite difference."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine import OPS, ShapeError
from engine.gradcheck import gradcheck

DRAWN = settings(max_examples=40, deadline=None, derandomize=True)
small = st.integers(1, 3)
seeds = st.integers(0, 2**16)
pairs = st.tuples(small, small)
frames = st.tuples(st.integers(0, 2), st.integers(0, 2))


def numbers(seed, *shape):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def apart(seed, *shape):
    """Numbers at least 0.1 apart, so that the largest of a window stays the largest."""
    count = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(count).reshape(shape) * 0.1


def check(name, *arrays, **options):
    try:
        OPS[name].rule(*arrays, **options)
    except ShapeError:  # the window drawn does not fit on the image drawn
        assume(False)
    gradcheck(OPS[name], *arrays, **options)


@DRAWN
@given(small, small, small, small, pairs, pairs, frames, pairs, pairs, st.booleans(), seeds)
def test_convolution(n, groups, c, f, size, stride, padding, dilation, more, bias, seed):
    image = [max(1, d * (k - 1) + 1 + m - 2 * p) for d, k, m, p in zip(dilation, size, more, padding, strict=True)]
    check("conv2d", numbers(seed, n, groups * c, *image), numbers(seed, groups * f, c, *size),
          numbers(seed, groups * f) if bias else None, stride=stride, padding=padding, dilation=dilation, groups=groups)


@DRAWN
@given(small, small, small, small, pairs, pairs, pairs, pairs, st.booleans(), seeds)
def test_transposed_convolution(n, groups, c, f, size, stride, dilation, image, bias, seed):
    check("conv_transpose2d", numbers(seed, n, groups * c, *image), numbers(seed, groups * c, f, *size),
          numbers(seed, groups * f) if bias else None, stride=stride, dilation=dilation, groups=groups,
          output_padding=tuple(max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)))


@DRAWN
@given(pairs, pairs, frames, pairs, frames, st.booleans(), seeds)
def test_pooling(size, stride, padding, dilation, more, ceil_mode, seed):
    padding = tuple(min(p, k // 2) for p, k in zip(padding, size, strict=True))
    image = [d * (k - 1) + 1 + m for d, k, m in zip(dilation, size, more, strict=True)]
    options = {"kernel_size": size, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    check("max_pool2d", apart(seed, 2, 2, *image), dilation=dilation, **options)
    check("avg_pool2d", numbers(seed, 2, 2, *image), count_include_pad=bool(seed % 2), **options)
    check("adaptive_avg_pool2d", numbers(seed, 2, 2, *image), output_size=size)
    check("adaptive_max_pool2d", apart(seed, 2, 2, *image), output_size=size)


@DRAWN
@given(st.sampled_from(["nearest", "bilinear", "bicubic"]), pairs, st.tuples(st.integers(1, 7), st.integers(1, 7)),
       seeds)
def test_resizing(mode, image, size, seed):
    align = {} if mode == "nearest" else {"align_corners": bool(seed % 2)}
    check("interpolate", numbers(seed, 2, 1, *image), size=size, mode=mode, **align)


@DRAWN
@given(st.integers(2, 4), small, small, st.lists(small, max_size=2), st.booleans(), seeds)
def test_normalisation(n, groups, c, places, affine, seed):
    shape = (n, groups * c, *places)
    assume(np.prod(shape) // n // groups > 1)
    w, b = (numbers(seed, groups * c), numbers(seed + 1, groups * c)) if affine else (None, None)
    check("batch_norm_training", numbers(seed, *shape), w, b, eps=0.1)
    check("group_norm", numbers(seed, *shape), w, b, num_groups=groups, eps=0.1)
    over = shape[1:]
    check("layer_norm", numbers(seed, *shape), *((numbers(seed, *over), None) if affine else ()), normalized_shape=over)
    if np.prod(places) > 1:
        check("instance_norm", numbers(seed, *shape), w, b, eps=0.1)


@DRAWN
@given(st.lists(small, min_size=1, max_size=4), st.data(), seeds)
def test_softmax_and_reductions(shape, data, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check("softmax", numbers(seed, *shape), dim=axis)
    check("log_softmax", numbers(seed, *shape), dim=axis)
    for name in ("sum", "mean", "max", "min"):
        check(name, apart(seed, *shape), axis=axis, keepdims=bool(seed % 2))


@DRAWN
@given(st.integers(1, 3), st.integers(1, 3), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=2),
       st.sampled_from(["constant", "reflect", "replicate", "circular"]), seeds)
def test_frames(h, w, widths, mode, seed):
    check("pad", numbers(seed, 2, h, w), pad=[n for pair in widths for n in pair], mode=mode)


@DRAWN
@given(small, small, st.lists(small, max_size=2), st.sampled_from(["mean", "sum", "none"]), st.booleans(), seeds)
def test_losses(n, c, places, reduction, smooth, seed):
    rng = np.random.default_rng(seed)
    x = numbers(seed, n, c, *places)
    check("cross_entropy", x, rng.integers(0, c, (n, *places)), reduction=reduction, label_smoothing=0.1 * smooth)
    check("nll_loss", x, rng.integers(0, c, (n, *places)), reduction=reduction)
    shares = np.moveaxis(rng.dirichlet(np.ones(c), (n, *places)), -1, 1)
    check("cross_entropy", x, shares, reduction=reduction, label_smoothing=0.1 * smooth)
    other = numbers(seed + 1, *x.shape)
    for name in ("mse_loss", "smooth_l1_loss", "huber_loss"):
        check(name, x, other, reduction=reduction)
    check("binary_cross_entropy_with_logits", x, rng.uniform(size=x.shape), reduction=reduction)
