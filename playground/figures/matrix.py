"""A matrix as a picture: gray pixels, or signed numbers round 0, with every value under the pointer."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from playground.figures import style
from playground.numbers import number

LEFT, RIGHT, TOP, BOTTOM = 50, 64, 8, 40
"""Room for the row numbers, the colour bar and the column numbers, in pixels."""


def matrix(
    values: np.ndarray,
    *,
    scale: str = "gray",
    limit: float | None = None,
    symbol: str = "x",
    frame: tuple[float, float, float, float] | None = None,
    width: int = 480,
    titles: tuple[str, str] = ("column", "row"),
) -> go.Figure:
    """Rows downwards, columns to the right, square cells, a colour bar with units.

    values (H, W). `scale` "gray" runs from 0 to `limit` (255), "signed" from -limit to limit (the largest magnitude)
    with 0 in the middle; what lies beyond is drawn in the end colour, the number under the pointer stays true. `frame`
    (top, left, height, width) outlines a part, in cells. `width` is about how wide it will be drawn, in pixels; the
    height follows from it. `titles` are those of the axis across and the axis down.

    >>> figure = matrix(np.array([[-2.0, 1.0]]), scale="signed")
    >>> figure.data[0].zmin, figure.data[0].zmax
    (-2.0, 2.0)
    """
    signed = scale == "signed"
    top = limit if limit is not None else style.signed_limit(values) if signed else 255.0
    tall, wide = values.shape
    # A response of thousands of cells travels as whole numbers: half the bytes, and nobody reads decimals off a photo.
    z = values if values.size < 4096 else np.rint(values) if top >= 50 else np.round(values, 2)
    whole = np.array_equal(z, np.rint(z))
    axis = {"constrain": "domain", "showgrid": False, "zeroline": False, "ticks": "outside", "ticklen": 3}
    # One constructor instead of update_layout and friends, which take several times as long
    return go.Figure(
        {
            "type": "heatmap",
            "z": z.astype(_smallest(z)) if whole else z.astype(np.float32),
            "zmin": -top if signed else 0,
            "zmax": top,
            "colorscale": [list(stop) for stop in (style.SIGNED if signed else style.GRAY)],
            "hovertemplate": f"{symbol}[%{{y}},%{{x}}] = %{{z:.{0 if whole else 2}f}}<extra></extra>",
            "colorbar": {"thickness": 10, "len": 1.0, "outlinewidth": 0, "x": 1.02, "xpad": 0,
                         "tickvals": _ticks(top, signed),
                         "ticktext": [number(tick, 3) for tick in _ticks(top, signed)]},
        },
        {
            "height": max(40, round((width - LEFT - RIGHT) * min(tall / wide, 1.3))) + TOP + BOTTOM,
            # Fixed: with automatic margins Plotly and the square cells chase each other, and now and then lose.
            "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": {**axis, "title": {"text": titles[0], "standoff": 4}},
            "yaxis": {**axis, "title": {"text": titles[1], "standoff": 4}, "autorange": "reversed", "scaleanchor": "x",
                      "showticklabels": tall > 1},
            "shapes": _outline(frame),
        },
    )


def _outline(frame: tuple[float, float, float, float] | None) -> list[dict[str, object]]:
    """White on black, to be seen on any pixel."""
    if frame is None:
        return []
    y, x, tall, wide = frame
    place = {"type": "rect", "x0": x - 0.5, "x1": x + wide - 0.5, "y0": y - 0.5, "y1": y + tall - 0.5}
    return [{**place, "line": {"color": colour, "width": thick}} for colour, thick in (("#111111", 4), ("#ffffff", 2))]


def _smallest(whole: np.ndarray) -> type[np.generic]:
    low, high = (float(whole.min()), float(whole.max())) if whole.size else (0.0, 0.0)
    if low >= 0 and high <= 255:
        return np.uint8
    return np.int16 if low >= -32768 and high <= 32767 else np.float32


def _ticks(top: float, signed: bool) -> Sequence[float]:
    # Downwards: a tick past the end of the bar is not drawn at all.
    nice = float(int(top)) if top >= 10 else int(top * 100) / 100 or top
    return (-nice, 0.0, nice) if signed else (0.0, nice)
