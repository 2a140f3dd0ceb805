"""Numbers are written in one way on every page: real minus signs, thin thousands, no exponents, nothing unsaid."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Element

from playground import numbers
from playground.deploy import package, verification
from playground.figures import bars
from playground.ui import contents
from tests.pages.on_a_page import OpenPage, errors, put_model

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


SPELLED = re.compile(r"(?<![%{])\{[^{}\n]+:(?:,|\.\d+[eg])\}")  # not what Plotly writes
TYPED: dict[str, str] = {
    "numbers.py": "this is where thousands get their thin space",
    "datasets/preprocessing.py": "a sentence in the metadata of every exported file",
    "training/scratch/doctor.py": "read again as a number",
    "training/scratch/measures.py": "read again as a number",
    "ui/parts/kernel_editor.py": "weights as they are typed",
    "datasets/downloads.py": "bytes, as a server counts them",
    "datasets/picture.py": "it travels in the zip, without the rest of the playground",
    "datasets/unzip.py": "a limit in a refusal",
    "view/describe.py": "numbers a program reads",
    "view/frames.py": "numbers a program reads",
}
"""Files below playground in which a number is spelled with commas or exponents -> why."""


def holding(pattern: re.Pattern[str], *endings: str) -> set[str]:
    """The files below playground with such an ending that hold the pattern."""
    root = Path(numbers.__file__).parent
    return {str(path.relative_to(root)) for path in root.rglob("*")
            if path.suffix in endings and pattern.search(path.read_text("utf-8"))}


def test_sentences_are_written_with_the_playgrounds_own_numbers() -> None:
    assert holding(SPELLED, ".py") == set(TYPED)


SHARES = re.compile(r"\{[^{}\n]+:\s*5?\.\d[f%]\}(?:[ \u00a0\u202f]|\\+,)*\\*%|:\.\d%\}|:\.\df\}%|toFixed\(\d\)\} ?%")
ROUNDED: dict[str, str] = {
    "figures/choices.py": "the ends of intervals are no counts",
    "figures/challenge.py": "errors that were published",
    "figures/beside.py": "results that were published",
    "ui/studio/insight.py": "the mean of differences",
    "ui/studio/lab.py": "a question's choices",
    "deploy/package.py": "run.py says the rule itself",
    "deploy/take_home/classify.py": "never above 99.9",
    "deploy/take_home/notebook.py": "never above 99.9",
    "deploy/take_home/classify.mjs": "never above 99.9",
}
"""Files below playground that round a share themselves, so that nearly all could read as 100 % -> why."""


def test_shares_are_written_by_the_function_that_says_100_of_all_only() -> None:
    assert holding(SHARES, ".py", ".js", ".mjs") == set(ROUNDED)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.9999, 1.0])
def test_a_bar_says_its_share_as_the_sentences_do(chance: float) -> None:
    (bar,) = bars.probability_bars(["a", "b"], [chance, 1 - chance], sort=False).data
    assert numbers.percent(chance) in bar.text


def test_a_model_card_is_written_for_people(playground_home: Path) -> None:
    entry = put_model("card", parity={"samples": 1, "max_difference": 1.4e-6, "allowed": 3.8e-3, "same_top": 1},
                      training={"epochs": 1, "parameters": 3373570, "seconds": 2}, size_bytes=1234567,
                      accuracy={"value": 1.0, "count": 12000, "split": "test"})
    text = package.model_card(entry)
    assert [fault for line in text.replace(entry.card["sha256"], "").splitlines() for fault in faults(line)] == []
    for part in ("1 epoch,", "3\u202f373\u202f570 parameters", "1.4 × 10⁻⁶", "100\u202f%",
                 "12\u202f000 of 12\u202f000"):
        assert part in text
    sentences = [check.sentence for check in verification.verify(entry).checks]
    assert [fault for one in sentences for fault in faults(re.sub("[0-9a-f]{12}…", "", one))] == []


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
