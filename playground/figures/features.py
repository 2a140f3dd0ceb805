"""Pictures as places in the plane, by what a network sees in them."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from playground.figures import style
from playground.figures.bars import shortened

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "hexagon", "pentagon", "bowtie")


def feature_map(places: np.ndarray, truth: np.ndarray, right: np.ndarray, labels: Sequence[str], names: Sequence[str],
                pictures: Mapping[int, np.ndarray]) -> go.Figure:
    """A point a picture at places (N, 2), its class by colour and symbol; what was mistaken is crossed.

    `pictures` are drawn instead of their points: index -> uint8 (H, W, 3).

    >>> figure = feature_map(np.zeros((2, 2)), np.array([0, 1]), np.array([True, False]), ["a", "b"], ["1", "2"], {})
    >>> [trace.name for trace in figure.data]
    ['a', 'b', 'mistaken']
    """
    figure = go.Figure()
    for k, label in enumerate(labels):
        here = np.flatnonzero(truth == k)
        figure.add_scatter(
            x=places[here, 0], y=places[here, 1], mode="markers", name=escape(shortened(label, 24)),
            text=[escape(names[int(n)]) for n in here], hovertemplate="%{text}<extra>" + escape(label) + "</extra>",
            marker={"color": style.CATEGORICAL[k % len(style.CATEGORICAL)], "symbol": SYMBOLS[k % len(SYMBOLS)],
                    "size": 9, "opacity": 0.8})
    wrong = np.flatnonzero(~right)
    if len(wrong):
        figure.add_scatter(x=places[wrong, 0], y=places[wrong, 1], mode="markers", name="mistaken", hoverinfo="skip",
                           marker={"symbol": "x-thin", "size": 14, "line": {"width": 2, "color": style.REFERENCE}})
    width = float(np.ptp(places[:, 0])) or 1.0
    height = float(np.ptp(places[:, 1])) or 1.0
    for n, picture in pictures.items():
        file = io.BytesIO()
        Image.fromarray(picture).resize((56, 56)).save(file, "JPEG", quality=80)
        figure.add_layout_image(
            source="data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode(), x=places[n, 0],
            y=places[n, 1], xref="x", yref="y", sizex=0.07 * width, sizey=0.1 * height, xanchor="center",
            yanchor="middle")
    style.layout(figure, x="first direction", y="second direction", height=520)
    return figure.update_layout(margin={"l": 40, "b": 40}).update_xaxes(showticklabels=False).update_yaxes(
        showticklabels=False)
