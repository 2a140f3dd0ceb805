"""A network as boxes, block by block, or as one bar: how much of it stays as it is, how much is trained."""

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import plotly.graph_objects as go

from playground import numbers
from playground.figures import style


def frozen_and_trained(frozen: int, trained: int) -> go.Figure:
    """Two parts of one bar, as long as they have parameters; the trained one never thinner than the eye can see."""
    total = frozen + trained
    sliver = max(trained, 0.012 * total)
    figure = go.Figure()
    for name, length, count, colour in (
        ("frozen", total - sliver, frozen, style.REFERENCE),
        ("trained", sliver, trained, style.VALIDATION),
    ):
        figure.add_bar(
            orientation="h",
            y=[""],
            x=[length],
            name=f"{name}: {numbers.count(count)}",
            marker={"color": colour},
            hovertemplate=f"{name}: {numbers.count(count)} parameters "
                          f"({numbers.percent(count / total, 2)})<extra></extra>",
        )
    style.layout(figure, height=110)
    figure.update_layout(barmode="stack", legend={"x": 0, "xanchor": "left"})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


class BlockLike(Protocol):
    """What a box shows of a block, as training.parameters.Block."""

    @property
    def name(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def trained(self) -> bool: ...


def diagram(blocks: Sequence[BlockLike]) -> go.Figure:
    """A box a block, from the picture at the top to the scores below, a stage in each row, its parameters in it.

    What is frozen is gray and hatched, what is trained is plain and orange.
    """
    rows = [(stage, list(members)) for stage, members in groupby(blocks, key=lambda block: block.stage)]
    figure = go.Figure()
    for name, trained, marker in (
        ("frozen", False, {"color": style.REFERENCE, "pattern": {
            "shape": "/", "size": 7, "solidity": 0.18, "fgcolor": "#ffffff", "fillmode": "overlay"}}),
        ("trained", True, {"color": style.VALIDATION}),
    ):
        boxes = [(row, k / len(members), 1 / len(members), block) for row, (_, members) in enumerate(rows)
                 for k, block in enumerate(members) if block.trained == trained]
        if not boxes:
            continue
        figure.add_bar(
            orientation="h", y=[row for row, *_ in boxes], base=[base for _, base, *_ in boxes],
            x=[length for *_, length, _ in boxes], width=0.8, name=f"{name}: " + spaced(sum(b.parameters for *_, b in
                                                                                            boxes)),
            text=[short(block.parameters) for *_, block in boxes], textposition="inside", insidetextanchor="middle",
            textangle=0, insidetextfont={"color": "#111111", "size": 12},
            customdata=[[block.name, spaced(block.parameters)] for *_, block in boxes],
            hovertemplate=f"%{{customdata[0]}}: %{{customdata[1]}} parameters, {name}<extra></extra>",
            marker={**marker, "line": {"color": "rgba(127,127,127,0.9)", "width": 1}})
    style.layout(figure, height=64 + 27 * len(rows), legend=True, spelled="y")
    figure.update_layout(barmode="overlay", legend={"x": 0, "xanchor": "left"}, margin={"t": 36, "b": 4},
                         uniformtext={"minsize": 9, "mode": "show"})
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=[stage for stage, _ in rows], autorange="reversed",
                        showgrid=False, fixedrange=True)
    return figure


def short(count: int) -> str:
    """A number of parameters that fits into a box.

    >>> short(928), short(5136), short(476_160), short(1_234_567)
    ('928', '5.1 k', '476 k', '1.2 M')
    """
    if count < 1000:
        return str(count)
    size, unit = (count / 1000, "k") if count < 999_500 else (count / 1e6, "M")
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


def spaced(count: int) -> str:
    """A whole number in groups of three."""
    return numbers.count(count)
