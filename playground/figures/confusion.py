"""What was taken for what: a confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.figures.bars import shortened
from playground.numbers import percent

MOST_NUMBERED = 20
"""Classes up to which each cell carries its count; beyond, the numbers would overlap and hovering tells them."""


MOST_EMPTY = 30
"""Classes up to which empty cells can be clicked, too; beyond, they would be thousands."""


def confusion_matrix(counts: Sequence[Sequence[int]] | np.ndarray, classes: Sequence[str], *, clickable: bool = False,
                     chosen: tuple[int, int] | None = None) -> go.Figure:
    """Rows are what the picture is, columns what the model said; the diagonal is right.

    counts (K, K), whole numbers. Colour is the share of the row, so that a rare class reads like a common one. With
    `clickable` every cell can be selected; a point's customdata begin with (row, column). `chosen` is outlined.
    """
    table = np.asarray(counts, dtype=np.int64).reshape(len(classes), len(classes))
    totals = table.sum(axis=1, keepdims=True)
    share = np.divide(table, totals, out=np.zeros(table.shape), where=totals > 0)
    # Most cells hold a few mistakes or none: the square root lets one in fifty be seen beside forty-nine.
    shade = np.sqrt(share)
    names = [shortened(c, 18) for c in classes]
    positions = list(range(len(classes)))
    figure = go.Figure(
        go.Heatmap(
            z=shade,
            x=positions,
            y=positions,
            zmin=0,
            zmax=1,
            colorscale=list(style.SEQUENTIAL),
            showscale=False,
            xgap=1,
            ygap=1,
            customdata=np.stack([*np.meshgrid(positions, positions)], axis=-1),
            text=[
                [f"{f'{names[r]} taken for {names[c]}' if r != c else f'{names[r]}, right'}: {table[r, c]} "
                 f"({percent(float(share[r, c]))} of its row)" for c in positions]
                for r in positions
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    if len(classes) <= MOST_NUMBERED:
        figure.update_layout(
            annotations=[
                {
                    "x": c,
                    "y": r,
                    "text": str(table[r, c]),
                    "showarrow": False,
                    "font": {"color": style.ink_on(style.colour_at(style.SEQUENTIAL, float(shade[r, c]))), "size": 13},
                }
                for r in positions
                for c in positions
                if table[r, c]
            ]
        )
    if clickable:
        _clickable(figure, table)
    if chosen is not None:
        row, column = chosen
        figure.add_shape(type="rect", x0=column - 0.48, x1=column + 0.48, y0=row - 0.48, y1=row + 0.48,
                         line={"color": style.VALIDATION, "width": 3})
    style.layout(figure, x="the model said", y="the picture is", height=min(130 + 34 * len(classes), 620), spelled="xy")
    figure.update_xaxes(tickvals=positions, ticktext=names, showgrid=False, side="bottom")
    figure.update_yaxes(tickvals=positions, ticktext=names, showgrid=False, autorange="reversed")
    return figure


def _clickable(figure: go.Figure, table: np.ndarray) -> None:
    """A point on every cell: a click on a heat map is not heard, one on a point is. The one nearest is meant."""
    heat, everywhere = figure.data[0], len(table) <= MOST_EMPTY
    columns, rows = np.meshgrid(np.arange(len(table)), np.arange(len(table)))
    here = np.ones(table.shape, bool) if everywhere else table > 0
    figure.add_scatter(
        x=columns[here], y=rows[here], mode="markers", showlegend=False,
        marker={"symbol": "square", "size": 14, "color": style.REFERENCE, "opacity": 0.01},
        # A choice is outlined: a click fades nothing.
        selected={"marker": {"opacity": 0.01}}, unselected={"marker": {"opacity": 0.01}},
        # As lists: an array goes to the browser packed, and a selected point would come back without its numbers.
        customdata=np.stack([rows, columns], axis=-1)[here].tolist(),
        text=np.asarray(heat.text)[here],
        hovertemplate="%{text}<extra></extra>")
    figure.data[0].update(hoverinfo="skip", hovertemplate=None)
    figure.update_layout(hovermode="closest", hoverdistance=-1 if everywhere else 10)
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(fixedrange=True)
