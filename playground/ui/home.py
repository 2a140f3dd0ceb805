"""The parts of the home page: ways in, a first picture computed by the engine, the three engines, what is here now."""

import time

import numpy as np
import streamlit as st

import engine
from engine import functional as F
from playground.datasets import samples
from playground.deploy import shelf
from playground.figures import maps
from playground.ui import contents, frame
from playground.ui.kernel_editor import MEANING, PRESETS

KERNELS = ("Sobel x", "Sobel y", "Laplacian")

WAYS = {
    "convolution": "**Step through it.** One multiply-add at a time, on any photo, with a kernel you can edit.",
    "train": "**Train from scratch.** Handwritten digits, our own NumPy engine, live curves.",
    "transfer": "**Use your own photos.** Two classes and twenty pictures each are enough to start.",
    "models": "**Take it with you.** What was trained here: how good it is, try it, download it.",
}


@frame.guarded("Where to start")
def ways_in() -> None:
    """One card a chapter, in reading order."""
    rows = contents.CHAPTERS[1:]
    for first in range(0, len(rows), 2):  # a pair a row: on a phone, where columns stack, reading order stays
        for place, row in zip(st.columns(2), rows[first : first + 2], strict=False):
            with place.container(border=True, height="stretch"):
                frame.link(row.url, f"**{row.title}**")
                st.markdown(WAYS.get(row.url, row.claim))


@st.cache_data(max_entries=8, show_spinner=False)
def feature_map(kernel: str) -> tuple[np.ndarray, np.ndarray, float]:
    """The cat in gray, its feature map under a kernel, and the seconds the engine took."""
    gray = samples.photo("cat").astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    weights = np.array(PRESETS[kernel][3], np.float32)
    start = time.perf_counter()
    with engine.no_grad():
        found = F.conv2d(gray[None, None], weights[None, None]).data[0, 0]
    return np.rint(gray * 255).astype(np.uint8), found, time.perf_counter() - start


@st.fragment
@frame.guarded("A first look")
def glance() -> None:
    """A photo and its feature map, computed by the engine for the chosen kernel."""
    st.subheader("Nine numbers find the edges", anchor=False)
    chosen = st.segmented_control(
        "Kernel",
        KERNELS,
        default=KERNELS[0],
        required=True,
        key="look",
        bind="query-params",
        help="Nine numbers that are laid over every 3 × 3 patch of the photo; the map shows the sum of products there.",
    )
    gray, found, seconds = feature_map(chosen)
    left, middle, right = st.columns([4, 2, 4], vertical_alignment="center")
    left.image(gray, width="stretch", caption="the photo in gray", alt="A tabby cat, in gray")
    with middle:
        rows = (r" & ".join(str(weight) for weight in row) for row in PRESETS[chosen][3])
        st.latex(r"\begin{bmatrix} " + r" \\ ".join(rows) + r" \end{bmatrix}")
        st.caption(MEANING[chosen])
    right.image(
        maps.signed_map(found, limit=float(np.percentile(np.abs(found), 99.5))),
        width="stretch",
        caption="its feature map: blue below 0, orange above",
        alt=f"The cat's feature map under {chosen}",
    )
    st.caption(
        f"{found.size:,} patches, {9 * found.size:,} multiplications, computed by `engine.functional.conv2d` in "
        f"{1000 * seconds:.0f} ms on this machine."
    )


@frame.guarded("The three engines")
def engines() -> None:
    """Who computes what, and how they are kept honest."""
    st.subheader("Three engines, one answer", anchor=False)
    texts = (
        (
            "Our own, in NumPy",
            ":material/functions:",
            f"{len(engine.OPS)} differentiable operations, each one function that returns its value and the way "
            "back. Every number of the lessons comes from it, and it trains the small networks.",
        ),
        (
            "PyTorch",
            ":material/local_fire_department:",
            "Runs the network pretrained on ImageNet when you retrain it on your photos, on a GPU where there is "
            "one. It works in a process of its own: pages never wait for it.",
        ),
        (
            "onnxruntime",
            ":material/verified:",
            "Gives every answer after training, here and in the file you download. A model reaches the shelf only if "
            "it agrees with the engine it was trained by, from raw pixels to scores.",
        ),
    )
    for place, (name, icon, text) in zip(st.columns(3), texts, strict=True):
        with place.container(border=True, height="stretch"):
            st.markdown(f"{icon} **{name}**")
            st.markdown(text)


@frame.guarded("What is here now")
def facts() -> None:
    """Counts, taken from what is really on this machine."""
    st.subheader("On this machine now", anchor=False)
    models = shelf.entries()
    with st.container(horizontal=True):
        st.metric("operations in the engine", len(engine.OPS), help="With a gradient proved by finite differences.")
        st.metric("of them with an ONNX spelling", sum(exportable(o) for o in engine.OPS.values()))
        st.metric("models on the shelf", len(models))
    if models:
        frame.link("models", f"Newest: {models[0].name}")


def exportable(op: object) -> bool:
    """Whether an op has an ONNX spelling rather than a reason why not."""
    from engine.onnx_spec import Refused

    return not isinstance(getattr(op, "onnx", None), Refused)
