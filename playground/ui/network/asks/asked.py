"""What the questions share: the network, what is chosen in it, its pictures, and what was computed of them before."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import streamlit as st

from playground.datasets.named import ImageSet
from playground.figures.maps import enlarged, signed_map
from playground.numbers import MINUS, count, counted, number, percent
from playground.ui import frame, links
from playground.ui.parts.image_input import Picture
from playground.view.asks import Chosen
from playground.view.asks.batches import MOST, affordable
from playground.view.asks.measured import Effect, prepared
from playground.view.sources import Design, File
from playground.view.trace import PICTURE, Array, Part, Trace
from playground.view.words import TRANSPOSED

SIDE = 112
"""Pixels of a small picture."""
_numbers = itertools.count()
_known: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()


def key_of(thing: Any) -> int:
    """A number of its own for a network or a set of pictures, the same as long as it lives and never given twice."""
    return _known.setdefault(thing, next(_numbers))


@dataclass(frozen=True, eq=False)
class Asked:
    """A network, the picture looked at, what is chosen, labelled pictures, and the run it comes from."""

    source: Design | File
    picture: Picture
    chosen: Chosen
    data: ImageSet | None
    run: Path | None

    @property
    def key(self) -> int:
        return key_of(self.source)

    @cached_property
    def trace(self) -> Trace:
        """The network's run on the picture."""
        return traced(self.key, self.picture.pixels, self.source)

    @property
    def part(self) -> Part | None:
        """The part that is chosen; None for none, for the picture, and for one that another network had."""
        at = self.chosen.part
        return None if at is None or at == PICTURE or at >= len(self.trace.parts) else self.trace.parts[at]

    @property
    def map(self) -> int:
        """The map that is chosen in the part, the first where none of its own is."""
        part, one = self.part, self.chosen.map
        return one if part is not None and one is not None and 0 <= one < part.shape[0] else 0

    def labelled(self, most: int = MOST) -> tuple[Array, np.ndarray, np.ndarray] | None:
        """At most so many prepared pictures of the set, their labels, and which they are; None, with a sentence on the
        page, where there is no set."""
        if self.data is None:
            st.info("There are no labelled pictures for this network here, so nothing can be measured.")
            return None
        return batch(self.key, key_of(self.data), most, self.source, self.data)


@st.cache_resource(max_entries=8, show_spinner=False)
def traced(key: int, pixels: np.ndarray, _source: Design | File) -> Trace:
    """The network's run on a picture, kept for the next redraw. Nobody changes it."""
    return _source.run(_source.preprocessing.apply(pixels)[None])


@st.cache_resource(max_entries=4, show_spinner=False)
def batch(key: int, data: int, most: int, _source: Design | File, _data: ImageSet
          ) -> tuple[Array, np.ndarray, np.ndarray]:
    """Prepared pictures of a set, as many as the network answers while a reader waits."""
    one = prepared(_source, _data, 1)[0]
    return prepared(_source, _data, affordable(_source, one, most))


def axes_of(part: Part | None, shape: Sequence[int]) -> tuple[tuple[str, ...], int]:
    """What each axis of a weight counts, and which of them counts the maps or units that its part gives.

    >>> axes_of(None, (8, 3, 5, 5)), axes_of(None, (10, 84)), axes_of(None, (8,))
    ((('Filter', 'Input map', 'Row', 'Column'), 0), (('Unit', 'Input'), 0), (('Map',), 0))
    """
    row = part is not None and len(part.shape) == 1  # of numbers, not of maps
    if len(shape) < 2:
        return ("Unit" if row else "Map",) * len(shape), 0
    words = ("Unit", "Input") if len(shape) == 2 else ("Filter", "Input map")
    gives = () if part is None else part.shape[:1] if len(part.shape) != 2 else part.shape[1:]
    turned = part is not None and (part.sort.key == TRANSPOSED or tuple(shape[:1]) != gives == tuple(shape[1:2]))
    more = ("Row", "Column") if len(shape) == 4 else tuple(f"Place {k}" for k in range(len(shape) - 2))
    return (*(words[::-1] if turned else words), *more), int(turned)


def choose_weight(asked: Asked, names: Sequence[str], key: str) -> tuple[str, tuple[int, ...]]:
    """Controls for one weight: its name where there are several, and its place, at the chosen map to begin with."""
    own, part, one = asked.source.weights(), asked.part, asked.map
    key = f"{key}-{asked.key}-{None if part is None else part.index}-{one}"
    name = names[0]
    if len(names) > 1:
        name = st.selectbox("Weights", names, key=f"{key}-name", disabled=links.locked())
    shape = own[name].shape
    axes, gives = axes_of(part, shape)
    return name, choose_place(axes, shape, [one if k == gives and one < n else 0 for k, n in enumerate(shape)],
                              f"{key}-{name}")


def choose_place(axes: Sequence[str], shape: Sequence[int], begin: Sequence[int], key: str) -> tuple[int, ...]:
    """A place in an array, a control for every axis that is longer than 1."""
    with st.container(horizontal=True):
        return tuple(int(st.number_input(words, 0, n - 1, at, key=f"{key}-{k}", width=120, disabled=links.locked()))
                     if n > 1 else 0 for k, (words, n, at) in enumerate(zip(axes, shape, begin, strict=True)))


@contextmanager
def question(title: str, key: str, icon: str) -> Iterator[bool]:
    """One question behind one line; inside, whether it is open. What nobody has opened is not computed."""
    opened = st.expander(title, icon=icon, key=key, on_change="rerun", bind="query-params")
    with opened:
        yield bool(opened.open)


def forget_unless(key: str, fits: Callable[[Any], bool]) -> None:
    """Before a control is drawn: what it said of another network or run is forgotten where this one has no such
    value."""
    if key in st.session_state and not fits(st.session_state[key]):
        del st.session_state[key]


def tile(values: Array, limit: float | None = None, side: int = SIDE) -> np.ndarray:
    """A map, or a row of numbers, as a small picture in the colours of signed numbers."""
    flat = np.nan_to_num(np.asarray(values, np.float64))
    return enlarged(signed_map(flat if flat.ndim == 2 else flat.reshape(1, -1), limit), side)


def named(index: tuple[int, ...]) -> str:
    """An index as it is written behind a name.

    >>> named((3, 0, 1))
    '[3, 0, 1]'
    """
    return f"[{', '.join(map(str, index))}]"


def accuracies(effect: Effect, now: str) -> None:
    """How many pictures are named rightly before and after a change, and the loss."""
    before, after = effect.before, effect.after
    gone = after.right - before.right
    first, second, third = st.columns(3)
    first.metric("Right before", percent(before.accuracy), help=f"{before.right} of {count(before.count)} pictures")
    second.metric(f"Right {now}", percent(after.accuracy), help=f"{after.right} of {count(after.count)} pictures",
                  **_change(gone, counted(abs(gone), "picture"), good=gone > 0))
    more = after.loss - before.loss
    third.metric("Mean loss", number(after.loss), **_change(more, number(abs(more), 3), good=more < 0))
    st.caption(f"Measured on {counted(before.count, 'labelled picture')}, spread evenly over the set.")


def _change(by: float, size: str, good: bool) -> dict[str, Any]:
    """A metric's change, with a real minus, which Streamlit takes for no sign."""
    colour = "normal" if good else "inverse"
    return {"delta": f"{MINUS if by < 0 else '+'}{size}" if by else "the same", "delta_color": colour if by else "off",
            "delta_arrow": "down" if by < 0 else "up" if by else "off"}


def written(value: float, digits: int = 4) -> str:
    """A number in LaTeX, with a power of ten where it is very small or large.

    >>> written(-0.25), written(1.5e-7)
    ('-0.25', '1.5 \\\\cdot 10^{-7}')
    """
    mantissa, _, power = f"{value:.{digits}g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(power)}}}" if power else mantissa


def literal(words: object) -> str:
    """Words of a network or a set, as Markdown that shows exactly them."""
    return frame.literal(str(words))
