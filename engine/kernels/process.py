"""What this process's BLAS and malloc are told, once, when the first large kernel runs.

Both are settings of the whole process, so they are made late (opening a page never does), said here, and can be
refused: ENGINE_THREADS=1 prevents the first, ENGINE_KEEP_MEMORY=0 or any MALLOC_ variable the second.
"""

import ctypes
import mmap
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
    be zeroed and costs a page fault: an eighth of a training step. Pages of 2 MB, where the kernel has them, save the
    processor looking up where each of the small ones lies: another 3 to 12 %.
    """
    refused = os.environ.get("ENGINE_KEEP_MEMORY") == "0" or any(name.startswith("MALLOC_") for name in os.environ)
    if refused or not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    if not (libc.mallopt(_M_TRIM_THRESHOLD, _KEPT) and libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)):
        return False
    _ask_for_large_pages(libc)
    return True


def _ask_for_large_pages(libc: ctypes.CDLL) -> None:
    """Have the heap grow by what is kept and tell the kernel that it may use pages of 2 MB there.

    Nothing of it is touched, so nothing of it is in memory yet. Where the kernel has no such pages nothing happens.
    """
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = _LARGEST_FROM_HEAP - (1 << 16)
    blocks = [libc.malloc(size) for _ in range(_KEPT // _LARGEST_FROM_HEAP - 1)]  # more would be handed back at once
    for block in filter(None, blocks):
        first = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
        libc.madvise(first, (block + size - first) // mmap.PAGESIZE * mmap.PAGESIZE, mmap.MADV_HUGEPAGE)
    for block in blocks:
        libc.free(block)
