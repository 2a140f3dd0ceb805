"""A prediction as bars, one class a row, the most probable on top; signed bars; histograms over each other."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import number, percent


def _powers(values: Iterable[float]) -> dict[str, object]:
    """What an axis of very small numbers needs: 2 × 10⁻⁴, not 200µ, and room for it."""
    small = max((abs(value) for value in values), default=1.0) < 2e-3
    return {"exponentformat": "power", "minexponent": 3, "automargin": True} if small else {}


def shortened(label: str, most: int = 28) -> str:
    """A label that fits beside a bar on a phone, safe for Plotly, which reads tags in text.

    >>> shortened("<b>x</b>")
    '&lt;b&gt;x&lt;/b&gt;'
    >>> shortened("an exceedingly long class name", most=12)
    'an exceedin…'
    """
    return escape(label if len(label) <= most else label[: most - 1] + "…")


def probability_bars(
    labels: Sequence[str], probabilities: Sequence[float], *, most: int = 5, truth: str | None = None,
    sort: bool = True,
) -> go.Figure:
    """The `most` probable classes as horizontal bars in per cent.

    probabilities (K,) sum to 1, in the order of `labels`. With `truth` given, that class is drawn in orange even when
    it is not the winner, and is shown even when it is not among the `most` probable. Without `sort`, few classes stand
    in the order of `labels`: where the next prediction is on its way, bars should not change places.
    """
    order = sorted(range(len(labels)), key=lambda k: -probabilities[k])
    shown = order[:most] if sort or len(order) > most else list(range(len(order)))
    if truth in labels and labels.index(truth) not in shown:
        shown = [*shown[:-1], labels.index(truth)]
    shown = shown[::-1]
    figure = go.Figure(
        go.Bar(
            orientation="h",
            # Positions, not names: two classes may be called the same once shortened.
            y=list(range(len(shown))),
            x=[100 * float(probabilities[k]) for k in shown],
            text=[percent(float(probabilities[k])) for k in shown],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [style.VALIDATION if labels[k] == truth else style.TRAINING for k in shown]},
            customdata=[escape(labels[k]) for k in shown],
            hovertemplate="%{customdata}: %{text}<extra></extra>",
        )
    )
    style.layout(figure, height=70 + 34 * len(shown), spelled="y")
    figure.update_xaxes(range=[0, 135], visible=False)
    figure.update_yaxes(
        tickvals=list(range(len(shown))), ticktext=[shortened(labels[k]) for k in shown], showgrid=False
    )
    return figure


def signed_bars(x: Sequence[int], values: Sequence[float], *, titles: tuple[str, str], height: int = 240) -> go.Figure:
    """Signed numbers as bars from 0, orange up and blue down.

    >>> signed_bars([0, 1], [2.0, -1.0], titles=("channel", "sum")).data[0].marker.color
    ('#D55E00', '#0072B2')
    """
    figure = go.Figure(go.Bar(
        x=[str(k) for k in x], y=list(values), hovertemplate="%{x}: %{y:.4~g}<extra></extra>",
        marker={"color": [style.POSITIVE if v >= 0 else style.NEGATIVE for v in values]}))
    style.layout(figure, x=titles[0], y=titles[1], height=height)
    figure.update_yaxes(_powers(values))
    return figure.update_xaxes(type="category")


def signed_rows(names: Sequence[str], values: Sequence[float], *, x: str, total: str = "") -> go.Figure:
    """Signed numbers as bars to the left and right of 0, one a row, the first on top, each number under its name.

    With `total`, their sum is a row more, in gray, under that name.

    >>> signed_rows(["a", "b"], [2.0, -0.5], x="step", total="sum").layout.yaxis.ticktext
    ('sum<br><b>1.5</b>', 'b<br><b>−0.5</b>', 'a<br><b>2</b>')
    """
    rows = [(shortened(name), float(value), style.POSITIVE if value >= 0 else style.NEGATIVE)
            for name, value in zip(names, values, strict=True)]
    if total:
        rows.append((shortened(total), float(sum(values)), style.REFERENCE))
    rows.reverse()
    figure = go.Figure(go.Bar(
        orientation="h", y=list(range(len(rows))), x=[value for _, value, _ in rows],
        marker={"color": [colour for *_, colour in rows]},
        customdata=[f"{name}: {number(value)}" for name, value, _ in rows],
        hovertemplate="%{customdata}<extra></extra>"))
    style.layout(figure, x=x, height=86 + 44 * len(rows), spelled="y")
    figure.update_xaxes(_powers(value for _, value, _ in rows), zeroline=True, zerolinecolor=style.REFERENCE, nticks=5)
    return figure.update_yaxes(tickvals=list(range(len(rows))), showgrid=False,
                               ticktext=[f"{name}<br><b>{number(value)}</b>" for name, value, _ in rows])


def beside_bars(names: Sequence[str], values: Mapping[str, Sequence[float]], *, titles: tuple[str, str],
                height: int = 280) -> go.Figure:
    """Several series of numbers over the same names, side by side, hatched from the second on.

    >>> [bar.name for bar in beside_bars(["a"], {"before": [1.0], "after": [0.5]}, titles=("class", "%")).data]
    ['before', 'after']
    """
    figure = go.Figure([
        {"type": "bar", "x": [escape(name) for name in names], "y": list(own), "name": name,
         "marker": {"color": style.CATEGORICAL[k], "pattern": {"shape": "/" if k else ""}},
         "hovertemplate": "%{x}: %{y:.4~g}<extra>" + escape(name) + "</extra>"}
        for k, (name, own) in enumerate(values.items())], {"barmode": "group"})
    style.layout(figure, x=titles[0], y=titles[1], height=height)
    figure.update_yaxes(_powers(value for own in values.values() for value in own))
    return figure.update_xaxes(type="category")


def histograms(numbers: Mapping[str, np.ndarray], *, titles: tuple[str, str], bins: int = 40) -> go.Figure:
    """How many of each collection's numbers lie where: the same `bins` for all, hatched from the second on.

    Counted here and not in the browser, which would get every number.

    >>> figure = histograms({"a": np.array([0.0, 0.1, 1.0])}, titles=("value", "how many"), bins=2)
    >>> figure.data[0].y
    (2, 1)
    """
    edges = np.histogram_bin_edges(np.concatenate([one.ravel() for one in numbers.values()]), bins)
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()
    figure = go.Figure(
        [{"type": "bar", "x": middles, "y": np.histogram(values, edges)[0].tolist(), "name": name,
          "width": float(edges[1] - edges[0]), "opacity": 0.6,
          "marker": {"color": style.CATEGORICAL[k], "pattern": {"shape": "/" if k else ""}},
          "hovertemplate": "about %{x:.3~g}: %{y} numbers<extra>" + name + "</extra>"}
         for k, (name, values) in enumerate(numbers.items())], {"barmode": "overlay"})
    return style.layout(figure, x=titles[0], y=titles[1], height=300)
