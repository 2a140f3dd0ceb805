"""The parts of the page on images: a gray matrix, a colour cube, fewer levels, and where the channels stand."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from playground import numbers
from playground.figures.lines import lines
from playground.figures.maps import enlarged
from playground.steps.images import (
    bits_of,
    colours,
    gray_of,
    mean_squared_error,
    offset_channels_first,
    offset_channels_last,
    peak_signal_to_noise,
    places_of_ones,
    quantised,
)
from playground.ui import frame, links
from playground.ui.parts import lesson, number_table
from playground.ui.parts.chart import side_by_side
from playground.ui.parts.image_input import Patch, Picture, Place

COLOURS = ("red", "green", "blue")
SHOWN = 480
SMALLEST = np.array([[255, 0, 255], [0, 255, 0], [255, 0, 255]], np.uint8)
"""Nine numbers that are a picture."""
MNIST, PHOTO = (28, 28), (700, 1050, 3)
"""The shapes of a handwritten digit of MNIST, and of a colour photo of 1050 × 700 pixels."""


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
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center", gap="medium"):
        st.markdown(f"$X = {_matrix(SMALLEST)}$", width="content")
        st.image(np.pad(enlarged(SMALLEST, 96), 1, constant_values=128), width=98,
                 alt="A picture of 3 × 3 pixels, black and white")
        st.markdown("Nine numbers, and the picture they are: 0 is black, 255 is white.", width="content")


def _matrix(values: np.ndarray) -> str:
    rows = r" \\ ".join(" & ".join(map(str, row)) for row in values.tolist())
    return rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"


class Controls:
    """Picture and patch, and the inspected cell."""

    def __init__(self) -> None:
        self.place = Place()

    def groups(self) -> lesson.Groups:
        return *self.place.groups(), self._cell

    def setting(self) -> Setting:
        patch = self.place.patch
        last = len(patch.values) - 1
        return Setting(self.place.picture, patch, min(self.row, last), min(self.column, last))

    def _cell(self) -> None:
        last, locked = len(self.place.patch.values) - 1, links.locked()
        self.row = st.slider("Row to inspect", 0, last, min(2, last), key="row", bind="query-params", disabled=locked)
        self.column = st.slider("Column to inspect", 0, last, min(3, last), key="column", bind="query-params",
                                disabled=locked)


def predict(setting: Setting) -> None:
    """How many numbers the picture has."""
    height, width = setting.picture.pixels.shape[:2]
    answer = height * width * 3
    lesson.predict(
        f"the picture has {height} rows and {width} columns of pixels, in colour. How many numbers is that?",
        sorted({answer, height * width, height + width + 3, height * width * 256}), answer,
        f"{height} · {width} · 3 = {numbers.count(answer)}: every pixel is three numbers, each one byte, so "
        f"{size(answer)} in memory.",
        key=f"guess-{height}-{width}", format_func=numbers.count)


def size(count: int) -> str:
    """Bytes as a person says them.

    >>> size(192), size(405900)
    ('192 bytes', '396 KiB')
    """
    return numbers.counted(count, "byte") if count < 1024 else f"{numbers.count(round(count / 1024))} KiB"


def gray_matrix(setting: Setting) -> None:
    """The patch as its numbers, and one of them taken apart."""
    values = setting.patch.values
    number_table.show(values, np.repeat(values[..., None], 3, axis=2), (setting.row, setting.column), "gray",
                      "The patch as a matrix of gray levels")
    value = int(values[setting.row, setting.column])
    ones = " + ".join(map(str, places_of_ones(value))) or "0"
    st.markdown(f"x[{setting.row},{setting.column}] = **{value}**, {numbers.percent(value / 255, 0)} of white; as 8 "
                f"bits `{bits_of(value)}` = {ones}. 0 is black, 255 is white.")
    cell = setting.patch.cell
    st.caption("Each cell is one pixel of the picture." if cell == 1 else
               f"Each cell is the mean of {cell} × {cell} pixels; with 1 photo pixel a cell, it is the pixel itself.")


def colour_cube(setting: Setting) -> None:
    """Three matrices stacked, and one pixel through all of them."""
    st.header("Colour: three matrices stacked", anchor=False)
    cube = setting.colour
    for k, (place, name) in enumerate(zip(st.columns(3), COLOURS, strict=True)):
        tinted = np.zeros_like(cube)
        tinted[..., k] = cube[..., k]
        place.markdown(f"**{name}**, X[:, :, {k}]")
        with place:
            number_table.show(cube[..., k], tinted, (setting.row, setting.column), f"plane-{k}",
                              f"The {name} matrix of the patch")
    red, green, blue = setting.pixel
    swatch = np.full((48, 48, 3), setting.pixel, np.uint8)
    gray = float(gray_of(np.array(setting.pixel)))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(enlarged(cube, 160), "the patch in colour", width=160, alt="The patch of the picture in colour")
        st.image(swatch, f"X[{setting.row},{setting.column}]", width=64,
                 alt=f"One square of red {red}, green {green}, blue {blue}")
        st.markdown(f"The pixel is three numbers: red **{red}**, green **{green}**, blue **{blue}**.")
    st.latex(rf"\begin{{aligned}} y &= 0.299\,R + 0.587\,G + 0.114\,B \\ &= 0.299 \cdot {red} + 0.587 \cdot {green} "
             rf"+ 0.114 \cdot {blue} \\ &= {gray:.1f} \approx {round(gray)} \end{{aligned}}")
    above = int(setting.patch.values[setting.row, setting.column])
    if above != round(gray):
        st.caption(f"The gray matrix says {above}: there, every photo pixel became gray before the mean was taken and "
                   "rounded; here, the means of the colours were rounded first.")


def memory(setting: Setting) -> None:
    """The picture's shape, type and bytes in two layouts, and where the inspected number stands in each."""
    st.header("In memory", anchor=False)
    cube, (height, width, _) = setting.colour, setting.picture.pixels.shape
    last, first = (height, width, 3), (3, height, width)
    arrays: tuple[tuple[str, tuple[int, ...], type[np.generic]], ...] = (
        ("the patch, gray", setting.patch.values.shape, np.uint8),
        ("the picture, gray", (height, width), np.uint8),
        ("the picture in Pillow, NumPy, Keras", last, np.uint8),
        ("the picture in PyTorch, ONNX operators, our engine", first, np.uint8),
        ("… as a network gets it, 0 to 1", first, np.float32),
        ("beside it: a digit of MNIST, gray", MNIST, np.uint8),
        (f"beside it: a photo of {PHOTO[1]} × {PHOTO[0]} pixels, in colour", PHOTO, np.uint8))
    # Written as text, it wraps on a phone, where a data frame would hide the bytes
    st.markdown("\n".join(["| array | shape | type | bytes |", "|:--|:--|:--|--:|", *(
        f"| {name} | {shape} | {dtype.__name__} | {numbers.count(int(np.prod(shape)) * np.dtype(dtype).itemsize)} |"
        for name, shape, dtype in arrays)]))
    digit, photo = (numbers.count(int(np.prod(shape))) for shape in (MNIST, PHOTO))
    st.caption(f"The digit of MNIST is {MNIST[0]} · {MNIST[1]} = {digit} numbers, the photo {PHOTO[0]} · {PHOTO[1]} "
               f"· 3 = {photo}.")
    st.markdown(f"Channels last, **{last}**, or channels first, **{first}**: the same "
                f"{numbers.count(int(np.prod(last)))} numbers in another order. Those of the patch begin")
    pixels, planes = cube.reshape(-1, 3)[:3].tolist(), cube.transpose(2, 0, 1)
    st.code(f"{cube.shape}\n{' | '.join(' '.join(map(str, pixel)) for pixel in pixels)} …\n"
            f"{planes.shape}\n{' '.join(map(str, planes.ravel()[:9].tolist()))} …", language=None,
            wrap_lines=True)
    st.caption("The ONNX files of this app take pictures with the channels last, as they lie in memory, (N, H, W, 3), "
               "and change the axes inside.")
    side, r, c = len(cube), setting.row, setting.column
    st.markdown(f"Before the green of the inspected pixel, **{cube[r, c, 1]}**, stand so many numbers "
                f"(row r = {r}, column c = {c}, channel k = 1):")
    st.latex(rf"\begin{{aligned}} & (H, W, 3){{:}}\ (r W + c) \cdot 3 + k \\ &= ({r} \cdot {side} + {c}) \cdot 3 + 1 = "
             rf"{offset_channels_last(r, c, 1, side)} \\ & (3, H, W){{:}}\ (k H + r) \cdot W + c \\ &= "
             rf"(1 \cdot {side} + {r}) \cdot {side} + {c} = {offset_channels_first(r, c, 1, side, side)} "
             r"\end{aligned}")


@st.fragment
@frame.guarded("Fewer levels")
def levels(setting: Setting) -> None:
    """Fewer bits a channel: what is seen and what is lost, and the code for it."""
    st.header("Fewer levels", anchor=False)
    bits = st.slider("Bits a channel", 1, 8, 3, key="bits", bind="query-params", disabled=links.locked())
    count, red = 2**bits, setting.pixel[0]
    level, restored = red * count // 256, int(quantised(np.array([red], np.uint8), bits)[0])
    st.latex(rf"\begin{{aligned}} L &= 2^b = {count} \\ q &= \left\lfloor \frac{{x}}{{256}} \cdot L \right\rfloor = "
             rf"\left\lfloor \tfrac{{{red}}}{{256}} \cdot {count} \right\rfloor = {level} \\ \hat x &= \left\lfloor "
             r"\left( q + \tfrac12 \right) \frac{256}{L} \right\rfloor \\ &= \left\lfloor "
             rf"{level + 0.5} \cdot \tfrac{{256}}{{{count}}} \right\rfloor = {restored} \end{{aligned}}")
    st.caption(f"The numbers put in are those of the inspected red, x = {red}: level {level} of 0 to {count - 1}, "
               f"drawn as {restored}, off by {abs(red - restored)}.")
    pixels = setting.picture.pixels
    small = shrunk(pixels)
    left, right = st.columns(2)
    left.image(enlarged(small), f"8 bits: {numbers.count(counted(pixels, 8))} colours in it", width="stretch",
               alt="The picture in 8 bits")
    right.image(enlarged(quantised(small, bits)),
                f"{numbers.counted(bits, 'bit')}: {numbers.count(counted(pixels, bits))} colours in it, "
                f"{numbers.count(2 ** (3 * bits))} possible", width="stretch",
                alt=f"The same picture in {numbers.counted(bits, 'bit')}")
    every = errors(pixels)
    error, noise = every[bits - 1], [peak_signal_to_noise(e) for e in every]
    with st.container(horizontal=True):
        st.metric("levels a channel", count)
        st.metric("mean squared error", numbers.number(error))
        st.metric("signal to noise", "no loss" if error == 0 else f"{noise[bits - 1]:.1f} dB")
    st.latex(r"\begin{aligned} \mathrm{MSE} &= \frac{1}{3HW} \sum (x - \hat x)^2 = " + f"{error:.1f}" + r" \\ "
             r"\mathrm{PSNR} &= 10 \log_{10} \frac{255^2}{\mathrm{MSE}} = "
             + (r"\infty" if error == 0 else rf"{noise[bits - 1]:.1f}\ \mathrm{{dB}}") + r" \end{aligned}")
    side_by_side({
        "Mean squared error over the number of bits":
            over_bits("mean squared error", every, "MSE (gray levels²)", bits),
        "Signal to noise over the number of bits": over_bits("PSNR", noise, "PSNR (dB)", bits),
    }, key="errors")
    st.caption(verdict(every, bits))
    in_code(setting, bits)


def over_bits(name: str, values: list[float], title: str, bits: int) -> go.Figure:
    """A number for each of 1 to 8 bits with the reader's place; what is infinite (no error at all) has no point."""
    finite = [(b, value) for b, value in enumerate(values, 1) if np.isfinite(value)]
    figure = lines([b for b, _ in finite], {name: [value for _, value in finite]}, titles=("bits a channel", title),
                   now=bits, height=280)
    return figure.update_xaxes(dtick=1, range=[0.7, 8.3])


def verdict(every: list[float], bits: int) -> str:
    """What one bit less costs, in this picture's numbers; `every` is the squared error for 1 to 8 bits."""
    if bits == 1:
        return "Dotted: the bits chosen. With 1 bit, every channel is either dark or bright; there is nothing below."
    now, less = every[bits - 1], every[bits - 2]
    if now == 0:
        return (f"Dotted: the bits chosen. With {bits} bits nothing is lost, so PSNR has no point there; one bit "
                f"less gives an error of {less:.2f}.")
    return (f"Dotted: the bits chosen. One bit less makes every level twice as wide: here the squared error grows "
            f"{less / now:.1f} times, and {peak_signal_to_noise(now) - peak_signal_to_noise(less):.1f} dB are lost. "
            "Were all colours equally frequent, it would be about 4 times, 6 dB.")


@st.cache_data(max_entries=64, show_spinner=False)
def counted(pixels: np.ndarray, bits: int) -> int:
    """Different colours of the whole picture with so many bits a channel."""
    return colours(quantised(pixels, bits))


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
    st.header("Nearer", anchor=False)
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
    lesson.gallery(shown, captions, f"Part of {setting.picture.name}")
    st.caption(f"{frame.literal(setting.picture.name.capitalize())}, each picture a part of the one before. Nearer, "
               "there is no more detail: only squares, one number (or three) each.")


def in_code(setting: Setting, bits: int) -> None:
    """The patch on the screen in three libraries."""
    lesson.in_code(code(setting.colour, (setting.row, setting.column), bits),
                   "The engine and PyTorch want the channels first, so the axes change places; Keras takes them last.")


def code(cube: np.ndarray, inspected: tuple[int, int], bits: int) -> dict[str, str]:
    """Shapes, the inspected pixel's gray and its levels, of a patch uint8 (H, W, 3)."""
    # One text instead of a list: a browser that colours hundreds of numbers one by one is slow in everything else.
    rows = "\n".join("  ".join(f"{r} {g} {b}" for r, g, b in row) for row in cube.tolist())
    words = {"rows": rows, "shape": cube.shape, "r": inspected[0], "c": inspected[1], "levels": 2**bits}
    return {library: text.format(**words) for library, text in CODE.items()}


CODE = {
    "Our engine": """import numpy as np
from engine import Tensor

# Red, green and blue of each pixel
numbers = '''
{rows}'''
patch = np.array([int(n) for n in numbers.split()], dtype=np.uint8).reshape{shape}  # (H, W, 3)
x = Tensor(patch.transpose(2, 0, 1)[None] / 255)  # (N, 3, H, W), 0 to 1
weights = np.array([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
gray = (x * weights).sum(1)  # (N, H, W)
print(patch.shape, tuple(gray.shape))
print(patch[{r}, {c}].tolist(), round(255 * gray.numpy()[0, {r}, {c}].item(), 3))
print((patch[{r}, {c}].astype(int) * {levels} // 256).tolist())  # q, with {levels} levels
""",
    "PyTorch": """import torch

# Red, green and blue of each pixel
numbers = '''
{rows}'''
patch = torch.tensor([int(n) for n in numbers.split()], dtype=torch.uint8).reshape{shape}  # (H, W, 3)
x = patch.permute(2, 0, 1)[None].double() / 255  # (N, 3, H, W), 0 to 1
weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).reshape(1, 3, 1, 1)
gray = (x * weights).sum(1)  # (N, H, W)
print(tuple(patch.shape), tuple(gray.shape))
print(patch[{r}, {c}].tolist(), round(255 * gray[0, {r}, {c}].item(), 3))
print((patch[{r}, {c}].int() * {levels} // 256).tolist())  # q, with {levels} levels
""",
    "Keras": """import keras
import numpy as np

# Red, green and blue of each pixel
numbers = '''
{rows}'''
patch = np.array([int(n) for n in numbers.split()], dtype=np.uint8).reshape{shape}  # (H, W, 3)
x = keras.ops.convert_to_tensor(patch[None] / 255)  # (N, H, W, 3), 0 to 1: the channels stay last
gray = keras.ops.sum(x * np.array([0.299, 0.587, 0.114]), axis=-1)  # (N, H, W)
print(patch.shape, tuple(gray.shape))
print(patch[{r}, {c}].tolist(), round(255 * float(gray[0, {r}, {c}]), 3))
print((patch[{r}, {c}].astype(int) * {levels} // 256).tolist())  # q, with {levels} levels
""",
}
