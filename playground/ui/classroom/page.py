"""The page about the class, put together."""

from collections.abc import Callable

import streamlit as st

from playground import home
from playground.ui import links, reader
from playground.ui.classroom import giving, guiding, mine, photos, present, questions, trainings


def is_for_a_class() -> bool:
    """Whether this server is a class's."""
    return home.is_class()


def is_the_teachers() -> bool:
    """Whether the page is drawn for the teacher."""
    return reader.is_teacher()


def how_to_start() -> None:
    """What is said where there is no class."""
    st.info("This app runs for one person: start it for a class with `make class`, and every browser has a workspace "
            "of its own.", icon=":material/groups:")


def lead() -> None:
    """The teacher's part, one piece of it at a time."""
    with links.stays_open():
        chosen = st.segmented_control("Part", list(PARTS), default=next(iter(PARTS)), key="part", required=True,
                                      bind="query-params", label_visibility="collapsed")
    for draw in PARTS[chosen or next(iter(PARTS))]:
        draw()


def own() -> None:
    """What every reader has."""
    if not is_the_teachers():
        photos.give()
    st.header("Your workspace", anchor=False)
    mine.name()
    mine.kept()
    mine.key()
    mine.delete()


def _head(text: str) -> Callable[[], None]:
    def draw() -> None:
        st.header(text, anchor=False)

    return draw


PARTS: dict[str, tuple[Callable[[], None], ...]] = {
    "Now": (_head("Who is here"), present.here, present.way_in, _head("Trainings"), trainings.under_way,
            _head("Results"), trainings.results),
    "Answers": (_head("Answers to “Predict first”"), questions.all_of_them),
    "Guided lesson": (_head("Guided lesson"), guiding.start),
    "Class set": (_head("A class set from phones"), photos.open_or_close, photos.moderate),
    "Publish": (_head("Given to the class"), giving.published, _head("A model"), giving.publish_model,
                _head("Photos of yours"), giving.publish_photos),
    "Readers": (_head("One reader’s workspace"), present.one_of_them, _head("The whole class"), present.wipe),
}
