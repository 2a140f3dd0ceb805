"""Named lines over numbers, each told from the others by colour, dash and mark."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from playground.figures import style

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def lines(
    x: Sequence[float], series: Mapping[str, Sequence[float]], *, titles: tuple[str, str], unit: str = "",
    now: float | None = None, marks: bool = True, height: int = 340, log_x: bool = False, log_y: bool = False,
) -> go.Figure:
    """A line for each name over the same x. `titles` are those of the axes, `now` is where the reader is.

    >>> [trace.name for trace in lines([0, 1], {"a": [1, 2], "b": [2, 1]}, titles=("t", "y")).data]
    ['a', 'b']
    """
    figure = go.Figure()
    for k, (name, values) in enumerate(series.items()):
        figure.add_scatter(
            x=list(x), y=list(values), name=name, mode="lines+markers" if marks else "lines",
            line={"color": style.CATEGORICAL[k % len(style.CATEGORICAL)], "dash": DASHES[k % len(DASHES)]},
            marker={"symbol": k, "size": 7},
            hovertemplate="%{x:.4~g}: %{y:.4~g}" + unit + "<extra>" + name + "</extra>")
    if now is not None:
        figure.add_shape(style.upright(now))
    style.layout(figure, x=titles[0], y=titles[1], height=height)
    figure.update_layout(legend={"x": 0, "xanchor": "left"})
    if log_x:
        figure.update_xaxes(type="log", exponentformat="power")
    if log_y:
        figure.update_yaxes(type="log", exponentformat="power")
    return figure
