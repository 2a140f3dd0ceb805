"""Why a small window is enough: patches of two photographs tell what they are; shuffled, they don't."""

import numpy as np
import streamlit as st

from playground.datasets import samples
from playground.figures.maps import enlarged
from playground.numbers import number
from playground.steps.images import gray_of, neighbour_correlation
from playground.ui import frame
from playground.ui.parts import lesson

SIDE = 64
"""Pixels a side of a patch."""
PATCHES = (("cat", 72, 138), ("astronaut", 90, 182), ("cat", 208, 218), ("astronaut", 350, 140), ("cat", 4, 205),
           ("astronaut", 60, 395))
"""Photo, top and left of each patch."""
FAR = 64


def patches() -> list[np.ndarray]:
    """The gray patches, uint8 (SIDE, SIDE)."""
    return [np.rint(gray_of(samples.photo(name)[top : top + SIDE, left : left + SIDE])).astype(np.uint8)
            for name, top, left in PATCHES]


def shuffled(patch: np.ndarray) -> np.ndarray:
    """The same numbers in another order, the same for every patch."""
    order = np.random.default_rng(0).permutation(patch.size)
    return np.asarray(patch.ravel()[order].reshape(patch.shape))


@frame.guarded("Why so small a window?")
def small_windows() -> None:
    """Six patches of two photographs, the same patches shuffled, and how alike neighbours are."""
    st.header("Why so small a window?", anchor=False)
    st.markdown("Each output depends on a few neighbours only. That is enough: from a patch of one of two photographs, "
                "an astronaut and a cat, you can tell which it is.")
    cut = patches()
    lesson.gallery([enlarged(patch, 128) for patch in cut], [name for name, *_ in PATCHES],
                   "A patch of a photo", width=128)
    st.markdown("These are the same numbers, but in another order:")
    lesson.gallery([enlarged(shuffled(patch), 128) for patch in cut], ["?"] * len(cut),
                   "The same patch, its pixels in another order", width=128)
    gray = gray_of(samples.photo(PATCHES[0][0]))
    near, far = (number(neighbour_correlation(gray, distance), 2) for distance in (1, FAR))
    st.markdown("What tells is **how pixels lie to each other**, and that is what the weights of a kernel let a "
                "network learn.")
    st.caption(f"In the photo of the cat, neighbouring pixels have a correlation of {near}, pixels {FAR} apart one of "
               f"{far}: what belongs together is near.")
