"""The parts of the Convolution page: what is chosen, the steps, the sizes, a prediction, the whole photo, the code."""

from fractions import Fraction

import numpy as np
import streamlit as st

from engine import functional as F
from playground import numbers
from playground.figures import style
from playground.figures.matrix import matrix
from playground.steps.conv import ConvStep, conv_steps, does_not_fit, output_size, window_extent
from playground.ui import links
from playground.ui.lessons import convolution_code
from playground.ui.lessons.convolution_setting import PASSES, Setting
from playground.ui.parts import lesson
from playground.ui.parts.image_input import Place
from playground.ui.parts.kernel_editor import choose_kernel
from playground.ui.parts.stepper import Equation, Grid, Story

LONGEST_SIDE = 320
"""Photos are shrunk to this for the whole-photo figure: enough to see, and redrawn while a slider moves."""

FLAT = 120
"""The brightness of the flat wall of the prediction."""


def _letter(symbol: str) -> str:
    return rf"\textcolor{{{style.SYMBOLS[symbol]}}}{{{symbol}}}"


def _coloured(symbol: str) -> str:
    return f"${_letter(symbol)}$"


X, W, Y, B = (_letter(symbol) for symbol in "xwyb")


def formula() -> None:
    """What is computed, in the colours of the matrices."""
    st.latex(
        rf"""\begin{{aligned}} {Y}[p,q] &= {B} + \sum_{{i=0}}^{{K-1}} \sum_{{j=0}}^{{K-1}} {W}[i,j] \cdot {X}[r,c] \\
        r &= p\,s + i\,d - P, \quad c = q\,s + j\,d - P \end{{aligned}}"""
    )
    st.caption(
        f"${X}$ is the picture, ${W}$ the kernel of $K \\times K$ weights, ${Y}$ the output, ${B}$ the bias; "
        f"$s$ is the stride, $d$ the dilation, $P$ the padding. Outside the picture ${X}$ is 0. The kernel is laid on "
        "as it is, not turned round first: mathematicians call that a cross-correlation, networks a convolution.",
        text_alignment="center",
    )


class Controls:
    """The kernel, how it is laid over the picture, and the picture."""

    def __init__(self) -> None:
        self.place = Place()

    def groups(self) -> lesson.Groups:
        return self._kernel, (self._stride, self._padding), (self._dilation, self._bias), *self.place.groups()

    def setting(self) -> Setting:
        return Setting(self.place.picture, self.place.patch, self.kernel, self.stride, self.padding, self.dilation,
                       self.bias, self.shown)

    def passes(self) -> None:
        """Forward, backward or as a matrix product."""
        self.shown = lesson.choose_pass(PASSES)

    def _kernel(self) -> None:
        self.kernel = choose_kernel()

    def _stride(self) -> None:
        self.stride = st.slider("Stride $s$", 1, 4, 1, key="stride", bind="query-params", disabled=links.locked())

    def _padding(self) -> None:
        self.padding = st.slider("Padding $P$", 0, 4, 1, key="padding", bind="query-params", disabled=links.locked())

    def _dilation(self) -> None:
        self.dilation = st.slider("Dilation $d$", 1, 4, 1, key="dilation", bind="query-params",
                                  disabled=links.locked())

    def _bias(self) -> None:
        self.bias = st.number_input("Bias $b$", -1000.0, 1000.0, 0.0, step=1.0, format="%g", key="bias",
                                    bind="query-params", disabled=links.locked())


def story(setting: Setting) -> Story:
    """The convolution of the patch as the player's grids and records.

    The records are `conv_steps`; the final outputs are the engine's, and a test holds the two together.
    """
    x, k, padding = setting.patch.values, setting.kernel.size, setting.padding
    height, width = x.shape
    records = list(conv_steps(x[None].astype(float), setting.kernel.weights[None, None], np.array([setting.bias]),
                              **setting.options))
    y = setting.respond(x)
    columns = width + 2 * padding
    tap = [step.tap[1] * k + step.tap[2] for step in records]
    products, running = [step.product for step in records], [step.running for step in records]
    digits = digits_of(y, products)
    # One scale for products, running sums and outputs, so that equal colours are equal numbers.
    largest = style.signed_limit(running, products)
    pictures = setting.pictures
    return Story(
        label="Convolution step by step",
        grids=(
            Grid(name="x", symbol="x", title="picture", rows=height + 2 * padding, columns=columns,
                 note=f"{height} × {width} pixels" + (f", {padding} of padding round it" if padding else ""),
                 values=np.pad(x, padding).ravel().tolist(), scale="gray", border=padding, framed_as="w"),
            Grid(name="w", symbol="w", title="kernel", rows=k, columns=k, note=f"{k} × {k} weights", side=True,
                 values=setting.kernel.weights.ravel().tolist(), texts=setting.kernel.texts,
                 limit=style.signed_limit(setting.kernel.weights), digits=digits_of(setting.kernel.weights)),
            Grid(name="products", symbol="w·x", title="products", rows=k, columns=k, note="of this window", side=True,
                 limit=style.signed_limit(products) if pictures else largest, digits=digits,
                 emptied=True, framed_as="w"),
            Grid(name="y", symbol="y", title="output", rows=y.shape[0], columns=y.shape[1],
                 note=f"{y.shape[0]} × {y.shape[1]} sums", scale="gray" if pictures else "signed",
                 limit=255 if pictures else largest, digits=0 if setting.averages else digits, whole_group=True),
        ),
        marks={
            "x": [(step.position[0] + padding) * columns + step.position[1] + padding for step in records],
            "w": tap,
            "products": tap,
            "y": [step.output[1] * y.shape[1] + step.output[2] for step in records],
        },
        writes={"products": products, "y": running},
        groups=[index // (k * k) for index in range(len(records))],
        equation=Equation(result="y", operands=("w", "x"), start=setting.bias, start_symbol="b",
                          start_name="the bias b",
                          digits=digits),
        ties=(("x", "w"), ("products", "y")),
        start=_telling_window(records, y) * k * k + (k * k + 1) // 2,
        footnotes=_footnotes(setting, digits),
    )


def _telling_window(records: list[ConvStep], y: np.ndarray) -> int:
    """The strongest output whose window lies inside the picture (the padding makes edges of its own), by its number."""
    strength = np.abs(y)
    for step in records:
        if step.padded:
            strength[step.output[1:]] = -1
    return int(strength.argmax())


def _footnotes(setting: Setting, digits: int) -> list[str]:
    notes = ["Point at or tap an output for its window, a pixel or a weight for where it goes."]
    if digits:
        notes.append(f"Shown with at most {digits} decimal{'s' * (digits > 1)}, computed with all of them.")
    if setting.averages:
        notes.append("These weights are an average, so the output is again a picture from 0 to 255.")
    elif setting.pictures:
        notes.append("These weights add up to 1, so the output is again a picture: below 0 black, above 255 white.")
    return notes


def digits_of(*arrays: object) -> int:
    """How many decimals tell the numbers apart: none for whole ones, fewer the larger they are."""
    values = np.concatenate([np.ravel(np.asarray(a, dtype=float)) for a in arrays])
    if np.array_equal(values, np.rint(values)):
        return 0
    largest = np.abs(values).max()
    return 1 if largest >= 10 else 2 if largest >= 0.1 else 3


def sizes(setting: Setting) -> None:
    """The output-size formula with this page's numbers in it."""
    n, k, s, p, d = (len(setting.patch.values), setting.kernel.size, setting.stride, setting.padding, setting.dilation)
    out = output_size(n, k, s, p, d)
    st.header("How big is the output?", anchor=False)
    st.latex(
        rf"""\begin{{aligned}} O &= \Bigl\lfloor \frac{{H + 2P - d\,(K-1) - 1}}{{s}} \Bigr\rfloor + 1 \\[1ex]
        &= \Bigl\lfloor \frac{{{n} + 2\cdot{p} - {d}\cdot({k}-1) - 1}}{{{s}}} \Bigr\rfloor + 1 \\[1ex]
        &= \Bigl\lfloor \frac{{{n + 2 * p - window_extent(k, d)}}}{{{s}}} \Bigr\rfloor + 1 = {out}\end{{aligned}}"""
        if out
        else rf"H + 2P = {n + 2 * p} \;<\; d\,(K-1) + 1 = {window_extent(k, d)}"
    )
    if not out:
        return
    unread = n + 2 * p - window_extent(k, d) - (out - 1) * s
    st.markdown(
        f"{out} × {out} outputs of {k} × {k} products each: **{numbers.count((out * k) ** 2)}** multiply-adds"
        + (f". The last {unread} row{'s' * (unread > 1)} and column{'s' * (unread > 1)} of the padded picture are "
           "read by no window." if unread else ".")
    )


def predict(setting: Setting) -> None:
    """A question with a computed answer, asked before anything moves."""
    k = setting.kernel.size
    flat = np.full((window_extent(k, setting.dilation),) * 2, float(FLAT))
    answer = _plain(float(F.conv2d(flat[None, None], setting.kernel.weights[None, None], np.array([setting.bias]),
                                   dilation=setting.dilation).numpy().item()))
    total = setting.kernel.total
    with st.container(border=True, key="predict"):
        chosen = st.radio(
            f"**Predict first:** the kernel lies on a flat wall, every pixel of it {FLAT}. What is the output there?",
            _choices(setting, answer), index=None, horizontal=True,
            key=f"predict-{setting.kernel.texts}-{setting.bias}",  # another kernel asks anew
        )
        if chosen is None:
            return
        reason = (
            f"All pixels are {FLAT}, so the sum is {FLAT} times the sum of the weights, plus the bias: "
            f"{FLAT} · {_plain(float(total))} + {_plain(setting.bias)} = **{answer}**. {_lesson(total, setting.bias)}"
        )
        verdict = "Yes." if chosen == answer else f"Not {chosen}."
        (st.success if chosen == answer else st.info)(f"{verdict} {reason}")


def _plain(value: float) -> str:
    return numbers.number(round(value, 2), 10)


def _choices(setting: Setting, answer: str) -> list[str]:
    """The answer among mistakes people make: the pixel, nothing, signs forgotten, only the largest weight."""
    weights = setting.kernel.weights
    mistakes = (FLAT, 0.0, FLAT * np.abs(weights).sum() + setting.bias, FLAT * weights.max() + setting.bias, 255.0)
    others = [text for text in dict.fromkeys(_plain(float(m)) for m in mistakes) if text != answer][:3]
    value = {_plain(float(m)): float(m) for m in (*mistakes, FLAT * float(setting.kernel.total) + setting.bias)}
    return sorted([answer, *others], key=value.__getitem__)


def _lesson(total: Fraction, bias: float) -> str:
    if total == 0:
        return ("Weights that add up to 0 answer only where something changes."
                if not bias else "Weights that add up to 0 say nothing of what is flat, so the bias alone is left.")
    if total == 1:
        return ("Weights that add up to 1 keep the brightness of what is flat."
                if not bias else f"Weights that add up to 1 keep the brightness of what is flat; the bias then makes "
                                 f"it {'brighter' if bias > 0 else 'darker'}, the same everywhere.")
    return f"Weights that add up to {_plain(float(total))} change the brightness even where nothing happens."


def whole_picture(setting: Setting) -> None:
    """The same kernel over all of the picture, computed by the engine."""
    if setting.picture.drawing:  # the steps already show all of it
        return
    st.header("The same kernel on the whole picture", anchor=False)
    gray, shrunk = _shrunk(setting.picture.gray)
    k = setting.kernel.size
    height, width = gray.shape
    if sentence := does_not_fit((height, width), (k, k), padding=setting.padding, dilation=setting.dilation):
        st.warning(sentence)
        return
    as_picture = setting.pictures or st.toggle(
        "Show the output as a picture (cut off at 0 and 255)", key="as_picture", bind="query-params",
        disabled=links.locked(),
    )
    y = setting.respond(gray)
    limit = 255 if as_picture else _robust(y)
    side = len(setting.patch.values) * setting.patch.cell
    frame = (setting.patch.top / shrunk, setting.patch.left / shrunk, side / shrunk, side / shrunk)
    left, right = st.columns(2)
    with left:
        st.markdown(f"{_coloured('x')} {setting.picture.name}, {height} × {width} pixels")
        st.plotly_chart(matrix(np.rint(gray), frame=frame), config=style.CONFIG, key="whole_x",
                        alt="The whole picture in gray, the patch framed")
    with right:
        st.markdown(f"{_coloured('y')} {setting.kernel.name}, {y.shape[0]} × {y.shape[1]} sums")
        st.plotly_chart(
            matrix(y, symbol="y", scale="gray" if as_picture else "signed", limit=limit),
            config=style.CONFIG, key="whole_y", alt=f"What {setting.kernel.name} makes of the whole picture",
        )
    st.caption(
        f"Outputs run from {_plain(float(y.min()))} to {_plain(float(y.max()))}. "
        + ("Drawn as a picture, black at 0 and below, white at 255 and above: "
           f"{numbers.percent(float(((y < 0) | (y > 255)).mean()))} are cut off." if as_picture else
           f"Blue below 0, orange above, full colour from ±{numbers.number(limit)} on.")
        + (f" The frame is the patch above; there each cell is {_pixels(setting.patch.cell)}, here it is "
           f"{_pixels(shrunk)}." if setting.patch.cell != shrunk else "")
    )


def _pixels(side: int) -> str:
    return "one pixel of the photo" if side == 1 else f"the mean of {side} × {side} pixels of the photo"


def _robust(y: np.ndarray) -> float:
    """The limit of the colours: nearly the largest magnitude, so that one glint does not turn all else pale."""
    return style.signed_limit(np.percentile(np.abs(y), 99.5))


@st.cache_data(max_entries=16, show_spinner=False)
def _shrunk(gray: np.ndarray) -> tuple[np.ndarray, int]:
    """A large photo by a whole factor, each pixel the mean of a square; returns the factor too."""
    factor = -(-max(gray.shape) // LONGEST_SIDE)
    height, width = (n // factor for n in gray.shape)
    if not height or not width:  # a strip one pixel high: leave it
        return gray[:LONGEST_SIDE, :LONGEST_SIDE], 1
    part = gray[: height * factor, : width * factor]
    return part.reshape(height, factor, width, factor).mean(axis=(1, 3)), factor


def in_code(setting: Setting) -> None:
    """The same numbers in three libraries, ready to be pasted."""
    if setting.refusal:
        st.caption("As soon as the kernel fits, the code is here.")
        return
    lesson.in_code({"Our engine": convolution_code.ours(setting), "PyTorch": convolution_code.pytorch(setting),
                    "Keras": convolution_code.keras(setting)})
