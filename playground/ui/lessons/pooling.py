"""The parts of the page on max pooling: windows stepped both ways, small shifts, and the order with ReLU."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine import Tensor, no_grad
from engine import functional as F
from playground.figures import style
from playground.figures.lines import lines
from playground.numbers import percent
from playground.steps.pooling import AVERAGE, MAX, pool_backward_steps, pool_steps, pooled_size
from playground.ui import frame, links
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart
from playground.ui.parts.image_input import Patch, Picture, Place
from playground.ui.parts.stepper import Equation, Grid, Story, Update, stepper

UPSTREAM: dict[str, Callable[[int], np.ndarray]] = {
    "1 everywhere": lambda n: np.ones(n),
    "1, 2, 3, … (to follow each)": lambda n: np.arange(1.0, n + 1),
}
SOBEL = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
FARTHEST = 8
SIDE = 96
"""Pixels a side of the part that is shifted: enough to see, quick enough for a slider."""


@dataclass(frozen=True)
class Setting:
    """Everything the reader chose."""

    picture: Picture
    patch: Patch
    kernel: int
    stride: int
    kind: str
    backward: bool

    @property
    def x(self) -> np.ndarray:
        return self.patch.values.astype(float)

    def pool(self, x: Tensor, kind: str | None = None) -> Tensor:
        """The engine's pooling of (N, C, H, W)."""
        function = F.max_pool2d if (kind or self.kind) == MAX else F.avg_pool2d
        return function(x, self.kernel, self.stride)

    @property
    def outputs(self) -> tuple[int, int]:
        height, width = (pooled_size(n, self.kernel, self.stride) for n in self.x.shape)
        return height, width

    def gradient(self, dy: np.ndarray) -> np.ndarray:
        """The engine's gradient of the patch (H, W) when dy (OH, OW) arrives."""
        x = Tensor(self.x[None, None], requires_grad=True)
        self.pool(x).backward(dy[None, None])
        assert x.grad is not None
        return np.asarray(x.grad[0, 0])


def formula() -> None:
    """What is computed."""
    st.latex(r"\begin{aligned} \text{max:}\quad & y[p,q] = \max_{i,j<K} x[r,c] \\"
             r"\text{average:}\quad & y[p,q] = \tfrac{1}{K^2} \textstyle\sum_{i,j<K} x[r,c] \\"
             r"& r = p\,s+i, \quad c = q\,s+j \end{aligned}")
    st.caption("Of the picture $x$ a window of $K × K$ pixels gives one number of the output $y$; then it moves on "
               "by the stride $s$.", text_alignment="center")


class Controls:
    """Kind, window and stride; the picture."""

    def __init__(self) -> None:
        self.place = Place()

    def groups(self) -> lesson.Groups:
        return self._kind, (self._kernel, self._stride), *self.place.groups()

    def setting(self) -> Setting:
        return Setting(self.place.picture, self.place.patch, self.kernel, self.stride, self.kind, self.backward)

    def passes(self) -> None:
        """Forward or backward."""
        self.backward = lesson.choose_pass() == "Backward"

    def _kind(self) -> None:
        self.kind = st.segmented_control("Pooling", (MAX, AVERAGE), default=MAX, key="kind", bind="query-params",
                                         required=True, disabled=links.locked()) or MAX

    def _kernel(self) -> None:
        self.kernel = st.slider("Window $K$", 2, 4, 2, key="window", bind="query-params", disabled=links.locked())

    def _stride(self) -> None:
        self.stride = st.slider("Stride $s$", 1, 4, 2, key="stride", bind="query-params", disabled=links.locked())


def steps(setting: Setting) -> None:
    """Forward or backward, played."""
    if setting.backward:
        which = st.selectbox("What arrives at the outputs, $dy$", list(UPSTREAM), key="upstream", bind="query-params",
                             disabled=links.locked())
        oh, ow = setting.outputs
        stepper(backward_story(setting, UPSTREAM[which](oh * ow).reshape(oh, ow)), key="pooling_backward_stepper")
    else:
        stepper(story(setting), key="pooling_stepper")
    height, width = setting.x.shape
    oh, ow = setting.outputs
    st.caption(f"O = ⌊(H − K) / s⌋ + 1 = ⌊({height} − {setting.kernel}) / {setting.stride}⌋ + 1 = {oh}. Of "
               f"{height * width} numbers {oh * ow} remain, {percent(oh * ow / (height * width), 0)}; nothing "
               "is learnt in this layer.")


def story(setting: Setting) -> Story:
    """The forward pass as the player's grids and records."""
    x, k = setting.x, setting.kernel
    records = list(pool_steps(x, k, setting.stride, setting.kind))
    oh, ow = setting.outputs
    largest = setting.kind == MAX
    digits = 0 if largest else 2
    return Story(
        label=f"{setting.kind.capitalize()} pooling step by step",
        grids=(
            Grid(name="x", symbol="x", title="picture", rows=x.shape[0], columns=x.shape[1], scale="gray",
                 values=x.ravel().tolist(), note=f"{x.shape[0]} × {x.shape[1]} pixels"),
            Grid(name="y", symbol="y", title="output", rows=oh, columns=ow, scale="gray", digits=digits,
                 whole_group=True, note=f"{oh} × {ow} {'maxima' if largest else 'means'}"),
        ),
        marks={"x": [s.position[0] * x.shape[1] + s.position[1] for s in records],
               "y": [s.output[0] * ow + s.output[1] for s in records]},
        writes={"y": [s.running for s in records]},
        groups=[index // (k * k) for index in range(len(records))],
        equation=Equation(result="y", operands=("x",), digits=digits, opening="max(" if largest else "(",
                          joint=", " if largest else " + ", closing=")" if largest else f") / {k * k}"),
        step_name="pixel", ties=(("x", "y"),), start=min(len(records), (oh * ow // 3) * k * k + k * k),
        footnotes=("Point at or tap an output for its window, a pixel for where it goes.",),
    )


def backward_story(setting: Setting, dy: np.ndarray) -> Story:
    """The backward pass as the player's grids and records."""
    x, k = setting.x, setting.kernel
    records = list(pool_backward_steps(x, dy, k, setting.stride, setting.kind))
    oh, ow = dy.shape
    largest = setting.kind == MAX
    digits = 0 if largest else 2
    cells = [s.position[0] * x.shape[1] + s.position[1] for s in records]
    tied = sum(s.ties > 1 for s in records) if largest else 0
    outputs = [s.output[0] * ow + s.output[1] for s in records]
    share = [] if largest else [Grid(name="w", symbol="1/K²", title="share", rows=1, columns=1, side=True,
                                     values=[1 / k**2], texts=[f"1/{k * k}"], limit=1.0, digits=4)]
    return Story(
        label=f"Backward pass of {setting.kind} pooling, step by step",
        grids=(
            Grid(name="dy", symbol="dy", title="arrives at the output", rows=oh, columns=ow, note="∂L/∂y",
                 values=dy.ravel().tolist(), limit=style.signed_limit(dy)),
            *share,
            Grid(name="x", symbol="x", title="picture", rows=x.shape[0], columns=x.shape[1], scale="gray",
                 values=x.ravel().tolist(), framed_as="w", note="who was the largest?" if largest else ""),
            Grid(name="dx", symbol="dx", title="its gradient", rows=x.shape[0], columns=x.shape[1], note="∂L/∂x",
                 limit=style.signed_limit([s.gradient for s in records]), digits=digits),
        ),
        marks={"dy": outputs, "x": cells, "dx": cells, **({} if largest else {"w": [0] * len(records)})},
        writes={"dx": [s.gradient for s in records]},
        groups=outputs,
        updates=(Update(target="dx", operands=("dy",) if largest else ("w", "dy"), digits=digits),),
        leader="dy", step_name="pixel", group_name="output", start=len(records) // 2,
        footnotes=(f"In {tied} of {oh * ow} windows several pixels are the largest: the first one gets it all."
                   if tied else "All of it goes to the largest pixel of the window; the others had no say."
                   if largest else "Every pixel of a window gets the same share.",
                   "Where windows overlap, gradients add up." if setting.stride < k else ""),
    )


def predict(setting: Setting) -> None:
    """How many pixels get a gradient, counted in the engine's."""
    oh, ow = setting.outputs
    height, width = setting.x.shape
    count = int((setting.gradient(np.ones((oh, ow))) != 0).sum())
    touched = int((_touched(setting)).sum())
    lesson.predict(
        f"1 arrives at every output. How many of the {height * width} pixels get a gradient that is not 0?",
        sorted({count, oh * ow, height * width, touched, oh}), count,
        (f"Each of the {oh * ow} windows sends its gradient to one pixel, its largest"
         + (f"; some pixels are the largest of several windows, so {count} are reached." if count < oh * ow else ".")
         if setting.kind == MAX else
         f"An average gives every pixel of its window a share; {touched} pixels are in some window."),
        key=f"guess-{setting.kind}-{setting.kernel}-{setting.stride}-{hash(setting.x.tobytes())}")


def _touched(setting: Setting) -> np.ndarray:
    seen = np.zeros(setting.x.shape, bool)
    for step in pool_steps(setting.x, setting.kernel, setting.stride, AVERAGE):
        seen[step.position] = True
    return seen


@st.fragment
@frame.guarded("Small shifts")
def shifts(setting: Setting) -> None:
    """How much the outputs change when the picture is shifted a little."""
    st.header("Small shifts", anchor=False)
    st.markdown("An edge detector and ReLU look at a part of the picture; then the part is moved by a few pixels. How "
                "much do the numbers change that the next layer gets?")
    size = st.slider("Pooling window for this", 2, 8, 4, key="wide", bind="query-params", disabled=links.locked())
    found = changes(setting.picture.gray, size)
    if found is None:
        st.info(f"The picture is too small to be shifted by {FARTHEST} pixels: choose a photo.")
        return
    names = ("no pooling", f"max pooling {size} × {size}", f"average pooling {size} × {size}")
    chart(lines(list(range(FARTHEST + 1)), dict(zip(names, found, strict=True)),
                titles=("shift (pixels)", "change of the outputs (%)"), unit=" %"),
          key="shifts", alt="Change of the outputs over the shift of the picture")
    st.caption(f"Change: length of the difference over the length of the outputs. By one pixel: "
               f"{percent(found[0][1] / 100, 0)} without pooling, {percent(found[1][1] / 100, 0)} with max pooling.")
    why(setting.picture.gray, size)


def why(gray: np.ndarray, size: int) -> None:
    """Why a maximum minds a small shift less: how many windows keep theirs, counted."""
    st.markdown("**Why?** A maximum does not say where in its window it stood:")
    row = [0, 9, *[0] * (size - 2)]
    st.latex(rf"\max({', '.join(map(str, row))}) = \max({', '.join(map(str, np.roll(row, 1).tolist()))}) = {max(row)}"
             if size > 2 else r"\max(9, 0) = \max(0, 9) = 9")
    kept = unchanged(gray, size)
    if kept is not None:
        alone, pooled = kept
        st.markdown("As long as the largest stays inside and none larger comes in, the output stays. When this picture "
                    f"moves by one pixel, **{percent(pooled, 0)}** of the maxima stay exactly as they were, of the "
                    f"numbers without pooling {percent(alone, 0)}. That is the whole invariance: where in its window a "
                    "feature is does not matter; a shift by whole windows moves the outputs along.")


@st.cache_data(max_entries=64, show_spinner=False)
def changes(gray: np.ndarray, size: int) -> list[list[float]] | None:
    """Relative change (%) of the responses for shifts of 0..FARTHEST pixels: not pooled, by maximum, by average."""
    versions = shifted(gray, size)
    if versions is None:
        return None
    return [[100 * float(np.linalg.norm(v[s] - v[0])) / max(float(np.linalg.norm(v[0])), 1e-12)
             for s in range(FARTHEST + 1)] for v in versions]


def shifted(gray: np.ndarray, size: int) -> tuple[np.ndarray, ...] | None:
    """Responses (FARTHEST + 1, 1, h, w) of an edge detector and ReLU to a part of a picture, shifted by 0, 1, ...
    pixels: not pooled, pooled by maximum, by average; None when the picture is too small."""
    side = min(SIDE, min(gray.shape) - FARTHEST)
    side -= side % size
    if side < 2 * size + 2:
        return None
    top, left = ((n - side - FARTHEST) // 2 for n in gray.shape)
    parts = np.stack([gray[top : top + side, left + s : left + s + side] for s in range(FARTHEST + 1)])[:, None]
    with no_grad():
        response = F.relu(F.conv2d(parts, SOBEL[None, None], padding=1))
        return tuple(v.numpy() for v in (response, F.max_pool2d(response, size), F.avg_pool2d(response, size)))


@st.cache_data(max_entries=64, show_spinner=False)
def unchanged(gray: np.ndarray, size: int) -> tuple[float, float] | None:
    """Which share of the outputs above 0 is the very same after a shift by one pixel: not pooled, pooled by maximum."""
    versions = shifted(gray, size)
    if versions is None or not all((v[0] > 0).any() for v in versions[:2]):
        return None
    alone, pooled = (float(np.isclose(v[1], v[0], rtol=1e-12)[v[0] > 0].mean()) for v in versions[:2])
    return alone, pooled


def order(setting: Setting) -> None:
    """ReLU before or after pooling: the same for the maximum, not for the average."""
    st.header("After the activation, or before?", anchor=False)
    z = Tensor(F.conv2d(setting.x[None, None], SOBEL[None, None], padding=1).numpy())
    rows = []
    for kind in (MAX, AVERAGE):
        with no_grad():
            after, before = setting.pool(F.relu(z), kind), F.relu(setting.pool(z, kind))
        apart = float(np.abs(after.numpy() - before.numpy()).max())
        rows.append({"pooling": kind, "largest difference": round(apart, 3),
                     "ReLUs if ReLU comes first": z.numpy().size, "ReLUs if pooling comes first": before.numpy().size})
    st.markdown("The slides pool **after** the activation. ReLU keeps the order of numbers, so the largest stays the "
                "largest and both orders give the same; pooling first needs fewer ReLUs. An average does not commute.")
    st.dataframe(rows, hide_index=True)
    if st.button("Measure both orders", key="measure", icon=":material/timer:"):
        first, second = measured(setting.kernel, setting.stride)
        st.markdown(f"On 32 maps of 64 × 64 our engine takes {1000 * first:.2f} ms with ReLU first and "
                    f"{1000 * second:.2f} ms with pooling first: **{first / second:.2f} times** as long.")


def measured(kernel: int, stride: int) -> tuple[float, float]:
    """Seconds (median of 15 runs, taking turns) for relu then max pool, and for max pool then relu."""
    z = Tensor(np.random.default_rng(0).standard_normal((1, 32, 64, 64)).astype(np.float32))
    taken = []
    with no_grad():
        for _ in range(15):
            began = time.perf_counter()
            F.max_pool2d(F.relu(z), kernel, stride)
            between = time.perf_counter()
            F.relu(F.max_pool2d(z, kernel, stride))
            taken.append((between - began, time.perf_counter() - between))
    first, second = np.median(taken, axis=0)
    return float(first), float(second)


def in_code(setting: Setting) -> None:
    """Forward and backward in three libraries."""
    name = "max" if setting.kind == MAX else "avg"
    words = {"name": name, "keras": "Max" if setting.kind == MAX else "Average", "window": setting.kernel,
             "stride": setting.stride}
    lesson.in_code({library: code.format(**words) for library, code in CODE.items()})


CODE = {
    "Our engine": """import numpy as np
from engine import Tensor
from engine import functional as F

x = Tensor(np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8)).astype(float), requires_grad=True)
y = F.{name}_pool2d(x, {window}, {stride})
y.sum().backward()
print(tuple(y.shape[2:]), y.numpy().sum().round(6), (x.grad != 0).sum())
""",
    "PyTorch": """import numpy as np
import torch
from torch.nn import functional as F

x = torch.tensor(np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8)).astype(float), requires_grad=True)
y = F.{name}_pool2d(x, {window}, {stride})
y.sum().backward()
print(tuple(y.shape[2:]), y.detach().numpy().sum().round(6), (x.grad.numpy() != 0).sum())
""",
    "Keras": """import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras leaves gradients to its backend, here to PyTorch
import keras
import numpy as np

x = keras.Variable(np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1)), dtype="float64")  # channels last
y = keras.layers.{keras}Pooling2D({window}, strides={stride}, dtype="float64")(x.value)
y.sum().backward()
print(tuple(y.shape[1:3]), y.detach().numpy().sum().round(6), (x.value.grad.numpy() != 0).sum())
""",
}
