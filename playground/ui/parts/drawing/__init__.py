"""A square to draw in with mouse, finger or pen: white ink on black, as handwriting data sets store it."""

import base64
import binascii
from pathlib import Path

import numpy as np
import streamlit as st

from playground.datasets.picture import filled
from playground.errors import PlaygroundError

__all__ = ["SIDE", "decoded", "drawing", "filled"]

_HERE = Path(__file__).parent
SIDE = 64
"""Pixels a side of what the browser sends: more than any digit model looks at, and 5 kB."""

_pad = st.components.v2.component(
    "drawing",
    html=(_HERE / "drawing.html").read_text(),
    css=(_HERE / "drawing.css").read_text(),
    js=(_HERE / "drawing.js").read_text(),
)


def drawing(label: str, *, key: str) -> np.ndarray | None:
    """What was drawn, (SIDE, SIDE) uint8 with 255 for ink; None while the square is empty. One rerun a stroke."""
    result = _pad(key=key, data={"label": label, "side": SIDE}, default={"ink": ""}, on_ink_change=_noted)
    return decoded(result.ink or "")


def _noted() -> None:
    """Streamlit keeps a component's state only where somebody listens for it."""


def decoded(ink: str) -> np.ndarray | None:
    """The pixels the browser sent, base64 of SIDE x SIDE bytes; a PlaygroundError for anything else.

    >>> decoded("") is None
    True
    """
    if not ink:
        return None
    try:
        pixels = np.frombuffer(base64.b64decode(ink, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        pixels = np.empty(0, np.uint8)
    if pixels.size != SIDE * SIDE:
        raise PlaygroundError("The drawing did not arrive whole; clear it and draw again.")
    return pixels.reshape(SIDE, SIDE) if pixels.any() else None
