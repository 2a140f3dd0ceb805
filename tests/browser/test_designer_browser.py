"""A whole session in the designer: a preset, edits, undo, a fault and its cure, a training, and the file taken home."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from playground.ui.network import designer
from tests.browser.conftest import HOPE, answers_of_the_download, settled
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


FOCUS = """() => {
  let found = document.activeElement;
  while (found.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  return found.dataset.focus || found.tagName;
}"""


def opened(page: Page, goto, address: str, cards: int) -> None:  # type: ignore[no-untyped-def]
    goto(address)
    page.locator(".designer .card").nth(cards - 1).wait_for()
    settled(page)


@pytest.mark.parametrize(("address", "heading", "stays"), [
    ("loss?foo=&hide=stride", "The loss", "/loss?hide=stride"), ("train?decay=inf", "Build and train", "/train"),
    ("feature-maps?model=", "Feature maps and the whole network", "/network"),
])
def test_an_address_that_says_nothing_behind_a_name_is_still_of_its_page(  # type: ignore[no-untyped-def]
    page: Page, goto, address: str, heading: str, stays: str,
) -> None:
    goto(address)
    page.get_by_role("heading", name=heading, exact=True, level=1).wait_for()
    shown(page, "(end) => location.href.endsWith(end)", stays)


def test_a_block_is_followed_and_the_focus_is_never_lost(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    opened(page, goto, "train?network=f-d10", 2)
    for _ in range(2):
        page.get_by_role("button", name="Remove part 1").press("Enter")
        until_answered(page)
    until_address(page, "empty")
    shown(page, f"() => ({FOCUS})() === 'undo'")  # the button that was pressed is gone
    page.reload()
    settled(page)
    page.get_by_role("button", name="Add a part as part 1").press("Enter")
    shown(page, f"() => ({FOCUS})() === 'add c32n-b-r'")
    page.keyboard.press("Enter")
    until_address(page, "c32n-b-r")
    page.get_by_role("button", name="Add max pooling").press("Enter")
    until_address(page, "c32n-b-r-p2")
    page.keyboard.press("Escape")
    shown(page, f"() => ({FOCUS})() === 'plus 4'")
    page.get_by_role("button", name="Flatten, and a dense layer of 10").press("Enter")
    until_address(page, "c32n-b-r-p2-f-d10")
    shown(page, f"() => ({FOCUS})() === 'undo'")


def test_a_button_pressed_while_a_number_is_on_its_way_is_clicked(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    opened(page, goto, "train?network=c8-f-d10", 3)
    page.get_by_role("textbox", name="number of filters of convolution").fill("9")
    box = page.get_by_role("button", name="Remove part 2").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()  # which ends the writing, so that the number is sent
    shown(page, "() => new URL(location.href).searchParams.get('network') === 'c9-f-d10'")
    settled(page)
    page.wait_for_timeout(500)  # that the button stays what it is while it is held is seen by waiting only
    page.mouse.up()
    until_address(page, "c9-d10")


def test_what_is_wrong_inside_a_folded_block_is_said_at_its_card(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    opened(page, goto, "train?network=%7Br%7D", 1)
    page.get_by_text("Does not fit:").wait_for()
    page.get_by_role("button", name="Flatten, and a dense layer of 10").click()
    until_address(page, "{r}-f-d10")
    expect(page.get_by_text("Does not fit:")).to_have_count(0)


def test_the_palette_stays_between_the_same_parts_whatever_changes_above_it(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    opened(page, goto, "train?network=c8-r-c8-r-f-d10", 6)
    page.get_by_role("button", name="Add a part as part 5").click()
    page.get_by_role("button", name="Remove part 1").click()
    until_address(page, "r-c8-r-f-d10")
    page.get_by_role("button", name="Undo").click()
    until_address(page, "c8-r-c8-r-f-d10")
    page.get_by_role("button", name="Add max pooling").click()
    until_address(page, "c8-r-c8-r-p2-f-d10")
    page.get_by_role("button", name="Remove part 1").click()
    until_address(page, "r-c8-r-p2-f-d10")
    page.get_by_role("button", name="Add batch norm").click()
    until_address(page, "r-c8-r-p2-b-f-d10")


def test_a_place_follows_the_parts_that_it_is_between(page: Page) -> None:
    found = page.evaluate("""(source) => {
      const { without, followed } = new Function(source + "; return { without, followed };")();
      const cards = (text) => [...text].map((kind) => ({ kind, fields: [], branches: [] }));
      const block = (text) => ({ kind: "block", fields: [], branches: [{ cards: cards(text) }] });
      return {
        without: [[[3], [1]], [[1], [1]], [[1], [3]], [[2, 0, 1], [0]], [[2, 0, 1], [2]], [[2, 0, 3], [2, 0, 1]],
                  [[2, 1, 3], [2, 0, 1]]].map(([place, path]) => without(place, path)),
        followed: [[2, "abcd", "acd"], [2, "abcd", "abcxd"], [3, "abcd", "xabcd"], [4, "abcd", "ad"], [0, "ab", "b"]]
          .map(([at, before, after]) => followed([at], cards(before), cards(after))),
        inside: [followed([1, 0, 2], [...cards("a"), block("bcd")], [block("bcd")]),
                 followed([1, 0, 2], [...cards("a"), block("bcd")], [...cards("a"), block("bd")]),
                 followed([1, 0, 2], [...cards("a"), block("bcd")], cards("abcd"))],
      };
    }""", (Path(designer.__file__).parent / "edits.js").read_text())
    assert found["without"] == [[2], [1], [1], [1, 0, 1], None, [2, 0, 2], [2, 1, 3]]
    assert found["followed"] == [[1], [2], [4], [2], [0]]
    assert found["inside"] == [[0, 0, 2], [1, 0, 1], None]


def test_what_no_answer_knows_of_is_sent_again(page: Page) -> None:
    sent = page.evaluate("""(source) => {
      const { Edits } = new Function(source + "; return { Edits };")();
      const sent = [], edits = new Edits((all) => sent.push(all.map((one) => one.number)));
      edits.add({ action: "set" });
      edits.add({ action: "remove" });
      edits.done(1);
      edits.resend();
      edits.done(2);
      edits.add({ action: "undo" });
      for (let k = 0; k < 40; k++) edits.resend();
      return sent;
    }""", (Path(designer.__file__).parent / "edits.js").read_text())
    assert sent[:4] == [[1], [1, 2], [2], [3]]
    assert 4 < len(sent) < 14  # not for ever


def test_settings_that_a_preset_brought_are_in_the_link_and_go_with_undo(  # type: ignore[no-untyped-def]
    page: Page, goto,
) -> None:
    opened(page, goto, "train?network=dead-relus", 10)
    bias = page.get_by_placeholder("as drawn")
    expect(bias).to_have_value("-5.00")
    page.get_by_role("button", name="one more: number of filters of convolution").first.click()
    until_address(page, "c17-r-p2-c32-r-p2-f-d64-r-d10")
    shown(page, "() => new URL(location.href).searchParams.get('bias') === '-5.0'")
    expect(bias).to_be_visible()
    page.reload()
    page.locator(".designer .card").nth(9).wait_for()
    expect(bias).to_be_visible()
    expect(bias).to_have_value("-5.00")
    chooser = page.get_by_role("combobox", name="Start from")
    chooser.fill("VGG")
    chooser.press("Enter")
    until_address(page, "vgg6")
    expect(bias).to_have_value("")
    page.locator(".designer [data-focus='undo']").click()
    until_address(page, "c17-r-p2-c32-r-p2-f-d64-r-d10")
    expect(bias).to_have_value("-5.00")


def test_on_a_phone_a_card_is_dragged_or_moved_by_its_buttons(browser, app_url: str) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(viewport={"width": 390, "height": 4000}, has_touch=True)
    context.set_default_timeout(HOPE)
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
