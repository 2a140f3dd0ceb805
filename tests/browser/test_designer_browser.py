"""A whole session in the designer: a preset, edits, undo, a fault and its cure, a training, and the file taken home."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import answers_of_the_download, settled
from tests.waiting import shown

pytestmark = pytest.mark.slow


def until_answered(page: Page) -> None:
    """Wait until the server has answered every edit: while one that moves parts is under way, no other is taken."""
    page.locator('.designer[aria-busy="false"]').wait_for()


def until_address(page: Page, text: str) -> None:
    until_answered(page)
    shown(page, "text => new URL(location.href).searchParams.get('network') === text", text)


def test_a_design_is_made_cured_trained_and_taken_home(page: Page, goto, tmp_path) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 1440, "height": 3000})
    goto("train?epochs=3&network=c8-r-p2-f-d10")
    page.locator(".designer .card").first.wait_for()
    steps = page.get_by_role("button", name="double: number of filters of convolution")
    steps.first.hover()  # what it would cost is said before it is taken
    expect(page.locator(".designer .foretold")).to_contain_text("Number of filters 8 → 16")
    expect(page.locator(".designer .foretold")).to_contain_text("1 370 → 2 730 parameters")
    steps.first.click()
    until_address(page, "c16-r-p2-f-d10")

    page.get_by_role("button", name="Add a part as part 4").click()
    for _ in range(3):  # the palette stays, and the next part follows the one before
        count = page.locator(".designer .card").count()
        page.get_by_role("button", name="Add max pooling").click()
        expect(page.locator(".designer .card")).to_have_count(count + 1)
        until_answered(page)
    until_address(page, "c16-r-p2-p2-p2-p2-f-d10")
    page.get_by_role("button", name="Close the list of parts").click()
    fault = page.locator(".designer .fault.stop")
    expect(fault).to_contain_text("nothing would be left")
    expect(page.locator(".designer .card")).to_have_count(8)  # those after the fault are still there
    page.get_by_role("button", name="Start training").click()
    expect(page.locator('[data-testid="stAlertContentError"]')).to_contain_text("nothing would be left")

    fault.locator(".cure").first.click()
    expect(fault).to_have_count(0)
    until_address(page, "c16-r-p2-p2-p2-f-d10")
    page.reload()  # what can be undone is still known
    settled(page)
    undo = page.get_by_role("button", name=re.compile("^Undo: "))
    undo.wait_for()
    undo.click()
    expect(page.locator(".designer .fault.stop")).to_have_count(1)
    undo.click()
    until_address(page, "c16-r-p2-p2-p2-f-d10")
    page.locator(".designer [data-path='4'] .name").focus()
    page.keyboard.press("Delete")
    until_address(page, "c16-r-p2-p2-f-d10")
    page.locator(".designer [data-path='3'] .name").focus()
    page.keyboard.press("Alt+ArrowUp")  # two equal parts: nothing changes
    until_answered(page)
    page.locator(".designer [data-path='1'] .name").focus()
    page.keyboard.press("Alt+ArrowDown")
    until_address(page, "c16-p2-r-p2-f-d10")

    page.get_by_role("button", name="Start training").click()
    page.get_by_text("What came out").wait_for()
    settled(page)
    _, labels, _ = answers_of_the_download(page, tmp_path)
    assert len(labels) == 10


def test_on_a_phone_a_card_is_dragged_or_moved_by_its_buttons(browser, app_url: str) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(viewport={"width": 390, "height": 4000}, has_touch=True)
    page = context.new_page()
    page.goto(f"{app_url}/train?network=c8-b-r-g-d10")
    page.locator(".designer .card").nth(4).wait_for()
    settled(page)
    page.get_by_role("button", name="Move part 2 down").click()
    until_address(page, "c8-r-b-g-d10")
    handle, goal = page.locator(".designer .handle").nth(1), page.locator(".designer .card").nth(2)
    settled(page)
    start, end = handle.bounding_box(), goal.bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 10, start["y"] + 10)
    page.mouse.down()
    page.mouse.move(start["x"] + 10, end["y"] + end["height"] - 4, steps=6)
    page.mouse.up()
    until_address(page, "c8-b-r-g-d10")
    narrow = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = [box for box in (one.bounding_box() for one in page.locator(".designer button:visible").all())
             if box and min(box["width"], box["height"]) < 43.5]
    context.close()
    assert narrow
    assert small == []
