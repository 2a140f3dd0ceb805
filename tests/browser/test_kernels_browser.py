"""The Kernels page in a real browser: a kernel is chosen, kept in the address, guessed about, and it fits a phone."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import settled


def test_a_chosen_kernel_is_shown_large_kept_in_the_address_and_asked_about(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("kernels")
    page.get_by_role("combobox", name=re.compile("Kernel")).click()
    page.get_by_role("option", name="Laplacian").click()
    expect(page.get_by_role("heading", name="Laplacian, large")).to_be_visible()
    expect(page).to_have_url(re.compile("kernel="))
    page.reload()
    settled(page)
    expect(page.get_by_role("heading", name="Laplacian, large")).to_be_visible()
    question = page.locator(".st-key-predict")
    question.get_by_text("dot", exact=True).click()
    expect(question).to_contain_text("Not “dot” but “several alike”")
    expect(question).to_contain_text("Alike: dot, checkerboard.")


def test_a_phone_shows_all_of_it(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 390, "height": 844})
    goto("kernels?answers=true")
    page.get_by_text("Both Sobel kernels together").click()
    expect(page.get_by_text("the colours of")).to_be_visible()
    settled(page)
    wide = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stMainBlockContainer] *')].filter(
            (e) => e.getBoundingClientRect().right > 391
                && !e.closest('.katex-mathml, .katex svg, [data-testid=stCode]')).length"""
    )
    assert wide == 0
