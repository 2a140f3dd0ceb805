"""Sums of channels, whatever the memory order and however many threads share the rows."""

import numpy as np
import pytest

from engine.kernels.memory import CHWN, HWNC, NCHW, empty
from engine.kernels.sums import Lanes, channel_sums, totals
from engine.kernels.threads import set_threads


@pytest.fixture
def sixteen_threads():
    set_threads(16)
    yield
    set_threads(None)


@pytest.mark.parametrize("order", [NCHW, HWNC, CHWN])
@pytest.mark.parametrize("offset", [False, True])
def test_parts_of_unlike_length_add_up_to_the_same(sixteen_threads, order, offset):
    rng = np.random.default_rng(0)
    shape = (1, 67, 201, 201)  # in HWNC order 40,401 rows: of sixteen parts the first is the shortest
    x, d = empty(shape, order, np.float32), empty(shape, order, np.float32)
    x[...], d[...] = rng.standard_normal(shape), rng.standard_normal(shape)
    minus = np.arange(67.0) if offset else None
    lanes = Lanes.of(x)
    assert lanes is not None
    first, second = totals(lanes, x, d, minus)
    wide, far = x.astype(float), d.astype(float) - (0 if minus is None else minus[:, None, None])
    np.testing.assert_allclose(first, wide.sum((0, 2, 3)), atol=0.2)
    np.testing.assert_allclose(second, (wide * far).sum((0, 2, 3)), rtol=1e-4, atol=2)
    np.testing.assert_allclose(channel_sums(x), wide.sum((0, 2, 3)), atol=0.2)
