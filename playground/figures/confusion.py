"""What was taken for what: a confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.figures.bars import shortened

MOST_NUMBERED = 20
"""Classes up to which each cell carries its count; beyond, the numbers would overlap and hovering tells them."""


def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Rows are what the picture is, columns what the model said; the diagonal is right.

    counts (K, K), whole numbers. Colour is the share of the row, so that a rare class reads like a common one.
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
            customdata=np.stack([table, 100 * share, *np.meshgrid(positions, positions)], axis=-1),
            text=[
                [f"{names[r]} taken for {names[c]}" if r != c else f"{names[r]}, right" for c in positions]
                for r in positions
            ],
            hovertemplate="%{text}: %{customdata[0]} (%{customdata[1]:.1f} % of its row)<extra></extra>",
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
    style.layout(figure, x="the model said", y="the picture is", height=min(130 + 34 * len(classes), 620))
    figure.update_xaxes(tickvals=positions, ticktext=names, showgrid=False, side="bottom")
    figure.update_yaxes(tickvals=positions, ticktext=names, showgrid=False, autorange="reversed")
    return figure
