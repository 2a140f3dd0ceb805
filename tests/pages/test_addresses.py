"""No address breaks a page, whatever somebody writes behind a control's name."""

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Element

from playground.ui import contents, links
from tests.pages.on_a_page import OpenPage, errors

VALUES = ("inf", "-inf", "nan", "1e309", "", "words", "9" * 40, "-1", "0.5", "1e3", "[1,2]", "1,2;3", "<b>", "None",
          "true", "\u221e", "%00", "1/0", "0 0; 0", "a b")


def controls(app: AppTest) -> list[str]:
    """The names by which this page's controls stand in its address."""
    def walk(block: Block | Element) -> list[str]:
        own = str(getattr(getattr(block, "proto", None), "query_param_key", "") or "")
        inner = [name for child in block.children.values() for name in walk(child)] if isinstance(block, Block) else []
        return [own, *inner] if own else inner

    return sorted(set(walk(app.main)))


@pytest.mark.parametrize("chapter", contents.CHAPTERS, ids=lambda c: c.url)
def test_no_value_of_any_control_in_the_address_breaks_a_page(
    chapter: contents.Chapter, open_page: OpenPage, caplog: pytest.LogCaptureFixture,
) -> None:
    names = controls(open_page(chapter.url))
    assert names or chapter.url == "imagenet", "without the pretrained network it has no controls"
    for value in VALUES:
        app = open_page(chapter.url, **dict.fromkeys(names, value))
        broken = [error for error in errors(app) if "Something went wrong" in error]
        assert (value, broken, list(app.exception)) == (value, [], [])
        assert "part failed" not in caplog.text


@pytest.mark.parametrize(("chapter", "given"), [
    ("batch-norm", {"seed": "inf"}), ("autograd", {"formula": "a*b", "v-a": "nan"}),
    ("convolution", {"across": "1e309"}),
    ("dropout", {"seed": "7"}),
])
def test_what_is_no_number_is_dropped_and_the_rest_stays(
    chapter: str, given: dict[str, str], open_page: OpenPage,
) -> None:
    app = open_page(chapter, **given, hide="stride")
    assert errors(app) == []
    kept = {name: value for name, value in given.items() if not links.is_no_number(value)}
    assert all(app.query_params[name] in (value, [value]) for name, value in kept.items())
    assert not any(name in app.query_params for name in given.keys() - kept.keys())
    assert app.query_params["hide"] in ("stride", ["stride"])
