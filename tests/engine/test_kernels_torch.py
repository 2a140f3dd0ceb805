"""Windows placed at random: convolution, pooling and batch norm give torch's values and torch's gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import OPS, ShapeError
from engine.ops.pool import adaptive_max_pool2d_indices, max_pool2d_indices

COMMON = settings(max_examples=60, deadline=None, derandomize=True)


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def agree(name, torch_function, arrays, tolerance=1e-10, **options):
    """Our value and gradients against torch's, the gradient that arrives being random."""
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    theirs = torch_function(*leaves)
    ours, vjp = OPS[name].rule(*arrays, **options)
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)
    g = numbers(ours.shape, 7)
    theirs.backward(torch.tensor(g))
    for ours_d, leaf in zip(vjp(g), leaves, strict=False):
        np.testing.assert_allclose(ours_d, leaf.grad.numpy(), rtol=tolerance, atol=tolerance)


sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))
steps = st.tuples(st.integers(1, 3), st.integers(1, 3))


@COMMON
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), sizes, steps,
    st.tuples(st.integers(0, 3), st.integers(0, 3)), steps, st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_convolution_gives_torchs_values_and_gradients(n, groups, c, f, size, stride, padding, dilation, extra):
    image = [max(1, d * (k - 1) + 1 - 2 * p) + e
             for k, d, p, e in zip(size, dilation, padding, extra, strict=True)]
    x, w, b = numbers((n, groups * c, *image)), numbers((groups * f, c, *size), 1), numbers(groups * f, 2)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    agree("conv2d", lambda *a: TF.conv2d(*a, **options), [x, w, b], **options)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 2)])
def test_same_and_asymmetric_padding_agree(size):
    x, w = numbers((2, 3, 6, 7)), numbers((4, 3, *size), 1)
    agree("conv2d", lambda *a: TF.conv2d(*a, padding="same", dilation=2), [x, w], padding="same", dilation=2)
    agree("conv2d", lambda x, w: TF.conv2d(TF.pad(x, (1, 2, 0, 3)), w), [x, w], padding=((0, 3), (1, 2)))


@COMMON
@given(sizes, steps, steps, st.booleans(), st.tuples(st.integers(0, 2), st.integers(0, 2)),
       st.tuples(st.integers(0, 5), st.integers(0, 5)), st.booleans())
def test_max_pooling_agrees_even_on_ties(size, stride, dilation, ceil_mode, padding, extra, ties):
    padding = tuple(min(p, k // 2) for p, k in zip(padding, size, strict=True))
    image = [d * (k - 1) + 1 + e for k, d, e in zip(size, dilation, extra, strict=True)]
    x = numbers((2, 2, *image))
    if ties:
        x = np.round(x)
        x[0] = -np.inf
    options = {"kernel_size": size, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    agree("max_pool2d", lambda a: TF.max_pool2d(a, **options), [x], **options)


@COMMON
@given(sizes, steps, st.booleans(), st.tuples(st.integers(0, 2), st.integers(0, 2)),
       st.tuples(st.integers(0, 5), st.integers(0, 5)), st.booleans(), st.sampled_from([None, 1, 5, -2]))
def test_average_pooling_agrees(size, stride, ceil_mode, padding, extra, include, divisor):
    padding = tuple(min(p, k // 2) for p, k in zip(padding, size, strict=True))
    x = numbers((2, 2, *(k + e for k, e in zip(size, extra, strict=True))))
    options = {"kernel_size": size, "stride": stride, "padding": padding, "ceil_mode": ceil_mode,
               "count_include_pad": include, "divisor_override": divisor}
    agree("avg_pool2d", lambda a: TF.avg_pool2d(a, **options), [x], **options)


@pytest.mark.parametrize("out", [1, 3, (2, 5), (None, 1), 9])
def test_adaptive_average_pooling_agrees(out):
    agree("adaptive_avg_pool2d", lambda a: TF.adaptive_avg_pool2d(a, out), [numbers((2, 3, 5, 8))], output_size=out)


@pytest.mark.parametrize("shape", [(4, 3), (3, 3, 5), (2, 3, 4, 5)])
def test_batch_norm_agrees(shape):
    x, w, b, mean, var = numbers(shape), numbers(3, 1), numbers(3, 2), numbers(3, 3), numbers(3, 4) ** 2
    agree("batch_norm_training", lambda x, w, b: TF.batch_norm(x, None, None, w, b, True), [x, w, b])
    agree("batch_norm_training", lambda x: TF.batch_norm(x, None, None, None, None, True, eps=0.1), [x], eps=0.1)
    moving = [torch.tensor(mean), torch.tensor(var)]
    ours, vjp = OPS["batch_norm_inference"].rule(x, mean, var, w, b)
    xt, wt, bt = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    theirs = TF.batch_norm(xt, *moving, wt, bt)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-12)
    g = numbers(shape, 9)
    theirs.backward(torch.tensor(g))
    dx, _, _, dw, db = vjp(g)
    for d, leaf in ((dx, xt), (dw, wt), (db, bt)):
        np.testing.assert_allclose(d, leaf.grad.numpy(), atol=1e-11)


@COMMON
@given(
    st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), sizes, steps,
    st.tuples(st.integers(0, 2), st.integers(0, 2)), steps, sizes, st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_transposed_convolution_gives_torchs_values_and_gradients(
    groups, c, f, size, stride, padding, dilation, image, more
):
    more = tuple(min(m, max(s, d) - 1) for m, s, d in zip(more, stride, dilation, strict=True))
    full = [(n - 1) * s + d * (k - 1) + 1 + m
            for n, s, d, k, m in zip(image, stride, dilation, size, more, strict=True)]
    padding = tuple(min(p, (n - 1) // 2) for p, n in zip(padding, full, strict=True))
    x, w, b = numbers((2, groups * c, *image)), numbers((groups * c, f, *size), 1), numbers(groups * f, 2)
    options = {"stride": stride, "padding": padding, "output_padding": more, "dilation": dilation, "groups": groups}
    agree("conv_transpose2d", lambda *a: TF.conv_transpose2d(*a, **options), [x, w, b], **options)


@pytest.mark.parametrize("out", [1, 3, (2, 5), (None, 1), 9])
def test_adaptive_max_pooling_agrees(out):
    x = np.round(numbers((2, 3, 5, 8)))
    agree("adaptive_max_pool2d", lambda a: TF.adaptive_max_pool2d(a, out), [x], output_size=out)
    theirs = TF.adaptive_max_pool2d(torch.tensor(x), out, return_indices=True)[1]
    np.testing.assert_array_equal(adaptive_max_pool2d_indices(x, output_size=out), theirs)


def test_indices_of_maxima_agree():
    x, options = np.round(numbers((2, 3, 7, 8))), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    theirs = TF.max_pool2d(torch.tensor(x), **options, return_indices=True)[1]
    np.testing.assert_array_equal(max_pool2d_indices(x, **options), theirs)


@pytest.mark.parametrize(("shape", "over"), [((4, 6), (6,)), ((2, 3, 4), (3, 4)), ((2, 3, 2, 5), (2, 5))])
def test_layer_norm_agrees(shape, over):
    x, w, b = numbers(shape), numbers(over, 1), numbers(over, 2)
    agree("layer_norm", lambda x, w, b: TF.layer_norm(x, over, w, b), [x, w, b], normalized_shape=over)
    agree("layer_norm", lambda x: TF.layer_norm(x, over, eps=0.1), [x], normalized_shape=over, eps=0.1)


@pytest.mark.parametrize("shape", [(2, 6, 3, 4), (3, 6, 5), (2, 6)])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_group_norm_agrees(shape, groups):
    x, w, b = numbers(shape), numbers(6, 1), numbers(6, 2)
    agree("group_norm", lambda x, w, b: TF.group_norm(x, groups, w, b), [x, w, b], num_groups=groups)
    agree("group_norm", lambda x: TF.group_norm(x, groups), [x], num_groups=groups)


@pytest.mark.parametrize("shape", [(2, 6, 3, 4), (3, 6, 5)])
def test_instance_norm_agrees(shape):
    x, w, b = numbers(shape), numbers(6, 1), numbers(6, 2)
    agree("instance_norm", lambda x, w, b: TF.instance_norm(x, weight=w, bias=b), [x, w, b])
    agree("instance_norm", lambda x: TF.instance_norm(x), [x])


@COMMON
@given(
    st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic"]), st.booleans(), sizes, sizes,
    st.tuples(st.floats(0.4, 3.3), st.floats(0.4, 3.3)), st.sampled_from(["size", "factor", "recomputed"]),
)
def test_interpolation_agrees(mode, align, image, more, factors, how):
    x = numbers((2, 3, *(n + m for n, m in zip(image, more, strict=True))))
    size = [max(1, int(n * f)) for n, f in zip(x.shape[2:], factors, strict=True)]
    factors = [max(f, 1.001 / n) for f, n in zip(factors, x.shape[2:], strict=True)]
    options = {"size": size} if how == "size" else {"scale_factor": factors}
    if how == "recomputed":
        options["recompute_scale_factor"] = True
    options |= {"mode": mode} | ({"align_corners": align} if mode in ("bilinear", "bicubic") else {})
    agree("interpolate", lambda a: TF.interpolate(a, **options), [x], **options)


def test_what_means_nothing_is_refused_with_a_sentence():
    x, w = numbers((1, 3, 5, 5)), numbers((4, 2, 3, 3))
    with pytest.raises(ShapeError, match=r"\(1, 3, 5, 5\).*\(4, 2, 3, 3\)"):
        OPS["conv2d"].rule(x, w)
    with pytest.raises(ShapeError, match="does not fit"):
        OPS["conv2d"].rule(x, numbers((4, 3, 7, 7)))
    with pytest.raises(ValueError, match="stride 1"):
        OPS["conv2d"].rule(x, numbers((4, 3, 3, 3)), padding="same", stride=2)
    with pytest.raises(ValueError, match="half of the kernel"):
        OPS["max_pool2d"].rule(x, kernel_size=2, padding=2)
    with pytest.raises(ValueError, match="more than one value"):
        OPS["batch_norm_training"].rule(numbers((1, 3)))
