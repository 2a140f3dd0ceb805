"""Where a page's picture comes from: a data set, a sample photo, a handwritten digit, one's own photo or drawing, the
camera.

Everything that says which picture and which part of it is in the address, except one's own: own_photo keeps a photo.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from playground.datasets import named, photos, samples
from playground.datasets.named import ImageSet
from playground.datasets.picture import GRAY, are_digits, filled, ink
from playground.errors import PlaygroundError
from playground.numbers import counted
from playground.ui import frame, links
from playground.ui.parts import camera, lesson, own_photo
from playground.ui.parts.drawing import drawing

DIGIT, UPLOAD, CAMERA, LIVE = "Handwritten digit", "Your photo", "Take a photo", "Live camera"
TEST, DRAWN = "Test picture", "Your drawing"
MOST_TESTS = 300
"""Of a set's test pictures, those that can be chosen."""
CELLS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LEAST = 16
"""Pixels a side that every lesson's kernels and windows fit into."""
BEGIN = {"size": 8, "cell": 8, "across": 36, "down": 34}
"""Where the square begins, by the names its controls have in the address."""

__all__ = ["GRAY", "Patch", "Picture", "Place", "are_digits", "asked", "choose_picture", "cut", "ink", "of_set"]

_HERE = Path(__file__).parent
_picker = st.components.v2.component(
    "patch_picker",
    html=(_HERE / "patch_picker.html").read_text(),
    css=(_HERE / "patch_picker.css").read_text(),
    js=(_HERE / "patch_picker.js").read_text(),
)


@dataclass(frozen=True)
class Picture:
    """What the reader chose: a name for captions, raw pixels uint8 (H, W, 3), whether it is a small drawing, whether it
    is the reader's own, whether it is what a camera sees now, so that the next one is on its way, the class that it is
    known to show, and whether the reader has drawn it, light on black."""

    name: str
    pixels: np.ndarray
    drawing: bool = False
    own: bool = False
    live: bool = False
    shows: str | None = None
    drawn: bool = False

    @property
    def gray(self) -> np.ndarray:
        """Brightness 0..255 as float64 (H, W)."""
        return np.asarray(self.pixels @ GRAY)


@dataclass(frozen=True)
class Patch:
    """A square part of a picture, few enough cells to read every number.

    `values` are whole numbers 0..255; each is the mean of cell × cell pixels. `top` and `left` are where it was cut
    out, in pixels of the picture.
    """

    values: np.ndarray
    top: int
    left: int
    cell: int


def choose_picture(suggested: str = "Cat", *, live: camera.Live | None = None, least: int = LEAST,
                   test: ImageSet | None = None, draw: bool = False) -> Picture:
    """Draw the source's controls and return the picture; without an own photo yet, a sample photo.

    `test` are pictures of a data set that can be chosen, too; with `draw` the reader may draw one. `suggested` is the
    choice to begin with, as the list spells it; an own photo shown on the page before goes first. With `live` the
    camera's pictures may follow each other, and what stands inside of it is drawn again for each. A photo that is not
    `least` pixels high and wide is made so by repeating its pixels: kernels and windows have to fit in; whoever asks a
    model wants 1.
    """
    # "Camera" in the list would promise one; the photograph is of a man with a camera.
    names = {name.replace("camera", "cameraman").capitalize(): name for name in samples.photo_names()}
    first = "Cat" if "Cat" in names else next(iter(names))
    # The address holds what the list shows, so the list shows what a person would type.
    choices = [*([TEST] if test is not None else []), *names, DIGIT, *([DRAWN] if draw else []), UPLOAD, CAMERA,
               *([LIVE] if live is not None else [])]
    begin = choices.index(suggested if suggested in choices else first)
    own_photo.before_the_list(UPLOAD, (UPLOAD, CAMERA), choices[begin])
    source = st.selectbox(
        "Picture", choices, index=begin, key="picture", bind="query-params", disabled=links.locked()
    )
    own_photo.after_the_list(UPLOAD, (UPLOAD, CAMERA))
    if source == LIVE and live is not None:
        return _seen(live) or Picture(names[first], samples.photo(names[first]))
    camera.gone()
    if (way := own_photo.way()) is not None:
        own_photo.ask(way == CAMERA, shown=str(source) if source not in (UPLOAD, CAMERA) else first)
    given = own_photo.given()
    if source == UPLOAD and given is not None and (own := _own(given, least=least)) is not None:
        return own
    if source == DIGIT:
        return _digit()
    if source == TEST and test is not None:
        return of_set(test)
    if source == DRAWN:
        return _drawn(Picture(names[first], samples.photo(names[first])) if test is None else _shown(test, 0))
    name = names.get(source, names[first])
    return Picture(name, samples.photo(name))


def asked(picture: Picture, labels: Sequence[str]) -> Picture:
    """The picture as a model with these labels is asked about it: a model of handwritten digits is shown one's own dark
    ink on light paper as light strokes on black, unless the reader switches that off; and a drawing cut to its ink."""
    if picture.drawn:
        return replace(picture, pixels=filled(picture.pixels[:, :, 0])) if are_digits(labels) else picture
    if not (picture.own and are_digits(labels) and st.toggle(
            "Dark ink on light paper", True, key="paper", bind="query-params", disabled=links.locked(),
            help="The digits this model has learnt from are light on black and fill their square.")):
        return picture
    return replace(picture, pixels=ink(picture.pixels))


def _seen(live: camera.Live) -> Picture | None:
    seen, on = live.seen()
    st.caption("What it sees goes to this server, several times a second, and is not kept. What stands further down "
               "follows when it is switched off.")
    return _own(seen, "what the camera saw", live=on) if seen is not None else None


def _own(given: bytes, name: str = "your photo", live: bool = False, least: int = 1) -> Picture | None:
    try:
        pixels = _opened(given)
    except PlaygroundError as error:
        st.error(frame.literal(str(error)))
        return None
    height, width = pixels.shape[:2]
    if min(height, width) < least:
        st.caption(f"Your photo is {counted(min(height, width), 'pixel')} {'high' if height < width else 'wide'}: each "
                   "is repeated here, so that there is something to compute on.")
    return Picture(name, repeated(pixels, least), own=True, live=live)


def repeated(pixels: np.ndarray, least: int) -> np.ndarray:
    """The same picture, its pixels repeated along a side that is shorter than `least`: uint8 (H, W, 3) -> the same.

    >>> repeated(np.zeros((1, 40, 3), np.uint8), 16).shape
    (16, 40, 3)
    """
    for axis in (0, 1):
        pixels = np.repeat(pixels, -(-least // pixels.shape[axis]), axis)
    return pixels


@st.cache_data(max_entries=16, show_spinner=False)
def _opened(given: bytes) -> np.ndarray:
    return photos.open_photo(given)


@st.cache_data(show_spinner=False)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    train, _ = named.load("digits")
    return train.images, train.labels


def _digit() -> Picture:
    images, labels = _digits()
    label = st.segmented_control(
        "Digit", range(10), default=2, key="digit", bind="query-params", required=True, disabled=links.locked(),
        label_visibility="collapsed", wrap=True,
    )
    own = images[labels == label]
    which = st.slider("Whose handwriting", 1, 100, key="writer", bind="query-params", disabled=links.locked())
    image = own[(which - 1) % len(own)]
    return Picture(f"a handwritten {label}", np.repeat(image[:, :, None], 3, axis=2), drawing=True, shows=str(label))


def of_set(test: ImageSet, key: str = "which") -> Picture:
    """One of a data set's test pictures, by its number."""
    which = int(st.number_input("Which test picture", 0, min(MOST_TESTS, len(test)) - 1, 0, key=key,
                                bind="query-params", disabled=links.locked()))
    return _shown(test, which)


def _shown(test: ImageSet, which: int) -> Picture:
    pixels = test.images[which]
    return Picture(f"test picture {which}", pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2),
                   shows=test.classes[test.labels[which]])


def _drawn(instead: Picture) -> Picture:
    if links.locked():
        return instead
    found = drawing("Draw here", key="drawn-picture")
    if found is None:
        st.caption(f"Draw with mouse or finger. Until you do, this is {frame.literal(instead.name)}.")
        return instead
    return Picture("your drawing", np.repeat(found[:, :, None], 3, axis=2), own=True, drawn=True)


def cut(gray: np.ndarray, size: int, cell: int, across: float, down: float) -> Patch:
    """A patch of size × size cells of cell × cell pixels, `across` and `down` in percent of the room there is.

    A picture too small for that gives smaller cells first, then fewer.

    >>> patch = cut(np.arange(16.0).reshape(4, 4), size=2, cell=2, across=0, down=0)
    >>> patch.values
    array([[ 2,  4],
           [10, 12]])
    """
    height, width = gray.shape
    size = min(size, height, width)
    cell = max(1, min(cell, min(height, width) // size))
    top = round((height - size * cell) * down / 100)
    left = round((width - size * cell) * across / 100)
    part = gray[top : top + size * cell, left : left + size * cell]
    means = part.reshape(size, cell, size, cell).mean(axis=(1, 3))
    return Patch(np.rint(means).astype(int), top, left, cell)


class Place:
    """The controls of a picture and of the square on it whose gray cells are the patch."""

    picture: Picture

    def groups(self) -> lesson.Groups:
        return self._source, lesson.Late(self._square), self._size, self._cell

    @property
    def patch(self) -> Patch:
        """What lies under the square, as the controls stand now; a drawing is taken whole."""
        gray = self.picture.gray
        if self.picture.drawing:
            return cut(gray, max(gray.shape), 1, 0, 0)
        return cut(gray, *(st.session_state.get(name, begin) for name, begin in BEGIN.items()))

    def _source(self) -> None:
        self.picture = choose_picture()

    def _square(self) -> None:
        if self.picture.drawing:
            return
        room = st.container()
        with st.expander("Exact position"):
            for name in ("across", "down"):
                st.number_input(f"{name.capitalize()} (%)", 0, 100, BEGIN[name], key=name, bind="query-params",
                                disabled=links.locked())
        patch, state = self.patch, st.session_state
        with room:
            _drag(self.picture, patch)
        if patch.cell < state["cell"] or len(patch.values) < state["size"]:
            st.caption(f"The picture is small: {len(patch.values)} cells of {patch.cell} pixels is what fits.")

    def _size(self) -> None:
        if not self.picture.drawing:
            st.slider("Cells a side", 5, 16, BEGIN["size"], key="size", bind="query-params", disabled=links.locked())

    def _cell(self) -> None:
        if not self.picture.drawing:
            st.select_slider(
                "Photo pixels a cell", CELLS, BEGIN["cell"], key="cell", bind="query-params", disabled=links.locked(),
                help="Each cell is the mean brightness of so many by so many pixels of the photo.",
            )


def _drag(picture: Picture, patch: Patch) -> None:
    height, width = picture.pixels.shape[:2]
    side = len(patch.values) * patch.cell
    _picker(
        key="patch_picker",
        data={
            "picture": _thumbnail(picture.pixels), "name": picture.name, "locked": links.locked(),
            "width": width, "height": height, "side": side, "top": patch.top, "left": patch.left,
        },
        on_moved_change=_take_move,
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _thumbnail(pixels: np.ndarray) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((400, 400))  # as large as it is shown; it travels at every move of a slider
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()


def _take_move() -> None:
    moved = frame.sent("patch_picker", "moved")
    if isinstance(moved, dict):
        for name in ("across", "down"):
            frame.write(name, min(100, max(0, round(float(moved.get(name, 0))))))
