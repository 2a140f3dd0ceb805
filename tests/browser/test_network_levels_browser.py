"""What lies below the whole network's columns, in a browser: shortcuts, sums, kernels, any part, fingers on glass."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.bench_scrub import put_large
from tests.browser.conftest import settled
from tests.browser.test_everyone_browser import violations
from tests.browser.test_network_browser import PIXELS, TOO_SMALL_OR_OVER, look_at, still
from tests.pages.test_network import trained

# The names of the columns at which the first arc begins and ends.
ENDS_OF_ARC = """root => {
  const path = root.querySelector('.arcs path'), at = path.ownerSVGElement.getBoundingClientRect();
  return [0, path.getTotalLength()].map(k => path.getPointAtLength(k)).map(p =>
    [...root.querySelectorAll('.column')].findLast(one => {
      const box = one.getBoundingClientRect();
      return p.x + at.left >= box.left - 14 && p.y + at.top >= box.top - 1;
    }).querySelector('b').textContent);
}"""


@pytest.fixture(scope="module")
def shortcut(app_home: Path) -> None:  # type: ignore[no-untyped-def]
    """A training of a network with a shortcut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(app_home))
        trained(1, "c4n-b-r-[c4n-b-r-c4n-b]-r-p2-f-d10", "shortcut")
        trained(1, "c4-r-c4-f-d10", "dead", first_bias=-50.0)


@pytest.fixture(scope="module")
def lite0(app_home: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(app_home))
        put_large("lite0", 64)


@pytest.fixture
def look(page: Page, goto, shortcut):  # type: ignore[no-untyped-def]
    """look("...") opens the page on the training with a shortcut, with more of an address."""
    return look_at(page, goto, "shortcut")


def test_the_strip_says_which_share_of_units_is_dead(page: Page, goto, shortcut) -> None:  # type: ignore[no-untyped-def]
    look_at(page, goto, "dead")()
    expect(page.locator(".flow .legend")).to_contain_text("▼ share of dead units")
    dead = page.locator(".strip title").filter(has_text="share of dead units")
    expect(dead).to_have_count(1)
    assert re.search(r"share of dead units 1$", dead.text_content() or "")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_shortcut_is_an_arc_to_its_sum_and_the_sum_has_two_shares(  # type: ignore[no-untyped-def]
        page: Page, look, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    look()
    arcs = page.locator(".arcs")
    expect(arcs).to_have_attribute("aria-label", "Shortcuts: round what is in residual block")
    page.locator(".open[aria-label^='Open residual']").dispatch_event("click")
    expect(arcs).to_have_attribute("aria-label", "Shortcuts: from convolution, 4 filters 3 × 3 to sum of both ways")
    still(page)
    assert page.locator(".network").evaluate(ENDS_OF_ARC) == ["convolution, 4 filters 3 × 3", "sum of both ways"]
    assert page.locator(".network").evaluate(TOO_SMALL_OR_OVER) == [[], [], False]
    page.locator(".open[aria-label^='Close residual']").first.dispatch_event("click")
    expect(arcs).to_have_attribute("aria-label", "Shortcuts: round what is in residual block")
    part = page.get_by_role("combobox", name=re.compile("^Part"))
    for back, part_words, giver in ((False, "sum of both ways", "ReLU"), (True, "ReLU", "sum of both ways")):
        if back:
            page.get_by_role("button", name="Backward").click()
        option = part.locator("option", has_text=re.compile(rf"^\d+\. {part_words}")).first
        part.select_option(option.get_attribute("value"))
        expect(page.locator(".crumbs b")).to_have_text(re.compile(part_words))
        page.locator(".alone .cursor:focus").press("Enter")
        shares = page.locator(".sum .plain")
        expect(shares).to_have_count(2)
        expect(page.locator(".sum")).to_contain_text(giver)
        said = re.findall(r"(\d+)\D%", page.locator(".sum").inner_text())
        assert 99 <= sum(map(int, said)) <= 101
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator(".crumbs")).to_be_hidden()


def test_a_cell_of_a_kernel_is_a_weight_to_ask_about(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look("&view=part-0.map-2")
    kernel, value = page.locator(".kernel"), page.locator(".value")
    assert violations(page) == []
    kernel.first.click(position={"x": 24, "y": 8})
    expect(page.locator(".number h2")).to_contain_text("weight 0.weight [2, 0, 0, 1]")
    forward = value.inner_text()
    assert violations(page) == []
    expect(page.get_by_role("button", name="Its gradient: walk back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(value).to_have_text(re.compile(re.escape(forward) + ", gradient "))
    expect(page.locator(".account th").first).to_have_text("where it was used")
    expect(page.get_by_role("button", name="All weights beside it")).to_be_focused()
    page.get_by_text("Edit a weight, or paint a kernel").click()
    expect(page.get_by_text("0.weight[2, 0], a kernel as it is now")).to_be_visible()


def test_kernels_and_maps_are_gone_through_by_keys(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look("&view=back-.part-0.map-1")
    cursor = page.locator(".kernels .cursor").first
    expect(cursor).to_have_attribute("aria-label", re.compile("^channel 0, row 0, column 0: weight .*Enter"))
    cursor.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    expect(cursor).to_have_attribute("aria-label", re.compile("^channel 0, row 0, column 2: "))
    page.keyboard.press("Enter")
    expect(page.locator(".number h2")).to_contain_text("weight 0.weight [1, 0, 0, 2]")
    assert "part-0.map-1.weight-2" in str(page.evaluate("window.playgroundView"))
    page.get_by_role("button", name="All weights beside it").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".crumbs b")).to_have_text("map 1")
    page.locator(".whole canvas.maps").click(position={"x": 100, "y": 50})
    expect(page.locator(".crumbs b")).to_have_text("row 1, column 2")


def test_a_control_keeps_the_focus_when_it_is_used(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look()
    scale = page.get_by_role("combobox", name="Full colour by")
    scale.focus()
    scale.select_option("network")
    still(page)
    expect(scale).to_be_focused()
    page.get_by_role("button", name="Backward").press("Enter")
    still(page)
    expect(page.get_by_role("button", name="Backward")).to_be_focused()


def test_a_finger_that_rests_looks_through_a_loupe(browser, app_url, shortcut) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{app_url}/network?model=training+shortcut&picture=Handwritten+digit")
    settled(page)
    still(page)
    canvas = page.locator(".column:not(.picture) canvas.maps").first
    canvas.evaluate("one => one.scrollIntoView({block: 'center'})")
    left, top = canvas.evaluate("one => { const box = one.getBoundingClientRect(); return [box.left, box.top]; }")
    touch, glass = context.new_cdp_session(page), page.locator(".loupe")

    def finger(kind: str, *points: tuple[float, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [
            {"x": left + x, "y": top + y} for x, y in points]})

    expect(glass).to_be_hidden()
    finger("touchStart", (9, 9))
    expect(glass).to_be_visible()
    expect(glass).to_contain_text("map 0 of 4")
    first = glass.locator("canvas").evaluate(PIXELS)
    finger("touchMove", (60, 20))
    expect(glass).to_contain_text("map 1 of 4")
    assert glass.locator("canvas").evaluate(PIXELS) != first
    inside = glass.evaluate("one => { const box = one.getBoundingClientRect(); return [box.left, box.right]; }")
    assert 0 <= inside[0] < inside[1] <= 390
    finger("touchEnd")
    expect(glass).to_be_hidden()
    expect(page.locator(".crumbs")).to_be_hidden()  # nothing was opened
    canvas.tap(position={"x": 60, "y": 20})
    expect(page.locator(".crumbs b")).to_have_text("map 1")
    context.close()


@pytest.mark.slow
def test_every_part_of_a_large_network_is_four_presses_from_its_products(page: Page, goto, lite0) -> None:  # type: ignore[no-untyped-def]
    goto("network?model=lite0&picture=Cat")
    still(page)
    part = page.get_by_role("combobox", name=re.compile("^Part"))
    names = part.locator("option").all_inner_texts()[1:]
    assert len(names) > 90
    kinds = {re.split(r"[.,] ", name)[1]: k for k, name in enumerate(names)}
    for back in (False, True):
        if back:
            page.get_by_role("button", name="Backward").click()
        for k in kinds.values() if back else range(len(names)):
            part.select_option(str(k))  # two presses: on the list and on one of it
            cursor = page.locator(".alone .cursor:focus")
            cursor.wait_for()
            cursor.press("Enter")
            page.locator(".map .cursor:focus, .number .value").first.wait_for()
            if page.locator(".map").count():
                page.locator(".map .cursor:focus").press("Enter")
            value = page.locator(".number .value")
            expect(value).to_contain_text("gradient" if back else "value")
            expect(page.locator(".crumbs")).to_contain_text(names[k].split(". ")[1])
            assert page.locator(".account").count() >= 1, names[k]
