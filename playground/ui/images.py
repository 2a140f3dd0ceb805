"""The parts of the page on images: a gray matrix, a colour cube, fewer levels, and where the channels stand."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from playground.figures import style
from playground.figures.lines import lines
from playground.figures.maps import enlarged
from playground.steps.images import (
    GRAY,
    bits_of,
    colours,
    mean_squared_error,
    peak_signal_to_noise,
    quantised,
)
from playground.ui import frame, lesson, links
from playground.ui.image_input import Patch, Picture, choose_patch, choose_picture

COLOURS = ("red", "green", "blue")
SHOWN = 480


@dataclass(frozen=True)
class Setting:
    """The picture, its patch and the cell the reader inspects."""

    picture: Picture
    patch: Patch
    row: int
    column: int

    @property
    def colour(self) -> np.ndarray:
        """The patch in colour: uint8 (S, S, 3), each cell the mean of its pixels."""
        side, cell = len(self.patch.values), self.patch.cell
        part = self.picture.pixels[self.patch.top : self.patch.top + side * cell,
                                   self.patch.left : self.patch.left + side * cell]
        means = part.reshape(side, cell, side, cell, 3).mean(axis=(1, 3))
        return np.asarray(np.rint(means).astype(np.uint8))

    @property
    def pixel(self) -> tuple[int, int, int]:
        red, green, blue = (int(v) for v in self.colour[self.row, self.column])
        return red, green, blue


def formula() -> None:
    """What a picture is."""
    st.latex(r"\begin{aligned} \text{gray: } & X \in \{0, \dots, 255\}^{H \times W} \\"
             r" \text{colour: } & X \in \{0, \dots, 255\}^{H \times W \times 3} \end{aligned}")


def controls() -> Setting:
    """Picture, patch and the inspected cell."""
    picture = choose_picture()
    patch = choose_patch(picture)
    last = len(patch.values) - 1
    locked = links.locked()
    row = st.slider("Row to inspect", 0, last, min(2, last), key="row", bind="query-params", disabled=locked)
    column = st.slider("Column to inspect", 0, last, min(3, last), key="column", bind="query-params", disabled=locked)
    return Setting(picture, patch, min(row, last), min(column, last))


def predict(setting: Setting) -> None:
    """How many numbers the picture has."""
    height, width = setting.picture.pixels.shape[:2]
    answer = height * width * 3
    lesson.predict(
        f"the picture has {height} rows and {width} columns of pixels, in colour. How many numbers is that?",
        sorted({answer, height * width, height + width + 3, height * width * 256}), answer,
        f"{height} · {width} · 3 = {answer:,}: every pixel is three numbers, each one byte, so {answer / 1024:,.0f} "
        "KiB in memory.".replace(",", "\u202f"),
        key=f"guess-{height}-{width}", format_func=lambda n: f"{n:,}".replace(",", "\u202f"))


def gray_matrix(setting: Setting) -> None:
    """The patch as its numbers, and one of them taken apart."""
    values = setting.patch.values
    st.plotly_chart(numbers(values, (setting.row, setting.column)), config=style.CONFIG, key="gray",
                    alt="The patch as a matrix of gray levels")
    value = int(values[setting.row, setting.column])
    st.markdown(f"x[{setting.row},{setting.column}] = **{value}**, {100 * value / 255:.0f} % of white; as bits "
                f"`{bits_of(value)}`. 0 is black, 255 is white.")


def numbers(values: np.ndarray, inspected: tuple[int, int], rgb: np.ndarray | None = None, height: int = 420
            ) -> go.Figure:
    """A matrix of levels with every number written in its cell; `rgb` (H, W, 3) colours the cells instead of gray."""
    shown = np.asarray(rgb if rgb is not None else np.repeat(values[..., None], 3, axis=2), np.uint8)
    inks = {colour: style.ink_on("#{:02x}{:02x}{:02x}".format(*colour)) for colour in map(tuple, shown.reshape(-1, 3))}
    row, column = np.indices(values.shape)
    (r, c), axis = inspected, {"dtick": 1, "showgrid": False, "constrain": "domain", "zeroline": False}
    # One constructor instead of add_trace and update_layout, which take several times as long
    return go.Figure(
        [{"type": "image", "z": shown, "customdata": values,
          "hovertemplate": "x[%{y},%{x}] = %{customdata}<extra></extra>"},
         {"type": "scatter", "mode": "text", "x": column.ravel(), "y": row.ravel(), "hoverinfo": "skip",
          "text": [str(int(v)) for v in values.ravel()],
          "textfont": {"color": [inks[tuple(colour)] for colour in shown.reshape(-1, 3)],
                       "size": 15 if len(values) <= 8 else 10}}],
        {"height": height, "margin": {"l": 8, "r": 8, "t": 12, "b": 8}, "showlegend": False,
         "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
         "xaxis": {**axis, "title": {"text": "column"}, "automargin": True},
         "yaxis": {**axis, "title": {"text": "row"}, "automargin": True},
         "shapes": [{"type": "rect", "x0": c - 0.5, "x1": c + 0.5, "y0": r - 0.5, "y1": r + 0.5,
                     "line": {"color": colour, "width": thick}} for colour, thick in (("#111111", 5), ("#ffffff", 2))]})


def colour_cube(setting: Setting) -> None:
    """Three matrices stacked, and one pixel through all of them."""
    st.subheader("Colour: three matrices stacked", anchor=False)
    cube = setting.colour
    for k, (place, name) in enumerate(zip(st.columns(3), COLOURS, strict=True)):
        tinted = np.zeros_like(cube)
        tinted[..., k] = cube[..., k]
        place.markdown(f"**{name}**, X[:, :, {k}]")
        place.plotly_chart(numbers(cube[..., k], (setting.row, setting.column), tinted, 320), config=style.CONFIG,
                           key=f"plane-{k}", alt=f"The {name} matrix of the patch")
    red, green, blue = setting.pixel
    swatch = np.full((48, 48, 3), setting.pixel, np.uint8)
    gray = sum(w * v for w, v in zip(GRAY, setting.pixel, strict=True))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(enlarged(cube, 160), "the patch in colour", width=160)
        st.image(swatch, f"X[{setting.row},{setting.column}]", width=64)
        st.markdown(f"The pixel is three numbers: red **{red}**, green **{green}**, blue **{blue}**.")
    st.latex(rf"\begin{{aligned}} y &= 0.299\,R + 0.587\,G + 0.114\,B \\ &= 0.299 \cdot {red} + 0.587 \cdot {green} "
             rf"+ 0.114 \cdot {blue} \\ &= {gray:.1f} \text{{ (gray)}} \end{{aligned}}")
    height, width = setting.picture.pixels.shape[:2]
    st.markdown(f"The whole picture is an array of shape **({height}, {width}, 3)** in NumPy, Pillow and Keras; our "
                f"engine, PyTorch and ONNX put the channels first, **(3, {height}, {width})**. The numbers are the "
                "same.")


def levels(setting: Setting) -> None:
    """Fewer bits a channel: what is seen and what is lost."""
    st.subheader("Fewer levels", anchor=False)
    bits = st.slider("Bits a channel", 1, 8, 3, key="bits", bind="query-params", disabled=links.locked())
    st.latex(r"q = \left\lfloor \frac{x \cdot 2^b}{256} \right\rfloor, \qquad "
             r"\hat x = \left( q + \tfrac12 \right) \cdot \frac{256}{2^b}")
    pixels = shrunk(setting.picture.pixels)
    fewer = quantised(pixels, bits)
    left, right = st.columns(2)
    left.image(enlarged(pixels), f"8 bits: {colours(pixels):,} colours in it", width="stretch")
    right.image(enlarged(fewer), f"{bits} bits: {colours(fewer):,} colours in it, {2 ** (3 * bits):,} possible",
                width="stretch")
    error = errors(pixels)[bits - 1]
    one, two, three = st.columns(3)
    one.metric("levels a channel", 2**bits)
    two.metric("mean squared error", f"{error:.1f}")
    three.metric("signal to noise", "no loss" if error == 0 else f"{peak_signal_to_noise(error):.1f} dB")
    every = errors(pixels)
    st.plotly_chart(
        lines(list(range(1, 9)), {"mean squared error": every}, titles=("bits a channel", "error (gray levels²)"),
              now=bits, height=280), config=style.CONFIG, key="errors", alt="Error over the number of bits")
    st.caption("Each bit less doubles the width of a level, so the squared error grows about fourfold.")


@st.cache_data(max_entries=16, show_spinner=False)
def errors(pixels: np.ndarray) -> list[float]:
    """Mean squared error for 1 to 8 bits a channel, kept while the reader moves sliders."""
    return [mean_squared_error(pixels, quantised(pixels, bits)) for bits in range(1, 9)]


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """A copy of at most SHOWN pixels a side, without new colours from smoothing."""
    image = Image.fromarray(pixels)
    factor = max(image.size) / SHOWN
    if factor > 1:
        image = image.resize((max(1, round(image.width / factor)), max(1, round(image.height / factor))),
                             Image.Resampling.NEAREST)
    return np.asarray(image)


def zoom(setting: Setting) -> None:
    """From the photo to single pixels."""
    st.subheader("Nearer", anchor=False)
    pixels = setting.picture.pixels
    height, width = pixels.shape[:2]
    top, left = setting.patch.top, setting.patch.left
    side = len(setting.patch.values) * setting.patch.cell
    y, x = top + side // 2, left + side // 2
    shown, captions = [], []
    for share in (1, 2, 4, 8, 16, 32):
        h, w = max(4, height // share), max(4, width // share)
        a, b = (min(max(0, centre - size // 2), max(0, full - size))
                for centre, size, full in ((y, h, height), (x, w, width)))
        part = Image.fromarray(pixels[a : a + h, b : b + w])
        shown.append(np.asarray(part.resize((168, max(1, round(168 * part.height / part.width))),
                                            Image.Resampling.NEAREST)))
        captions.append(f"{part.height} × {part.width} pixels")
        if min(h, w) <= 8:
            break
    lesson.gallery(shown, captions)
    st.caption(f"{frame.literal(setting.picture.name.capitalize())}, each picture a part of the one before. Nearer, "
               "there is no more detail: only squares, one number (or three) each.")


def in_code() -> None:
    """Shapes in three libraries."""
    lesson.in_code(CODE)


CODE = {
    "Our engine": """import numpy as np
from engine import Tensor
from playground.datasets import samples

photo = samples.photo("cat")  # uint8 (H, W, 3)
x = Tensor(photo.transpose(2, 0, 1)[None] / 255)  # (N, 3, H, W)
gray = (x * np.array([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1)
print(tuple(x.shape), tuple(gray.shape), gray.numpy().mean().round(6))
""",
    "PyTorch": """import torch
from playground.datasets import samples

photo = torch.tensor(samples.photo("cat"))
x = photo.permute(2, 0, 1)[None] / 255.0
gray = (x.double() * torch.tensor([0.299, 0.587, 0.114]).double().reshape(1, 3, 1, 1)).sum(1)
print(tuple(x.shape), tuple(gray.shape), gray.numpy().mean().round(6))
""",
    "Keras": """import keras

photo = keras.utils.img_to_array(keras.utils.load_img("photo.jpg"))  # float32 (H, W, 3), 0..255
gray = keras.ops.image.rgb_to_grayscale(photo)
""",
}
