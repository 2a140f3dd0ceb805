"""What this process's BLAS and malloc are told, once, when the first large kernel runs.

Both are settings of the whole process, so they are made late (opening a page never does), said here, and can be
refused: ENGINE_THREADS=1 prevents the first, ENGINE_KEEP_MEMORY=0 or any MALLOC_ variable the second.
"""

import ctypes
import os
import sys
from functools import cache

import numpy as np

_SETTERS = (
    "scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_FROM_HEAP, _KEPT = 32 << 20, 256 << 20  # glibc allows no more than the first


@cache
def blas_on_one_thread() -> bool:
    """Tell the BLAS NumPy is linked to to use one thread; False where there is no telling it."""
    try:
        linked = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (OSError, AttributeError):
        return False
    for name in _SETTERS:
        setter = getattr(linked, name, None)
        if setter is not None:
            setter(1)
            return True
    return False


@cache
def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep up to 256 MB of freed memory; False where it is another malloc.

    By default it hands every large array back to the kernel and gets the next one in fresh pages, each of which has to
    be zeroed and costs a page fault: an eighth of a training step.
    """
    refused = os.environ.get("ENGINE_KEEP_MEMORY") == "0" or any(name.startswith("MALLOC_") for name in os.environ)
    if refused or not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP) and libc.mallopt(_M_TRIM_THRESHOLD, _KEPT))
