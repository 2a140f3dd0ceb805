"""How sure a measured share is."""

from math import sqrt

from playground.numbers import THIN, number, percent
from playground.numbers import count as written


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share measured on `count` independent cases.

    The values of p for which the measured share is within z standard errors of p; unlike p ± z·se it stays inside 0..1
    and has a width at 0 % and 100 %. (Wilson 1927, J. Am. Stat. Assoc. 22:209.)

    >>> [round(100 * x, 1) for x in wilson(196, 200)]
    [95.0, 99.2]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if count == 0:
        return 0.0, 1.0
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def sentence(share: float, count: int) -> str:
    """A share with its interval and its count, as it should always be said.

    >>> sentence(0.98, 200)
    '98.0\u202f% (95.0–99.2\u202f%), 196 of 200'
    """
    right = round(share * count)
    low, high = wilson(right, count)
    return f"{percent(share)} ({between(low, high)}), {written(right)} of {written(count)}"


def between(low: float, high: float) -> str:
    """An interval of shares.

    >>> between(0.9501, 1.0), between(0.0, 0.5)
    ('95.0–100\u202f%', '0–50.0\u202f%')
    """
    return f"{_end(low)}–{_end(high)}{THIN}%"


def _end(bound: float) -> str:
    """An interval's end in percent; it may round to 0 or 100, for it is no count of pictures."""
    return f"{100 * bound:.1f}" if 0.0005 <= bound < 0.9995 else str(round(100 * bound))


def difference(right: int, count: int, other_right: int, other_count: int, z: float = 1.96) -> tuple[float, float]:
    """Newcombe's 95 % interval of the difference of two shares, first minus other, each measured on its own cases.

    With Wilson's intervals (l1, u1) of p1 and (l2, u2) of p2, and d = p1 - p2:

        d - sqrt((p1 - l1)² + (u2 - p2)²)   to   d + sqrt((u1 - p1)² + (p2 - l2)²)

    It has a width at 0 % and 100 %, too. Two networks asked about the *same* pictures often fail on the same ones; the
    true interval is then narrower: what this one calls no chance is none. Without cases it says nothing, -1 to 1.
    (Newcombe 1998, Statistics in Medicine 17:873, method 10.)

    >>> [round(x, 4) for x in difference(56, 70, 48, 80)]
    [0.0524, 0.3339]
    >>> [round(100 * x, 1) for x in difference(200, 200, 200, 200)]
    [-1.9, 1.9]
    """
    if not count or not other_count:
        return -1.0, 1.0
    share, other = right / count, other_right / other_count
    (low, high), (other_low, other_high) = wilson(right, count, z), wilson(other_right, other_count, z)
    return (share - other - sqrt((share - low) ** 2 + (other_high - other) ** 2),
            share - other + sqrt((high - share) ** 2 + (other - other_low) ** 2))


def chance(right: int, count: int, other_right: int, other_count: int) -> bool:
    """Can the difference of two measured shares be chance? True where its 95 % interval holds 0.

    It speaks of which cases were counted, not of another seed: a network trained again is another network.

    >>> chance(349, 355, 340, 355), chance(349, 355, 330, 355), chance(200, 200, 200, 200)
    (True, False, True)
    """
    low, high = difference(right, count, other_right, other_count)
    return low <= 0 <= high


def compared(share: float, count: int, other: float, other_count: int) -> str:
    """How far one measured share (0..1) lies above or below another, and whether that can be chance.

    >>> compared(0.983, 355, 0.93, 355)
    '5.4 points more (95\u202f% interval: 2.4 to 8.6): more than chance'
    >>> compared(0.5, 100, 0.5, 100)
    'no difference (95\u202f% interval: −13.6 to 13.6)'
    >>> compared(0.97, 100, 1.0, 100)
    '3 points less (95\u202f% interval: −8.5 to 1.2): it can be chance'
    """
    if not count or not other_count:
        return "nothing was counted"
    counts = round(share * count), count, round(other * other_count), other_count
    low, high = (number(round(100 * bound, 1)) for bound in difference(*counts))
    points = 100 * (counts[0] / count - counts[2] / other_count)
    interval = f"(95{THIN}% interval: {low} to {high})"
    if not points:
        return f"no difference {interval}"
    size = number(round(abs(points), 1))
    return (f"{size} {'point' if size == '1' else 'points'} {'more' if points > 0 else 'less'} {interval}: "
            + ("it can be chance" if chance(*counts) else "more than chance"))
