"""What a callback wrote stands against a message that left the browser before it had heard of it."""

import pytest
from streamlit.testing.v1 import AppTest

from playground.ui import frame


def script() -> None:
    import streamlit as st

    from playground.ui import frame

    frame.hold_written()
    st.selectbox("Preset", ["a", "b"], key="preset",
                 on_change=lambda: frame.write("text", st.session_state["preset"] * 3))
    st.text_input("Text", "aaa", key="text")


@pytest.mark.parametrize(("text", "held", "stands"), [
    ("aaa", 1000.0, "bbb"),  # the message crossed the answer: it brings what the text was before
    ("other", 1000.0, "other"),  # it brings something else, so it comes from the reader
    ("aaa", 0.0, "aaa"),  # the reader wrote back what it was, later
])
def test_what_was_written_stands_unless_the_reader_changes_it(text: str, held: float, stands: str,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "HELD_SECONDS", held)
    app = AppTest.from_function(script).run()
    app.selectbox(key="preset").set_value("b").run()
    assert app.text_input(key="text").value == "bbb"
    app.text_input(key="text").set_value(text).run()
    assert app.text_input(key="text").value == stands
    app.run()
    assert app.text_input(key="text").value == stands
