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
    margins = {"l": 64, "r": 8, "t": 40 if len(series) > 1 else 12, "b": 48}
    power = {"type": "log", "exponentformat": "power"}
    # One constructor of plain dictionaries: `add_scatter` and `update_layout` take Plotly several times as long
    return go.Figure(
        [{"type": "scatter", "x": list(x), "y": list(values), "name": name,
          "mode": "lines+markers" if marks else "lines",
          "line": {"color": style.CATEGORICAL[k % len(style.CATEGORICAL)], "dash": DASHES[k % len(DASHES)]},
          "marker": {"symbol": k, "size": 7},
          "hovertemplate": "%{x:.4~g}: %{y:.4~g}" + unit + "<extra>" + name + "</extra>"}
         for k, (name, values) in enumerate(series.items())],
        {"height": height, "margin": margins, "showlegend": len(series) > 1, "hoverlabel": {"namelength": -1},
         "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
         "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "separators": ". ",
         "xaxis": {"title": {"text": titles[0]}, "zeroline": False, "automargin": False, **(power if log_x else {})},
         "yaxis": {"title": {"text": titles[1]}, "zeroline": False, "automargin": False, **(power if log_y else {})},
         "shapes": [] if now is None else [style.upright(now)]})
