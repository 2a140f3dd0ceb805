"""The answers to "Predict first" in a class: written down, and shown under the question when the teacher says so."""

import re
from collections.abc import Sequence

import streamlit as st

from playground import home
from playground.classroom import answers, state
from playground.classroom.answers import Tally
from playground.figures import choices, style
from playground.numbers import counted
from playground.ui import reader

_SAID = "answers-written"


def note(question: str, options: Sequence[str], answer: int, chosen: int | None) -> None:
    """Under a question of a lesson: write down what the reader chose, and show what the class chose where that is
    revealed. Without a class nothing happens."""
    if not home.is_class():
        return
    page, place = reader.page(), reader.workspace()
    if not page or place is None:
        return
    known = answers.question_id(page, question, options, answer)
    if chosen is not None and not reader.is_teacher():
        written = st.session_state.setdefault(_SAID, {})
        if written.get(known) != chosen:
            written[known] = chosen
            answers.write(place, page, question, options, answer, chosen)
    if known in state.read().revealed and (found := answers.tally(known)) is not None:
        st.caption(f"**The class:** {counted(found.asked, 'answer')}, what each chose first.")
        bars(found, f"class-answers-{known}")


def bars(found: Tally, key: str) -> None:
    """How many chose what, the right answer marked."""
    names = [plain(one) for one in found.choices]
    st.plotly_chart(
        choices.choice_bars(names, found.first, found.answer, found.last), key=key, config=style.CONFIG,
        alt="Answers of the class: " + ", ".join(f"{name} {n}" for name, n in zip(names, found.first, strict=True)))


def plain(markdown: str) -> str:
    """Words without the marks of Markdown and formulas, for a figure.

    >>> plain("**about** $3 \\\\times 3$")
    'about 3 × 3'
    """
    text = markdown.replace("\\times", "×").replace("\\cdot", "·")
    return " ".join(re.sub(r"\\([!-/:-@\[-`{-~])|\*\*|\$|`|:material/\w+:", r"\1", text).split())
