"""The loss in pictures: probabilities beside their targets, -log p, gradients, and the losses over a score."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.figures.lines import DASHES, lines


def _classes(figure: go.Figure, names: Sequence[str]) -> go.Figure:
    figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext = list(range(len(names))), list(names)
    figure.layout.xaxis.showgrid = False
    figure.layout.legend.x, figure.layout.legend.xanchor = 0, "left"
    return figure


def probabilities(names: Sequence[str], p: Sequence[float], y: Sequence[float]) -> go.Figure:
    """p as bars and what each is to be as diamonds.

    >>> [trace.name for trace in probabilities(["0", "1"], [0.2, 0.8], [0, 1]).data]
    ['p', 'y, what it is to be']
    """
    places = list(range(len(names)))
    figure = go.Figure([
        {"type": "bar", "x": places, "y": list(p), "name": "p", "width": 0.7,
         "marker": {"color": style.CATEGORICAL[5]}, "hovertemplate": "class %{x}: p = %{y:.4~g}<extra></extra>"},
        {"type": "scatter", "x": places, "y": list(y), "name": "y, what it is to be", "mode": "markers",
         "marker": {"color": style.CATEGORICAL[4], "symbol": "diamond", "size": 9},
         "hovertemplate": "class %{x}: y = %{y:.4~g}<extra></extra>"}])
    style.layout(figure, x="class", y="probability", height=300)
    figure.layout.yaxis.range = [0, 1.06]
    return _classes(figure, names)


def gradients(names: Sequence[str], slopes: Sequence[float]) -> go.Figure:
    """dL/dz of every class, orange above 0 and blue below.

    >>> [list(trace.y) for trace in gradients(["0", "1"], [-0.5, 0.5]).data]
    [[0.5], [-0.5]]
    """
    sides = (("score is to fall", style.POSITIVE, [k for k, one in enumerate(slopes) if one >= 0]),
             ("score is to rise", style.NEGATIVE, [k for k, one in enumerate(slopes) if one < 0]))
    figure = go.Figure([
        {"type": "bar", "x": chosen, "y": [slopes[k] for k in chosen], "name": name, "width": 0.7,
         "marker": {"color": colour}, "hovertemplate": "class %{x}: %{y:.4~g}<extra></extra>"}
        for name, colour, chosen in sides if chosen])
    style.layout(figure, x="class", y="gradient of the loss for its score", height=300, legend=True)
    figure.layout.xaxis.range = [-0.6, len(names) - 0.4]
    return _classes(figure, names)


def surprise(classes: int, smoothing: float, p: float, loss: float) -> go.Figure:
    """-log p over the label's probability, and where the reader is; with smoothing its own curve, the rest shared
    evenly among the other classes.

    >>> len(surprise(3, 0.0, 0.5, 0.69).data), len(surprise(3, 0.1, 0.5, 0.8).data)
    (2, 3)
    """
    x = np.concatenate([np.geomspace(1e-4, 0.02, 30), np.linspace(0.03, 0.999, 98)])
    curves: dict[str, np.ndarray] = {"−log p": -np.log(x)}
    if smoothing:
        share = smoothing / classes
        others = -np.log((1 - x) / (classes - 1))
        curves["smoothed, rest shared evenly"] = (1 - smoothing + share) * -np.log(x) + share * (classes - 1) * others
    figure = go.Figure([
        *({"type": "scatter", "x": x.tolist(), "y": y.tolist(), "name": name, "mode": "lines",
           "line": {"color": style.CATEGORICAL[k], "dash": DASHES[k]},
           "hovertemplate": "p = %{x:.3~g}: %{y:.3~g}<extra></extra>"} for k, (name, y) in enumerate(curves.items())),
        {"type": "scatter", "x": [p], "y": [loss], "name": "here", "mode": "markers",
         "marker": {"color": style.CATEGORICAL[4], "symbol": "diamond", "size": 11},
         "hovertemplate": "here p = %{x:.4~g}: loss %{y:.4~g}<extra></extra>"}])
    style.layout(figure, x="p of the label", y="loss (nats)", height=300)
    figure.layout.xaxis.range, figure.layout.yaxis.range = [-0.02, 1.02], [0, max(6.0, loss * 1.1)]
    figure.layout.legend.x, figure.layout.legend.xanchor = 0, "left"
    return figure


def temperatures(x: np.ndarray, p: np.ndarray, now: float) -> go.Figure:
    """p of every class over the temperature T, log axis: p (T, K)."""
    figure = lines(x.tolist(), {f"class {k}": p[:, k].tolist() for k in range(p.shape[1])},
                   titles=("temperature T (log)", "probability"), now=now, marks=False, height=320, log_x=True)
    return _halvings(figure)


def evenness(x: np.ndarray, spread: np.ndarray, now: float, most: float) -> go.Figure:
    """The entropy of p over the temperature, and the most it can be."""
    figure = lines(x.tolist(), {"entropy of p": spread.tolist(), "log K, all classes alike": [most] * len(x)},
                   titles=("temperature T (log)", "entropy (nats)"), now=now, marks=False, height=320, log_x=True)
    return _halvings(figure)


def _halvings(figure: go.Figure) -> go.Figure:
    marks = (0.25, 0.5, 1, 2, 4, 8)
    figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext = list(marks), ["¼", "½", *map(str, marks[2:])]
    return figure


def over_a_score(x: np.ndarray, series: Mapping[str, np.ndarray], titles: tuple[str, str], now: float | None = None,
                 **options: Any) -> go.Figure:
    """Losses or slopes over one score."""
    return lines(x.tolist(), {name: y.tolist() for name, y in series.items()}, titles=titles, now=now, marks=False,
                 height=320, **options)
