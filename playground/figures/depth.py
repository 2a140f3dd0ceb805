"""Depth in pictures: sizes at every layer, slopes of activations, the ways of a gradient, and losses side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.figures.lines import lines

FEW_LAYERS = 24
LEAST_DECADES = 2.0
"""A log axis spans at least these."""


def over_layers(series: Mapping[str, Sequence[float]], what: str) -> go.Figure:
    """Sizes at every layer, counted from 1, on a log axis.

    >>> over_layers({"measured": [1.0, 0.1]}, "gradient").layout.yaxis.title.text
    'gradient, root mean square (log)'
    """
    count = max(len(values) for values in series.values())
    figure = lines(list(range(1, count + 1)), series, titles=("layer", f"{what}, root mean square (log)"), log_y=True,
                   marks=count <= FEW_LAYERS)
    known = [np.log10(value) for values in series.values() for value in values if 0 < value < np.inf]
    if known and max(known) - min(known) < LEAST_DECADES:  # so that a few per cent do not look like much
        middle = (max(known) + min(known)) / 2
        figure.layout.yaxis.range = [middle - LEAST_DECADES / 2, middle + LEAST_DECADES / 2]
    return figure


def slopes(z: np.ndarray, curves: Mapping[str, np.ndarray], deviation: float) -> go.Figure:
    """The slope of every activation over z, and how far z reaches: its deviation."""
    reach = deviation if deviation <= float(z.max()) else None
    figure = lines(z.tolist(), {name: values.tolist() for name, values in curves.items()},
                   titles=("z", "slope φ'(z)"), now=reach, marks=False, height=320)
    figure.layout.yaxis.range = [-0.03, 1.06]
    return figure


def ways(through: Sequence[int], together: Sequence[float]) -> go.Figure:
    """What all ways through so many blocks bring back together.

    >>> ways([0, 1], [1.0, 0.5]).data[0].type
    'bar'
    """
    figure = go.Figure([{
        "type": "bar", "x": list(through), "y": list(together), "width": 0.8,
        "marker": {"color": style.CATEGORICAL[0]},
        "hovertemplate": "through f in %{x} blocks: %{y:.3~g}<extra></extra>"}])
    return style.layout(figure, x="blocks in which a way goes through f", y="their share of the gradient", height=320)


def losses(series: Mapping[str, Sequence[float]], chance: float, window: int = 5) -> go.Figure:
    """Losses of mini-batches over the steps, each the mean of the last few, and what a guess costs.

    >>> [trace.name for trace in losses({"a": [1.0, 2.0]}, 2.3).data]
    ['a', 'an even guess, log 10']
    """
    smooth = {name: [float(np.mean(values[max(0, k - window + 1):k + 1])) for k in range(len(values))]
              for name, values in series.items()}
    longest = max(len(values) for values in smooth.values())
    figure = lines(list(range(1, longest + 1)), {**smooth, "an even guess, log 10": [chance] * longest},
                   titles=("step", f"loss, mean of the last {window} mini-batches (nats)"), marks=False)
    figure.layout.yaxis.range = [0, 2.5 * chance]
    return figure
