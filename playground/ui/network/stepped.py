"""One number of a network's convolution in the player: its window, multiply-add by multiply-add."""

import numpy as np
import streamlit as st

from playground.figures import style
from playground.numbers import counted, number
from playground.ui.lessons.convolution import digits_of
from playground.ui.parts.stepper import Equation, Grid, Story, stepper
from playground.view.trace import Part
from playground.view.windows import Windows

MOST_CHANNELS = 4


def steps(part: Part, place: tuple[int, ...], key: str) -> None:
    """Draw the player for a number of a convolution; of other parts, nothing."""
    told = story(part, place)
    if told is not None:
        st.subheader("Step by step", anchor=False)
        stepper(told, key=key)


def story(part: Part, place: tuple[int, ...]) -> Story | None:
    """The number at `place` (f, p, q) as the player's grids and records: window and kernel of the channels that count
    most, and the sum running over them. None where the part is no convolution of maps."""
    result = part.op
    if result is None or result.node is None or result.node.op.name != "conv2d" or len(place) != 3:
        return None
    inputs = result.node.inputs
    assert inputs[0] is not None
    assert inputs[1] is not None
    f, p, q = place
    weights, windows = inputs[1].data[f].astype(np.float64), Windows(result)
    channels, rows, columns = weights.shape
    first = f // (len(inputs[1].data) // windows.groups) * channels
    window = np.zeros(weights.shape)
    for i, j, r, s in windows.places(p, q):
        window[:, i, j] = inputs[0].data[0, first : first + channels, r, s]
    bias = 0.0 if len(inputs) < 3 or inputs[2] is None else float(inputs[2].data.reshape(-1)[f])
    sums = (window * weights).sum(axis=(1, 2))
    shown = np.sort(np.argsort(-np.abs(sums), kind="stable")[:MOST_CHANNELS])
    start = bias + float(np.delete(sums, shown).sum())
    x, w = window[shown].reshape(-1), weights[shown].reshape(-1)
    products, size = w * x, rows * columns
    running = start + np.cumsum(products)
    left = channels - len(shown)
    digits = digits_of(products, running)
    tap = list(range(size)) * len(shown)
    others = f"the bias and the other {counted(left, 'channel')}"
    names = ", ".join(str(first + int(c)) for c in shown)
    return Story(
        label="One number step by step",
        grids=(
            Grid(name="x", symbol="x", title="window", note=f"of channels {names}, one after the other", rows=rows,
                 columns=columns, limit=style.signed_limit(x), digits=digits_of(x), emptied=True),
            Grid(name="w", symbol="w", title="kernel", rows=rows, columns=columns, note="of the same channel",
                 limit=style.signed_limit(w), digits=digits_of(w), emptied=True),
            Grid(name="products", symbol="w·x", title="products", rows=rows, columns=columns, note="of this channel",
                 limit=style.signed_limit(products), digits=digits, emptied=True, side=True),
            Grid(name="y", symbol="y", title="sum", rows=1, columns=1, note="running",
                 limit=style.signed_limit(running), digits=digits),
        ),
        marks={"x": tap, "w": tap, "products": tap, "y": [0] * len(tap)},
        writes={"x": x.tolist(), "w": w.tolist(), "products": products.tolist(), "y": running.tolist()},
        groups=[k // size for k in range(len(tap))],
        equation=Equation(result="y", operands=("w", "x"), start=start, digits=digits,
                          start_symbol="b" if not left else "b + the others",
                          start_name=others if left else "the bias b"),
        start=len(tap), group_name="channel",
        footnotes=[f"The engine's own number is {number(float(result.data[0, f, p, q]), 6)}, in float32; here it is "
                   "added up in float64."] + ([f"Of {channels} channels the {len(shown)} whose sums are largest are "
                                               "stepped through."] if left else []),
    )
