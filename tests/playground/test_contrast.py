"""Colours that carry words can be read in both themes: 4.5:1 at least (WCAG 2.1, 1.4.3)."""

import tomllib
from pathlib import Path

import pytest

from playground.figures import style

ROOT = Path(__file__).resolve().parents[2]
THEME = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]
BACKGROUNDS = ("backgroundColor", "secondaryBackgroundColor")


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_knows_the_known_pairs() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("gray", range(256))
def test_a_number_on_a_cell_of_any_gray_can_be_read(gray: int) -> None:
    cell = f"#{gray:02x}{gray:02x}{gray:02x}"
    assert contrast(style.ink_on(cell), cell) >= 4.5


@pytest.mark.parametrize("place", range(101))
@pytest.mark.parametrize("scale", [style.SIGNED, style.SEQUENTIAL], ids=["signed", "sequential"])
def test_a_number_on_a_coloured_cell_can_be_read(scale: tuple[tuple[float, str], ...], place: int) -> None:
    cell = style.colour_at(scale, place / 100)
    assert contrast(style.ink_on(cell), cell) >= 4.5


@pytest.mark.parametrize("symbol", style.SYMBOLS)
def test_a_formulas_letters_can_be_read_on_both_themes(symbol: str) -> None:
    assert set(style.SYMBOLS) == set(style.SYMBOLS_DARK)
    for theme, colours in (("light", style.SYMBOLS), ("dark", style.SYMBOLS_DARK)):
        assert min(contrast(colours[symbol], THEME[theme][ground]) for ground in BACKGROUNDS) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_accent_can_be_read_as_text_and_under_text(theme: str) -> None:
    accent, on_it = THEME[theme]["primaryColor"], {"light": "#ffffff", "dark": "#0b1016"}[theme]
    assert f"light-dark(#ffffff, {on_it if theme == 'dark' else '#0b1016'})" in (
        ROOT / "playground/ui/frame.css").read_text()
    assert contrast(accent, on_it) >= 4.5
    assert min(contrast(accent, THEME[theme][ground]) for ground in BACKGROUNDS) >= 4.5
