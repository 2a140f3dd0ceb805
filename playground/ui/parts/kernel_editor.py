"""Choosing a kernel: presets, a grid of weights to type into, and the same weights as one line of text.

The line of text is the only state. The preset and the size are read off it and write to it, so an address with
`kernel=` restores everything and nothing can disagree.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.figures import style
from playground.ui import frame, links
from playground.ui.parts.stepper import COLOURS_JS

SIZES = (1, 3, 5)
LONGEST = 800
"""Characters of a kernel as one line of text."""
OWN = "Own kernel"
Rows = tuple[tuple[Fraction, ...], ...]

_HERE = Path(__file__).parent
_grid = st.components.v2.component(
    "kernel_grid",
    html='<div class="kernel" role="group" aria-label="Kernel weights"></div>\n',
    css=(_HERE / "kernel_editor.css").read_text(),
    js=COLOURS_JS + (_HERE / "kernel_editor.js").read_text(),
)


def _outer(column: tuple[int, ...], row: tuple[int, ...], divisor: int = 1) -> Rows:
    return tuple(tuple(Fraction(a * b, divisor) for b in row) for a in column)


def _whole(*rows: tuple[int, ...]) -> Rows:
    return tuple(tuple(Fraction(v) for v in row) for row in rows)


def _transposed(rows: Rows) -> Rows:
    return tuple(zip(*rows, strict=True))


_sobel3 = _outer((1, 2, 1), (-1, 0, 1))
_sobel5 = _outer((1, 4, 6, 4, 1), (-1, -2, 0, 2, 1))

PRESETS: dict[str, dict[int, Rows]] = {
    "Identity": {k: _outer(*2 * (tuple(int(i == k // 2) for i in range(k)),)) for k in SIZES},
    "Box blur": {3: _outer((1, 1, 1), (1, 1, 1), 9), 5: _outer((1,) * 5, (1,) * 5, 25)},
    "Gaussian blur": {3: _outer((1, 2, 1), (1, 2, 1), 16), 5: _outer((1, 4, 6, 4, 1), (1, 4, 6, 4, 1), 256)},
    "Sharpen": {
        3: _whole((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
        5: _whole((0, 0, -1, 0, 0), (0, -1, -2, -1, 0), (-1, -2, 17, -2, -1), (0, -1, -2, -1, 0), (0, 0, -1, 0, 0)),
    },
    "Sobel x": {3: _sobel3, 5: _sobel5},
    "Sobel y": {3: _transposed(_sobel3), 5: _transposed(_sobel5)},
    "Laplacian": {
        3: _whole((0, 1, 0), (1, -4, 1), (0, 1, 0)),
        5: _whole((0, 0, 1, 0, 0), (0, 1, 2, 1, 0), (1, 2, -16, 2, 1), (0, 1, 2, 1, 0), (0, 0, 1, 0, 0)),
    },
    "Emboss": {3: _whole((-2, -1, 0), (-1, 1, 1), (0, 1, 2))},
}

MEANING: dict[str, str] = {
    "Identity": "Answers with the pixel itself.",
    "Box blur": "The average of the window: noise and detail go.",
    "Gaussian blur": "An average that trusts the centre most.",
    "Sharpen": "The pixel and what it differs from its neighbours, added.",
    "Sobel x": "Right minus left: answers where brightness changes sideways, so at vertical edges.",
    "Sobel y": "Below minus above: answers where brightness changes downwards, so at horizontal edges.",
    "Laplacian": "Neighbours minus centre: answers at edges of every direction and at dots.",
    "Emboss": "Bottom right minus top left, and the pixel itself: light seems to come from a corner.",
    OWN: "Yours: no name for it here.",
}


@dataclass(frozen=True)
class Kernel:
    """A square of exact weights: `weights` for the arithmetic, `texts` for the screen (1/9 stays 1/9)."""

    name: str
    rows: Rows

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def total(self) -> Fraction:
        """What the weights add up to.

        >>> parse("1/3 0 0; 1/3 0 0; 1/3 0 0").total
        Fraction(1, 1)
        """
        return sum((weight for row in self.rows for weight in row), Fraction(0))

    @property
    def weights(self) -> np.ndarray:
        return np.array([[float(v) for v in row] for row in self.rows])

    @property
    def texts(self) -> tuple[str, ...]:
        """Row by row, with a real minus sign.

        >>> parse("-1/9").texts
        ('−1/9',)
        """
        return tuple(_number(v).replace("-", "−") for row in self.rows for v in row)


def _number(value: Fraction) -> str:
    """An exact spelling that fits a cell: a short decimal, else the fraction (0.25, -2, 1/9)."""
    decimal = f"{float(value):.4g}"
    return decimal if Fraction(decimal) == value and len(decimal.lstrip("-")) <= 4 else str(value)


def text_of(rows: Rows) -> str:
    """The rows as the line of text that `parse` reads.

    >>> text_of(PRESETS["Sobel x"][3])
    '-1 0 1; -2 0 2; -1 0 1'
    """
    return "; ".join(" ".join(_number(v) for v in row) for row in rows)


DEFAULT = text_of(PRESETS["Sobel x"][3])


def parse(text: str) -> Kernel:
    """The kernel a line of text spells: rows separated by `;`, weights by spaces or commas, fractions allowed.

    >>> kernel = parse("0 -1 0; -1 5 -1; 0 -1 0")
    >>> kernel.name, kernel.size
    ('Sharpen', 3)
    >>> parse("1 2; 3")
    Traceback (most recent call last):
    playground.errors.PlaygroundError: A kernel is a square of 1 × 1, 3 × 3 or 5 × 5 weights, and this has rows of 2, 1.
    """
    lines = [line.replace(",", " ").split() for line in text.replace("−", "-").strip().strip(";").split(";")]
    if len(lines) not in SIZES or any(len(line) != len(lines) for line in lines):
        lengths = ", ".join(str(len(line)) for line in lines[:6])
        raise PlaygroundError(
            f"A kernel is a square of 1 × 1, 3 × 3 or 5 × 5 weights, and this has rows of {lengths}."
        )
    rows = tuple(tuple(_weight(word) for word in line) for line in lines)
    name = next((name for name, sizes in PRESETS.items() if sizes.get(len(rows)) == rows), OWN)
    return Kernel(name, rows)


def _weight(word: str) -> Fraction:
    # Fraction("1e999999999") would build the number; so only short plain numbers get through.
    if not re.fullmatch(r"[+-]?(\d{1,6}(\.\d{0,6})?|\.\d{1,6}|\d{1,6}/0*[1-9]\d{0,5})", word):
        raise PlaygroundError(f"“{word[:20]}” is not a weight: write numbers such as -1, 0.25 or 1/9.")
    return Fraction(word)


def resized(kernel: Kernel, size: int) -> Rows:
    """The same preset in another size where it exists; else the kernel cropped or framed with zeros.

    >>> text_of(resized(parse("5"), 3))
    '0 0 0; 0 5 0; 0 0 0'
    """
    if size in PRESETS.get(kernel.name, {}):
        return PRESETS[kernel.name][size]
    shift = (kernel.size - size) // 2
    inside = range(kernel.size)
    rows = tuple(
        tuple(
            kernel.rows[i + shift][j + shift] if i + shift in inside and j + shift in inside else Fraction(0)
            for j in range(size)
        )
        for i in range(size)
    )
    return rows if any(v for row in rows for v in row) else PRESETS["Identity"][size]


def choose_kernel() -> Kernel:
    """Draw the controls and return the kernel they say; a text that spells none shows why and keeps the last one."""
    above = st.container()
    text = st.text_input(
        "Weights as text", DEFAULT, key="kernel", bind="query-params", max_chars=LONGEST, disabled=links.locked(),
        help="Rows are separated by semicolons. Fractions such as 1/9 stay exact.",
    )
    try:
        kernel = parse(text)
        st.session_state["last_kernel"] = text
    except PlaygroundError as error:
        st.error(f"{error} Until then the last kernel stays.")
        kernel = parse(st.session_state.get("last_kernel", DEFAULT))
    with above:
        _presets(kernel)
        grid(kernel, key="kernel_grid", on_edited=_take_edit)
        st.caption(MEANING[kernel.name])
    return kernel


def grid(kernel: Kernel, *, key: str, on_edited: Callable[[str], None]) -> None:
    """The weights as fields to type into; `on_edited` takes the edited kernel as one line of text."""
    fields(kernel.texts, style.signed_limit(kernel.weights), key=key, on_edited=on_edited)


def fields(texts: Sequence[str], limit: float, *, key: str, on_edited: Callable[[str], None]) -> None:
    """A square of numbers, row by row, as fields to type into, coloured from -limit to limit.

    `on_edited` takes all of them as one line of text: rows separated by `;`, numbers by spaces. Each edit has a number,
    and the browser shows no answer that is older than its last edit: it would be taken for what the reader typed.
    """
    heard = f"{key}-heard"

    def take() -> None:
        match frame.sent(key, "edited"):
            case {"text": str(text), "number": int() | float() as number}:
                st.session_state[heard] = number
                on_edited(text[:LONGEST])

    _grid(
        key=key,
        data={"texts": list(texts), "size": math.isqrt(len(texts)), "limit": limit, "scale": list(style.SIGNED),
              "locked": links.locked(), "heard": st.session_state.get(heard, 0)},
        on_edited_change=take,
    )


def _presets(kernel: Kernel) -> None:
    frame.write("preset", kernel.name)
    frame.write("kernel_size", kernel.size)
    names = [*PRESETS, *([OWN] if kernel.name == OWN else [])]
    st.selectbox("Kernel", names, key="preset", on_change=_take_preset, disabled=links.locked())
    st.segmented_control(
        "Size", SIZES, key="kernel_size", format_func=lambda k: f"{k} × {k}", required=True, disabled=links.locked(),
        on_change=_take_size, args=(kernel,),
    )


def _take_preset() -> None:
    frame.hold_written()
    size = st.session_state["kernel_size"]
    sizes = PRESETS.get(st.session_state["preset"], {})
    if sizes:
        frame.write("kernel", text_of(sizes[size] if size in sizes else sizes[3]))


def _take_size(kernel: Kernel) -> None:
    frame.hold_written()
    frame.write("kernel", text_of(resized(kernel, st.session_state["kernel_size"])))


def _take_edit(text: str) -> None:
    frame.write("kernel", text)
