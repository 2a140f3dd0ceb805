"""The graph's player in a real browser: forward, back, the sum of both ways, its colours, and no word to the server."""

import re

import pytest
from playwright.sync_api import Page, expect

from playground.figures import style
from tests.browser.conftest import settled, silent
from tests.waiting import until


def box(page: Page, name: str):  # type: ignore[no-untyped-def]
    """The node of that name."""
    return page.locator(".graph .node").filter(has=page.locator(".label", has_text=re.compile(rf"^{name}( =|$)")))


def test_values_come_forward_and_gradients_come_back_without_the_server(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    goto("autograd?formula=x*x+%2B+3*x&v-x=2&step=0")
    page.locator(".graph .node").first.wait_for()
    settled(page)
    silent(page, sent)
    before = len(sent)
    expect(page.locator(".graph .what")).to_have_text("Nothing is computed yet.")
    expect(box(page, "v1")).not_to_contain_text("4")
    page.locator(".graph").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".graph .lines")).to_have_text("v1 = x · x = 2 · 2 = 4")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    gathered = [page.locator(".graph .lines").inner_text()]
    page.keyboard.press("ArrowRight")
    gathered.append(page.locator(".graph .lines").inner_text())
    assert any("+" in line and line.endswith("= 7") for line in gathered[-1].splitlines()), gathered
    expect(box(page, "x").locator(".gradient")).to_have_text("∂: 7")
    fill = box(page, "x").locator(".chip").evaluate("e => getComputedStyle(e).fill")
    assert "#{:02x}{:02x}{:02x}".format(*(int(v) for v in re.findall(r"\d+", fill))) == style.SIGNED[-1][1]
    page.locator(".graph .speed").select_option("0.5")  # slow enough to be seen at it
    page.locator(".graph").focus()
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    expect(page.locator(".graph .play")).to_have_text("Pause")
    page.locator(".graph .speed").select_option("3")
    expect(page.locator(".graph")).to_have_attribute("data-position", "6")
    expect(page.locator(".graph .play")).to_have_text("Play")
    page.get_by_label("Step", exact=True).fill("2")
    expect(page.locator(".graph")).to_have_attribute("data-position", "2")
    assert len(sent) == before


@pytest.mark.parametrize("width", [1440, 390])
def test_the_widest_example_fits_a_desk_and_scrolls_in_its_own_box_on_a_phone(page: Page, goto, width: int) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": width, "height": 900})
    goto("autograd?formula=(u*tanh(a*x+%2B+b*y)+%2B+v*tanh(c*x+%2B+d*y)+-+1)**2&step=14")
    page.locator(".graph .node.now").wait_for()
    settled(page)
    room = page.locator(".graph .canvas")
    until(lambda: room.evaluate("""(room) => {
        const now = room.querySelector(".node.now").getBoundingClientRect();
        const { left, right } = room.getBoundingClientRect();
        return now.left >= left && now.right <= right;
    }"""))
    seen = room.evaluate("""(room) => ({
        more: room.scrollWidth - room.clientWidth, page: document.documentElement.scrollWidth })""")
    assert seen["page"] <= width
    assert (seen["more"] <= 0) == (width == 1440)
