"""What lessons have in common: a question asked before anything moves, and the same thing in three libraries."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from itertools import count
from typing import TypeVar

import numpy as np
import streamlit as st

from playground.ui import frame

T = TypeVar("T", bound=Hashable)
R = TypeVar("R")

REST_SECONDS = 0.4
"""How long after a change of its main figure the rest of a page waits: the browser has drawn the figure by then."""


def figure_first(
    controls: Callable[[], R], *rooms: Callable[[R], object], question: Callable[[R], object] | None = None,
    beside: float = 0,
) -> R:
    """Draw a page's controls and its main figure so that a change is seen before the rest of the page follows.

    A control that is drawn here runs `controls` and `rooms` alone again; the browser then shows the figure while
    nothing else arrives, and asks for the whole page when no other control has moved for `REST_SECONDS`. What
    `controls` gives, each room takes and the page gets from here; what they raise, too. The rooms stand below the
    controls or, so many times as wide, `beside` them. Above all of it stands the `question`, which comes with the rest
    of the page: other choices to make would take the browser as long as the figure.
    """
    runs = count()
    first = st.container()

    def draw() -> R:
        left, right = st.columns([beside, 1], gap="medium") if beside else (nullcontext(), nullcontext())
        with right:
            chosen = controls()
        with left:
            for room in rooms:
                room(chosen)
        return chosen

    @st.fragment
    def part() -> tuple[R | None, Exception | None]:
        run = next(runs)
        if run:
            with frame.room("this figure"):
                draw()
            _rest(run)
            return None, None
        try:
            return draw(), None
        except Exception as error:  # inside a fragment Streamlit would show it; the page's own room is to
            return None, error

    drawn, error = part()
    if error is not None:
        raise error
    if question is not None:
        with first:
            question(drawn)  # type: ignore[arg-type]
    return drawn  # type: ignore[return-value]


def _rest(run: int) -> None:
    """Ask the browser to come back for the whole page; another interval than before begins the wait anew."""
    runs = count()

    @st.fragment(run_every=REST_SECONDS + run % 2 / 1000)
    def rest() -> None:
        if next(runs):
            st.rerun()

    rest()


def ask(
    question: str,
    choices: Sequence[T],
    answer: T,
    why: str,
    *,
    key: str = "guess",
    format_func: Callable[[T], str] = str,
    horizontal: bool = True,
) -> bool:
    """Ask, and after the reader has chosen say whether it was so and why; returns whether something was chosen.

    `answer` and `why` are computed by the caller from what is on the screen, and so are the choices: put whatever
    the answer depends on into `key`, so that another setting asks anew. Raises ValueError when the answer is not
    among the choices.
    """
    if answer not in choices:
        raise ValueError(f"the answer {answer!r} is not among the choices {list(choices)!r}")
    with st.container(border=True, key="predict"):
        chosen = st.radio(f"**Predict first:** {question}", choices, index=None, horizontal=horizontal, key=key,
                          format_func=format_func)
        if chosen is None:
            return False
        right = chosen == answer
        verdict = "Yes" if right else f"Not “{format_func(chosen)}” but “{format_func(answer)}”"
        (st.success if right else st.info)(f"{verdict}. {why}")
    return True


@st.fragment
@frame.guarded("Predict first")
def predict(
    question: str,
    choices: Sequence[T],
    answer: T,
    why: str,
    *,
    key: str = "guess",
    format_func: Callable[[T], str] = str,
    horizontal: bool = True,
) -> None:
    """`ask`, where nothing else on the page waits for the choice: only the question is drawn again."""
    ask(question, choices, answer, why, key=key, format_func=format_func, horizontal=horizontal)


GALLERY_WIDTH = 168
"""Pixels a picture: two stand side by side on a phone, six on a desk."""


def gallery(pictures: Sequence[np.ndarray], captions: Sequence[str], *, width: int = GALLERY_WIDTH) -> None:
    """Small pictures, as many side by side as fit; uint8 (H, W) or (H, W, 3). One element: nine take longer."""
    st.image(list(pictures), list(captions), width=width)


@st.fragment
@frame.guarded("In code")
def in_code(codes: Mapping[str, str], note: str = "") -> None:
    """The same thing in several libraries, one at a time, ready to be pasted; a test runs what can be run.

    Not tabs: at every redraw of a page Streamlit's tabs walk through all that lies in them, and code is a thousand
    coloured words. Two thirds of a slider's wait was that.
    """
    st.subheader("In code", anchor=False)
    library = st.segmented_control("Library", list(codes), default=next(iter(codes)), key="library", required=True,
                                   label_visibility="collapsed")
    st.code(codes[library or next(iter(codes))], language="python")
    if note:
        st.caption(note)
