"""Dropout in pictures: a thinner network, averages that settle, weights' spread, and what many thin networks say."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import percent


def network(sizes: Sequence[int], present: Sequence[np.ndarray]) -> go.Figure:
    """Layers of units, joined; a unit that is left out is an empty dotted ring with a cross and loses its lines.

    sizes: units a layer, input first; present: a bool array for each layer.

    >>> len(network([2, 1], [np.array([True, False]), np.array([True])]).data) >= 2
    True
    """
    figure = go.Figure()
    places = [[(layer, (size - 1) / 2 - unit) for unit in range(size)] for layer, size in enumerate(sizes)]
    for alive, colour, width in ((False, style.REFERENCE, 0.4), (True, style.CATEGORICAL[0], 1.4)):
        xs: list[float | None] = []
        ys: list[float | None] = []
        for layer in range(len(sizes) - 1):
            for a, start in enumerate(places[layer]):
                for b, end in enumerate(places[layer + 1]):
                    if bool(present[layer][a] and present[layer + 1][b]) is alive:
                        xs += [start[0], end[0], None]
                        ys += [start[1], end[1], None]
        figure.add_scatter(x=xs, y=ys, mode="lines", line={"color": colour, "width": width},
                           opacity=1 if alive else 0.5, hoverinfo="skip", showlegend=False)
    for alive, name, symbol in ((True, "present", "circle"), (False, "left out", "circle-x-open")):
        chosen = [place for layer, row in enumerate(places) for unit, place in enumerate(row)
                  if bool(present[layer][unit]) is alive]
        figure.add_scatter(x=[x for x, _ in chosen], y=[y for _, y in chosen], mode="markers", name=name,
                           hovertemplate=name + "<extra></extra>",
                           marker={"size": 20, "symbol": symbol, "color": style.CATEGORICAL[0] if alive
                                   else style.REFERENCE, "line": {"width": 1.5}})
    style.layout(figure, height=330, legend=True)
    figure.update_xaxes(tickvals=list(range(len(sizes))), showgrid=False,
                        ticktext=["input", *[f"hidden {k + 1}" for k in range(len(sizes) - 2)], "output"])
    figure.update_yaxes(visible=False)
    return figure


def averages(target: Sequence[float], train: Sequence[float], deviation: Sequence[float], names: tuple[str, str]
             ) -> go.Figure:
    """For each unit its average over many draws (with two standard errors) and what eval mode gives."""
    figure = go.Figure()
    units = list(range(len(target)))
    figure.add_bar(x=units, y=list(target), name=names[1], marker={"color": style.CATEGORICAL[5], "opacity": 0.6},
                   hovertemplate="unit %{x}: %{y:.3f}<extra>" + names[1] + "</extra>")
    figure.add_scatter(x=units, y=list(train), name=names[0], mode="markers",
                       error_y={"type": "data", "array": [2 * d for d in deviation], "thickness": 1.5},
                       marker={"color": style.CATEGORICAL[4], "symbol": "diamond", "size": 9},
                       hovertemplate="unit %{x}: %{y:.3f}<extra>" + names[0] + "</extra>")
    style.layout(figure, x="unit", y="output", height=300)
    figure.update_xaxes(dtick=1, showgrid=False)
    return figure


def spread(edges: Sequence[float], counts: Mapping[str, Sequence[int]]) -> go.Figure:
    """How the weights of the first layer are spread, a stepped line for each way of training."""
    figure = go.Figure()
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    for k, (name, numbers) in enumerate(counts.items()):
        figure.add_scatter(x=middles, y=list(numbers), name=name, mode="lines",
                           line={"shape": "hvh", "color": style.CATEGORICAL[k],
                                 "dash": ("solid", "dash", "dot")[k % 3]},
                           hovertemplate="about %{x:.2f}: %{y} weights<extra>" + name + "</extra>")
    return style.layout(figure, x="weight in the first layer", y="how many weights", height=320)


def ensemble(single: Sequence[float], average: Sequence[float], whole: float) -> go.Figure:
    """Accuracy (%) of single thinned networks and of the average of the first T of them, beside the eval network."""
    figure = go.Figure()
    count = list(range(1, len(single) + 1))
    figure.add_scatter(x=count, y=[100 * v for v in single], name="one thinned network", mode="markers",
                       marker={"color": style.CATEGORICAL[1], "symbol": "x", "size": 6},
                       customdata=[percent(v) for v in single],
                       hovertemplate="network %{x}: %{customdata}<extra></extra>")
    figure.add_scatter(x=count, y=[100 * v for v in average], name="average of the first T", mode="lines",
                       line={"color": style.CATEGORICAL[0]}, customdata=[percent(v) for v in average],
                       hovertemplate="T = %{x}: %{customdata}<extra></extra>")
    figure.add_scatter(x=[1, len(single)], y=[100 * whole] * 2, name="eval network", mode="lines",
                       line={"color": style.CATEGORICAL[2], "dash": "dash"},
                       hovertemplate=f"eval network: {percent(whole)}<extra></extra>")
    return style.layout(figure, x="thinned networks T", y="accuracy on digits never seen (%)", height=320)


def widths(points: Mapping[str, Sequence[tuple[int, float]]], units: Sequence[int]) -> go.Figure:
    """Accuracy (%) over the units of a hidden layer (log scale), a line for each name; with dropout dashed.

    >>> widths({"seen": [(4, 50.0), (16, 80.0)]}, (4, 16)).layout.xaxis.type
    'log'
    """
    figure = go.Figure()
    for k, (name, own) in enumerate(points.items()):
        figure.add_scatter(x=[x for x, _ in own], y=[y for _, y in own], name=name, mode="lines+markers",
                           line={"color": style.CATEGORICAL[k % 2], "dash": "dash" if "dropout" in name else "solid"},
                           marker={"symbol": k, "size": 8}, customdata=[percent(y / 100) for _, y in own],
                           hovertemplate="%{x} units: %{customdata}<extra>" + name + "</extra>")
    style.layout(figure, x="units in each of two hidden layers", y="accuracy (%)", height=360)
    figure.update_xaxes(type="log", tickvals=list(units), ticktext=[str(n) for n in units])
    figure.update_layout(legend={"x": 0, "xanchor": "left"}, margin={"t": 90})
    return figure
