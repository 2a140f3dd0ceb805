"""Loss bowls seen from above with the paths down them, and the race between the paths."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from playground.figures.style import CATEGORICAL, POSITIVE, SEQUENTIAL, layout, plain_layout

GRID = 61
"""Places a side at which a landscape is asked for its loss: twice as many would be four times the bytes."""


def bowl_figure(
    above: Callable[[np.ndarray], np.ndarray],
    path: np.ndarray,
    lowest: np.ndarray,
    *,
    names: tuple[str, str],
    title: str = "",
) -> dict[str, Any]:
    """Contours of a loss of two parameters, the steps taken and the lowest point, as Plotly's plain dictionaries.

    above: parameters (..., 2) -> losses above the lowest (...); path (steps + 1, 2); lowest (2,). Contours are drawn at
    equal steps of the logarithm of that, so that the valley floor shows as well as its walls. Both axes have one scale:
    what is round looks round, and steps leave contours at right angles.
    """
    drawn = path[np.isfinite(path).all(axis=1)]
    low = np.minimum(drawn.min(axis=0), lowest)
    high = np.maximum(drawn.max(axis=0), lowest)
    reach = 0.75 * max(float(np.max(high - low)), 1e-9)
    axes = [np.linspace(c - reach, c + reach, GRID) for c in (low + high) / 2]
    grid = np.stack(np.meshgrid(*axes), axis=-1)
    level = np.log10(np.clip(above(grid), 1e-12, 1e38)).astype(np.float32)
    axis = {"showgrid": False, "constrain": "domain"}
    laid_out = plain_layout(x=names[0], y=names[1], title=title, height=384)
    # No `go.Figure`: to check one and to copy it out again takes Plotly 8 ms, at every move of a slider
    return {
        "data": [
            {"type": "contour", "x": axes[0], "y": axes[1], "z": level, "ncontours": 16, "showscale": False,
             "colorscale": [list(stop) for stop in SEQUENTIAL], "contours": {"coloring": "fill"},
             "line": {"width": 0.5}, "opacity": 0.55,
             "hovertemplate": f"{names[0]} %{{x:.4g}}<br>{names[1]} %{{y:.4g}}<br>loss above the lowest "
             "10<sup>%{z:.2f}</sup><extra></extra>"},
            {"type": "scatter", "x": drawn[:, 0], "y": drawn[:, 1], "mode": "lines+markers", "name": "steps",
             "line": {"color": POSITIVE, "width": 2}, "marker": {"size": 5, "color": POSITIVE},
             "hovertemplate": f"step %{{pointNumber}}<br>{names[0]} %{{x:.4g}}<br>{names[1]} %{{y:.4g}}"
             "<extra></extra>"},
            {"type": "scatter", "x": [drawn[0, 0], lowest[0]], "y": [drawn[0, 1], lowest[1]], "mode": "markers",
             "hoverinfo": "skip", "marker": {"size": 11, "symbol": ["circle", "star"], "color": "#111111",
                                             "line": {"color": "#ffffff", "width": 1}}}],
        "layout": {
            **laid_out,
            "xaxis": {**laid_out["xaxis"], **axis, "range": [axes[0][0], axes[0][-1]]},
            "yaxis": {**laid_out["yaxis"], **axis, "range": [axes[1][0], axes[1][-1]], "scaleanchor": "x"},
            "annotations": [
                {"text": name, "x": x, "y": y, "yshift": 17, "showarrow": False, "bgcolor": "rgba(255, 255, 255, 0.7)",
                 "borderpad": 1, "font": {"color": "#111111", "size": 12}}
                for name, (x, y) in (("start", drawn[0]), ("lowest", lowest))]}}


def race_figure(races: Sequence[tuple[str, Sequence[float]]], *, height: int = 320) -> go.Figure:
    """Loss above the lowest, step by step, one line a racer, on a logarithmic scale.

    A racer is (name, its losses above the minimum); values at or below 1e-12 (arrived, up to rounding) are drawn there.
    """
    dashes = ("solid", "dash", "dot", "dashdot")
    figure = go.Figure()
    for place, (name, losses) in enumerate(races):
        figure.add_scatter(
            x=list(range(len(losses))), y=np.maximum(losses, 1e-12), mode="lines+markers", name=name,
            line={"color": CATEGORICAL[place], "dash": dashes[place % len(dashes)], "width": 2}, marker={"size": 4},
            hovertemplate="step %{x}<br>loss above the lowest %{y:.3g}<extra>" + name + "</extra>",
        )
    layout(figure, x="gradient descent step", y="loss above the lowest (log scale)", height=height)
    figure.update_yaxes(type="log", exponentformat="power")
    return figure
