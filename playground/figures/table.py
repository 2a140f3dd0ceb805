"""A table of numbers as coloured cells with the numbers in them."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from playground.figures import style


def table(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, titles: tuple[str, str],
          unit: str = "", height: int = 420) -> go.Figure:
    """values (R, C), not negative: darker is more. `titles` are those across and down.

    >>> table(np.ones((1, 2)), ["a"], ["b", "c"], titles=("x", "y")).data[0].type
    'heatmap'
    """
    figure = go.Figure(go.Heatmap(
        z=values, x=list(columns), y=list(rows), colorscale=[list(stop) for stop in style.SEQUENTIAL], zmin=0,
        text=[[f"{v:.0f}" for v in row] for row in values], texttemplate="%{text}", xgap=2, ygap=2, showscale=False,
        hovertemplate="%{y}, %{x}: %{z:.1f}" + unit + "<extra></extra>"))
    style.layout(figure, x=titles[0], y=titles[1], height=height)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(side="top", tickangle=-35)
    return figure
