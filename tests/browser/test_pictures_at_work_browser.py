"""In a browser: a training beside its curves is looked at on a drawing, at every epoch, and on what a camera sees."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import settled
from tests.browser.test_network_browser import PIXELS, choose, still
from tests.pages.test_network import trained
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(app_home: Path):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(app_home))
        return trained(epochs=2, name="on a drawing")


def test_a_training_is_looked_at_on_a_drawing_and_then_on_what_a_camera_sees(  # type: ignore[no-untyped-def]
    page: Page, goto, run,
) -> None:
    def picture() -> int:
        return int(page.locator(".pane:not([hidden]) .column.picture canvas").first.evaluate(PIXELS))

    def another(than: set[int]) -> int:
        until(lambda: picture() not in than)
        return picture()

    page.set_viewport_size({"width": 1280, "height": 2400})
    goto(f"train?run={run}")
    still(page)
    seen = {picture()}
    choose(page, "Picture", "Your drawing")
    pad = page.get_by_role("img", name="Draw here")
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.8 * box["height"], steps=8)
    page.mouse.up()
    drawn = another(seen)
    slider = page.get_by_role("slider", name="Epoch")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".film .told")).to_contain_text("after epoch 1")
    still(page)
    assert picture() == drawn, "the same picture at another epoch"

    choose(page, "Picture", "Live camera")
    page.get_by_role("button", name="Switch the camera on").click()
    seen = {*seen, drawn}
    for _ in range(3):
        seen.add(another(seen))  # the fake camera's clock moves
    page.get_by_role("button", name="Switch off and keep this picture").click()
    settled(page)
    expect(page.get_by_role("button", name="Switch the camera on")).to_be_visible()


def test_a_design_follows_the_picture_of_the_training_above_until_that_is_closed(  # type: ignore[no-untyped-def]
    page: Page, goto, run,
) -> None:
    def pictures() -> list[int]:
        shown = page.locator(".pane:not([hidden]) .column.picture canvas")
        return [int(n) for n in shown.evaluate_all(f"(all) => all.map({PIXELS})")]

    page.set_viewport_size({"width": 1280, "height": 3000})
    goto(f"train?run={run}&untrained=true")
    until(lambda: len(pictures()) == 2)
    until(lambda: len(set(pictures())) == 1)
    before, which = pictures(), page.get_by_role("spinbutton", name="Which test picture")
    expect(which).to_have_count(1)
    which.fill("4")
    which.press("Enter")
    until(lambda: len(pictures()) == 2 and len(set(pictures())) == 1 and pictures() != before)
    expect(page.get_by_text("On the picture that is chosen for the training above: test picture 4.")).to_be_visible()
    page.get_by_text("The network at work", exact=True).click()
    until(lambda: len(pictures()) == 1)
    expect(page.get_by_text("On the picture that is chosen for the training above")).to_have_count(0)
    expect(which).to_have_count(1)
    which.fill("5")
    which.press("Enter")
    until(lambda: len(set(pictures()) - set(before)) == 1)
    page.get_by_text("The network at work", exact=True).click()
    until(lambda: len(pictures()) == 2 and len(set(pictures())) == 1)
    expect(which).to_have_count(1)
