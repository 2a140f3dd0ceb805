"""Accuracy over the number of photographs a class: mean and spread over draws."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import percent


def photo_count(found: Mapping[int, Sequence[float]]) -> go.Figure:
    """found: photos a class -> accuracy (%) of each draw. Means as a line, every draw as a point, on a log axis.

    >>> photo_count({5: [80.0, 90.0]}).data[0].y
    (85.0,)
    """
    counts = sorted(found)
    figure = go.Figure(go.Scatter(
        x=counts, y=[sum(found[n]) / len(found[n]) for n in counts], mode="lines+markers", name="mean of the draws",
        line={"color": style.CATEGORICAL[0]}, customdata=[percent(sum(found[n]) / len(found[n]) / 100) for n in counts],
        hovertemplate="%{x} a class: %{customdata}<extra></extra>"))
    figure.add_scatter(
        x=[n for n in counts for _ in found[n]], y=[value for n in counts for value in found[n]], mode="markers",
        name="a draw", marker={"color": style.REFERENCE, "symbol": "line-ew-open", "size": 12},
        customdata=[percent(value / 100) for n in counts for value in found[n]],
        hovertemplate="%{x} a class: %{customdata}<extra></extra>")
    style.layout(figure, x="photos to learn from, a class", y="accuracy on photos kept aside (%)", height=380)
    return figure.update_xaxes(type="log", tickvals=counts, ticktext=[str(n) for n in counts])
