"""One visual language for every figure and component of the playground.

Signed numbers (weights, activations before ReLU, gradients) are blue below zero and orange above it, centred on 0, on
every page; pixels are gray from black to white; named series take the Okabe-Ito colours, which people with any common
colour blindness can tell apart. Backgrounds and letters are left to Streamlit's theme, so a figure is right in light
and in dark; only what carries data has a colour of its own.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

# Blue and orange of equal weight round a near-white middle: reads as "less" and "more" without a red-green pair.
SIGNED: tuple[tuple[float, str], ...] = (
    (0.0, "#0b4f8a"),
    (0.25, "#5aa5d6"),
    (0.5, "#f7f7f5"),
    (0.75, "#f4a064"),
    (1.0, "#b8460a"),
)
GRAY: tuple[tuple[float, str], ...] = ((0.0, "#000000"), (1.0, "#ffffff"))
# Counts and probabilities: nothing is below zero, so one hue that darkens.
SEQUENTIAL: tuple[tuple[float, str], ...] = ((0.0, "#f7f7f5"), (0.5, "#5aa5d6"), (1.0, "#0b4f8a"))

# What a formula's letters and the matrices they stand for are coloured with. No one colour has 4.5:1 on both themes'
# backgrounds, so in the dark each becomes the lighter one of the same hue.
SYMBOLS: dict[str, str] = {"x": "#0d7a56", "w": "#b8397e", "y": "#6c55cc", "b": "#8a5f00"}
SYMBOLS_DARK: dict[str, str] = {"x": "#2fb98d", "w": "#e479b4", "y": "#a795f2", "b": "#d79d2c"}

NEGATIVE, POSITIVE = "#0072B2", "#D55E00"
CATEGORICAL: tuple[str, ...] = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A6D3B", "#7F7F7F")
TRAINING, VALIDATION = CATEGORICAL[0], CATEGORICAL[1]
REFERENCE = "#8A8F98"  # other people's published numbers, grid lines, "chance": never a series of ours

FEW = 8
"""A count's axis up to here has a mark at each whole number; on a longer one Plotly leaves out enough by itself."""

CONFIG: dict[str, object] = {"displaylogo": False, "displayModeBar": False, "responsive": True}
"""Pass as `st.plotly_chart(figure, config=CONFIG)`: the toolbar covers small figures; pages have own controls."""


def signed_limit(*arrays: object) -> float:
    """The symmetric limit that centres a signed colour scale on 0: the largest magnitude, or 1 when all is 0.

    >>> signed_limit([[-3.0, 1.0]], [2.0])
    3.0
    >>> signed_limit([0.0])
    1.0
    """
    largest = max((float(np.max(np.abs(a))) for a in map(np.asarray, arrays) if a.size), default=0.0)
    return largest if largest > 0 and np.isfinite(largest) else 1.0


def colour_at(scale: Sequence[tuple[float, str]], position: float) -> str:
    """The colour at a place 0..1 on a scale, interpolated in sRGB as Plotly and CSS do.

    >>> colour_at(GRAY, 0.5)
    '#808080'
    """
    position = min(max(position, 0.0), 1.0)
    for (left, a), (right, b) in pairwise(scale):
        if position <= right:
            t = (position - left) / (right - left)
            mixed = [round(int(a[k : k + 2], 16) * (1 - t) + int(b[k : k + 2], 16) * t) for k in (1, 3, 5)]
            return "#{:02x}{:02x}{:02x}".format(*mixed)
    return scale[-1][1]


def ink_on(colour: str) -> str:
    """Black or white, whichever has the higher contrast on `colour` (WCAG relative luminance): 4.58:1 at least.

    >>> ink_on("#000000"), ink_on("#f7f7f5")
    ('#ffffff', '#000000')
    """
    channels = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if luminance < 0.1791 else "#000000"


def rgb(colour: str) -> str:
    """A colour as a browser writes it into an element.

    >>> rgb("#0d7a56")
    'rgb(13, 122, 86)'
    """
    return f"rgb({', '.join(str(int(colour[k : k + 2], 16)) for k in (1, 3, 5))})"


def by_theme(light: str, dark: str) -> str:
    """A colour as CSS writes it that is right in both themes.

    >>> by_theme("#000000", "#ffffff")
    'light-dark(#000000, #ffffff)'
    """
    return f"light-dark({light}, {dark})"


def upright(x: float) -> go.layout.Shape:
    """A dotted line over the whole height at x, where the reader is; Plotly's own `add_vline` takes thrice as long.

    >>> upright(3).x0
    3
    """
    return go.layout.Shape(type="line", x0=x, x1=x, y0=0, y1=1, yref="y domain",
                           line={"color": REFERENCE, "dash": "dot"})


def _first(trace: Any, axis: str) -> list[Any]:
    values = getattr(trace, axis, None)
    return [] if values is None else list(values[:1])


def _counts(traces: Sequence[Any], axis: str) -> bool:
    """Whether an axis holds a few whole numbers, between which there are no marks: epochs, pixels."""
    known = [v for t in traces if getattr(t, axis, None) is not None for v in getattr(t, axis) if v is not None]
    return (bool(known) and all(isinstance(v, (int, float, np.number)) and float(v).is_integer() for v in known)
            and 0 < max(known) - min(known) <= FEW)


def plain_layout(
    *, x: str = "", y: str = "", title: str = "", height: int = 320, legend: bool = False, named: int = 0,
    spelled: Collection[str] = (),
) -> dict[str, Any]:
    """What `layout` gives a figure, as Plotly's plain dictionaries, which it takes no time to make.

    `named` series stand in the legend; axes in `spelled` have words at their marks.

    >>> plain_layout(x="epoch", title="Loss")["margin"]
    {'l': 64, 'r': 8, 't': 40, 'b': 48}
    """
    # Numbers fit a fixed margin; only names need one that Plotly measures, which takes as long as all the rest.
    return {
        **({"title": {"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}}} if title else {}),
        "height": height,
        "margin": {"l": 8 if "y" in spelled else 64, "r": 8, "t": 40 if title or named > 1 else 12,
                   "b": 8 if "x" in spelled else 48},
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "hoverlabel": {"namelength": -1},
        "separators": ". ",
        **{f"{letter}axis": {"title": {"text": text}, "zeroline": False, "automargin": letter in spelled}
           for letter, text in (("x", x), ("y", y))},
    }


def layout(
    figure: go.Figure, *, x: str = "", y: str = "", title: str = "", height: int = 320, legend: bool | None = None,
    spelled: Collection[str] = (),
) -> go.Figure:
    """Axis titles with units, tight margins and a legend on top; returns the same figure.

    `legend` None shows one only when there is more than one named series. Axes in `spelled` have words at their marks
    (`ticktext`), as those have whose data are words: there the margin is as wide as they are.

    >>> layout(go.Figure(), x="epoch", y="accuracy (%)").layout.xaxis.title.text
    'epoch'
    """
    named = [t for t in figure.data if t.name and t.showlegend is not False]
    spelled = [axis for axis in "xy" if axis in spelled
               or any(isinstance(value, str) for t in figure.data for value in _first(t, axis))]
    plain = plain_layout(x=x, y=y, title=title, height=height, named=len(named), spelled=spelled,
                         legend=len(named) > 1 if legend is None else legend)
    # One by one: a single `update_layout` of all of this takes Plotly six times as long, at every move of a slider.
    for name, value in plain.items():
        if not name.endswith("axis"):
            figure.layout[name] = value
    for kind, axes in (("xaxis", figure.select_xaxes()), ("yaxis", figure.select_yaxes())):
        for axis in axes:
            letter = kind[0]
            whole = {"dtick": 1} if _counts([t for t in figure.data if not hasattr(t, "z")], letter) else {}
            figure.layout[axis.plotly_name] = {**whole, **axis.to_plotly_json(), **plain[kind]}
    return figure
