"""A training run as curves: what each batch said (faint), and what each epoch came to (lines)."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Protocol

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import percent

FAINT = style.CATEGORICAL[5]
MOST_POINTS = 400
"""Faint points drawn at most: more cannot be told apart on a screen, and every redraw sends them all."""


class BatchLike(Protocol):
    """What a curve reads of a batch: counted from 1, as training.runs.events.Batch."""

    @property
    def epoch(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...


class EpochLike(Protocol):
    """What a curve reads of an epoch: counted from 1, as training.runs.events.Epoch."""

    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def train_accuracy(self) -> float: ...
    @property
    def validation_loss(self) -> float: ...
    @property
    def validation_accuracy(self) -> float: ...


def thin(x: Sequence[float], y: Sequence[float], most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` points: neighbours averaged in equal groups, so that noise shrinks and no batch is left out.

    >>> thin([1, 2, 3, 4], [1.0, 3.0, 5.0, 7.0], most=2)
    (array([1.5, 3.5]), array([2., 6.]))
    """
    if len(x) <= most:
        return np.asarray(x, float), np.asarray(y, float)
    groups = np.array_split(np.arange(len(x)), most)
    return (
        np.array([np.asarray(x, float)[g].mean() for g in groups]),
        np.array([np.asarray(y, float)[g].mean() for g in groups]),
    )


def _curve(
    batches: Sequence[BatchLike],
    epochs: Sequence[EpochLike],
    batch_values: Sequence[float],
    train: Sequence[float],
    validation: Sequence[float],
    held_out: str,
    written: Callable[[float], str],
    total_epochs: int,
) -> go.Figure:
    figure = go.Figure()
    x, y = thin([b.epoch - 1 + b.batch / max(b.batches, 1) for b in batches], batch_values)
    figure.add_scatter(
        x=x,
        y=y,
        # Fast epochs leave less than a batch each in the log: a line would draw a course that nobody saw.
        mode="lines" if len(batches) >= 3 * len(epochs) else "markers",
        name="training batches",
        line={"color": FAINT, "width": 1},
        marker={"color": FAINT, "size": 4},
        opacity=0.7,
        hoverinfo="skip",
    )
    ends = [e.epoch for e in epochs]
    for name, values, colour, symbol in (
        ("training", train, style.TRAINING, "circle"),
        (held_out, validation, style.VALIDATION, "diamond"),
    ):
        figure.add_scatter(
            x=ends,
            y=list(values),
            mode="lines+markers",
            name=escape(name),
            line={"color": colour, "width": 2.5},
            marker={"symbol": symbol, "size": 7},
            customdata=[written(value) for value in values],
            hovertemplate="epoch %{x}: %{customdata}",
        )
    style.layout(figure, x="epoch", height=300)
    # The whole run is the axis from the first batch on: the curve grows into the empty part instead of rescaling.
    figure.update_xaxes(range=[0, 1.02 * max(total_epochs, 1)], dtick=-(-max(total_epochs, 1) // 8))
    # Kept between redraws, so zooming while it trains is not undone twice a second.
    figure.update_layout(uirevision="run", hovermode="x unified")
    return figure


def loss_curves(
    batches: Sequence[BatchLike], epochs: Sequence[EpochLike], total_epochs: int, held_out: str = "validation",
    unit: str = "nats per image",
) -> go.Figure:
    """The loss over epochs, measured in a unit: lower is better; a rising `held_out` line is overfitting."""
    figure = _curve(
        batches,
        epochs,
        [b.loss for b in batches],
        [e.train_loss for e in epochs],
        [e.validation_loss for e in epochs],
        held_out,
        "{:.3f}".format,
        total_epochs,
    )
    figure.update_yaxes(title_text=f"loss ({unit})", rangemode="tozero")
    return figure


def accuracy_curves(
    batches: Sequence[BatchLike], epochs: Sequence[EpochLike], total_epochs: int, held_out: str = "validation"
) -> go.Figure:
    """Share of images named correctly, in per cent, over epochs."""
    figure = _curve(
        batches,
        epochs,
        [100 * b.accuracy for b in batches],
        [100 * e.train_accuracy for e in epochs],
        [100 * e.validation_accuracy for e in epochs],
        held_out,
        lambda value: percent(value / 100),
        total_epochs,
    )
    figure.update_yaxes(title_text="accuracy (%)", range=[0, 102])
    return figure


def learning_rate_curve(batches: Sequence[BatchLike], total_epochs: int) -> go.Figure:
    """The learning rate of every batch that was told of: how far a step goes, as the schedule raises and lowers it."""
    x, y = thin([b.epoch - 1 + b.batch / max(b.batches, 1) for b in batches], [b.learning_rate for b in batches])
    figure = go.Figure(go.Scatter(x=x, y=y, mode="lines", line={"color": style.REFERENCE, "width": 2},
                                  name="learning rate", hovertemplate="epoch %{x:.2f}: %{y:.3g}<extra></extra>"))
    style.layout(figure, x="epoch", y="learning rate", height=170)
    figure.update_xaxes(range=[0, 1.02 * max(total_epochs, 1)], dtick=-(-max(total_epochs, 1) // 8))
    figure.update_yaxes(rangemode="tozero", tickformat="~g", nticks=4)
    return figure.update_layout(uirevision="run")
