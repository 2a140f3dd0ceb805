"""Every fast kernel gives what the general way gives in float64, whatever the shape, memory order and threads."""

import threading
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import OPS
from engine.geometry import place
from engine.kernels import class_loss, columns, depthwise, exact, memory, pooling, runs, small, threads, winograd
from engine.ops.conv import _conv_placement
from engine.ops.pool import _largest, _seen

COMMON = settings(max_examples=40, deadline=None, derandomize=True)
ORDERS = {"NCHW": memory.NCHW, "CHWN": memory.CHWN, "HWNC": memory.HWNC}
orders = st.sampled_from(sorted(ORDERS))


@pytest.fixture(autouse=True)
def _every_part_is_worth_a_thread(monkeypatch):
    """However small the work: what is tested is that the parts fit together."""
    monkeypatch.setattr(threads, "LARGE", 0)
    monkeypatch.setattr(threads, "WORTH", 0)
    monkeypatch.setattr(runs, "LEAST", 16)  # and however short the runs
    for name in ("SMALL", "FEW"):  # a test that changes them leaves them as they were
        monkeypatch.setattr(pooling, name, getattr(pooling, name))
    yield
    threads.set_threads(None)


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def lying(x, order):
    """The same values, lying in memory in another order."""
    return memory.images(memory.ordered(x, ORDERS[order]), ORDERS[order])


def close(ours, exactly, tolerance):
    assert ours.dtype == np.float32
    assert ours.shape == exactly.shape
    assert np.abs(ours - exactly).max(initial=0) <= tolerance * max(1.0, np.abs(exactly).max(initial=0))


def agree(kernel, x, w, b, options, tolerance, g_order, count=1):
    groups = options.get("groups", 1)
    where = _conv_placement(x.shape, w.shape, options.get("stride", 1), options["padding"],
                            options.get("dilation", 1), groups)
    assert kernel.fits(x, w, where, groups)
    threads.set_threads(1)
    x8, w8, b8 = (a.astype(np.float64) for a in (x, w, b))
    exactly, exact_vjp = columns.conv(x8, w8, b8, where, groups)
    threads.set_threads(count)
    ours, vjp = kernel.conv(x, w, b, where)
    close(ours, exactly, tolerance)
    g = numbers(exactly.shape, 3)
    for got, expected in zip(vjp(lying(g, g_order)), exact_vjp(g.astype(np.float64)), strict=True):
        close(got, expected, tolerance)
    close(vjp(g, (False, True, False))[1], exact_vjp(g)[1], tolerance)
    close(vjp(g, (True, False, False))[0], exact_vjp(g)[0], tolerance)


@COMMON
@given(
    st.integers(1, 5), st.integers(16, 20), st.integers(16, 20), st.sampled_from([7, 8, 11, 16, 20]),
    st.sampled_from([8, 12, 15, 16, 28]), st.tuples(st.integers(0, 2), st.integers(0, 2)), orders, orders,
    st.integers(1, 3),
)
def test_winograd_is_the_general_convolution_to_a_few_millionths(n, c, f, h, wide, padding, x_order, g_order, count):
    x, w, b = numbers((n + 4, c, h, wide)), numbers((f, c, 3, 3), 1), numbers(f, 2)
    where = _conv_placement(x.shape, w.shape, 1, padding, 1, 1)
    if not winograd.fits(x, w, where, 1):
        return
    agree(winograd, lying(x, x_order), w, b, {"padding": padding}, 3e-5, g_order, count)


def test_winograd_obeys_asymmetric_padding_and_many_tiles():
    x, w, b = numbers((40, 32, 16, 36)), numbers((16, 32, 3, 3), 1), numbers(16, 2)
    agree(winograd, x, w, b, {"padding": ((0, 2), (1, 0))}, 3e-5, "HWNC", 2)


def test_winograd_is_for_float32_only_and_can_be_switched_off():
    x, w = numbers((8, 16, 8, 8)), numbers((16, 16, 3, 3))
    where = _conv_placement(x.shape, w.shape, 1, 1, 1, 1)
    assert winograd.fits(x, w, where, 1)
    assert not winograd.fits(x.astype(np.float64), w.astype(np.float64), where, 1)
    with exact():
        assert not winograd.fits(x, w, where, 1)
        plainly = OPS["conv2d"].rule(x, w, padding=1)[0]
    assert winograd.fits(x, w, where, 1)
    exactly = columns.conv(x.astype(np.float64), w.astype(np.float64), None, where, 1)[0]
    assert np.abs(plainly - exactly).max() < 1e-6 * np.abs(exactly).max()


@COMMON
@given(
    st.integers(1, 4), st.integers(2, 9), st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 9), st.integers(0, 9)), orders, orders, st.integers(1, 3), st.sampled_from([0, 64, 10**6]),
)
def test_depthwise_is_the_general_convolution(n, c, size, padding, dilation, extra, x_order, g_order, count, long):
    padding = tuple(min(p, d * (k - 1)) for p, k, d in zip(padding, size, dilation, strict=True))
    image = [d * (k - 1) + 1 + e for k, d, e in zip(size, dilation, extra, strict=True)]
    x, w, b = numbers((n, c, *image)), numbers((c, 1, *size), 1), numbers(c, 2)
    options = {"padding": padding, "dilation": dilation, "groups": c}
    with mock.patch.object(depthwise, "LONG", long):  # planes, planes of all images, pixels
        agree(depthwise, lying(x, x_order), w, b, options, 5e-6, g_order, count)


@COMMON
@given(
    st.integers(1, 4), st.integers(2, 9), st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 2)]), st.tuples(st.integers(0, 9), st.integers(0, 9)), orders, orders,
    st.integers(1, 3),
)
def test_depthwise_with_larger_steps(n, c, size, padding, dilation, stride, extra, x_order, g_order, count):
    image = [d * (k - 1) + 1 + e for k, d, e in zip(size, dilation, extra, strict=True)]
    x, w, b = numbers((n, c, *image)), numbers((c, 1, *size), 1), numbers(c, 2)
    options = {"padding": padding, "dilation": dilation, "groups": c, "stride": stride}
    agree(depthwise, lying(x, x_order), w, b, options, 5e-6, g_order, count)


def test_depthwise_of_images_narrower_than_their_padding():
    x, w, b = numbers((2, 3, 2, 3)), numbers((3, 1, 6, 6), 1), numbers(3, 2)
    for long in (0, 10**6):
        with mock.patch.object(depthwise, "LONG", long):
            agree(depthwise, x, w, b, {"padding": ((5, 0), (5, 0)), "groups": 3}, 5e-6, "NCHW", 1)


def test_depthwise_on_several_threads_and_large_planes():
    x, w, b = numbers((6, 32, 33, 30)), numbers((32, 1, 3, 3), 1), numbers(32, 2)
    for order in ORDERS:
        with mock.patch.object(depthwise, "ROOM", 30_000):  # several runs of planes, the last one shorter
            agree(depthwise, lying(x, order), w, b, {"padding": 1, "groups": 32}, 2e-5, "NCHW", 2)


@COMMON
@given(
    st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)), st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 9), st.integers(0, 9)), orders, orders,
    st.booleans(),
)
def test_small_convolutions_are_the_general_one(
    n, c, f, size, stride, dilation, padding, extra, x_order, g_order, biased
):
    x = numbers((n, c, *(d * (k - 1) + 1 + e for k, d, e in zip(size, dilation, extra, strict=True))))
    w, b = numbers((f, c, *size), 1), numbers(f, 2) if biased else None
    where = _conv_placement(x.shape, w.shape, stride, padding, dilation, 1)
    assert small.fits(x, w, where, 1)
    b8 = None if b is None else b.astype(float)
    exactly, exact_vjp = columns.conv(x.astype(float), w.astype(float), b8, where, 1)
    ours, vjp = small.conv(lying(x, x_order), w, b, where)
    close(ours, exactly, 1e-5)
    g = numbers(exactly.shape, 3)
    elsewhere = []
    other = threading.Thread(target=lambda: elsewhere.append(vjp(g)))  # whose kept buffers are not those of `ours`
    other.start()
    other.join()
    kept = vjp(lying(g, g_order))
    small.conv(lying(x, x_order) * 2, w, b, where)  # what another call of these shapes leaves in the kept buffers
    for gradients in (kept, *elsewhere, vjp(g)):
        for got, expected in zip(gradients, exact_vjp(g.astype(float)), strict=True):
            close(got, expected, 1e-5)


@COMMON
@given(
    st.integers(1, 5), st.sampled_from([1, 3, 16, 20]), st.sampled_from([1, 5, 16, 18]), st.sampled_from([1, 2]),
    st.tuples(st.integers(1, 3), st.integers(1, 5)), st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 9), st.integers(0, 9)), orders, orders,
    st.integers(1, 3),
)
def test_columns_do_not_depend_on_memory_order_or_threads(
    n, c, f, groups, size, stride, padding, extra, x_order, g_order, count
):
    x = numbers((n, c * groups, *(k + e for k, e in zip(size, extra, strict=True))))
    w, b = numbers((f * groups, c, *size), 1), numbers(f * groups, 2)
    where = _conv_placement(x.shape, w.shape, stride, padding, 1, groups)
    threads.set_threads(1)
    exactly, exact_vjp = columns.conv(x.astype(float), w.astype(float), b.astype(float), where, groups)
    threads.set_threads(count)
    ours, vjp = columns.conv(lying(x, x_order), w, b, where, groups)
    close(ours, exactly, 1e-5)
    g = numbers(exactly.shape, 3)
    for got, expected in zip(vjp(lying(g, g_order)), exact_vjp(g.astype(float)), strict=True):
        close(got, expected, 1e-5)


def test_columns_in_several_pieces_and_parts_are_the_same():
    x, w, b = numbers((20, 24, 30, 40)), numbers((17, 24, 5, 3), 1), numbers(17, 2)
    where = _conv_placement(x.shape, w.shape, (2, 1), 2, 1, 1)
    threads.set_threads(1)
    one, one_vjp = columns.conv(x, w, b, where, 1)
    threads.set_threads(3)
    three, three_vjp = columns.conv(x, w, b, where, 1)
    close(three, one, 1e-5)
    g = numbers(one.shape, 3)
    for got, expected in zip(three_vjp(g), one_vjp(g), strict=True):
        close(got, expected, 1e-5)




@COMMON
@given(
    st.integers(1, 6), st.integers(1, 40), st.tuples(st.integers(2, 20), st.integers(2, 20)), orders, orders,
    st.sampled_from([0.0, 2.0, 1000.0]), st.booleans(), st.integers(1, 2),
)
def test_batch_norm_is_the_plain_one_even_far_from_zero(n, c, image, x_order, g_order, mean, affine, count):
    threads.set_threads(count)
    x = lying(numbers((n + 1, c, *image)) + np.float32(mean), x_order)
    w, b = (numbers(c, 1), numbers(c, 2)) if affine else (None, None)
    wide = [None if a is None else a.astype(float) for a in (x, w, b)]
    exactly, exact_vjp = OPS["batch_norm_training"].rule(*wide)
    ours, vjp = OPS["batch_norm_training"].rule(x, w, b)
    tolerance = 2e-5 if mean < 100 else 1e-3  # float32 holds 1000 + noise to 6e-5 of the noise
    close(ours, exactly, tolerance)
    g = numbers(x.shape, 3)
    for got, expected in zip(vjp(lying(g, g_order)), exact_vjp(g.astype(float)), strict=True):
        assert (got is None) == (expected is None)
        if expected is not None:
            close(got, expected, tolerance)


@COMMON
@given(
    st.integers(1, 3), st.integers(1, 20), st.tuples(st.integers(2, 21), st.integers(2, 21)), orders, orders,
    st.booleans(), st.booleans(), st.integers(1, 2), st.sampled_from([0, 1 << 20]),
)
def test_two_by_two_max_pooling_is_the_general_one_ties_and_nans_too(
    n, c, image, x_order, g_order, ties, nan, count, few
):
    threads.set_threads(count)
    pooling.SMALL = pooling.FEW = few
    x = numbers((n, c, *image))
    if ties:
        x = np.round(x)
    if nan:
        x[0, 0, 1, 0] = np.nan
    where = place(x.shape, 2, 2)
    y, winner = _largest(x, where)
    ours, vjp = OPS["max_pool2d"].rule(lying(x, x_order), kernel_size=2)
    np.testing.assert_array_equal(ours, y)
    g = numbers(y.shape, 3)
    expected = np.zeros_like(x)
    for k in range(4):
        _seen(expected, where, k)[...] += g * (winner == k)
    np.testing.assert_array_equal(vjp(lying(g, g_order))[0], expected)


@COMMON
@given(
    st.integers(1, 9), st.integers(1, 9), st.tuples(st.integers(1, 5), st.integers(1, 5)), st.integers(1, 12), orders,
    st.booleans(),
)
def test_a_head_gives_the_same_whatever_the_order_of_its_images(n, c, image, classes, order, biased):
    """Flatten hands CHWN images over as a view; linear and cross entropy then go feature by feature."""
    x, w, b = numbers((n, c, *image)), numbers((classes, c * image[0] * image[1]), 1), numbers(classes, 2)
    wanted = np.random.default_rng(3).integers(0, classes, n)
    one = np.array(1.0, np.float32)

    def head(x):
        flat, from_flat = OPS["flatten"].rule(x, start_dim=1)
        scores, from_scores = OPS["linear"].rule(flat, w.astype(x.dtype), b.astype(x.dtype) if biased else None)
        loss, from_loss = OPS["cross_entropy"].rule(scores, wanted)
        d_flat, *others = from_scores(from_loss(one)[0])
        return flat, scores, loss, *from_flat(d_flat), *others

    exactly = head(x.astype(float))
    images = lying(x, order)
    ours = head(images)
    assert np.shares_memory(ours[0], images) or order == "HWNC"
    for got, expected in zip(ours, exactly, strict=True):
        assert (got is None) == (expected is None)
        if expected is not None:
            close(got, expected, 1e-5)


def test_linear_takes_images_without_features_and_batches_of_batches():
    x, w = numbers((2, 3, 4)), numbers((5, 4), 1)
    y, vjp = OPS["linear"].rule(x, w)
    close(y, x.astype(float) @ w.T, 1e-6)
    dx, dw = vjp(y, (True, True))
    close(dx, y.astype(float) @ w, 1e-6)
    close(dw, np.einsum("abo,abi->oi", y.astype(float), x), 1e-6)
    y, vjp = OPS["linear"].rule(np.zeros((2, 3, 0)), np.zeros((5, 0)))
    assert y.shape == (2, 3, 5)
    assert [d.shape for d in vjp(y, (True, True))] == [(2, 3, 0), (5, 0)]


def test_every_kernel_answers_for_a_large_batch_on_two_threads():
    """Large enough that the work is really cut into parts."""
    threads.set_threads(2)
    x, g = numbers((8, 16, 64, 64)), numbers((8, 16, 32, 32))
    where = place(x.shape, 2, 2)
    for order in ORDERS:
        ours, vjp = OPS["max_pool2d"].rule(lying(x, order), kernel_size=2)
        np.testing.assert_array_equal(ours, _largest(x, where)[0])
        assert np.count_nonzero(vjp(g)[0]) == np.count_nonzero(g)
        exactly = OPS["batch_norm_training"].rule(x.astype(float))
        close(OPS["batch_norm_training"].rule(lying(x, order))[0], exactly[0], 1e-5)


@COMMON
@given(
    st.integers(1, 9), st.integers(1, 12), st.sampled_from([np.float32, np.float64]), st.sampled_from("CF"),
    st.sampled_from([np.int64, np.int32, np.uint8]), st.floats(-900, 900), st.integers(0, 99),
)
def test_cross_entropy_of_a_small_batch_is_the_general_one(n, c, dtype, memory_order, whole, far, seed):
    x = np.asarray(numbers((n, c), seed) * 5 + far, dtype, memory_order)
    target = np.random.default_rng(seed).integers(0, c, n).astype(whole)
    assert class_loss.fits(x, target, -100, "mean")
    found = class_loss.cross_entropy(x, target)
    assert found is not None
    exactly, exact_vjp = OPS["cross_entropy"].rule(x.astype(np.float64)[..., None], target[:, None])
    y, vjp = found
    assert y.dtype == dtype
    assert y.shape == ()
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(y, exactly, tolerance, tolerance)
    for _ in range(2):  # the way back may be walked again
        dx, nothing = vjp(np.array(3, dtype))
        assert dx.dtype == dtype
        assert nothing is None
        np.testing.assert_allclose(dx, exact_vjp(np.array(3.0))[0][..., 0], tolerance, tolerance)


def test_cross_entropy_of_a_small_batch_leaves_what_is_not_plain_to_the_general_one():
    x, target = numbers((4, 3)), np.array([0, 2, 1, 0])
    assert not class_loss.fits(x, target, 2, "mean")  # a class is ignored
    assert not class_loss.fits(x, target, -100, "sum")
    assert not class_loss.fits(x, target[:3], -100, "mean")
    assert not class_loss.fits(x, np.eye(3)[target], -100, "mean")  # shares
    assert not class_loss.fits(x[:0], target[:0], -100, "mean")
    assert not class_loss.fits(np.zeros((1025, 2)), np.zeros(1025, int), -100, "mean")
    assert class_loss.fits(np.zeros((1024, 2)), np.zeros(1024, int), -100, "mean")
    for number in (-100, -1, 3):
        assert class_loss.cross_entropy(x, np.array([0, 2, number, 0])) is None
    y, vjp = OPS["cross_entropy"].rule(x, np.array([0, 2, -100, 0]))
    kept = [0, 1, 3]
    np.testing.assert_allclose(y, OPS["cross_entropy"].rule(x[kept], target[kept])[0], 1e-6)
    assert not vjp(np.array(1, np.float32))[0][2].any()
    with pytest.raises(ValueError, match="0 to 2"):
        OPS["cross_entropy"].rule(x, np.array([0, 2, 3, 0]))


def test_small_convolutions_keep_the_filters_of_one_call_apart_from_the_next():
    x = numbers((3, 2, 5, 5))
    for f in (8, 3, 8):
        for b in (numbers(f, 4), None):
            w = numbers((f, 2, 3, 3), f)
            where = _conv_placement(x.shape, w.shape, 1, 0, 1, 1)
            assert small.fits(x, w, where, 1)
            close(small.conv(x, w, b, where)[0], columns.conv(x, w, b, where, 1)[0], 5e-6)


def test_ones_are_as_many_as_asked_for_and_of_the_kind():
    for dtype in (np.float16, np.float32, np.float64, np.int64):
        for count in (0, 3, 1024, 1025):
            made = memory.ones(count, np.dtype(dtype))
            assert (made.dtype, made.shape, made.all()) == (dtype, (count,), True)
