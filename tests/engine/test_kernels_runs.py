"""NumPy's ufuncs told to go run by run, and told back."""

import threading

import numpy as np
import pytest

from engine.kernels.runs import LEAST, run_by_run


def test_inside_the_buffer_is_no_longer_than_a_run_and_afterwards_it_is_what_it_was():
    usual = np.getbufsize()
    with run_by_run(LEAST):
        assert np.getbufsize() == LEAST
        with run_by_run(LEAST):
            assert np.getbufsize() == LEAST
        assert np.getbufsize() == LEAST
    assert np.getbufsize() == usual
    with pytest.raises(ZeroDivisionError), run_by_run(2 * LEAST):
        raise ZeroDivisionError
    assert np.getbufsize() == usual


@pytest.mark.parametrize("length", [1, LEAST - 1, 8192, 1 << 20])
def test_runs_that_are_short_or_longer_than_the_buffer_change_nothing(length):
    usual = np.getbufsize()
    with run_by_run(length):
        assert np.getbufsize() == usual


def test_other_threads_keep_their_buffer():
    usual, found = np.getbufsize(), []
    with run_by_run(LEAST):
        other = threading.Thread(target=lambda: found.append(np.getbufsize()))
        other.start()
        other.join()
    assert found == [usual]


@pytest.mark.parametrize("length", [LEAST, 1000, 3001])
def test_sums_and_comparisons_are_the_same(length):
    x = np.random.default_rng(0).standard_normal((6, 4, length)).astype(np.float32)
    one, mask = np.arange(6, dtype=np.float32)[:, None, None], x[:, 0::2] >= x[:, 1::2]
    expected = (x + one, np.maximum(x[:, 0::2], x[:, 1::2]), x[:, 0::2] * mask)
    with run_by_run(length):
        got = (x + one, np.maximum(x[:, 0::2], x[:, 1::2]), x[:, 0::2] * mask)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
