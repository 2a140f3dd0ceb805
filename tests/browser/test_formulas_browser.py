"""No formula is cut: on a phone each is as wide as what it stands in."""

import pytest
from playwright.sync_api import Page

from playground.ui import contents

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


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_formula_fits_a_phone(page: Page, goto, address: str) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 390, "height": 844})
    goto(address)
    if address not in PLAIN:
        page.locator(".katex-html").first.wait_for(state="attached")
    page.add_style_tag(content="* { content-visibility: visible !important; }")
    assert page.evaluate(CUT) == []


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
