"""Contestants of an experiment side by side, and what a dense layer costs beside a convolution."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import plotly.graph_objects as go

from playground.figures import style

DASHES = ("solid", "dash", "dot", "dashdot")


class MeasuredLike(Protocol):
    """What a curve reads of a measurement, as training.runs.events.Measured."""

    @property
    def contestant(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def train_accuracy(self) -> float: ...
    @property
    def test_accuracy(self) -> float: ...


def accuracy_curves(
    measured: Sequence[MeasuredLike], contestants: Sequence[str], epochs: int, of: Literal["train", "test"] = "test"
) -> go.Figure:
    """Accuracy (%) over epochs on pictures never seen, or on those learnt from; a line for each contestant.

    >>> len(accuracy_curves([], ["MLP", "CNN"], 5).data)
    2
    """
    which = "train_accuracy" if of == "train" else "test_accuracy"
    return _curves([(m.contestant, m.epoch, 100 * getattr(m, which)) for m in measured], contestants, epochs,
                   f"accuracy on pictures {'learnt from' if of == 'train' else 'never seen'} (%)")


def loss_curves(measured: Sequence[MeasuredLike], contestants: Sequence[str], epochs: int) -> go.Figure:
    """Cross-entropy on the pictures learnt from over epochs (log scale), a line for each contestant.

    >>> loss_curves([], ["MLP"], 5).layout.yaxis.type
    'log'
    """
    figure = _curves([(m.contestant, m.epoch, max(m.train_loss, 1e-6)) for m in measured], contestants, epochs,
                     "training loss (cross-entropy)")
    return figure.update_yaxes(type="log", exponentformat="power")


def _curves(points: Sequence[tuple[str, int, float]], contestants: Sequence[str], epochs: int, y: str) -> go.Figure:
    figure = go.Figure()
    for k, name in enumerate(contestants):
        own = [(epoch, value) for contestant, epoch, value in points if contestant == name]
        figure.add_scatter(
            x=[epoch for epoch, _ in own], y=[value for _, value in own], name=name,
            mode="lines+markers" if epochs <= 30 else "lines",
            line={"color": style.CATEGORICAL[k % len(style.CATEGORICAL)], "dash": DASHES[k % len(DASHES)]},
            marker={"symbol": k, "size": 7}, hovertemplate="epoch %{x}: %{y:.4~g}<extra>" + name + "</extra>")
    style.layout(figure, x="epoch", y=y, height=380)
    figure.update_xaxes(range=[0.5, epochs + 0.5], dtick=max(1, epochs // 10))
    figure.update_layout(legend={"x": 0, "xanchor": "left"}, margin={"t": 70})
    return figure


def growth(sides: Sequence[int], dense: Sequence[int], convolution: Sequence[int], now: int) -> go.Figure:
    """Parameters of a first layer (log scale) over the side of the picture in pixels, and where the reader is.

    >>> growth([8, 16], [64, 256], [9, 9], 8).layout.yaxis.type
    'log'
    """
    figure = go.Figure()
    for name, values, colour, dash in (("dense", dense, style.CATEGORICAL[4], "solid"),
                                       ("convolution", convolution, style.CATEGORICAL[0], "dash")):
        figure.add_scatter(x=list(sides), y=list(values), name=name, mode="lines", line={"color": colour, "dash": dash},
                           hovertemplate="%{x} × %{x} pixels: %{y:,} parameters<extra>" + name + "</extra>")
    figure.add_shape(style.upright(now))
    figure.add_annotation(x=math.log10(now), y=1, yref="paper", text=f"{now} × {now}", showarrow=False, xanchor="right",
                          xshift=-6)
    style.layout(figure, x="side of the picture (pixels)", y="parameters", height=340)
    apart = [s for s, before in zip(sides, (0, *sides), strict=False) if s > 1.2 * before]  # labels that do not meet
    figure.update_xaxes(type="log", tickvals=apart, ticktext=[str(s) for s in apart])
    figure.update_yaxes(type="log", dtick=1)
    return figure
