"""What does this filter look for: the windows of the data that drive a map most, at any epoch of its training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.figures.maps import outlined
from playground.numbers import count, counted, number
from playground.training.scratch import history
from playground.ui import frame
from playground.ui.network.asks.asked import Asked, batch, forget_unless, key_of, literal, question
from playground.ui.parts import lesson
from playground.view.asks.windows import Peaks, Window, peaks
from playground.view.asks.windows import windows as found_windows
from playground.view.sources import Design, File
from playground.view.trace import Array

MOST_SEARCHED = 2000
"""Pictures of a set that are searched, at most."""
SIDE = 128
LAST = "now"


@st.fragment
@frame.guarded("What does this filter look for?")
def windows(asked: Asked) -> None:
    """The nine windows that drive the chosen map most, and the nine that drive it furthest below zero."""
    with question("What does this filter look for in your data?", "ask-windows", ":material/image_search:") as is_open:
        if is_open:
            _windows(asked)


def _windows(asked: Asked) -> None:
    part = asked.part
    if part is None:
        st.info("Choose a filter above: a map of any part.")
        return
    if asked.data is None:
        st.info("There are no pictures for this network here to look through.")
        return
    source, when = at_an_epoch(asked)
    key, data = key_of(source), key_of(asked.data)
    x, y, _ = batch(key, data, MOST_SEARCHED, source, asked.data)
    found = searched(key, data, part.index, source, x)
    kind = "map" if len(part.shape) == 3 else "number"
    most = found_windows(source, x, part.index, found, asked.map)
    least = found_windows(source, x, part.index, found, asked.map, lowest=True)
    searched_in = counted(len(x), "picture") + (
        f" of {count(len(asked.data))}, spread evenly over the set" if len(x) < len(asked.data) else "")
    st.markdown(f"**{kind.capitalize()} {asked.map}** of the {literal(part.title)}, {when}, looked for in "
                f"{searched_in}.")
    if most:
        shown(source, x, y, most)
        top, bottom, left, right = most[0].region
        st.caption(f"The {counted(len(most), 'picture')} in which the {kind} rises highest, each with its label, the "
                   f"value, and where in the {kind} it stands. Framed: the {bottom - top + 1} × {right - left + 1} "
                   "pixels that can reach that number, its receptive field; nothing outside can change it.")
    else:
        st.info(f"In none of these pictures is the {kind} above 0: this filter is dead on these data.")
    if least:
        st.markdown(f"**Furthest below 0:** what this {kind} answers to with the opposite sign.")
        shown(source, x, y, least)
    else:
        why = ", as after every ReLU" if part.sort.words == "ReLU" else ""
        st.caption(f"The {kind} is never below 0 here{why}.")


def at_an_epoch(asked: Asked) -> tuple[Design | File, str]:
    """The network as it is or, where its training has kept them, with the weights after an epoch that is chosen."""
    epochs = history.epochs(asked.run) if asked.run is not None else []
    if asked.run is None or len(epochs) < 2:
        return asked.source, "as it is now"
    forget_unless("ask-epoch", lambda one: one in (*epochs, LAST))
    chosen = st.select_slider("After epoch", [*epochs, LAST], LAST, key="ask-epoch", bind="query-params",
                              help="0 are the first weights. What the filter looks for comes up while it learns.")
    if chosen == LAST:
        return asked.source, "as it is now"
    then = design_at(str(asked.run), int(str(chosen)))
    if len(then.run(asked.trace.picture.data[:1]).parts) != len(asked.trace.parts):
        raise PlaygroundError("This training is of another network than the one above.")
    return then, f"after epoch {chosen}" if chosen else "with its first weights"


@st.cache_resource(max_entries=16, show_spinner=False)
def design_at(run: str, epoch: int) -> Design:
    """The network after an epoch of a run."""
    return Design.of_trained(history.at_epoch(Path(run), epoch))


@st.cache_resource(max_entries=16, show_spinner="Looking through the pictures …")
def searched(key: int, data: int, part: int, _source: Design | File, _x: Array) -> Peaks:
    """The extremes of a part's maps, kept for the next redraw."""
    return peaks(_source, _x, part)


def shown(source: Design | File, x: Array, y: np.ndarray, found: Sequence[Window]) -> None:
    """Windows as pictures, the outside dimmed."""
    pictures = [outlined(source.preprocessing.pictured(x[one.picture]), one.region, SIDE) for one in found]
    captions = [f"{literal(source.labels[y[one.picture]])}: {number(one.value, 3)}"
                + (f" at {', '.join(map(str, one.place))}" if one.place else "") for one in found]
    lesson.gallery(pictures, captions, "A picture with the window that drives the filter", width=SIDE)
