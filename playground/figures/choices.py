"""How many of a class chose what, and how well its trainings did."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from playground.figures import style
from playground.figures.bars import shortened
from playground.numbers import percent


def choice_bars(names: Sequence[str], first: Sequence[int], right: int, last: Sequence[int]) -> go.Figure:
    """A bar a choice, the first choice on top; the right one orange and marked. Pointing tells who changed his mind.

    >>> figure = choice_bars(["6 × 6", "8 × 8"], [3, 9], 1, [2, 10])
    >>> figure.data[0].x, figure.layout.yaxis.ticktext
    ((3, 9), ('6 × 6', '8 × 8 ✓'))
    """
    rows = list(range(len(names)))
    figure = go.Figure(go.Bar(
        orientation="h", y=rows, x=list(first), text=[str(n) for n in first], textposition="outside", cliponaxis=False,
        marker={"color": [style.VALIDATION if k == right else style.TRAINING for k in rows]},
        customdata=[f"{shortened(name)}: {a} at first, {b} in the end"
                    for name, a, b in zip(names, first, last, strict=True)],
        hovertemplate="%{customdata}<extra></extra>"))
    style.layout(figure, x="answers", height=80 + 34 * len(rows), spelled="y")
    figure.update_xaxes(range=[0, max(1, *first) * 1.15], tickformat=",d", nticks=5)
    figure.update_yaxes(tickvals=rows, autorange="reversed", showgrid=False,
                        ticktext=[shortened(name) + (" ✓" if k == right else "") for k, name in enumerate(names)])
    return figure


_SYMBOLS = ("circle", "square", "diamond", "cross")


@dataclass(frozen=True)
class Result:
    """A finished training: whose and which, the number and the name of its series, its share (0..1) and that share's
    interval."""

    name: str
    number: int
    series: str
    share: float
    low: float
    high: float
    count: int


def result_points(results: Sequence[Result]) -> go.Figure:
    """A point a training with its interval, the best of each series on top; one colour and symbol a series.

    >>> figure = result_points([Result("Ada: cats", 1, "photos", 0.9, 0.8, 0.95, 60)])
    >>> [round(x, 3) for x in figure.data[0].error_x.array], figure.data[0].x
    ([5.0], (90.0,))
    """
    ordered = sorted(results, key=lambda one: (one.number, -one.share))
    figure = go.Figure()
    for k, name in sorted({(one.number, one.series) for one in results}):
        own = [(row, one) for row, one in enumerate(ordered) if one.number == k]
        figure.add_scatter(
            name=shortened(name), x=[100 * one.share for _, one in own], y=[row for row, _ in own], mode="markers",
            marker={"color": style.CATEGORICAL[k % 8], "size": 9, "symbol": _SYMBOLS[k % 4]},
            error_x={"type": "data", "array": [100 * (one.high - one.share) for _, one in own],
                     "arrayminus": [100 * (one.share - one.low) for _, one in own], "thickness": 1.5},
            customdata=[f"{shortened(one.name)}: {percent(one.share)} of {one.count}"
                        f" ({100 * one.low:.1f} to {100 * one.high:.1f} %)" for _, one in own],
            hovertemplate="%{customdata}<extra></extra>")
    style.layout(figure, x="accuracy (%)", height=110 + 26 * max(2, len(ordered)),
                 spelled="y")
    figure.update_xaxes(nticks=6)
    figure.update_yaxes(tickvals=list(range(len(ordered))), autorange="reversed", showgrid=False,
                        ticktext=[shortened(one.name, 24) for one in ordered])
    return figure
