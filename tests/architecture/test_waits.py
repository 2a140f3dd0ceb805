"""Tests wait for a condition. One that waits for a while says on the same line why nothing else can be asked."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Error

from tests.waiting import shown

TESTS = Path(__file__).resolve().parents[1]
NAP = re.compile(r"\b(time\.sleep|wait_for_timeout)\((?!.*#)")
FILES = sorted(path for path in TESTS.rglob("*.py")
               if path.name != "waiting.py" and path.parent.name != "pace" and path != Path(__file__))


def naps(source: str) -> list[int]:
    """The lines that wait for a while without a reason."""
    return [number for number, line in enumerate(source.splitlines(), 1) if NAP.search(line)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(TESTS)))
def test_a_test_waits_for_a_condition_or_says_why_not(path: Path) -> None:
    assert naps(path.read_text()) == [], "see tests/waiting.py, and settled and silent in tests/browser/conftest.py"


def test_a_planted_nap_is_seen() -> None:
    assert naps("time.sleep(1)\npage.wait_for_timeout(300)\ntime.sleep(1)  # the clock has whole seconds\n") == [1, 2]


def test_what_is_waited_for_may_come_on_the_page_that_this_one_is_on_its_way_to() -> None:
    says = ["Page.evaluate: Execution context was destroyed, most likely because of a navigation", "", "words"]

    class Leaving:
        def evaluate(self, expression: str, said: object) -> str:
            if "destroyed" in (found := says.pop(0)):
                raise Error(found)
            return found

    shown(Leaving(), "document.title")
    assert says == []
    says.append("Page.evaluate: SyntaxError: destroyed quotes")
    with pytest.raises(Error, match="SyntaxError"):
        shown(Leaving(), "'")
