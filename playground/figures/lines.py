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
    power = {"type": "log", "exponentformat": "power"}
    # One constructor of plain dictionaries: `add_scatter` and `update_xaxes` take Plotly several times as long
    figure = go.Figure(
        [{"type": "scatter", "x": list(x), "y": list(values), "name": name,
          "mode": "lines+markers" if marks else "lines",
          "line": {"color": style.CATEGORICAL[k % len(style.CATEGORICAL)], "dash": DASHES[k % len(DASHES)]},
          "marker": {"symbol": k, "size": 7},
          "hovertemplate": "%{x:.4~g}: %{y:.4~g}" + unit + "<extra>" + name + "</extra>"}
         for k, (name, values) in enumerate(series.items())],
        {"xaxis": power if log_x else {}, "yaxis": power if log_y else {},
         "shapes": [] if now is None else [style.upright(now)]})
    style.layout(figure, x=titles[0], y=titles[1], height=height)
    figure.layout.legend.x, figure.layout.legend.xanchor = 0, "left"
    return figure
