"""The name of a model that is to be trained: a free one is suggested, and what somebody has typed stays typed."""

from typing import Any

import streamlit as st

from playground.training.runs import runs

KEY = "model-name"


def choose(place: Any, wish: str, **options: Any) -> tuple[str, bool]:
    """A text field for the name; the name, and whether it is still the suggested one.

    The suggestion is what is free now: where somebody was quicker it is the next one at the next redraw, and a name of
    the reader's own is left alone.
    """
    free = runs.free_name(wish)
    suggested = f"{KEY}-suggested"
    if st.session_state.get(KEY) in (None, st.session_state.get(suggested)):
        st.session_state[KEY] = free
    st.session_state[suggested] = free
    name = place.text_input("Name", max_chars=60, key=KEY, help="What the model will be called: a–z, 0–9, "
                            "- and _.", **options)
    return name, name == free
