"""The parts of the page on kernels: all presets on one photo, what each answers to, and kernels a network learnt."""

from pathlib import Path

import numpy as np
import streamlit as st

from engine import functional as F
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import registry
from playground.deploy.first_layer import FirstKernels, first_kernels
from playground.deploy.registry import Entry
from playground.figures import style
from playground.figures.maps import direction_map, direction_wheel, enlarged, signed_map
from playground.figures.matrix import matrix
from playground.figures.table import table
from playground.numbers import number, percent
from playground.steps.detectors import (
    edge_direction,
    edge_strength,
    favourites,
    feature_pictures,
    main_direction,
    strongest,
)
from playground.training.runs.runs import PRETRAINED
from playground.ui import frame, links
from playground.ui.parts import camera, lesson
from playground.ui.parts.image_input import GRAY, Picture, choose_picture
from playground.ui.parts.kernel_editor import MEANING, OWN, PRESETS, SIZES, Kernel, choose_kernel, parse, text_of
from playground.ui.studio.models import empty

SIDE = 168
LARGE = 320
INSET = 36
STRIP = 40
MOST_KERNELS = 32
COLOURS = ("red", "green", "blue")
SEVERAL = "several alike"
FOLDED = ("transfer", PRETRAINED)
"""Networks of these tasks reach their file with batch norm folded into the convolution before it."""


def formula() -> None:
    """What all of it is."""
    st.latex(r"y[p,q] = \sum_{i,j} w[i,j]\; x[p+i,\; q+j]")
    st.caption("$x$ is the picture, $y$ the answer; the numbers $w$ of the kernel say what is looked for.",
               text_alignment="center")


def all_kernels(own: Kernel) -> dict[str, Kernel]:
    """The known kernels and, unless it is one of them, the reader's."""
    known = presets()
    if own.name == OWN:
        return {**known, "Your kernel": own}
    return known if own.size == 3 else {**known, f"{own.name} {own.size} × {own.size}": own}


def presets() -> dict[str, Kernel]:
    """The known 3 × 3 kernels by name."""
    return {name: parse(text_of(sizes[3])) for name, sizes in PRESETS.items() if 3 in sizes}


def respond(gray: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The engine's response of one kernel (K, K) to a gray picture (H, W), only windows that lie inside."""
    return np.asarray(F.conv2d(gray.astype(np.float64)[None, None], weights[None, None]).numpy()[0, 0])


def is_picture(kernel: Kernel) -> bool:
    """Whether the brightness of what is flat stays, so that the response is again a picture, cut off at 0 and 255."""
    return kernel.total == 1


def shrunk(gray: np.ndarray, side: int) -> np.ndarray:
    """A picture (H, W) of about `side` pixels a side, each the mean of a square; of a strip, its beginning."""
    # Thinner than the largest kernel, nothing could be shown; drawn longer than this, it would be no pixel high.
    gray = gray[: STRIP * gray.shape[1], : STRIP * gray.shape[0]]
    factor = max(1, min(-(-max(gray.shape) // side), min(gray.shape) // SIZES[-1]))
    height, width = (n // factor * factor for n in gray.shape)
    squares = gray[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.asarray(squares.mean(axis=(1, 3)))


def all_at_once() -> tuple[Picture, Kernel]:
    """The gallery of responses, and the reader's own kernel among them."""
    with camera.Live() as live:
        left, right = st.columns([1, 2.2], gap="medium")
        with left:
            picture = choose_picture(live=live)
            own = choose_kernel()
        gray = shrunk(picture.gray, SIDE)
        kernels = {name: kernel for name, kernel in all_kernels(own).items() if kernel.size <= min(gray.shape)}
        responses = {name: respond(gray, kernel.weights) for name, kernel in kernels.items()}
        # Of the known ones: a kernel of one's own must not change how the others look.
        known = [responses[name] for name, kernel in presets().items() if name in kernels and not is_picture(kernel)]
        limit = style.signed_limit(*known) / 2
        shown = [with_inset(enlarged(as_picture(response, is_picture(kernels[name]), limit), SIDE), kernels[name])
                 for name, response in responses.items()]
        with right:
            lesson.gallery([enlarged(np.rint(gray).astype(np.uint8), SIDE), *shown],
                           ["The picture", *(f"**{name}.** {MEANING[k.name]}" for name, k in kernels.items())],
                           ["The picture in gray", *(f"Its response to {name}" for name in kernels)])
            st.caption("Top left the kernel. Where its weights add up to 1, the answer is again a picture: black at 0 "
                       "and below, white at 255 and above. The others give signed numbers, blue below 0 and orange "
                       f"above, full colour from ±{number(limit)} on, the same for all.")
            if left_out := [name for name in all_kernels(own) if name not in kernels]:
                st.info(f"The picture is {gray.shape[0]} × {gray.shape[1]} pixels, too small for: "
                        f"{', '.join(left_out)}.")
    return picture, own


def as_picture(response: np.ndarray, gray: bool, limit: float) -> np.ndarray:
    """A response (H, W) as uint8 (H, W, 3): gray 0..255, or signed with full colour at `limit`."""
    if not gray:
        return signed_map(response, limit)
    return np.repeat(np.rint(np.clip(response, 0, 255)).astype(np.uint8)[..., None], 3, axis=2)


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
    st.header(f"{kernel.name}, large", anchor=False)
    gray = shrunk(picture.gray, LARGE)
    if min(gray.shape) < kernel.size:
        st.info("The picture is smaller than the kernel: choose a larger one.")
        return
    response = respond(gray, kernel.weights)
    scale = "gray" if is_picture(kernel) else "signed"
    left, right = st.columns(2)
    left.plotly_chart(matrix(np.rint(gray)), config=style.CONFIG, key="large-x", alt="The picture")
    right.plotly_chart(matrix(response, symbol="y", scale=scale, limit=255 if scale == "gray" else
                              style.signed_limit(np.percentile(np.abs(response), 99.5))),
                       config=style.CONFIG, key="large-y", alt=f"The response of {kernel.name}")
    outside = float(((response < 0) | (response > 255)).mean())
    st.caption(f"{MEANING[kernel.name]} Responses run from {number(response.min())} to {number(response.max())}"
               + (f"; drawn from 0, black, to 255, white, so {percent(outside)} of them are cut off."
                  if scale == "gray" and outside else "."))
    edges(gray)


def edges(gray: np.ndarray) -> None:
    """Sobel's two kernels together: how strong an edge is, and where it gets brighter."""
    if min(gray.shape) < 3:
        return
    with st.expander("Both Sobel kernels together: edges of every direction"):
        st.latex(r"\begin{aligned} \text{strength} &= \sqrt{g_x^2 + g_y^2} \\ "
                 r"\theta &= \operatorname{atan2}(g_y,\, g_x) \end{aligned}")
        across, down = sobel(gray)
        strength = edge_strength(across, down)
        limit, white = style.signed_limit(across, down) / 2, style.signed_limit(np.percentile(strength, 99.5))
        lesson.gallery(
            [enlarged(picture, LARGE) for picture in (
                signed_map(across, limit), signed_map(down, limit), as_picture(strength * 255 / white, True, limit),
                direction_map(edge_direction(across, down), np.sqrt(strength / white)))],
            [f"$g_x$: Sobel x, full colour at ±{number(limit)}", f"$g_y$: Sobel y, full colour at ±{number(limit)}",
             f"strength, white from {number(white)} on",
             "direction $\\theta$, as bright as the root of the strength"], "Edges of the picture", width=200)
        lesson.gallery([direction_wheel(96)], ["the colours of $\\theta$"], ["A wheel: each direction has a colour"],
                       width=96)
        told = ", ".join(f"{name} {number(main_direction(*sobel(x)))}°"
                         for name, x in feature_pictures().items() if name.endswith("edge"))
        st.caption("$\\theta$ points to where it gets brighter: 0° to the right, 90° downwards. In the test pictures "
                   f"it is, at the strongest place: {told}.")


def sobel(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The responses of Sobel x and Sobel y to a gray picture."""
    known = presets()
    return respond(gray, known["Sobel x"].weights), respond(gray, known["Sobel y"].weights)


def detectors(own: Kernel) -> None:
    """Who answers to what: every kernel on pictures that hold one feature each."""
    st.header("What does it answer to?", anchor=False)
    pictures, kernels = feature_pictures(), all_kernels(own)
    mine = {name: strongest(respond(x, own.weights)) for name, x in pictures.items()}
    best = favourites(mine)
    lesson.gallery([enlarged(np.rint(x).astype(np.uint8), 96) for x in pictures.values()], list(pictures),
                   "Test picture", width=96)
    lesson.predict(
        f"to which of these does **{own.name}** answer most strongly?", [*pictures, SEVERAL],
        best[0] if len(best) == 1 else SEVERAL,
        f"Its strongest answers are {', '.join(f'{name} {number(value)}' for name, value in mine.items())}."
        + (f" Alike: {', '.join(best)}." if len(best) > 1 else ""), key=f"guess-{own.texts}")
    if st.toggle("Show all answers", key="answers", bind="query-params", disabled=links.locked()):
        values = np.array([[strongest(respond(x, k.weights)) for x in pictures.values()] for k in kernels.values()])
        st.plotly_chart(table(values, list(kernels), list(pictures), titles=("test picture", "kernel")),
                        config=style.CONFIG, key="detectors", alt="Strongest response of each kernel to each picture")
        st.caption("The strongest magnitude of the response over all places; the pictures' levels are 40 and 220. "
                   "Kernels whose weights add up to 0 are silent on a flat wall.")


@frame.guarded("Learnt kernels")
def learned(picture: Picture) -> None:
    """The first kernels of a trained network, and what one of them makes of the picture."""
    st.header("Kernels nobody chose", anchor=False)
    st.markdown("A network begins with random kernels and learns which are useful. These are first layers as training "
                "left them.")
    entries = {entry.name: entry for entry in registry.entries()}
    if not entries:
        empty()
        frame.link("imagenet", "Or get the pretrained network ready there")
        return
    name = st.selectbox("Model", list(entries), key="model", bind="query-params", disabled=links.locked())
    entry = entries[name]
    found = opened(str(entry.onnx), entry.onnx.stat().st_mtime_ns)
    if found is None:
        st.info("This model has no convolution, so there are no kernels to look at.")
        return
    weights = found.weights[:MOST_KERNELS]
    count, channels, height, width = found.weights.shape
    lesson.gallery([enlarged(drawn(w, style.signed_limit(w)), 72) for w in weights],
                   [str(k) for k in range(len(weights))], "Weights of kernel", width=72)
    coloured = "Gray is 0; a colour says which channels count" if channels == 3 else "Blue is below 0, orange above"
    st.caption(f"{frame.literal(entry.name)}: {count} kernels of {channels} × {height} × {width} weights in its first "
               "convolution" + (f", the first {MOST_KERNELS} of them" if count > MOST_KERNELS else "")
               + f". {coloured}; each is drawn with its own full colour.")
    if entry.card.get("task") in FOLDED and not found.batch_norm:
        st.caption("The batch norm behind this convolution is folded into its kernels: each is multiplied by γ/σ, so "
                   "where γ is below 0, the kernel has its sign turned.")
    applied(picture, entry, weights)


@st.cache_data(max_entries=16, show_spinner=False)
def opened(path: str, version: int) -> FirstKernels | None:
    """The first kernels of a file, read once a version."""
    return first_kernels(Path(path))


def drawn(weights: np.ndarray, limit: float) -> np.ndarray:
    """One kernel (C, KH, KW) as a picture: three channels as red, green, blue round gray, others as their mean."""
    if len(weights) == 3:
        return np.asarray(np.rint(127.5 + 127.5 * np.clip(weights / limit, -1, 1)).astype(np.uint8).transpose(1, 2, 0))
    return signed_map(weights.mean(axis=0), limit)


@st.fragment
@frame.guarded("One learnt kernel")
def applied(picture: Picture, entry: Entry, all_weights: np.ndarray) -> None:
    """The engine's response of one learnt kernel to the reader's picture, prepared as the model wants it but large."""
    k = min(st.slider("Kernel", 0, max(len(all_weights) - 1, 1), 0, key="which", bind="query-params",
                      disabled=links.locked()), len(all_weights) - 1)
    weights = all_weights[k]
    preparation = Preprocessing.from_dict(entry.card["preprocessing"])
    rgb = np.stack([shrunk(picture.pixels[..., c], LARGE) for c in range(3)]) / 255
    x = np.tensordot(GRAY, rgb, 1)[None] if preparation.gray else rgb
    mean, std = (np.asarray(v)[:, None, None] for v in (preparation.mean, preparation.std))
    prepared = (x - mean) / std
    if len(weights) != len(prepared) or min(prepared.shape[1:]) < max(weights.shape[1:]):
        st.info("This kernel does not fit the picture: choose a larger one.")
        return
    y = F.conv2d(prepared[None], weights[None].astype(np.float64)).numpy()[0, 0]
    left, right = st.columns(2)
    with left:
        for c in range(len(weights)):
            across = f"column, {COLOURS[c]}" if len(weights) == 3 else "column"
            st.plotly_chart(matrix(weights[c], symbol="w", scale="signed", limit=style.signed_limit(weights),
                                   width=240, titles=(across, "row")),
                            config=style.CONFIG, key=f"learnt-{c}", alt="Weights of a kernel")
    right.plotly_chart(matrix(y, symbol="y", scale="signed", limit=style.signed_limit(np.percentile(np.abs(y), 99.5))),
                       config=style.CONFIG, key="learnt-y", alt="Its response")
    right.caption(f"Kernel {k} on {frame.literal(picture.name)}, {y.shape[0]} × {y.shape[1]} sums from "
                  f"{number(y.min())} to {number(y.max())}: the engine's convolution, without the layer's bias and "
                  "stride.")


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
print(y.numpy()[0, 0].round(4).tolist())
""",
    "PyTorch": """import torch
from torch.nn import functional as F

photo = torch.arange(64, dtype=torch.float64).reshape(1, 1, 8, 8) % 7
kernel = torch.tensor({rows}, dtype=torch.float64)
y = F.conv2d(photo, kernel[None, None])
print(y.numpy()[0, 0].round(4).tolist())
""",
    "Keras": """import keras
import numpy as np

photo = np.arange(64.0).reshape(1, 8, 8, 1) % 7  # channels last
layer = keras.layers.Conv2D(1, {size}, use_bias=False, dtype="float64")
layer.build(photo.shape)
layer.set_weights([np.array({rows})[:, :, None, None]])  # (K, K, channels, filters)
y = keras.ops.convert_to_numpy(layer(photo))
print(y[0, :, :, 0].round(4).tolist())
""",
}
