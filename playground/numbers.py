"""How numbers are written for people, everywhere in the app: real minus signs, thin thousands, units, no exponents."""

import math

MINUS, THIN, TIMES = "−", "\u202f", "×"
ROUNDING = 1e-9
"""A share so near to all or nothing is it, but for how it was added up."""
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 4) -> str:
    """A number in running text: `digits` figures (all of them before the point), thin thousands, a real minus.

    What is too small to be written out becomes a power of ten, never "e-05". NaN and infinities are said in a word.

    >>> number(-0.792), number(1234567), number(6.46e-05), number(2.5), number(-0.0)
    ('−0.792', '1\u202f234\u202f567', '6.46 × 10⁻⁵', '2.5', '0')
    >>> number(0.1 + 0.2), number(98.76543, 3), number(float("nan")), number(float("-inf"))
    ('0.3', '98.8', 'not a number', '−infinity')
    """
    try:
        value = float(value)
    except OverflowError:  # a whole number of more than 308 figures
        value = math.inf if value > 0 else -math.inf
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinity" if value > 0 else f"{MINUS}infinity"
    if value == 0:
        return "0"
    sign, size = (MINUS if value < 0 else ""), abs(value)
    magnitude = math.floor(math.log10(size))
    if magnitude < -4 or magnitude > 14:
        mantissa, power = f"{size:.{max(digits - 2, 0)}e}".split("e")
        return f"{sign}{_trimmed(mantissa)} {TIMES} 10{str(int(power)).translate(_POWERS)}"
    written = _trimmed(f"{size:.{max(digits - 1 - magnitude, 0)}f}")
    whole, point, rest = written.partition(".")
    return f"{sign}{count(int(whole))}{point}{rest}"


def count(value: int) -> str:
    """A whole number with thin thousands from 1,000 on.

    >>> count(3373570), count(999), count(-1000)
    ('3\u202f373\u202f570', '999', '−1\u202f000')
    """
    return f"{int(value):,}".replace(",", THIN).replace("-", MINUS)


def counted(value: int, one: str, many: str | None = None) -> str:
    """A whole number and what is counted, in the singular where it is one.

    >>> counted(1, "channel"), counted(3200, "channel"), counted(2, "class", "classes")
    ('1 channel', '3\u202f200 channels', '2 classes')
    """
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 in percent, with a thin space before the sign: 100 % is all of it, 0 % nothing.

    >>> percent(0.9845), percent(1.0), percent(0.5, 0)
    ('98.5\u202f%', '100\u202f%', '50\u202f%')
    >>> percent(0.9996), percent(0.0002), percent(0.999, 0)
    ('>99.9\u202f%', '<0.1\u202f%', '>99\u202f%')
    """
    written, least = f"{share * 100:.{digits}f}", 10.0**-digits
    if float(written) == 100:
        written = f">{100 - least:.{digits}f}" if share < 1 - ROUNDING else "100"
    elif float(written) == 0:
        written = f"<{least:.{digits}f}" if share > ROUNDING else "0"
    return f"{written}{THIN}%".replace("-", MINUS)


def _trimmed(written: str) -> str:
    """Without zeros that say nothing after the point."""
    return written.rstrip("0").rstrip(".") if "." in written else written
