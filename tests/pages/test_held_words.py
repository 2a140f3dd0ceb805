"""What a callback wrote stands against a message that left the browser before it had heard of it."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from playground.ui import frame
from playground.ui.parts import kernel_editor


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
    messages = [object()]
    monkeypatch.setattr(frame, "_message", lambda: messages[-1])
    app = AppTest.from_function(script).run()
    app.selectbox(key="preset").set_value("b").run()
    assert app.text_input(key="text").value == "bbb"
    messages.append(object())
    app.text_input(key="text").set_value(text).run()
    assert app.text_input(key="text").value == stands
    app.run()
    assert app.text_input(key="text").value == stands


def test_what_was_written_is_held_until_a_message_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [object()]
    monkeypatch.setattr(frame, "_message", lambda: messages[-1])
    app = AppTest.from_function(script).run()
    app.selectbox(key="preset").set_value("b").run()
    app.run()  # the same message once more, as after st.rerun
    for _ in range(2):
        messages.append(object())
        assert app.text_input(key="text").set_value("aaa").run().text_input(key="text").value == "bbb", "crossed"
    messages.append(object())
    app.run()
    messages.append(object())
    assert app.text_input(key="text").set_value("aaa").run().text_input(key="text").value == "aaa", "the reader's"


@pytest.mark.parametrize("said", [
    None, 5, "0 0", {"text": 5, "number": 1}, {"text": "0"}, {"text": "0", "number": "1"},
])
def test_what_a_browser_sends_as_an_edited_kernel_is_taken_only_in_its_form(said: object,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_editor.st, "session_state", {})
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(kernel_editor, "_grid", lambda **given: drawn.update(given))
    taken: list[str] = []
    kernel_editor.fields(["1"], 1.0, key="fields", on_edited=taken.append)
    assert drawn["data"]["heard"] == 0
    monkeypatch.setattr(frame, "sent", lambda key, trigger: said)
    drawn["on_edited_change"]()
    assert taken == []
    monkeypatch.setattr(frame, "sent", lambda key, trigger: {"text": "0.5", "number": 1700000000000})
    drawn["on_edited_change"]()
    assert taken == ["0.5"]
    kernel_editor.fields(["1"], 1.0, key="fields", on_edited=taken.append)
    assert drawn["data"]["heard"] == 1700000000000


def chooser() -> None:
    import streamlit as st

    from playground.ui import frame

    def take() -> None:
        frame.hold_written()
        if st.session_state["preset"] != "own":
            frame.write("text", st.session_state["preset"])

    frame.hold_written()
    text = st.text_input("Text", "a", key="text")
    frame.write("preset", text if text in ("a", "b") else "own")
    st.selectbox("Preset", ["a", "b", "own"], key="preset", on_change=take)


def test_a_chooser_that_is_read_off_another_control_does_not_bring_back_what_it_said(
        monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [object()]
    monkeypatch.setattr(frame, "_message", lambda: messages[-1])
    app = AppTest.from_function(chooser).run()
    messages.append(object())
    app.text_input(key="text").set_value("c").run()
    assert app.selectbox(key="preset").value == "own"
    messages.append(object())
    app.selectbox(key="preset").set_value("a").run()  # crossed: the browser had not heard of "own"
    assert (app.text_input(key="text").value, app.selectbox(key="preset").value) == ("c", "own")
    messages.append(object())
    app.run()
    messages.append(object())
    app.selectbox(key="preset").set_value("a").run()
    assert (app.text_input(key="text").value, app.selectbox(key="preset").value) == ("a", "a")
