"""Every page on a phone: it asks nobody outside, reports no error, and neither it nor a formula of it is cut."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import BrowserContext, Page

from playground.ui import contents
from tests.browser.conftest import settled

ADDRESSES = [*(chapter.url for chapter in contents.CHAPTERS), "convolution?pass=Backward", "loss?pass=Backward",
             "convolution?pass=As+a+matrix+product&size=16", "pooling?kind=average&window=4"]
PLAIN = {"home", "lab", "train", "transfer", "models", "onnx-lab"}
"""Pages without a formula."""
CUT = """() => {
    document.querySelectorAll('details').forEach(details => { details.open = true; });
    const cut = [], range = document.createRange();
    for (const formula of document.querySelectorAll('.katex-html')) {
        const block = formula.closest('[data-testid="stColumn"], [data-testid="stVerticalBlock"]');
        const room = block.getBoundingClientRect();
        const letters = document.createTreeWalker(formula, NodeFilter.SHOW_TEXT);
        while (letters.nextNode()) {
            if (!letters.currentNode.data.replace(/[\\s\\u200b]/g, '')) continue;
            range.selectNodeContents(letters.currentNode);
            const drawn = range.getBoundingClientRect();
            if (drawn.width && (drawn.right > room.right + 1 || drawn.left < room.left - 1)) {
                cut.push(formula.parentElement.querySelector('annotation').textContent);
                break;
            }
        }
    }
    return cut;
}"""


@dataclass
class Opened:
    """A page on a phone, and what it has asked of others and reported since before it was opened."""

    page: Page
    address: str
    outside: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", params=ADDRESSES)
def phone(request: pytest.FixtureRequest, shared_context: BrowserContext, app_url: str) -> Iterator[Opened]:
    """Opened once for all that is asked of it: pytest runs the tests of an address one after the other."""
    page = shared_context.new_page()
    one = Opened(page, request.param)
    page.on("request", lambda r: None if r.url.startswith((app_url, "data:", "blob:")) else one.outside.append(r.url))
    page.on("pageerror", lambda error: one.problems.append(str(error)))
    page.on("console", lambda said: one.problems.append(said.text) if "Content Security Policy" in said.text else None)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{app_url}/{one.address}")
    settled(page)
    yield one
    page.close()


def test_a_page_asks_nobody_outside_reports_no_error_and_fits_a_phone(phone: Opened) -> None:
    page = phone.page
    page.get_by_role("heading", level=1).wait_for()
    wider = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid="stMainBlockContainer"] *')]
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && e.checkVisibility())
            .filter(e => !e.closest('[data-testid="stDataFrame"], .stPlotlyChart, pre, .katex'))
            .filter(e => e.type !== 'range')  // invisible, over a slider's thumb: overhangs at the maximum
            .map(e => e.tagName + '.' + e.className).slice(0, 5)"""
    )
    assert wider == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.wait_for_load_state("networkidle")
    assert phone.outside == []
    assert phone.problems == []
    assert page.get_by_role("dialog").count() == 0
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.locator('[data-testid="stAlertContentError"]').all_inner_texts() == []


def test_every_formula_fits_a_phone(phone: Opened) -> None:
    if phone.address not in PLAIN:
        phone.page.locator(".katex-html").first.wait_for(state="attached")
    phone.page.add_style_tag(content="* { content-visibility: visible !important; }")
    assert phone.page.evaluate(CUT) == []


def test_a_formula_that_is_too_wide_is_seen(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 390, "height": 844})
    goto("dropout")
    page.locator(".katex-html").first.wait_for(state="attached")
    page.add_style_tag(content=".katex { font-size: 60px !important; } .base { white-space: nowrap !important; }")
    assert page.evaluate(CUT)


@pytest.mark.parametrize("address", ["normalization", "loss", "loss?pass=Backward", "depth", "network"])
def test_formulas_beside_each_other_are_not_broken_where_one_stands_below_the_other(  # type: ignore[no-untyped-def]
        page: Page, goto, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    goto(address)
    formula = page.locator(".katex-display .katex-html").first
    formula.wait_for(state="attached")
    pieces = [piece.strip("\u200b \u2003") for piece in formula.locator("> .base").all_inner_texts()]
    assert len(pieces) > 1
    assert [piece for piece in pieces if piece.endswith(("=", "+", "−", "≈"))] == []
