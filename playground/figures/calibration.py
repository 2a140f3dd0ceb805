"""Is a model as often right as it says? A reliability diagram."""

from collections.abc import Sequence

import plotly.graph_objects as go

from playground import numbers
from playground.figures import style


def reliability(sure: Sequence[float], right: Sequence[float], counts: Sequence[int], width: float) -> go.Figure:
    """For each bin of mean probability `sure` (0..1) the share that was right (0..1), beside the line where they agree.

    >>> reliability([0.95], [0.9], [20], 0.1).data[0].y
    (90.0,)
    """
    figure = go.Figure(go.Bar(
        x=[100 * s for s in sure], y=[100 * r for r in right], width=90 * width, marker={"color": style.CATEGORICAL[0]},
        text=[f"{numbers.count(count)}" for count in counts], textposition="auto", name="pictures",
        customdata=[f"says {numbers.percent(s, 0)}, right {numbers.percent(r, 0)} ({numbers.counted(n, 'picture')})"
                    for s, r, n in zip(sure, right, counts, strict=True)],
        hovertemplate="%{customdata}<extra></extra>"))
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", name="as often right as it says",
                       line={"color": style.REFERENCE, "dash": "dash"}, hoverinfo="skip")
    style.layout(figure, x="what the model says (%)", y="how often it was right (%)", height=360)
    figure.update_xaxes(range=[0, 104])
    return figure.update_yaxes(range=[0, 104])
