"""The designer by taps alone, on a phone: a whole network from nothing, and from a preset to the first point."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.bench_app import FIRST_POINT
from playground.network import presets
from playground.network.kind import Shape
from playground.network.parts import Network
from playground.network.shapes import walk
from playground.network.spelling import network_of
from tests.browser.conftest import HOPE, settled
from tests.browser.test_designer_browser import until_answered
from tests.playground.test_named import write_idx
from tests.waiting import shown

pytestmark = pytest.mark.slow

MOST_TAPS = 30


class Finger:
    """A finger on a phone's screen: every tap is counted, those on the keys of its keyboard too."""

    def __init__(self, page: Page) -> None:
        self.page, self.taps = page, 0

    def tap(self, what: Locator) -> None:
        """Tap where the page has answered what was tapped before."""
        until_answered(self.page)
        self.taps += 1
        what.tap()

    def button(self, name: str) -> None:
        self.tap(self.page.get_by_role("button", name=name, exact=True))

    def card(self, part: int) -> Locator:
        return self.page.locator(f".designer .card[data-path='{part - 1}']")

    def add(self, *names: str) -> None:
        """Add parts from the palette, which is open and stays so."""
        for words in names:
            self.button(f"Add {words}")

    def write(self, part: int, label: str, value: str) -> None:
        """Write a number into a field of a part's card. No key ends it: the next tap does."""
        self.tap(self.card(part).get_by_role("textbox", name=label))
        for key in value:
            self.taps += 1
            self.page.keyboard.press(key)


@pytest.fixture
def phone(browser):  # type: ignore[no-untyped-def]
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(HOPE)
    yield context.new_page()
    context.close()


def sizes(network: Network, takes: Shape) -> list[tuple[str, tuple[int, ...], int]]:
    """Of every part its kind, what it gives, and its parameters."""
    walked = walk(network, takes)
    assert walked.stopped is None
    return [(network.at(row.path).kind, row.gives, row.parameters) for row in walked.rows]


@pytest.mark.parametrize("side", [8, 28])
def test_lenet_from_nothing_takes_at_most_thirty_taps(phone: Page, app_url: str, app_home: Path, side: int) -> None:
    if side == 28:
        write_idx(app_home / "data" / "small", (28, 28), 10)
    phone.goto(f"{app_url}/train?network=empty&data={'digits' if side == 8 else 'small'}")
    phone.get_by_role("button", name="Add a part as part 1").wait_for()
    settled(phone)
    finger = Finger(phone)
    finger.button("Add a part as part 1")
    finger.add("convolution", "tanh", "average pooling")
    finger.write(1, "number of filters of convolution", "6")
    finger.tap(finger.card(1).locator(".name"))
    finger.write(1, "kernel size of convolution", "5")
    finger.add("what stands before once more")
    finger.write(4, "number of filters of convolution", "16")
    if side == 28:
        finger.tap(finger.card(4).locator(".name"))
        finger.button("one more: padding of convolution")  # from "same" to none
    finger.add("flatten", "dense layer", "tanh")
    finger.write(8, "number of units of dense layer", "120")
    finger.add("what stands before once more")
    finger.write(10, "number of units of dense layer", "84")
    finger.add("dense layer")
    until_answered(phone)
    shown(phone, "() => new URL(location.href).searchParams.get('network').endsWith('-d10')")
    built = network_of(phone.evaluate("() => new URL(location.href).searchParams.get('network')"))
    takes = (1, side, side)
    assert sizes(built, takes) == sizes(presets.preset("lenet5").network(takes, 10), takes)
    assert finger.taps <= MOST_TAPS
    expect(phone.locator(".designer .fault.stop")).to_have_count(0)
    assert phone.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_from_opening_the_page_to_the_first_point_of_a_presets_curve_are_three_clicks(  # type: ignore[no-untyped-def]
    page: Page, goto,
) -> None:
    goto("train?epochs=1")
    clicks = 0
    for what in (page.get_by_role("combobox", name="Start from"), page.get_by_role("option", name="ResNet-8"),
                 page.get_by_role("button", name="Start training")):
        what.click()
        clicks += 1
        settled(page)
    point = page.locator(FIRST_POINT).first
    point.wait_for(state="attached")
    assert clicks <= 3
    assert page.url.split("network=")[1].startswith("resnet8")
    page.get_by_role("heading", name="What came out").wait_for()
