"""NumPy's ufuncs told to go through arrays with gaps run by run."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

LEAST = 512  # numbers in a run from which on it is worth a call of the ufunc's inner loop
BUFFER = 8192  # numbers that a ufunc's buffer holds if nobody says otherwise


@contextmanager
def run_by_run(length: int) -> Iterator[None]:
    """Inside it, in this thread, ufuncs take runs of so many numbers as they lie in memory, if that pays.

    Where arrays do not go through memory alike (slices with gaps, one number beside each row) a ufunc first brings as
    many numbers together as its buffer holds, 8,192: copies that take longer than what is then done with them. With a
    buffer no longer than a run there is nothing to bring together. Of short runs it should.

    >>> with run_by_run(1024):
    ...     np.add(np.ones((2, 1024)), np.ones((2, 1)))[1, 0]
    np.float64(2.0)
    """
    if not LEAST <= length < BUFFER:
        yield
        return
    before = np.setbufsize(LEAST)
    try:
        yield
    finally:
        np.setbufsize(before)
