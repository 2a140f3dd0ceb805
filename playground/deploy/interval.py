"""How sure a measured share is."""

from math import sqrt


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
    '98.0 % (95.0–99.2 %), 196 of 200'
    """
    right = round(share * count)
    low, high = wilson(right, count)
    return f"{100 * share:.1f} % ({100 * low:.1f}–{100 * high:.1f} %), {right:,} of {count:,}"
