"""Batch norm with kept statistics on large maps is what it is on small ones."""

import numpy as np
import pytest

from engine.core import OPS
from engine.kernels import standard, threads
from engine.kernels.memory import CHWN, HWNC, NCHW, empty, order_of


@pytest.mark.parametrize("order", [NCHW, HWNC, CHWN])
@pytest.mark.parametrize("mean", [0.0, 300.0])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", [(2, 64, 33, 31), (64, 16, 14, 14), (1, 3, 200, 150), (3, 70, 40, 41)])
def test_the_fast_way_is_the_plain_one(order, mean, affine, count, shape):
    rng = np.random.default_rng(0)
    c = shape[1]
    x = empty(shape, order, np.float32)
    x[...] = mean + rng.standard_normal(shape)
    assert x.size >= standard.MUCH
    kept = (np.full(c, mean) + rng.standard_normal(c), rng.random(c) + 0.5)
    more = (rng.standard_normal(c), rng.standard_normal(c)) if affine else (None, None)
    threads.set_threads(count)
    try:
        ours, vjp = OPS["batch_norm_inference"].rule(
            x, *(None if a is None else a.astype(np.float32) for a in (*kept, *more)))
    finally:
        threads.set_threads(None)
    kept = tuple(a.astype(np.float32).astype(float) for a in kept)
    exactly, exact_vjp = OPS["batch_norm_inference"].rule(x.astype(float), *kept, *more)
    assert ours.dtype == np.float32
    assert order_of(ours) == order_of(x)
    np.testing.assert_allclose(ours, exactly, atol=2e-5)
    g = rng.standard_normal(shape).astype(np.float32)
    for d, exact in zip(vjp(g), exact_vjp(g.astype(float)), strict=True):
        assert (d is None) == (exact is None)
        if d is not None:
            np.testing.assert_allclose(d, exact, rtol=1e-3, atol=1e-2 * max(1, mean))


def test_a_channel_that_never_varied_stays_finite():
    x = np.full((1, 64, 40, 40), 3.0, np.float32)
    y, _ = OPS["batch_norm_inference"].rule(x, np.full(64, 3.0, np.float32), np.zeros(64, np.float32), eps=1e-5)
    np.testing.assert_array_equal(y, 0)
