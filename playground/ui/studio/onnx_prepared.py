"""Part of the page "ONNX lab": the picture a file is given, and what is done to it first."""

from dataclasses import replace

import numpy as np
import streamlit as st

from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.inspection import preparation as preparations
from playground.inspection.preparation import LAYOUTS, ORDERS, SCALES, Preparation
from playground.numbers import counted
from playground.ui import links
from playground.ui.parts.image_input import Picture, asked, choose_picture
from playground.ui.studio.onnx_file import Opened

OWN_SCALE = "own numbers"


def prepared(opened: Opened) -> tuple[Preparation, Picture]:
    """The picture, and what is done to it: guessed from the file, and the reader's to change."""
    gray = opened.said["preparation"]["preprocessing"]["gray"]
    left, right = st.columns([1, 2], gap="medium")
    with left:
        picture = asked(choose_picture("Handwritten digit" if gray else "Cat", least=1), opened.said["labels"])
    with right:
        return preparation_of(opened), picture


def preparation_of(opened: Opened) -> Preparation:
    """What is done to a picture: guessed from the file, and the reader's to change."""
    guessed = Preparation.from_dict(opened.said["preparation"])
    if not guessed.raw:
        return _edited(opened, guessed)
    st.caption("This file was made here: it takes the pixels as they are and prepares them itself. "
               f"{guessed.preprocessing.sentence()}")
    return guessed


def _edited(opened: Opened, guessed: Preparation) -> Preparation:
    key, said, locked = opened.key, guessed.preprocessing, links.locked()
    shape = opened.said["inputs"][0]["shape"]
    fixed = [shape[k].isdigit() for k in ((2, 3) if guessed.layout == "NCHW" else (1, 2))]
    one, two, three = st.columns(3)
    sides = [place.number_input(name, 1, preparations.LARGEST_SIDE, value, key=f"prep-{name}-{key}",
                                disabled=locked or is_fixed, help="The file allows only this." if is_fixed else None)
             for place, name, value, is_fixed in zip((one, two), ("Height", "Width"), said.size, fixed, strict=True)]
    layout = three.selectbox("Layout", LAYOUTS, LAYOUTS.index(guessed.layout), key=f"prep-layout-{key}",
                             disabled=locked,
                             help="N pictures, C channels, H rows, W columns: the order of the input's dimensions.")
    own = preparations.scale_of(said) or OWN_SCALE
    scales = [*SCALES, OWN_SCALE]
    scale = two.selectbox("Levels", scales, scales.index(own), key=f"prep-scale-{key}", disabled=locked,
                          help="What 0 to 255 become.")
    order = one.selectbox("Channels", ORDERS, ORDERS.index(guessed.order), key=f"prep-order-{key}",
                          disabled=locked or said.gray)
    mean, std = said.mean, said.std
    if scale == OWN_SCALE:
        mean = numbers_typed(three.text_input("Means", ", ".join(f"{v:g}" for v in mean), key=f"prep-mean-{key}",
                                              disabled=locked, help="Of levels from 0 to 1."), len(mean))
        std = numbers_typed(three.text_input("Deviations", ", ".join(f"{v:g}" for v in std), key=f"prep-std-{key}",
                                             disabled=locked), len(std))
        if min(std) <= 0:
            raise PlaygroundError("A deviation is larger than 0.")
    else:
        mean, std = (values[:len(mean)] for values in SCALES[scale])
    st.caption("Guessed from the file; where it is wrong, the answers are."
               if opened.said["preparation"] == guessed.to_dict() else "")
    return replace(guessed, preprocessing=Preprocessing((int(sides[0]), int(sides[1])), said.gray, mean, std),
                   layout=layout, order=order)


def numbers_typed(text: str, wanted: int) -> tuple[float, ...]:
    """Numbers separated by commas or spaces. Raises PlaygroundError for others, or another count.

    >>> numbers_typed("0.5, 0.25 1", 3)
    (0.5, 0.25, 1.0)
    """
    try:
        values = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        values = ()
    if len(values) != wanted or not np.isfinite(values).all():
        raise PlaygroundError(f"Write {counted(wanted, 'number')} such as {', '.join(['0.5'] * wanted)}.")
    return values
