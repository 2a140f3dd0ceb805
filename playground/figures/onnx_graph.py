"""The graph of an ONNX file: its nodes in columns by how many are before them, and what goes from one to the next."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import count

KINDS: Mapping[str, tuple[str, ...]] = {
    "convolution": ("Conv", "ConvTranspose", "FusedConv", "QLinearConv", "ConvInteger"),
    "matrix product": ("Gemm", "MatMul", "FusedMatMul", "QLinearMatMul", "MatMulInteger"),
    "activation": ("Relu", "Clip", "Sigmoid", "Softmax", "Tanh", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid",
                   "Elu", "Gelu", "Selu", "Softplus", "Mish", "LogSoftmax"),
    "pooling": ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"),
    "normalization": ("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "LRN"),
    "join": ("Add", "Concat", "Sum"),
}
OTHER = "other"
SYMBOLS = ("square", "diamond", "circle", "triangle-down", "hexagon", "cross", "circle-open")
MOST = 1200


def columns(nodes: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """A column and a row for each node: one further right than the furthest of those it needs, those of a column below
    each other, round 0.

    >>> columns([{"from": [], "to": ["a"]}, {"from": ["a"], "to": ["b"]}, {"from": ["a"], "to": ["c"]}])
    [(0, 0.0), (1, -0.5), (1, 0.5)]
    """
    made: dict[str, int] = {}
    depth = []
    for node in nodes:
        at = max((made[name] + 1 for name in node["from"] if name in made), default=0)
        depth.append(at)
        made.update(dict.fromkeys(node["to"], at))
    many: dict[int, int] = {}
    for at in depth:
        many[at] = many.get(at, 0) + 1
    row: dict[int, int] = {}
    places = []
    for at in depth:
        k = row.get(at, 0)
        row[at] = k + 1
        places.append((at, k - (many[at] - 1) / 2))
    return places


def graph(nodes: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The first `MOST` nodes of a file as `inspection.report` lists them; a mark's form and colour are its kind."""
    shown = nodes[:MOST]
    places = columns(shown)
    made = {name: k for k, node in enumerate(shown) for name in node["to"]}
    x: list[float | None] = []
    y: list[float | None] = []
    for k, node in enumerate(shown):
        for name in node["from"]:
            if name in made and made[name] != k:
                before = places[made[name]]
                x += [before[0], places[k][0], None]
                y += [before[1], places[k][1], None]
    figure = go.Figure(go.Scatter(x=x, y=y, mode="lines", line={"color": style.REFERENCE, "width": 1}, hoverinfo="skip",
                                  showlegend=False))
    kind_of = {operator: kind for kind, operators in KINDS.items() for operator in operators}
    for number, kind in enumerate((*KINDS, OTHER)):
        own = [k for k, node in enumerate(shown) if kind_of.get(node["operator"].split(".")[-1], OTHER) == kind]
        if own:
            figure.add_scatter(
                x=[places[k][0] for k in own], y=[places[k][1] for k in own], mode="markers", name=kind,
                marker={"color": style.CATEGORICAL[number], "symbol": SYMBOLS[number], "size": 9},
                customdata=[_words(shown[k]) for k in own], hovertemplate="%{customdata}<extra></extra>")
    tall = max((abs(row) for _, row in places), default=0.0)
    style.layout(figure, x="nodes before it on the longest way", height=int(min(700, 260 + 40 * tall)))
    figure.update_yaxes(visible=False, range=[tall + 1, -tall - 1])
    figure.update_xaxes(showgrid=False, range=[-0.7, min(60, max((at for at, _ in places), default=0)) + 0.7])
    figure.update_layout(dragmode="pan")
    return figure


def _words(node: Mapping[str, Any]) -> str:
    lines = [f"<b>{escape(node['operator'])}</b> {escape(node['name'])}"]
    if node["shape"]:
        lines.append(f"gives ({', '.join(escape(str(n)) for n in node['shape'])})")
    if node["parameters"]:
        lines.append(f"{count(node['parameters'])} parameters")
    if node["macs"]:
        lines.append(f"{count(node['macs'])} multiply-adds")
    return "<br>".join(lines)
