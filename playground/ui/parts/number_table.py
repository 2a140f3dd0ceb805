"""A matrix of levels as a table: every number in its cell, drawn by the browser alone."""

from pathlib import Path

import numpy as np
import streamlit as st

from playground.figures import style

_HERE = Path(__file__).parent
_table = st.components.v2.component(
    "number_table",
    html='<div class="numbers"><table><caption>row ↓, column →</caption><tbody></tbody></table></div>\n',
    css=(_HERE / "number_table.css").read_text(),
    js=(_HERE / "number_table.js").read_text(),
)


def show(values: np.ndarray, colours: np.ndarray, inspected: tuple[int, int], key: str, label: str) -> None:
    """values (H, W), 0..255, on cells of `colours` uint8 (H, W, 3), with row and column numbers and one cell framed.

    A table, not a chart: a chart of hundreds of written numbers takes a browser a second to draw, a table does not, and
    a screen reader reads it. `label` says what it is. Another inspected cell changes two cells, not the table.
    """
    shades = [_hex(colour) for colour in colours.reshape(-1, 3)]
    _table(key=key, data={"label": label, "columns": values.shape[1], "values": values.ravel().tolist(),
                          "colours": shades, "inks": [style.ink_on(shade) for shade in shades],
                          "inspected": inspected[0] * values.shape[1] + inspected[1]})


def _hex(colour: np.ndarray) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour.tolist())
