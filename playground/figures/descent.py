"""Loss bowls seen from above with the paths down them, and the race between the paths."""

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go

from playground.figures.style import CATEGORICAL, POSITIVE, SEQUENTIAL, layout


def bowl_figure(
    loss: Callable[[np.ndarray], np.ndarray],
    path: np.ndarray,
    lowest: np.ndarray,
    *,
    names: tuple[str, str],
    title: str = "",
) -> go.Figure:
    """Contours of a loss of two parameters, the steps taken and the lowest point.

    loss: parameters (..., 2) -> losses (...); path (steps + 1, 2); lowest (2,). Contours are drawn at equal steps of
    the logarithm of the loss above its minimum, so that the valley floor shows as well as its walls.
    """
    drawn = path[np.isfinite(path).all(axis=1)]
    low = np.minimum(drawn.min(axis=0), lowest)
    high = np.maximum(drawn.max(axis=0), lowest)
    reach = np.maximum(high - low, 1e-9)
    centre = (low + high) / 2
    axes = [np.linspace(c - 0.75 * r, c + 0.75 * r, 61) for c, r in zip(centre, reach, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1)
    above = np.maximum(loss(grid) - loss(lowest), 1e-12)
    level = np.log10(above)
    figure = go.Figure()
    figure.add_contour(
        x=axes[0], y=axes[1], z=level, colorscale=[list(stop) for stop in SEQUENTIAL], ncontours=16,
        contours={"coloring": "fill"}, line={"width": 0.5}, showscale=False, opacity=0.55, customdata=above,
        hovertemplate=f"{names[0]} %{{x:.4g}}<br>{names[1]} %{{y:.4g}}<br>loss above the lowest %{{customdata:.3g}}"
        "<extra></extra>",
    )
    figure.add_scatter(
        x=drawn[:, 0], y=drawn[:, 1], mode="lines+markers", name="steps", showlegend=False,
        line={"color": POSITIVE, "width": 2}, marker={"size": 5, "color": POSITIVE},
        hovertemplate=f"step %{{pointNumber}}<br>{names[0]} %{{x:.4g}}<br>{names[1]} %{{y:.4g}}<extra></extra>",
    )
    figure.add_scatter(
        x=[drawn[0, 0], lowest[0]], y=[drawn[0, 1], lowest[1]], mode="markers+text", text=["start", "lowest"],
        textposition="top center", showlegend=False, hoverinfo="skip",
        marker={"size": 11, "symbol": ["circle", "star"], "color": "#111111", "line": {"color": "#ffffff", "width": 1}},
        textfont={"color": "#111111"},
    )
    layout(figure, x=names[0], y=names[1], title=title, height=360)
    for axis, places in zip((figure.layout.xaxis, figure.layout.yaxis), axes, strict=True):
        axis.range = [places[0], places[-1]]
        axis.showgrid = False
    return figure


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
