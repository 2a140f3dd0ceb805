"""What lessons have in common: a question asked before anything moves, and the same thing in three libraries."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from typing import Generic, Protocol, TypeVar

import numpy as np
import streamlit as st

from playground.ui import frame, links
from playground.ui.classroom import counting
from playground.ui.parts import camera

T = TypeVar("T", bound=Hashable)
R = TypeVar("R")
S = TypeVar("S", covariant=True)

REST_SECONDS = 0.4
"""How long after a change of its main figure the rest of a page waits: the browser has drawn the figure by then."""


Group = Callable[[], None]
"""Draws one or more controls and keeps what they say; a later one may use what an earlier one has kept."""


def equations(*each: str) -> None:
    """Formulas beside each other; where the page is narrow they stand below each other, none broken."""
    st.latex(r",\qquad\allowbreak ".join(f"{{{one}}}" for one in each))


@dataclass(frozen=True)
class Late:
    """A group that uses what groups below it say: it is drawn after all that are not late."""

    group: Group

    def __call__(self) -> None:
        self.group()


Groups = Sequence[Group | Sequence[Group]]
"""Those that stand below each other; in a sequence of their own, those that stand side by side."""


class Controls(Protocol[S]):
    """A page's controls in groups, each of which is drawn again without the others, and what they say."""

    def groups(self) -> Groups:
        """What draws them."""

    def setting(self) -> S:
        """What all of them say."""


class _Whole(Generic[R]):
    """Controls that are one group, and draw more than controls."""

    def __init__(self, draw: Callable[[], R]) -> None:
        self._draw = draw

    def groups(self) -> Groups:
        return (self._take,)

    def _take(self) -> None:
        self._said = self._draw()

    def setting(self) -> R:
        return self._said


def figure_first(
    controls: Controls[R] | Callable[[], R], *parts: Callable[[R], object],
    below: Sequence[Callable[[R], object]] = (), question: Callable[[R], object] | None = None,
    head: Group | None = None, beside: float = 0,
) -> R:
    """Draw a page's controls and its main figure so that a change is seen before the rest of the page follows.

    A control runs the group it stands in and the `parts` alone again; the browser then shows the figure while nothing
    else arrives, and asks for the whole page when no other control has moved for `REST_SECONDS`. What arrives is drawn
    anew, so the fewer controls a group has, the sooner the figure stands. While a live camera is on, the rest waits.
    What the controls say, each part takes and the page gets from here; what they raise, too. The parts stand below the
    controls or, so many times as wide, `beside` them, and directly over the parts their `head`, one more group. Above
    all of it stands the `question`, under the parts what is `below`; both come with the rest of the page. Not for the
    inside of a fragment: Streamlit does not let the groups write where that has made room.
    """
    asked = controls if not callable(controls) else _Whole(controls)
    rows = [[row] if callable(row) else row for row in asked.groups()]
    groups, runs = [group for row in rows for group in row], count(1)
    first = st.container()
    left, right = st.columns([beside, 1], gap="medium") if beside else (nullcontext(), nullcontext())
    with right:
        places = [place for row in rows for place in (st.columns(len(row)) if len(row) > 1 else [st.container()])]
    with left:
        if head is not None:
            groups, places = [*groups, head], [*places, st.container()]
        figure, under = st.container(), st.container()
    # Each group begins at the figure's first place, so that none is drawn below another's. `st.empty` has one place for
    # all, too, but takes the figure away for a moment whenever the page runs: the browser would make a new one.
    figures = [deepcopy(figure) for _ in groups]

    said = 0  # how many groups have been drawn by the page itself
    on_page = True
    last: list[R] = []  # what was said when the figure was drawn

    def draw(number: int) -> None:
        groups[number]()
        with figures[number], st.container():
            if said + on_page < len(groups):
                return
            last[:] = [asked.setting()]
            for draw_part in parts:
                draw_part(last[0])

    @st.fragment
    def part(number: int) -> Exception | None:
        if on_page:
            try:
                draw(number)
            except Exception as error:  # inside a fragment Streamlit would show it; the page's own guard is to
                return error
            return None
        if said < len(groups):  # the page was broken off before it knew all that is said
            st.rerun()
        frame.hold_written()
        with frame.guard("this figure"):
            draw(number)
        with figures[number]:  # the same place for all: a wait that another group began is begun anew
            _rest(next(runs), camera.PATIENCE_SECONDS if camera.is_on() else REST_SECONDS)
        return None

    try:
        for number in sorted(range(len(groups)), key=lambda k: isinstance(groups[k], Late)):
            with places[number]:
                error = part(number)
            if error is not None:
                raise error
            said += 1
    finally:
        on_page = False
    setting = last[0]
    with under:
        for draw_part in below:
            draw_part(setting)
    if question is not None:
        with first:
            question(setting)
    return setting


def choose_pass(passes: Sequence[str] = ("Forward", "Backward")) -> str:
    """Draw the choice of what a figure plays; the first at first."""
    return st.segmented_control("Pass", passes, default=passes[0], key="pass", bind="query-params", required=True,
                                disabled=links.locked(), label_visibility="collapsed") or passes[0]


def _rest(run: int, seconds: float) -> None:
    """Ask the browser to come back for the whole page; another interval than before begins the wait anew."""
    runs = count()

    @st.fragment(run_every=seconds + run % 2 / 1000)
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
        if chosen is not None:
            right = chosen == answer
            verdict = "Yes" if right else f"Not “{format_func(chosen)}” but “{format_func(answer)}”"
            (st.success if right else st.info)(f"{verdict}. {why}")
        number = {choice: k for k, choice in enumerate(choices)}
        counting.note(question, [format_func(choice) for choice in choices], number[answer],
                      number[chosen] if chosen is not None else None)
    return chosen is not None


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


def gallery(
    pictures: Sequence[np.ndarray], captions: Sequence[str], alts: str | Sequence[str] = "", *,
    width: int = GALLERY_WIDTH,
) -> None:
    """Small pictures, as many side by side as fit; uint8 (H, W) or (H, W, 3). One element: nine take longer.

    `alts` say what is seen, picture by picture; one text says what all of them are, and each caption follows it.
    """
    if isinstance(alts, str):
        alts = [f"{alts}: {frame.plain(caption)}" if alts else frame.plain(caption) for caption in captions]
    st.image(list(pictures), list(captions), width=width, alt=list(alts))


@st.fragment
@frame.guarded("In code")
def in_code(codes: Mapping[str, str], note: str = "") -> None:
    """The same thing in several libraries, one at a time, ready to be pasted; a test runs what can be run.

    Not tabs: at every redraw of a page Streamlit's tabs walk through all that lies in them, and code is a thousand
    coloured words. Two thirds of a slider's wait was that.
    """
    st.header("In code", anchor=False)
    with links.stays_open():
        library = st.segmented_control("Library", list(codes), default=next(iter(codes)), key="library", required=True,
                                       label_visibility="collapsed")
    st.code(codes[library or next(iter(codes))], language="python", wrap_lines=True)
    if note:
        st.caption(note)
