"""A matrix of levels as a table: every number in its cell, drawn by the browser alone."""

import numpy as np
import streamlit as st

from playground.figures import style


def show(values: np.ndarray, colours: np.ndarray, inspected: tuple[int, int], key: str, label: str) -> None:
    """values (H, W), 0..255, on cells of `colours` uint8 (H, W, 3), with row and column numbers and one cell framed.

    A table, not a chart: a chart of hundreds of written numbers takes a browser a second to draw, a table does not, and
    a screen reader reads it. `label` says what it is.
    """
    wide = values.shape[1]
    cells = "".join(
        f"<tr><th scope=row>{r}</th>" + "".join(
            f'<td{" class=inspected" if (r, c) == inspected else ""} title="x[{r},{c}] = {int(value)}" '
            f'style="background:{colour};color:{style.ink_on(colour)}">{int(value)}</td>'
            for c, (value, colour) in enumerate(zip(row, map(_hex, shades), strict=True)))
        + "</tr>"
        for r, (row, shades) in enumerate(zip(values, colours, strict=True)))
    numbered = "".join(f"<th scope=col>{c}</th>" for c in range(wide))
    with st.container(key=key):
        st.html(f'{STYLE}<div class=numbers style="--wide:{wide + 1}"><table aria-label="{label}">'
                f"<caption>row ↓, column →</caption><tr><td class=corner></td>{numbered}</tr>{cells}</table></div>")


def _hex(colour: np.ndarray) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour.tolist())


# A cell is a share of the table's width, a digit a share of the cell
STYLE = """<style>
.numbers { container-type: inline-size; max-width: 30rem; }
.numbers table { border-collapse: collapse; table-layout: fixed; width: 100%; font-variant-numeric: tabular-nums;
  font-size: clamp(5px, calc(100cqw / var(--wide) / 2.3), 15px); }
.numbers td, .numbers th { padding: 0; border: 0; text-align: center; vertical-align: middle; line-height: 1;
  height: calc(100cqw / var(--wide)); overflow: hidden; }
.numbers caption { caption-side: bottom; text-align: right; font-size: 12px; opacity: 0.7; padding: 0.2rem 0 0; }
.numbers th { font-weight: 400; opacity: 0.7; font-size: min(1em, 12px); }
.numbers .inspected { outline: 2px solid #fff; outline-offset: -3px; box-shadow: inset 0 0 0 1px #111, 0 0 0 2px #111; }
</style>"""
