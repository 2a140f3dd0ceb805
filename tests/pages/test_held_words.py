"""What a callback wrote stands against a message that left the browser before it had heard of it."""

import pytest
from streamlit.testing.v1 import AppTest


def script() -> None:
    import streamlit as st

    from playground.ui import frame

    if st.session_state.get("now") is not None:
        frame.hold_written(by_reader=st.session_state["now"])
    st.selectbox("Preset", ["a", "b"], key="preset",
                 on_change=lambda: frame.write("text", st.session_state["preset"] * 3))
    st.text_input("Text", "aaa", key="text")


@pytest.mark.parametrize(("text", "by_reader", "stands"), [
    ("aaa", False, "bbb"),  # the message crossed the answer: it brings what the text was before
    ("other", False, "other"),  # it brings something else, so it comes from the reader
    ("aaa", True, "aaa"),  # the reader wrote back what it was
])
def test_what_was_written_stands_unless_the_reader_changes_it(text: str, by_reader: bool, stands: str) -> None:
    app = AppTest.from_function(script).run()
    app.selectbox(key="preset").set_value("b").run()
    assert app.text_input(key="text").value == "bbb"
    app.session_state["now"] = by_reader
    app.text_input(key="text").set_value(text).run()
    assert app.text_input(key="text").value == stands
    app.session_state["now"] = False
    app.run()
    assert app.text_input(key="text").value == stands
