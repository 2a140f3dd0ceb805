"""Figures that move with a slider, drawn by a component of our own: lines, bars and loss bowls.

Plotly draws a changed figure two or three times over inside Streamlit, 0.1 s each press of a key on two cores; an SVG
of the same figure takes a tenth of that. What is drawn is a Plotly figure still, so that one place says what a figure
is and a test can read it; only the kinds and options of the tables below are known, and anything else is refused.
"""

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from playground.ui.parts.stepper import COLOURS_JS

_HERE = Path(__file__).parent
_chart = st.components.v2.component(
    "chart",
    html=(_HERE / "chart.html").read_text(),
    css=(_HERE / "chart.css").read_text(),
    js=COLOURS_JS + (_HERE / "marks.js").read_text() + (_HERE / "chart.js").read_text(),
)

_MARKER = frozenset({"color", "symbol", "size", "opacity", "line", "pattern"})
_KNOWN: Mapping[str, Mapping[str, frozenset[str] | None]] = {
    "scatter": {"x": None, "y": None, "name": None, "mode": None, "opacity": None, "showlegend": None,
                "hovertemplate": None, "hoverinfo": None, "marker": _MARKER,
                "line": frozenset({"color", "dash", "width", "shape"}),
                "error_y": frozenset({"type", "array", "thickness"})},
    "bar": {"x": None, "y": None, "name": None, "width": None, "opacity": None, "hovertemplate": None,
            "marker": _MARKER},
    "contour": {"x": None, "y": None, "z": None, "ncontours": None, "showscale": None, "colorscale": None,
                "contours": frozenset({"coloring"}), "line": frozenset({"width"}), "opacity": None,
                "hovertemplate": None},
}
_AXIS = frozenset({"title", "type", "range", "dtick", "tickvals", "ticktext", "showgrid", "visible", "exponentformat",
                   "scaleanchor", "constrain", "zeroline", "automargin"})
_LAYOUT = frozenset({"title", "xaxis", "yaxis", "shapes", "annotations", "showlegend", "legend", "height", "margin",
                     "barmode", "paper_bgcolor", "plot_bgcolor", "hoverlabel", "separators", "template"})
_SENT = ("title", "xaxis", "yaxis", "shapes", "annotations", "showlegend", "legend")


Figure: TypeAlias = go.Figure | Mapping[str, Any]
"""A figure of Plotly's, or the dictionaries it is made of: those are quicker by what Plotly needs to check them."""


def chart(figure: Figure, *, key: str, alt: str) -> None:
    """Show a figure whose data change while a slider moves; `alt` says in a few words what is seen.

    Pointing at a point, or the arrow keys, show its numbers. Raises ValueError for a figure with a trace or an option
    that is not drawn here: `st.plotly_chart` takes it.
    """
    told = payload(figure, alt)
    _chart(key=key, data={"charts": [told]}, height=told["height"])


def side_by_side(figures: Mapping[str, Figure], *, key: str) -> None:
    """`chart`, for several figures as one element: side by side where there is room. What each shows -> the figure."""
    _chart(key=key, data={"charts": [payload(figure, alt) for alt, figure in figures.items()]}, height="content")


def payload(figure: Figure, alt: str) -> dict[str, Any]:
    """What travels to the browser.

    >>> line = go.Scatter(x=[1, 2], y=[3, np.nan], mode="lines")
    >>> payload(go.Figure(line, {"height": 300}), "two")["traces"]
    [{'mode': 'lines', 'x': [1, 2], 'y': [3, None], 'type': 'scatter'}]
    """
    whole = figure if isinstance(figure, Mapping) else figure.to_plotly_json()
    layout = whole["layout"]
    _check("a layout", layout, dict.fromkeys(_LAYOUT) | {"xaxis": _AXIS, "yaxis": _AXIS})
    return {"alt": alt, "height": int(layout["height"]), "traces": [_trace(one) for one in whole["data"]],
            "layout": {"xaxis": {}, "yaxis": {}} | {name: _plain(layout[name]) for name in _SENT if name in layout}}


def _check(where: str, given: Mapping[str, Any], known: Mapping[str, frozenset[str] | None]) -> None:
    for name, value in given.items():
        if name == "type":
            continue
        if name not in known:
            raise ValueError(f"{name!r} of {where} is not drawn here")
        inner = known[name]
        if inner is not None and (unknown := set(value) - inner):
            raise ValueError(f"{min(unknown)!r} of {name!r} of {where} is not drawn here")


def _trace(given: Mapping[str, Any]) -> dict[str, object]:
    kind = given["type"]
    if kind not in _KNOWN:
        raise ValueError(f"a trace of type {kind!r} is not drawn here, only {', '.join(_KNOWN)}")
    _check(f"a trace of type {kind!r}", given, _KNOWN[kind])
    if kind != "contour":
        return {name: _plain(value) for name, value in given.items()}
    return {"type": kind, "heights": _heights(_array(given["z"])), "x": [], "y": []} | {
        name: _plain(value) for name, value in given.items() if name not in ("x", "y", "z")}


def _heights(z: np.ndarray) -> dict[str, object]:
    """A landscape in 65,536 levels: finer than the eye, a fifth of what its numbers take as text."""
    low, high = float(z.min()), float(z.max())
    levels = np.rint((z - low) / max(high - low, 1e-12) * 65535).astype("<u2")
    return {"rows": z.shape[0], "columns": z.shape[1], "low": low, "high": high,
            "levels": base64.b64encode(levels.tobytes()).decode()}


def _array(value: Any) -> np.ndarray:
    """An array from the way Plotly writes it: base64 of its bytes."""
    if not isinstance(value, dict):
        return np.asarray(value, float)
    array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
    return array.reshape([int(n) for n in value["shape"].split(",")]) if "shape" in value else array


def _plain(value: Any) -> Any:
    """Lists and numbers as JSON has them: what is not finite is nothing."""
    if isinstance(value, dict) and "bdata" in value:
        array = _array(value)
        value = array.tolist()
        if np.isfinite(array).all():
            return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
