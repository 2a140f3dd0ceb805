"""How many photographs each class has, and in which half."""

from collections.abc import Sequence

import plotly.graph_objects as go

from playground.figures import style
from playground.figures.bars import shortened
from playground.numbers import count


def counts_per_class(classes: Sequence[str], train: Sequence[int], validation: Sequence[int]) -> go.Figure:
    """A bar a class, the part to train on and the part kept aside; the first class on top.

    >>> figure = counts_per_class(["cats", "dogs"], [8, 4], [2, 1])
    >>> [list(bar.x) for bar in figure.data]
    [[8, 4], [2, 1]]
    """
    rows = list(range(len(classes)))
    names = [shortened(name) for name in classes]
    figure = go.Figure()
    for name, numbers, colour in (("to train on", train, style.TRAINING), ("kept aside", validation, style.VALIDATION)):
        figure.add_bar(
            orientation="h", y=rows, x=list(numbers), name=name, marker={"color": colour}, customdata=names,
            text=[f"{count(number)}" if number else "" for number in numbers], textposition="inside",
            insidetextanchor="middle", textangle=0, textfont={"color": style.ink_on(colour)},
            hovertemplate="%{customdata}: %{x:,} " + name + "<extra></extra>",
        )
    style.layout(figure, x="photos", height=90 + 34 * max(2, len(classes)), spelled="y")
    figure.update_layout(barmode="stack")
    figure.update_xaxes(rangemode="tozero", tickformat=",d", nticks=6)
    figure.update_yaxes(tickvals=rows, ticktext=names, autorange="reversed", showgrid=False)
    return figure
