"""Many pictures through a network, as many at once as memory should hold."""

from collections.abc import Iterator

from playground.view.sources import Source
from playground.view.trace import Array

BYTES_AT_ONCE = 2**27
"""What the tape of pictures that go through together may take."""
BYTES_IN_ALL = 3 * 2**28
"""By how much arithmetic pictures are counted: that of a run of so many bytes takes about a second."""
MOST, LEAST = 200, 8


def bytes_a_picture(source: Source, x: Array) -> int:
    """What the tape of one picture takes, about."""
    return max(1, source.run(x[:1]).bytes)


def affordable(source: Source, x: Array, most: int = MOST) -> int:
    """How many pictures, at most `most`, a network answers while a reader waits, judged by one, x (1, C, H, W)."""
    return min(most, max(LEAST, BYTES_IN_ALL // bytes_a_picture(source, x)))


def chunks(source: Source, x: Array) -> Iterator[slice]:
    """The pictures x (N, C, H, W) cut into those that go through together."""
    at_once = max(1, min(len(x), BYTES_AT_ONCE // bytes_a_picture(source, x))) if len(x) else 1
    for start in range(0, len(x), at_once):
        yield slice(start, min(start + at_once, len(x)))
