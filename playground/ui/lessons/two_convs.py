"""Why an activation: two convolutions without one are one, with its kernel; with one between them no kernel is."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from engine import Tensor, no_grad
from engine import functional as F
from playground.datasets import named
from playground.figures.maps import enlarged, signed_map
from playground.figures.style import signed_limit
from playground.numbers import count, number, percent
from playground.steps.two_convs import BestKernel, best_kernel, merge_steps, merged
from playground.ui import frame, links
from playground.ui.lessons.whole_cnn import Setting
from playground.ui.parts import lesson
from playground.ui.parts.kernel_editor import PRESETS
from playground.ui.parts.stepper import Grid, Story, Update, stepper

KERNELS = {name: np.array(sizes[3], np.float64) for name, sizes in PRESETS.items() if 3 in sizes}
NONE = "none"
BETWEEN: dict[str, Callable[[Tensor], Tensor]] = {
    NONE: lambda x: x, "ReLU": F.relu, "tanh": F.tanh, "sigmoid": F.sigmoid,
}
DIGITS = 300


@st.fragment
@frame.guarded("Why an activation")
def why_an_activation(setting: Setting) -> None:
    """Two kernels, what lies between them, and the one kernel that does the same, or the nearest there is."""
    st.header("Why an activation between two convolutions?", anchor=False)
    locked = links.locked()
    left, middle, right = st.columns(3)
    first = left.selectbox("First kernel $w_1$", list(KERNELS), index=list(KERNELS).index("Sobel x"), key="first",
                           bind="query-params", disabled=locked)
    second = middle.selectbox("Second kernel $w_2$", list(KERNELS), index=list(KERNELS).index("Sobel y"), key="second",
                              bind="query-params", disabled=locked)
    between = right.segmented_control("Between them", list(BETWEEN), default=NONE, key="between", bind="query-params",
                                      required=True, disabled=locked) or NONE
    st.latex(r"w_2 \star (w_1 \star x) = w \star x, \qquad w[c] = \sum_{a + b = c} w_1[a]\, w_2[b]" if between == NONE
             else r"w_2 \star \varphi(w_1 \star x) \neq w \star x \quad \text{for every } w")
    w1, w2 = KERNELS[first], KERNELS[second]
    picture = setting.image.astype(np.float64) / 255
    both = through(picture[None], w1, w2, between)[0]
    whole = merged(w1, w2)
    alone = _conv(picture[None], whole)[0]
    nearest = best_for(first, second, between)
    shown = alone if between == NONE else _conv(picture[None], nearest.kernel)[0] + nearest.bias
    limit = signed_limit(both, shown)
    pixels = [enlarged(setting.image, 120), *(enlarged(signed_map(one, limit), 120) for one in (
        both, shown, both - shown))]
    lesson.gallery(pixels, ["the digit", "both, one after the other",
                            "the one kernel" if between == NONE else "the best single kernel", "their difference"],
                   width=120)
    if between == NONE:
        st.markdown(
            f"Two 3 × 3 convolutions are **one of 5 × 5**. On this digit they differ by at most "
            f"{number(float(np.abs(both - alone).max()), 2)}: rounding. So are ten of them, with any number of filters "
            "and biases, and so are two dense layers: without something between them, depth adds nothing but cost.")
        stepper(story(w1, w2), key="merged")
    else:
        st.markdown(
            f"With {between} between them there is no such kernel. The best 5 × 5 kernel with a bias, by least squares "
            f"over {count(DIGITS)} digits, leaves **{percent(nearest.left)}** of the answers' deviation unexplained "
            f"(without an activation: {percent(best_for(first, second, NONE).left)}). "
            + ("A bend is what one convolution cannot do." if nearest.left > 0.01 else
               f"That is little: with these kernels almost every number falls where {between} is nearly straight."))


@st.cache_data(max_entries=256, show_spinner=False)
def best_for(first: str, second: str, between: str) -> BestKernel:
    """The single kernel nearest to two kernels with something between them, on training digits."""
    x = named.load("digits")[0].images[:DIGITS].astype(np.float64) / 255
    return best_kernel(x, through(x, KERNELS[first], KERNELS[second], between))


def through(x: np.ndarray, first: np.ndarray, second: np.ndarray, between: str) -> np.ndarray:
    """Pictures (N, H, W) through two convolutions of the engine with an activation between them, nothing padded."""
    with no_grad():
        middle = BETWEEN[between](F.conv2d(x[:, None], first[None, None]))
        return np.asarray(F.conv2d(middle, second[None, None]).numpy()[:, 0])


def _conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    with no_grad():
        return np.asarray(F.conv2d(x[:, None], kernel[None, None]).numpy()[:, 0])


def story(first: np.ndarray, second: np.ndarray) -> Story:
    """The merged kernel, one product of two weights at a time, a group for every weight of the second."""
    records = list(merge_steps(first, second))
    whole = merged(first, second)
    (k, m), wide = (len(first), len(second)), len(whole)

    def digits(values: np.ndarray) -> int:
        return 0 if np.array_equal(values, np.rint(values)) else 2

    def grid(name: str, symbol: str, title: str, values: np.ndarray, empty: bool = False) -> Grid:
        return Grid(name=name, symbol=symbol, title=title, rows=len(values), columns=len(values), digits=digits(values),
                    values=None if empty else values.ravel().tolist(), limit=signed_limit(values))

    return Story(
        label="Two kernels become one, step by step",
        grids=(grid("w1", "w₁", "first kernel", first), grid("w2", "w₂", "second kernel", second),
               grid("w", "w", "the one kernel", whole, empty=True)),
        marks={"w1": [s.first[0] * k + s.first[1] for s in records],
               "w2": [s.second[0] * m + s.second[1] for s in records],
               "w": [s.target[0] * wide + s.target[1] for s in records]},
        writes={"w": [s.value for s in records]},
        groups=[s.second[0] * m + s.second[1] for s in records],
        updates=(Update(target="w", operands=("w1", "w2"), digits=digits(whole)),),
        step_name="product", group_name="weight of w₂", start=len(records),
        footnotes=("The first kernel is laid down once for every weight of the second, moved to its place and times "
                   "its weight: the full convolution of the two.",),
    )
