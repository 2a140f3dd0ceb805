"""A locked page: what changes something is disabled on every page, the page says so, and its questions stay open."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from playground.ui import contents, links
from playground.ui.parts import image_input
from playground.ui.studio import insight
from tests.pages.on_a_page import RUN, OpenPage, errors, put_run, texts
from tests.pages.test_kernels import put_convolution

FREE = {"library": "which library's code is read"}
"""Controls that stay open on a locked page, by their keys, and why; besides questions and downloads."""


def widgets(app: AppTest) -> list[SimpleNamespace]:
    """Every control on the page: anything the browser is told of that can be disabled."""
    found = []

    def walk(block: object) -> None:
        for child in getattr(block, "children", {}).values():
            proto = getattr(child, "proto", None)
            fields = getattr(getattr(proto, "DESCRIPTOR", None), "fields_by_name", {})
            if "disabled" in fields and "id" in fields:
                found.append(SimpleNamespace(kind=child.type, proto=proto, key=str(proto.id).rsplit("-", 1)[-1]))
            walk(child)

    walk(app._tree)
    return found


def changes_something(widget: SimpleNamespace) -> bool:
    question = widget.kind == "radio" and not widget.proto.HasField("default")
    return (widget.kind not in ("download_button", "page_link", "arrow_data_frame") and not question
            and widget.key not in FREE)


@pytest.fixture
def furnished(playground_home: Path) -> None:
    """A run, its model, and a model with feature maps, so that every page shows all it has."""
    put_run()
    put_convolution("net", 3)


@pytest.mark.parametrize("chapter", contents.CHAPTERS, ids=lambda c: c.url)
def test_on_a_locked_page_everything_that_changes_something_is_disabled(
    chapter: contents.Chapter, open_page: OpenPage, furnished: None,
) -> None:
    app = open_page(chapter.url, lock="1")
    assert errors(app) == []
    assert "This page is locked" in texts(app)
    assert [(w.kind, w.proto.id) for w in widgets(app) if changes_something(w) and not w.proto.disabled] == []
    free = open_page(chapter.url)
    assert "This page is locked" not in texts(free)
    if chapter.url != "home":
        assert [w for w in widgets(free) if changes_something(w) and not w.proto.disabled]


@pytest.mark.parametrize("query", [
    *({"url": "transfer", "run": RUN, "understand": look} for look in insight.VIEWS),
    *({"url": "transfer", "mode": mode, "head": "hidden"} for mode in ("frozen", "fine-tune", "scratch")),
    *({"url": "transfer", "photos": photos} for photos in ("Your zip", "Download", "Your own")),
    *({"url": "models", "picture": picture} for picture in (image_input.UPLOAD, image_input.CAMERA, image_input.DIGIT)),
], ids=lambda query: "-".join(query.values()))
def test_so_is_what_only_some_choices_show(query: dict[str, str], open_page: OpenPage, furnished: None) -> None:
    asked = dict(query)
    app = open_page(asked.pop("url"), lock="1", **asked)
    assert errors(app) == []
    assert [(w.kind, w.proto.id) for w in widgets(app) if changes_something(w) and not w.proto.disabled] == []


def test_a_question_can_be_answered_and_code_be_read_on_a_locked_page(open_page: OpenPage) -> None:
    app = open_page("pooling", lock="1")
    question = next(radio for radio in app.radio if "Predict first" in radio.label)
    question.set_value(question.options[0]).run()
    app.segmented_control(key="library").set_value("PyTorch").run()
    assert errors(app) == []


def test_another_value_of_lock_locks_nothing(open_page: OpenPage) -> None:
    app = open_page("train", lock="0")
    assert not app.button(key="start").proto.disabled


def test_the_hook_is_put_in_once() -> None:
    from streamlit.delta_generator import DeltaGenerator

    before = DeltaGenerator._enqueue
    links.lock_widgets()
    assert DeltaGenerator._enqueue is before
