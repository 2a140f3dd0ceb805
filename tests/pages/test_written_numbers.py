"""Numbers are written in one way on every page: real minus signs, thin thousands, no exponents, nothing unsaid."""

import re
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Element

from playground.ui import contents
from tests.pages.on_a_page import OpenPage, errors

COUNTED = ("channel|class|weight|pixel|photo|picture|image|map|filter|kernel|window|step|epoch|unit|layer|number|model|"
           "row|column|parameter|mistake|network|place|run|product|digit|operation|multiplication|decimal|output|draw")

FAULTS: dict[str, str] = {
    "a comma between thousands": r"\d,\d{3}(?!\d)(?!\])",
    "an exponent": r"\d[eE][+-]?\d",
    "a power with a roof": r"\d\^\d",
    "a hyphen for a minus": r"(?<![\w/.\-\u2013])-\d",
    "one of many": rf"(?<![\d.,\u202f/×])1 (?:{COUNTED})(?:e?s)\b",
    "what Python calls nothing": r"\bNone\b|\bnan\b|\binf\b",
}

EXEMPT: dict[str, str] = {
    "kernel": "weights as they are typed, with the keyboard's minus",
    "power": "an address holds its options as they are written",
}
"""Keys of widgets whose text is for a program to read -> why."""


def elements(block: Block) -> Iterator[Element]:
    for child in block.children.values():
        if isinstance(child, Block):
            yield from elements(child)
        else:
            yield child


def words(app: AppTest) -> Iterator[str]:
    """Every text a reader reads: of elements, labels, help and options; code and formulas are for another reader."""
    for element in elements(app.main):
        if element.type in ("code", "bidi_component", "plotly_chart", "html", "imgs", "arrow_data_frame", "unknown"):
            continue
        proto = getattr(element, "proto", None)
        if proto is None or getattr(element, "key", None) in EXEMPT or str(getattr(proto, "element_type", "")) == "4":
            continue
        for name in ("body", "label", "help", "caption", "delta", "value", "text"):
            value = getattr(proto, name, None)
            if isinstance(value, str):
                yield value
        yield from (str(option) for option in getattr(proto, "options", ()) if isinstance(option, str))
    for element in app.get("image"):
        yield from (image.caption for image in element.proto.imgs)


def without_code(text: str) -> str:
    text = re.sub(r"```.*?```|`[^`]*`", " ", text, flags=re.DOTALL)  # code
    text = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)  # what keeps Markdown from reading signs is not read
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", " ", text, flags=re.DOTALL)  # formulas
    text = re.sub(r"\]\([^)]*\)", "]", text)  # addresses
    text = re.sub(r"\[[−\d]+,[−\d]+\]", " ", text)  # x[4,2]
    return re.sub(r"[:\w]*material/\w+:?", " ", text)


def faults(text: str) -> list[str]:
    told = without_code(text)
    return [f"{what}: {found.group()!r} in {text!r}" for what, pattern in FAULTS.items()
            for found in re.finditer(pattern, told)]


@pytest.mark.parametrize("chapter", contents.CHAPTERS, ids=lambda c: c.url)
def test_every_number_of_a_page_is_written_for_people(chapter: contents.Chapter, open_page: OpenPage) -> None:
    app = open_page(chapter.url)
    assert errors(app) == []
    told = list(words(app))
    assert len(told) > 5
    assert [fault for text in told for fault in faults(text)] == []


@pytest.mark.parametrize(("planted", "what"), [
    ("3,373,570 parameters", "a comma"), ("4.0e-05 off", "an exponent"), ("2^14 networks", "a power"),
    ("from -0.792 to 1", "a hyphen"), ("1 channels", "one of many"), ("best: None", "what Python"),
    ("nan %", "what Python"),
])
def test_the_scan_sees_a_planted_fault(planted: str, what: str) -> None:
    assert any(found.startswith(what) for found in faults(planted))


@pytest.mark.parametrize("right", [
    "3\u202f373\u202f570 parameters", "−0.792", "x[4,2] is 1", "1 channel", "2026-11-29", "EfficientNet-Lite0",
    "11 channels", "`-1 0 1`", "3 × 1 channel",
])
def test_the_scan_lets_right_numbers_be(right: str) -> None:
    assert faults(right) == []
