"""Runs side by side with their intervals, and other people's published numbers as lines."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import number, percent


class Result(NamedTuple):
    """A measured share (%) with its 95 % interval; None while there is none yet."""

    name: str
    share: float | None
    low: float
    high: float


def comparison(results: Sequence[Result], published: Sequence[tuple[str, float]], chance: float) -> go.Figure:
    """Accuracy (%) with its intervals; dashed lines for published results, dotted for guessing, named above.

    >>> figure = comparison([Result("CNN", 70.0, 63.0, 76.0)], [("tutorial", 96.0)], 50.0)
    >>> figure.data[1].text, [line.name for line in figure.layout.shapes]
    (('70.0\u202f%',), ['tutorial: 96\u202f%', 'guessing: 50\u202f%'])
    """
    done = [result for result in results if result.share is not None]
    figure = go.Figure(go.Scatter(
        x=[escape(result.name) for result in done], y=[result.share for result in done], mode="markers",
        customdata=[percent((result.share or 0.0) / 100) for result in done],
        error_y={"type": "data", "symmetric": False, "array": [r.high - (r.share or 0) for r in done],
                 "arrayminus": [(r.share or 0) - r.low for r in done], "thickness": 2},
        marker={"color": style.CATEGORICAL[0], "size": 10}, showlegend=False,
        hovertemplate="%{x}: %{customdata}<extra></extra>"))
    figure.add_scatter(  # the number stands above the whisker, which would cross it out
        x=figure.data[0].x, y=[result.high for result in done],
        text=[percent((result.share or 0.0) / 100) for result in done],
        mode="text", textposition="top center", showlegend=False, hoverinfo="skip")
    # Named in the legend: beside the lines the names would lie on what was measured.
    for (name, value), dash in zip([*published, ("guessing", chance)], _dashes(len(published)), strict=True):
        figure.add_hline(y=value, line={"color": style.REFERENCE, "dash": dash, "width": 1.5}, showlegend=True,
                         name=f"{escape(name)}: {number(value, 3)}\u202f%")
    style.layout(figure, x="how it was trained", y="accuracy on photos never seen (%)", height=420, legend=True)
    figure.update_layout(legend={"x": 0, "xanchor": "left"})
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[escape(r.name) for r in results],
                        range=[-0.5, len(results) - 0.5])
    return figure.update_yaxes(range=[0, 109])


def _dashes(published: int) -> list[str]:
    """A kind of line for each published result, and dots for guessing."""
    kinds = ("dash", "dashdot", "longdash", "longdashdot")
    return [*(kinds[k % len(kinds)] for k in range(published)), "dot"]
