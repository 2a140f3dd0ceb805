"""What the parts of a network hold, as small pictures; their sizes on a log axis; the loss over a step's rate."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.figures.lines import DASHES, lines
from playground.figures.maps import contact_sheet, signed_map

MOST_MAPS, IN_A_ROW, MAP_SIDE, MAP_GAP = 16, 8, 48, 4
CELL, CELLS_IN_A_ROW = 12, 32


def sheet(values: np.ndarray, limit: float) -> np.ndarray:
    """What a part holds of one picture: maps (C, H, W), the first 16 of them, or numbers (N,), as uint8 (h, w, 3).

    >>> sheet(np.zeros((4, 8, 8)), 1.0).shape, sheet(np.zeros(10), 1.0).shape
    ((48, 204, 3), (12, 129, 3))
    """
    if values.ndim == 1:
        tiles, columns, scale, gap = values.reshape(-1, 1, 1), min(CELLS_IN_A_ROW, len(values)), CELL, 1
    else:
        tiles, columns, gap = values[:MOST_MAPS], min(IN_A_ROW, len(values)), MAP_GAP
        scale = max(1, MAP_SIDE // values.shape[1])
    drawn = np.stack([signed_map(one, limit) for one in tiles])
    return contact_sheet(drawn, columns, scale, gap)


def sizes(series: Mapping[str, Sequence[float]], height: int = 360) -> go.Figure:
    """A number for every part on a log axis, a line a series; parts are counted from 1.

    >>> sizes({"gradient": [0.1, 0.01]}).layout.yaxis.type
    'log'
    """
    figure = go.Figure([
        {"type": "scatter", "x": list(range(1, len(values) + 1)), "y": list(values), "name": name,
         "mode": "lines+markers", "line": {"color": style.CATEGORICAL[k], "dash": DASHES[k]},
         "marker": {"symbol": ("circle", "diamond", "x")[k], "size": 8},
         "hovertemplate": "part %{x}: %{y:.3g}<extra>" + name + "</extra>"}
        for k, (name, values) in enumerate(series.items())], {"yaxis": {"type": "log", "exponentformat": "power"}})
    style.layout(figure, x="part, in the order a picture goes through them", y="root mean square (log)", height=height,
                 legend=True)
    figure.layout.xaxis.dtick = 1
    figure.layout.legend.x, figure.layout.legend.xanchor = 0, "left"
    return figure


def over_the_rate(rates: Sequence[float], losses: Sequence[float], straight: Sequence[float], now: float) -> go.Figure:
    """The loss after one step over its rate, and what the slope alone foretells."""
    figure = lines(rates, {"after one step": losses, "by the slope alone": straight},
                   titles=("learning rate η (log)", "loss on this digit (nats)"), now=now, marks=False, log_x=True)
    figure.layout.yaxis.range = [0, max(losses) * 1.08 + 1e-9]
    return figure


def before_and_after(names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> go.Figure:
    """Probabilities of every class before a step (wide, pale) and after it (narrow).

    >>> [trace.name for trace in before_and_after(["0"], [0.2], [0.4]).data]
    ['before', 'after']
    """
    places = list(range(len(names)))
    figure = go.Figure([
        {"type": "bar", "x": places, "y": list(values), "name": name, "width": width,
         "marker": {"color": colour, "opacity": opacity}, "hovertemplate": "class %{x}: %{y:.3~g}<extra></extra>"}
        for name, values, width, colour, opacity in (("before", before, 0.8, style.CATEGORICAL[5], 0.6),
                                                     ("after", after, 0.4, style.CATEGORICAL[4], 1.0))])
    style.layout(figure, x="class", y="probability", height=340)
    figure.layout.yaxis.range = [0, 1.06]
    figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext = places, list(names)
    figure.layout.xaxis.showgrid = False
    figure.layout.legend.x, figure.layout.legend.xanchor = 0, "left"
    return figure
