"""How numbers are written for people."""

import doctest

from hypothesis import given
from hypothesis import strategies as st

from playground import numbers


def test_examples_of_the_docstrings_run():
    tried = doctest.testmod(numbers)
    assert tried.attempted >= 4
    assert not tried.failed


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_number_is_written_with_an_exponent_or_a_hyphen(value):
    written = numbers.number(value)
    assert "e" not in written.replace("not a number", "")
    assert "-" not in written


@given(st.floats(0, 1), st.integers(0, 3))
def test_all_and_nothing_are_said_of_all_and_nothing_only(share, digits):
    written = numbers.percent(share, digits)
    assert (written == f"100{numbers.THIN}%") == (share >= 1 - numbers.ROUNDING)
    assert (written == f"0{numbers.THIN}%") == (share <= numbers.ROUNDING)
    read = float(written.removesuffix(f"{numbers.THIN}%").lstrip("<>"))
    assert abs(read - 100 * share) <= 1.0001 * 10.0 ** -digits


@given(st.floats(min_value=1e-4, max_value=1e14), st.integers(3, 8))
def test_a_written_number_is_within_its_figures_of_the_value(value, digits):
    read = float(numbers.number(value, digits).replace(numbers.THIN, ""))
    assert abs(read - value) <= 10.0 ** (1 - digits) * value
