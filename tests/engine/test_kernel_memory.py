"""What kernels share: memory that is turned, kept and given back, and threads that work on parts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.core import OPS
from engine.kernels import memory, threads
from tests.engine.test_kernels_agree import ORDERS, lying, numbers


@pytest.fixture(autouse=True)
def _every_part_is_worth_a_thread(monkeypatch):
    monkeypatch.setattr(threads, "LARGE", 0)
    monkeypatch.setattr(threads, "WORTH", 0)
    yield
    threads.set_threads(None)


def test_results_are_never_kept_buffers():
    """What a first call returned and holds for its way back is untouched by later calls of the same shapes."""
    for groups, c, f in ((1, 16, 16), (1, 3, 4), (8, 8, 8)):
        x, w = numbers((8, c, 8, 8)), numbers((f, c // groups, 3, 3), 1)
        y, vjp = OPS["conv2d"].rule(x, w, padding=1, groups=groups)
        g = numbers(y.shape, 2)
        before, dx, dw = y.copy(), *(d.copy() for d in vjp(g)[:2])
        _, other_vjp = OPS["conv2d"].rule(x * 2, w * 3, padding=1, groups=groups)
        other_vjp(g * 5)
        np.testing.assert_array_equal(y, before)
        for again, first in zip(vjp(g)[:2], (dx, dw), strict=True):
            np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize(
    "shape", [(16, 32, 16, 16), (9, 64, 32, 32), (64, 8, 28, 28), (3, 200, 9, 16), (40, 40, 8, 8), (64, 128, 4, 32)]
)
@pytest.mark.parametrize("count", [1, 2])
def test_turning_memory_changes_no_value(shape, count):
    threads.set_threads(count)
    x = numbers(shape)
    for before in ORDERS:
        for after in ORDERS.values():
            np.testing.assert_array_equal(memory.ordered(lying(x, before), after), x.transpose(after))
    frame = memory.framed(x, memory.HWNC, ((1, 2), (3, 0)), (shape[2] + 3, shape[3] + 3), "test")
    np.testing.assert_array_equal(frame, np.pad(x, ((0, 0), (0, 0), (1, 2), (3, 0))).transpose(memory.HWNC))
    inside = memory.images(frame, memory.HWNC)[:, :, 1 : 1 + shape[2], 3:]  # a frame's inside, on its way back
    np.testing.assert_array_equal(memory.in_c_order(inside), x)
    for rows in (slice(0, 3), slice(2, 99)):
        for order in ORDERS:
            for after in ORDERS.values():
                out = np.zeros(x.transpose(after).shape, np.float32)
                memory.copy_into(out, lying(x, order), after, rows)
                np.testing.assert_array_equal(memory.images(out, after)[:, :, rows], x[:, :, rows])
                assert not memory.images(out, after)[:, :, : rows.start].any()
                assert not memory.images(out, after)[:, :, rows.stop :].any()


def test_an_error_in_one_thread_reaches_the_caller():
    def task(part):
        if part[0]:
            raise ZeroDivisionError
        return part

    with pytest.raises(ZeroDivisionError):
        threads.together(task, [(0, 1), (1, 2)])
    assert threads.together(lambda part: part[0], [(0, 1), (1, 2), (2, 3)]) == [0, 1, 2]


def test_inside_of_a_part_there_is_one_part():
    """Threads that wait for threads would wait for ever when all of them do."""
    threads.set_threads(2)
    if threads.threads() == 1:
        pytest.skip("this BLAS cannot be told to stay on one thread")
    assert len(threads.parts(8, 1e9)) == 2
    assert threads.together(lambda part: threads.parts(8, 1e9), [(0, 1), (1, 2)]) == [[(0, 8)], [(0, 8)]]
    with pytest.raises(ZeroDivisionError):
        threads.together(lambda part: 1 // (part[0] - part[0]), [(0, 1), (1, 2)])
    assert len(threads.parts(8, 1e9)) == 2


PAGES = """
import re, sys
from engine.kernels.process import keep_freed_memory
if not keep_freed_memory():
    sys.exit(77)
areas = re.split("(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", open("/proc/self/smaps").read())
heap = [area for area in areas if "[heap]" in area]
megabytes = lambda what, areas: sum(int(re.search(what + r":\\s+(\\d+) kB", area)[1]) for area in areas) >> 10
print(megabytes("Size", [area for area in heap if re.search("VmFlags:.* hg", area)]), megabytes("Rss", heap))
"""


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="Linux without large pages")
def test_memory_that_is_kept_may_lie_in_large_pages_and_takes_none_before_it_is_used():
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "ENGINE_"))}
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, env=plain, check=False)
    if done.returncode == 77:
        pytest.skip("this malloc is not glibc's")
    assert done.returncode == 0, done.stderr
    large, resident = map(int, done.stdout.split())
    assert large > 200
    assert resident < 50
