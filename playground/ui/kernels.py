"""The parts of the page on kernels: all presets on one photo, what each answers to, and kernels a network learnt."""

from pathlib import Path

import numpy as np
import streamlit as st

from engine import functional as F
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import shelf
from playground.deploy.first_layer import FirstKernels, first_kernels
from playground.deploy.shelf import Entry
from playground.figures import style
from playground.figures.maps import enlarged, signed_map
from playground.figures.matrix import matrix
from playground.figures.table import table
from playground.steps.detectors import feature_pictures, strongest
from playground.ui import frame, lesson, links
from playground.ui.image_input import Picture, choose_picture
from playground.ui.kernel_editor import MEANING, OWN, PRESETS, Kernel, choose_kernel, parse, text_of
from playground.ui.models import empty

SIDE = 168
LARGE = 320
INSET = 36
MOST_KERNELS = 32
GRAY = np.array([0.299, 0.587, 0.114])


def formula() -> None:
    """What all of it is."""
    st.latex(r"y[p,q] = \sum_{i,j} w[i,j]\; x[p+i,\; q+j]")
    st.caption("One formula; what it detects is in the nine numbers $w$.", text_alignment="center")


def presets() -> dict[str, Kernel]:
    """The known 3 × 3 kernels by name."""
    return {name: parse(text_of(sizes[3])) for name, sizes in PRESETS.items() if 3 in sizes}


def respond(gray: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The engine's response of one kernel (K, K) to a gray picture (H, W), only windows that lie inside."""
    return np.asarray(F.conv2d(gray.astype(np.float64)[None, None], weights[None, None]).numpy()[0, 0])


def averages(kernel: Kernel) -> bool:
    """Whether the response is again a picture 0..255."""
    return bool(kernel.weights.min() >= 0 and abs(kernel.weights.sum() - 1) < 1e-9)


def shrunk(gray: np.ndarray, side: int) -> np.ndarray:
    """A gray picture of at most `side` pixels a side, each the mean of a square."""
    factor = max(1, -(-max(gray.shape) // side))
    height, width = (n // factor * factor for n in gray.shape)
    if not height or not width:
        return gray[:side, :side]
    squares = gray[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.asarray(squares.mean(axis=(1, 3)))


def all_at_once() -> tuple[Picture, Kernel]:
    """The gallery of responses, and the reader's own kernel among them."""
    left, right = st.columns([1, 2.2], gap="medium")
    with left:
        picture = choose_picture()
        own = choose_kernel()
    gray = shrunk(picture.gray, SIDE)
    kernels = presets()
    if own.name == OWN or own.size != 3:
        kernels["your kernel"] = own
    shown, limit = [], style.signed_limit(*[respond(gray, k.weights) for k in kernels.values() if not averages(k)])
    for kernel in kernels.values():
        response = respond(gray, kernel.weights)
        drawn = (np.repeat(np.rint(np.clip(response, 0, 255)).astype(np.uint8)[..., None], 3, axis=2)
                 if averages(kernel) else signed_map(response, limit / 2))
        shown.append(with_inset(enlarged(drawn, SIDE), kernel))
    with right:
        lesson.gallery([enlarged(np.rint(gray).astype(np.uint8), SIDE), *shown], ["the picture", *kernels])
        st.caption(f"Top left the kernel. Blurs give a picture, gray from 0 to 255; the others give signed numbers, "
                   f"blue below 0 and orange above, full colour from ±{limit / 2:.0f} on, the same for all.")
    return picture, own


def with_inset(picture: np.ndarray, kernel: Kernel) -> np.ndarray:
    """The response with its kernel, enlarged, in the corner. uint8 (H, W, 3) -> the same."""
    inset = enlarged(signed_map(kernel.weights), INSET)
    height, width = inset.shape[:2]
    if picture.shape[0] < height + 4 or picture.shape[1] < width + 4:
        return picture
    drawn = picture.copy()
    drawn[: height + 4, : width + 4] = 255
    drawn[1 : height + 3, 1 : width + 3] = 17
    drawn[2 : height + 2, 2 : width + 2] = inset
    return drawn


def large(picture: Picture, kernel: Kernel) -> None:
    """The chosen kernel's response, every number under the pointer."""
    st.subheader(f"{kernel.name}, large", anchor=False)
    gray = shrunk(picture.gray, LARGE)
    if min(gray.shape) < kernel.size:
        st.info("The picture is smaller than the kernel: choose a larger one.")
        return
    response = respond(gray, kernel.weights)
    scale = "gray" if averages(kernel) else "signed"
    left, right = st.columns(2)
    left.plotly_chart(matrix(np.rint(gray)), config=style.CONFIG, key="large-x", alt="The picture")
    right.plotly_chart(matrix(response, symbol="y", scale=scale, limit=255 if scale == "gray" else
                              style.signed_limit(np.percentile(np.abs(response), 99.5))),
                       config=style.CONFIG, key="large-y", alt=f"The response of {kernel.name}")
    st.caption(f"{MEANING[kernel.name]} Responses run from {response.min():.0f} to {response.max():.0f}.")
    edges(gray)


def edges(gray: np.ndarray) -> None:
    """Sobel's two kernels together: how strong an edge is, whatever its direction."""
    both = presets()
    across, down = (respond(gray, both[name].weights) for name in ("Sobel x", "Sobel y"))
    strength = np.hypot(across, down)
    with st.expander("Both Sobel kernels together: edges of every direction"):
        st.latex(r"\text{strength} = \sqrt{g_x^2 + g_y^2}")
        limit = style.signed_limit(across, down)
        drawn = np.rint(255 * np.clip(strength / max(np.percentile(strength, 99.5), 1e-9), 0, 1)).astype(np.uint8)
        lesson.gallery([enlarged(signed_map(across, limit / 2), LARGE), enlarged(signed_map(down, limit / 2), LARGE),
                        enlarged(drawn, LARGE)], ["Sobel x", "Sobel y", "strength, white from "
                                                  f"{np.percentile(strength, 99.5):.0f} on"], width=300)


def detectors(own: Kernel) -> None:
    """Who answers to what: every kernel on pictures that hold one feature each."""
    st.subheader("What does it answer to?", anchor=False)
    pictures = feature_pictures()
    kernels = {**presets(), **({"your kernel": own} if own.name == OWN or own.size != 3 else {})}
    values = np.array([[strongest(respond(x, k.weights)) for x in pictures.values()] for k in kernels.values()])
    mine = np.array([strongest(respond(x, own.weights)) for x in pictures.values()])
    best = [name for name, value in zip(pictures, mine, strict=True) if value >= mine.max() - 1e-9]
    lesson.gallery([enlarged(np.rint(x).astype(np.uint8), 96) for x in pictures.values()], list(pictures), width=96)
    answer = best[0] if len(best) == 1 else "several alike"
    told = ", ".join(f"{name} {value:.0f}" for name, value in zip(pictures, mine, strict=True))
    lesson.predict(
        f"to which of these does **{own.name}** answer most strongly?", [*pictures, "several alike"], answer,
        f"Its strongest answers are {told}." + (f" Alike: {', '.join(best)}." if len(best) > 1 else ""),
        key=f"guess-{own.texts}")
    if st.toggle("Show all answers", key="answers", bind="query-params", disabled=links.locked()):
        st.plotly_chart(table(values, list(kernels), list(pictures), titles=("test picture", "kernel")),
                        config=style.CONFIG, key="detectors", alt="Strongest response of each kernel to each picture")
        st.caption("The strongest magnitude of the response over all places. Kernels whose weights add up to 0 are "
                   "silent on a flat wall.")


@frame.guarded("Learnt kernels")
def learned(picture: Picture) -> None:
    """The first kernels of a trained network, and what one of them makes of the picture."""
    st.subheader("Kernels nobody chose", anchor=False)
    st.markdown("A network begins with random kernels and learns which are useful. These are first layers as training "
                "left them.")
    entries = {entry.name: entry for entry in shelf.entries()}
    if not entries:
        empty()
        frame.link("imagenet", "Or get the pretrained network ready there")
        return
    name = st.selectbox("Model", list(entries), key="model", bind="query-params", disabled=links.locked())
    entry = entries[name]
    found = opened(str(entry.onnx), entry.onnx.stat().st_mtime_ns)
    weights = found.weights[:MOST_KERNELS]
    count, channels, height, width = found.weights.shape
    lesson.gallery([enlarged(drawn(w, style.signed_limit(w)), 72) for w in weights],
                   [str(k) for k in range(len(weights))], width=72)
    coloured = "Gray is 0; a colour says which channels count" if channels == 3 else "Blue is below 0, orange above"
    st.caption(f"{frame.literal(entry.name)}: {count} kernels of {channels} × {height} × {width} weights in its first "
               "convolution" + (f", the first {MOST_KERNELS} of them" if count > MOST_KERNELS else "")
               + f". {coloured}; each is drawn with its own full colour.")
    k = min(st.slider("Kernel", 0, max(len(weights) - 1, 1), 0, key="which", bind="query-params",
                      disabled=links.locked()), len(weights) - 1)
    applied(picture, entry, weights[k], k)


@st.cache_data(max_entries=16, show_spinner=False)
def opened(path: str, version: int) -> FirstKernels:
    """The first layer of a file, read once a version."""


    return first_kernels(Path(path))


def drawn(weights: np.ndarray, limit: float) -> np.ndarray:
    """One kernel (C, KH, KW) as a picture: three channels as red, green, blue round gray, others as their mean."""
    if len(weights) == 3:
        return np.asarray(np.rint(127.5 + 127.5 * np.clip(weights / limit, -1, 1)).astype(np.uint8).transpose(1, 2, 0))
    return signed_map(weights.mean(axis=0), limit)


def applied(picture: Picture, entry: Entry, weights: np.ndarray, k: int) -> None:
    """The engine's response of one learnt kernel to the reader's picture, prepared as the model wants it but large."""
    preparation = Preprocessing.from_dict(entry.card["preprocessing"])
    factor = max(1, -(-max(picture.pixels.shape[:2]) // LARGE))
    pixels = picture.pixels[::factor, ::factor] / 255
    x = (pixels @ GRAY)[None] if preparation.gray else pixels.transpose(2, 0, 1)
    mean, std = (np.asarray(v)[:, None, None] for v in (preparation.mean, preparation.std))
    prepared = (x - mean) / std
    if len(weights) != len(prepared) or min(prepared.shape[1:]) < max(weights.shape[1:]):
        st.info("This kernel does not fit the picture: choose a larger one.")
        return
    y = F.conv2d(prepared[None], weights[None].astype(np.float64)).numpy()[0, 0]
    left, right = st.columns(2)
    with left:
        for c in range(len(weights)):
            st.plotly_chart(matrix(weights[c], symbol="w", scale="signed", limit=style.signed_limit(weights),
                                   width=240), config=style.CONFIG, key=f"learnt-{c}", alt="Weights of a kernel")
    right.plotly_chart(matrix(y, symbol="y", scale="signed", limit=style.signed_limit(np.percentile(np.abs(y), 99.5))),
                       config=style.CONFIG, key="learnt-y", alt="Its response")
    right.caption(f"Kernel {k} on {frame.literal(picture.name)}, {y.shape[0]} × {y.shape[1]} sums from {y.min():.2f} "
                  f"to {y.max():.2f}: the engine's convolution, without the layer's bias and stride.")


def in_code(kernel: Kernel) -> None:
    """The chosen kernel in three libraries."""
    rows = repr([[round(float(v), 6) for v in row] for row in kernel.weights])
    lesson.in_code({name: code.format(rows=rows, size=kernel.size) for name, code in CODE.items()})


CODE = {
    "Our engine": """import numpy as np
from engine import functional as F

photo = np.arange(64.0).reshape(1, 1, 8, 8) % 7
kernel = np.array({rows})
y = F.conv2d(photo, kernel[None, None])
print(y.numpy().round(4).tolist())
""",
    "PyTorch": """import torch
from torch.nn import functional as F

photo = torch.arange(64, dtype=torch.float64).reshape(1, 1, 8, 8) % 7
kernel = torch.tensor({rows}, dtype=torch.float64)
y = F.conv2d(photo, kernel[None, None])
print(y.numpy().round(4).tolist())
""",
    "Keras": """import keras
import numpy as np

layer = keras.layers.Conv2D(1, {size}, use_bias=False)
layer.build((None, None, None, 1))
layer.set_weights([np.array({rows})[:, :, None, None]])
""",
}
