"""Several cores: a kernel's work is cut into contiguous parts, each done by one thread with a single-threaded BLAS.

NumPy lets go of the interpreter lock inside matmul, einsum and ufuncs, so plain threads run side by side. Two ways of
threading at once would fight over the cores: the first parallel call tells OpenBLAS to stay on one thread, and where
that cannot be said (another BLAS) everything here stays on one thread instead. How many: `set_threads`, else the
smallest of ENGINE_THREADS, OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and the cores this process may use.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np

from engine.arrays import Array
from engine.kernels.process import blas_on_one_thread, keep_freed_memory

T = TypeVar("T")
Part = tuple[int, int]

LARGE = 1e5  # nanoseconds from which on a kernel's memory is worth keeping
WORTH = 1e6  # nanoseconds from which on a second thread is worth waking: that costs up to 0.2 ms, and back again

class _Pool:
    """Threads waiting for tasks; started when first needed, and again in a forked child."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.running = 0
        self.tasks: SimpleQueue[tuple[Callable[[], Any], list[Any], threading.Lock]] = SimpleQueue()
        self.lock = threading.Lock()

    def start(self, count: int) -> None:
        with self.lock:
            while self.running < count:
                threading.Thread(target=self._work, daemon=True, name="engine-kernel").start()
                self.running += 1

    def _work(self) -> None:
        while True:
            task, outcome, done = self.tasks.get()
            try:
                outcome.append(task())
            except BaseException as error:
                outcome.extend((None, error))
            done.release()


_pool = _Pool()


class _Here(threading.local):
    at_work = False  # whether this thread is doing a share: what it calls has no threads to wait for
    exactly: int | None = None  # how many shares its work is cut into, whatever others are told


_here = _Here()


def _after_fork() -> None:
    global _pool
    asked, _pool = _pool.asked, _Pool()
    _pool.asked = asked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _default_threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = [os.environ.get(name, "") for name in ("ENGINE_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")]
    return max(1, min([cores, *(int(s) for s in said if s.isdigit())]))


def set_threads(count: int | None) -> None:
    """How many threads kernels may use from now on; None: as the environment says."""
    if count is not None and count < 1:
        raise ValueError(f"kernels need at least one thread, not {count}")
    _pool.asked = count


@contextmanager
def exactly(count: int) -> Iterator[None]:
    """Inside it this thread's work is cut as for so many threads, on however many cores, and BLAS stays on one.

    Sums are added up in the order in which work is cut, so the same numbers to the last bit need the same count.
    """
    if count < 1:
        raise ValueError(f"kernels need at least one thread, not {count}")
    blas_on_one_thread()
    before, _here.exactly = _here.exactly, count
    try:
        yield
    finally:
        _here.exactly = before


def threads() -> int:
    """How many threads kernels use."""
    if _here.exactly is not None:
        return _here.exactly
    if _pool.asked is None:
        _pool.asked = _default_threads()
    return _pool.asked if _pool.asked == 1 or blas_on_one_thread() else 1


def parts(count: int, nanoseconds: float) -> list[Part]:
    """range(count) cut into one contiguous (start, stop) a thread; one part where all of it takes too short a time.

    nanoseconds: about what one thread needs. Inside of a part that is being done there is one part, too.

    >>> parts(5, nanoseconds=1000)
    [(0, 5)]
    """
    if nanoseconds < LARGE:
        return [(0, count)]
    keep_freed_memory()
    many = min(threads(), count) if nanoseconds >= WORTH and not _here.at_work else 1
    return [(count * k // many, count * (k + 1) // many) for k in range(many)] or [(0, 0)]


def together(task: Callable[[Part], T], shares: Sequence[Part]) -> list[T]:
    """task(part) for every part, side by side; the results in order. The first error is raised when all are done."""
    if len(shares) == 1:
        return [task(shares[0])]

    def work(share: Part) -> T:
        _here.at_work = True
        try:
            return task(share)
        finally:
            _here.at_work = False

    _pool.start(len(shares) - 1)
    waiting: list[tuple[list[Any], threading.Lock]] = []
    for share in shares[1:]:
        outcome: list[Any] = []
        done = threading.Lock()
        done.acquire()
        _pool.tasks.put((lambda share=share: work(share), outcome, done))  # type: ignore[misc]
        waiting.append((outcome, done))
    try:
        results = [work(shares[0])]
    finally:
        for _, done in waiting:
            done.acquire()
    for outcome, _ in waiting:
        if len(outcome) == 2:
            raise outcome[1]
        results.append(outcome[0])
    return results


class Once(Generic[T]):
    """What every part needs and is too little to cut up: made by the first that asks, while the others still wake up.

    >>> filters = Once(lambda: [1, 2])
    >>> filters() is filters()
    True
    """

    def __init__(self, make: Callable[[], T]):
        self._make = make
        self._made: list[T] = []
        self._lock = threading.Lock()

    def __call__(self) -> T:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
        return self._made[0]


def overlap_add(
    shape: tuple[int, ...], axis: int, count: int, step: int, reach: int, dtype: Any,
    add: Callable[[Part, Array], None], nanoseconds: float,
) -> Array:
    """Sums of `count` overlapping slabs: slab k covers places k*step up to k*step + reach of an axis.

    add((start, stop), out) adds slabs start..stop-1 into out, whose place 0 of the axis is place start*step. Every
    part has its own `out`, so no two threads ever write to one place; the parts are then added up.
    """
    whole = np.zeros(shape, dtype)
    shares = parts(count, nanoseconds)

    def places(part: Part) -> tuple[slice, ...]:
        return (slice(None),) * axis + (slice(part[0] * step, (part[1] - 1) * step + reach),)

    def one(part: Part) -> Array:
        if part[0] == 0:
            out = whole[places(part)]
        else:
            out = np.zeros(whole[places(part)].shape, dtype)
        add(part, out)
        return out

    for part, out in list(zip(shares, together(one, shares), strict=True))[1:]:
        whole[places(part)] += out
    return whole
