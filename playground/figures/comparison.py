"""Runs side by side with their intervals, and other people's published numbers as lines."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from playground.figures import style


class Result(NamedTuple):
    """A measured share (%) with its 95 % interval; None while there is none yet."""

    name: str
    share: float | None
    low: float
    high: float


def comparison(results: Sequence[Result], published: Sequence[tuple[str, float]], chance: float) -> go.Figure:
    """Bars of accuracy (%) with intervals; dashed lines for published results, dotted for guessing.

    >>> figure = comparison([Result("CNN", 70.0, 63.0, 76.0)], [("tutorial", 96.0)], 50.0)
    >>> figure.data[0].x
    ('CNN',)
    """
    done = [result for result in results if result.share is not None]
    figure = go.Figure(go.Bar(
        x=[escape(result.name) for result in done], y=[result.share for result in done],
        error_y={"type": "data", "symmetric": False, "array": [r.high - (r.share or 0) for r in done],
                 "arrayminus": [(r.share or 0) - r.low for r in done], "thickness": 1.5},
        marker={"color": style.CATEGORICAL[0]}, width=0.5,
        hovertemplate="%{x}: %{y:.1f} %<extra></extra>"))
    for name, value in published:
        figure.add_hline(y=value, line={"color": style.REFERENCE, "dash": "dash", "width": 1})
        figure.add_annotation(x=0, xref="paper", y=value, text=f"{escape(name)}: {value:g} %", showarrow=False,
                              xanchor="left", yanchor="bottom" if value > 97 else "top", font={"size": 11})
    figure.add_hline(y=chance, line={"color": style.REFERENCE, "dash": "dot", "width": 1}, annotation_text="guessing",
                     annotation_position="bottom left")
    style.layout(figure, x="how it was trained", y="accuracy on photos never seen (%)", height=420)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[escape(r.name) for r in results],
                        range=[-0.5, len(results) - 0.5])
    return figure.update_yaxes(range=[min(40, chance - 5), 104])
