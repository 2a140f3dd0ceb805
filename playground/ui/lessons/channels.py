"""The parts of the page on channels: one filter's three maps and their sum, many filters, the 1 × 1 convolution."""

import numpy as np
import streamlit as st

from engine import functional as F
from playground.figures.maps import enlarged, signed_map
from playground.numbers import count, counted, number
from playground.steps.channels import FILTERS, channel_maps, dense_count, parameter_count
from playground.ui import frame, links
from playground.ui.parts import image_input, lesson

SIDE = 96
"""The longest side of the picture that is convolved: small enough for eight filters at every move of a slider."""
COLOURS = ("red", "green", "blue")
LUMINANCE = (0.299, 0.587, 0.114)


def own_picture() -> np.ndarray:
    """The reader's picture, each channel 0..1, as (3, H, W) of at most SIDE pixels a side."""
    st.latex(r"y_{f,p,q} = b_f + \sum_{c=1}^{C} \sum_{i,j} k_{f,c,i,j}\; x_{c,\,p+i,\,q+j}")
    st.caption("Filter $f$ has a kernel $k_{f,c}$ for each of the $C$ channels of the picture $x$, and a bias $b_f$; "
               "what the kernels give is added up to its map $y_f$.", text_alignment="center")
    pixels = image_input.choose_picture().pixels
    every = -(-max(pixels.shape[:2]) // SIDE)
    x = pixels[::every, ::every].transpose(2, 0, 1) / 255
    planes = [enlarged(np.rint(values * 255).astype(np.uint8)) for values in x]
    lesson.gallery([enlarged(pixels[::every, ::every]), *planes],
                   ["the picture", *(f"{name} channel" for name in COLOURS)], "In small")
    return x


@st.fragment
@frame.guarded("One filter")
def one_filter(x: np.ndarray) -> None:
    """Three maps, one a channel, and their sum plus bias, held against the engine's convolution."""
    st.header("One filter: three kernels, one map", anchor=False)
    locked = links.locked()
    left, right = st.columns(2)
    name = left.selectbox("Filter", list(FILTERS), key="filter", bind="query-params", disabled=locked)
    bias = right.slider("Bias $b$", -1.0, 1.0, 0.0, 0.05, key="bias", bind="query-params", disabled=locked)
    kernels = FILTERS[name]
    maps = channel_maps(x, kernels)
    total = maps.sum(axis=0) + bias
    engine = F.conv2d(x, kernels[None], np.array([bias])).numpy()[0]
    limit = max(float(np.abs(maps).max()), float(np.abs(total).max()), 1e-9)
    lesson.gallery([enlarged(signed_map(values, limit)) for values in (*maps, total)], [*COLOURS, "sum + bias"])
    alike = float(np.ptp(kernels, axis=0).max()) == 0
    st.markdown("The three kernels could be one and the same, and in this filter they are: it sees the sum of the "
                "channels, no colour." if alike else
                "The three kernels could be one and the same, as in “edge in all”. Here they differ, so the filter "
                "answers to colour, too; a network learns each for itself.")
    st.caption(f"Blue is below 0, orange above, full colour at ±{number(limit, 3)}. Largest difference between the sum "
               f"and the engine's conv2d: {number(np.abs(engine - total).max(), 3)}.")
    _inspect(x, kernels, maps, bias)


@st.fragment
@frame.guarded("One place")
def _inspect(x: np.ndarray, kernels: np.ndarray, maps: np.ndarray, bias: float) -> None:
    rows, across = maps.shape[1:]
    for key, most in (("p", rows - 1), ("q", across - 1)):  # a picture that is smaller than the one before
        if st.session_state.get(key, 0) > max(most, 1):
            st.session_state[key] = most
    left, right = st.columns(2)
    p = left.slider("Row $p$", 0, max(rows - 1, 1), min(20, rows - 1), key="p", bind="query-params",
                    disabled=links.locked())
    q = right.slider("Column $q$", 0, max(across - 1, 1), min(20, across - 1), key="q", bind="query-params",
                     disabled=links.locked())
    p, q = min(p, rows - 1), min(q, across - 1)
    for column, c in zip(st.columns(3), range(3), strict=True):
        column.markdown(f"$$\n{_matrix(x[c, p:p + 3, q:q + 3])} \\odot {_matrix(kernels[c])}\n$$\n"
                        f"{COLOURS[c]}: sum of products {number(maps[c, p, q])}")
    terms = zip((*maps[:, p, q], bias), (*COLOURS, "bias"), strict=True)
    parts = "".join(rf"{'-' if m < 0 else '+' if k else ''} \underbrace{{{abs(m):.4f}}}_{{\text{{{name}}}}} "
                    for k, (m, name) in enumerate(terms))
    st.latex(rf"y_{{{p},{q}}} = {parts} = {maps[:, p, q].sum() + bias:.4f}")


def _matrix(values: np.ndarray) -> str:
    rows = r" \\ ".join(" & ".join(f"{v:.2f}" for v in row) for row in values)
    return rf"\scriptsize\begin{{bmatrix}}{rows}\end{{bmatrix}}"


@st.fragment
@frame.guarded("Many filters")
def many_filters(x: np.ndarray) -> None:
    """F filters give F maps; what they cost beside a dense layer."""
    st.header("Many filters: one map each", anchor=False)
    n = st.slider("Filters $F$", 1, 8, 4, key="filters", bind="query-params", disabled=links.locked())
    right = parameter_count(n, 3, 3, 3)
    guessed = lesson.ask(f"how many parameters have {counted(n, 'filter')} of 3 × 3 on a colour picture?",
                         sorted({right, n * 9, n * 10, n * 27}), right,
                         f"Each has 3 kernels of 9 weights and one bias, 28 numbers: {n} × 28 = {right}.",
                         key=f"guess-{n}")
    names = list(FILTERS)[:n]
    found = F.conv2d(x, np.stack([FILTERS[name] for name in names])).numpy()
    lesson.gallery([enlarged(signed_map(values)) for values in found], names, "Feature map of")
    if guessed:
        st.latex(rf"F\,(C \cdot K_H \cdot K_W + 1) = {n}\,(3 \cdot 3 \cdot 3 + 1) = {right}")
        dense = count(dense_count(x.size, found.size))
        st.markdown(f"A dense layer from this picture to as many outputs: **{dense}**.")


@st.fragment
@frame.guarded("1 × 1 convolution")
def mix(x: np.ndarray) -> None:
    """A 1 × 1 convolution: the same weighted sum of the channels at every pixel."""
    st.header("1 × 1 convolution: a mix of channels", anchor=False)
    weights = [
        column.slider(f"Weight of {name}", -1.0, 1.0, start, 0.001, key=f"w_{name}", bind="query-params",
                      disabled=links.locked(), format="%.3f")
        for column, name, start in zip(st.columns(3), COLOURS, LUMINANCE, strict=True)
    ]
    bias = st.slider("Bias of the mix", -1.0, 1.0, 0.0, 0.05, key="mix_bias", bind="query-params",
                     disabled=links.locked())
    y = F.conv2d(x, np.array(weights).reshape(1, 3, 1, 1), np.array([bias])).numpy()[0]
    st.image(enlarged(np.rint(np.clip(y, 0, 1) * 255).astype(np.uint8)), "the mix, black 0 to white 1", width=320,
             alt="The mix of the channels, in gray")
    st.caption(f"The mix runs from {number(y.min(), 3)} to {number(y.max(), 3)}; what lies outside 0..1 is drawn black "
               "or white.")


def in_code() -> None:
    """Four filters in three libraries: how many parameters, and the sum of each map."""
    lesson.in_code({"Our engine": OURS, "PyTorch": PYTORCH, "Keras": KERAS})


OURS = """import numpy as np
from engine import functional as F

x = np.arange(75.0).reshape(1, 3, 5, 5)  # (N, C, H, W)
w = np.arange(108.0).reshape(4, 3, 3, 3) % 7 - 3  # four filters of three kernels: (F, C, KH, KW)
b = np.array([0.0, 1.0, 2.0, 3.0])
y = F.conv2d(x, w, b)  # four maps: (N, F, OH, OW)
print(w.size + b.size, y.numpy().sum((0, 2, 3)).tolist())
"""
PYTORCH = """import torch
from torch.nn import functional as F

x = torch.arange(75, dtype=torch.float64).reshape(1, 3, 5, 5)  # (N, C, H, W)
w = torch.arange(108, dtype=torch.float64).reshape(4, 3, 3, 3) % 7 - 3  # (F, C, KH, KW)
b = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
y = F.conv2d(x, w, b)  # four maps: (N, F, OH, OW)
print(w.numel() + b.numel(), y.sum((0, 2, 3)).tolist())
"""
KERAS = """import keras
import numpy as np

x = np.arange(75.0).reshape(1, 3, 5, 5).transpose(0, 2, 3, 1)  # channels last: (N, H, W, C)
w = np.arange(108.0).reshape(4, 3, 3, 3) % 7 - 3
layer = keras.layers.Conv2D(filters=4, kernel_size=3)
layer.build(x.shape)
layer.set_weights([w.transpose(2, 3, 1, 0), np.array([0.0, 1.0, 2.0, 3.0])])  # (KH, KW, C, F) and the biases
y = layer(x)  # four maps: (N, OH, OW, F)
print(layer.count_params(), keras.ops.sum(y, axis=(0, 1, 2)).tolist())
"""
