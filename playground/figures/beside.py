"""Runs and published results under each other: a point with its interval for ours, a mark for what others report."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from playground.figures import style
from playground.figures.bars import shortened
from playground.figures.comparison import Result
from playground.numbers import percent


def beside(results: Sequence[Result], published: Sequence[tuple[str, float]]) -> go.Figure:
    """Accuracy (%) of runs with 95 % intervals, and of others' published results on their own photographs.

    >>> figure = beside([Result("mine", 97.0, 93.6, 98.6)], [("tutorial", 96.0)])
    >>> [list(trace.y) for trace in figure.data]
    [['mine'], ['tutorial']]
    """
    done = [result for result in results if result.share is not None]
    figure = go.Figure(go.Scatter(
        x=[r.share for r in done], y=[escape(shortened(r.name, 34)) for r in done], mode="markers",
        name="on these photos, 95 % interval", marker={"color": style.CATEGORICAL[0], "size": 10},
        error_x={"type": "data", "symmetric": False, "array": [r.high - (r.share or 0) for r in done],
                 "arrayminus": [(r.share or 0) - r.low for r in done], "thickness": 2},
        customdata=[percent((r.share or 0) / 100) for r in done], hovertemplate="%{y}: %{customdata}<extra></extra>"))
    if published:
        figure.add_scatter(
            x=[share for _, share in published], y=[escape(name) for name, _ in published], mode="markers",
            name="published, on other photos", marker={"color": style.REFERENCE, "symbol": "diamond", "size": 10},
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>")
    style.layout(figure, x="accuracy (%)", height=150 + 30 * (len(done) + len(published)))
    figure.update_layout(legend={"x": 0, "xanchor": "left"})
    return figure.update_yaxes(autorange="reversed").update_xaxes(range=[None, 101])
