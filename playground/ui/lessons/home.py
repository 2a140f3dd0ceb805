"""The parts of the home page: a picture the engine computes at once, ways in, chapters, engines, what is here."""

import time

import numpy as np
import streamlit as st

import engine
from engine import functional as F
from playground.datasets import samples
from playground.deploy import registry
from playground.figures import maps
from playground.numbers import count, number
from playground.ui import contents, frame, links
from playground.ui.lessons import chapter_pictures
from playground.ui.parts import kernel_editor
from playground.ui.parts.kernel_editor import PRESETS, Kernel

KERNELS = ("Sobel x", "Sobel y", "Laplacian")

OWN = "home_kernel"
"""Where the session keeps a kernel that was typed in here."""

DOORS = (
    ("convolution", "See how it works", "One multiply-add at a time, forward and backward, on any photo."),
    ("train", "Train one", "Handwritten digits and live curves, in our own NumPy engine."),
    ("transfer", "Use my photos", "Two classes and twenty pictures each are enough to start."),
)


@frame.guarded("Where to start")
def doors() -> None:
    """The three ways in."""
    with st.container(key="doors"):
        for place, (url, label, text) in zip(st.columns(3), DOORS, strict=True):
            with place.container(border=True, height="stretch"):
                frame.link(url, f"**{label}**")
                st.caption(text)


@frame.guarded("All chapters")
def chapters() -> None:
    """One card a chapter with its picture, in reading order."""
    st.header("Every chapter", anchor=False)
    rows = contents.CHAPTERS[1:]
    with st.container(key="chapters"):
        for first in range(0, len(rows), 4):  # a row at a time: in pairs on a phone, in reading order
            for place, row in zip(st.columns(4), rows[first : first + 4], strict=False):
                with place.container(border=True, height="stretch"):
                    pixels, alt = chapter_pictures.picture(row.url)
                    st.image(pixels, width="stretch", alt=alt)
                    frame.link(row.url, f"**{row.title}**")
                    st.caption(row.claim)


def kernel_of(asked: str) -> Kernel:
    """A preset by its name, or weights as one line of text."""
    return kernel_editor.parse(kernel_editor.text_of(PRESETS[asked][3]) if asked in PRESETS else asked)


@st.cache_data(max_entries=8, show_spinner=False)
def feature_map(kernel: str) -> tuple[np.ndarray, np.ndarray, float]:
    """The cat in gray, its feature map under a kernel (a preset's name or weights), and the engine's seconds."""
    gray = samples.photo("cat").astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    weights = kernel_of(kernel).weights.astype(np.float32)
    start = time.perf_counter()
    with engine.no_grad():
        found = F.conv2d(gray[None, None], weights[None, None]).data[0, 0]
    return np.rint(gray * 255).astype(np.uint8), found, time.perf_counter() - start


@st.fragment
@frame.guarded("A first look")
def glance() -> None:
    """A photo and its feature map, computed by the engine for the kernel chosen or typed in."""
    with st.container(key="live"):
        chosen = st.segmented_control(
            "Kernel: choose one, or type into its nine numbers",
            KERNELS,
            default=KERNELS[0],
            key="look",
            bind="query-params",
            on_change=_forget_own,
            disabled=links.locked(),
            help="Nine numbers are laid over every 3 × 3 patch of the photo; the map shows the sum of products there.",
        )
        asked = chosen or st.session_state.get(OWN) or KERNELS[0]
        gray, found, seconds = feature_map(asked)
        kernel = kernel_of(asked)
        left, middle, right = st.columns([4, 3, 4], vertical_alignment="center")
        left.image(gray, width="stretch", caption="the photo in gray", alt="A tabby cat, in gray")
        with middle:
            kernel_editor.grid(kernel, key="home_grid", on_edited=_take_edit)
            st.caption(kernel_editor.MEANING[kernel.name])
        right.image(
            maps.signed_map(found, limit=max(float(np.percentile(np.abs(found), 99.5)), 1e-6)),
            width="stretch",
            caption="its feature map",
            alt=f"The cat's feature map under {kernel.name}",
        )
        st.caption(
            f"Blue is below 0, orange above. {count(9 * found.size)} multiplications by our engine in "
            f"{number(1000 * seconds, 2)} ms."
        )


def _take_edit(text: str) -> None:
    st.session_state[OWN] = text
    frame.write("look", None)


def _forget_own() -> None:
    frame.hold_written()
    if st.session_state["look"] is not None:
        st.session_state.pop(OWN, None)


@frame.guarded("The three engines")
def engines() -> None:
    """Who computes what, and how they are kept honest."""
    st.header("Three engines, one answer", anchor=False)
    texts = (
        (
            "Our own, in NumPy",
            ":material/functions:",
            f"{len(engine.OPS)} differentiable operations, each one function that returns its value and the way "
            "back. What the lessons step through comes from it, forward and backward, and it trains the small "
            "networks.",
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
            "Gives every answer after training, here and in the file you download. A model is kept under Models only "
            "if it agrees with the engine it was trained by, from raw pixels to scores.",
        ),
    )
    for place, (name, icon, text) in zip(st.columns(3), texts, strict=True):
        with place.container(border=True, height="stretch"):
            st.markdown(f"{icon} **{name}**")
            st.markdown(text)


@frame.guarded("What is here now")
def facts() -> None:
    """Counts, taken from what is really on this machine."""
    st.header("On this machine now", anchor=False)
    models = registry.entries()
    with st.container(horizontal=True):
        st.metric("operations in the engine", len(engine.OPS), help="With a gradient checked by finite differences.")
        st.metric("of them with an ONNX spelling", sum(exportable(o) for o in engine.OPS.values()))
        st.metric("models", len(models))
    if models:
        frame.link("models", f"Newest: {models[0].name}")


def exportable(op: object) -> bool:
    """Whether an op has an ONNX spelling rather than a reason why not."""
    from engine.onnx_spec import Refused

    return not isinstance(getattr(op, "onnx", None), Refused)
