"""The fast arithmetic behind ops of one meaning: engine/ops says what an op is, a file here how a special case is done.

Every kernel gives what the general way gives (tests compare them over random shapes). Only one of them rounds
differently: Winograd's convolution, off by about 1e-5 of the largest value. It is for float32 only, and never inside

    with engine.kernels.exact(): ...

or when the environment says ENGINE_EXACT=1. Why each exists: docs/decisions/0010 to 0015.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Mode(threading.local):
    exact = os.environ.get("ENGINE_EXACT", "0") not in ("", "0")


_mode = _Mode()


def is_exact() -> bool:
    """Whether approximate kernels are switched off here."""
    return _mode.exact


@contextmanager
def exact() -> Iterator[None]:
    """Inside it, and in this thread, no kernel is chosen that is less accurate than plain sums of products.

    >>> with exact():
    ...     is_exact()
    True
    """
    before, _mode.exact = _mode.exact, True
    try:
        yield
    finally:
        _mode.exact = before
