"""The ImageNet challenge over the years."""

from collections.abc import Sequence

import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import number


def winners(rows: Sequence[tuple[int, str, float]], human: float) -> go.Figure:
    """Top-5 error (%) of each year's winner, a person's as a line.

    rows: (year, name, error in %).

    >>> winners([(2012, "AlexNet", 16.4)], 5.1).data[0].y
    (16.4,)
    """
    years = [year for year, _, _ in rows]
    figure = go.Figure(go.Bar(
        x=years, y=[error for _, _, error in rows], customdata=[name for _, name, _ in rows],
        marker={"color": [style.REFERENCE if year < 2012 else style.CATEGORICAL[0] for year in years],
                "pattern": {"shape": ["/" if year < 2012 else "" for year in years]}},
        hovertemplate="%{x}, %{customdata}: %{y:.1f} %<extra></extra>"))
    figure.add_hline(y=human, line={"color": style.CATEGORICAL[4], "dash": "dash"},
                     annotation_text=f"a person: {number(human)} %", annotation_position="top right")
    style.layout(figure, x="year and winner", y="top-5 error (%)", height=360, spelled="x")
    figure.update_xaxes(tickvals=years, ticktext=[f"{year}: {number(error)} %<br>{name}" for year, name, error in rows])
    figure.update_yaxes(range=[0, 32])
    figure.update_layout(margin={"t": 30})
    return figure
