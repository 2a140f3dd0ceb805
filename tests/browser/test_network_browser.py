"""The whole network in a browser: a training as a film, down to one product by keys, room on every screen."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import settled
from tests.pages.on_a_page import put_model
from tests.pages.test_network import trained

TOO_SMALL_OR_OVER = """root => {
  const small = [], over = [];
  for (const one of root.querySelectorAll('*')) {
    const own = [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const box = one.getBoundingClientRect();
    if (!box.width || one.closest('.said')) continue;
    if (own && parseFloat(getComputedStyle(one).fontSize) < 11) small.push(one.textContent);
    if (box.right > root.getBoundingClientRect().right + 2 && !one.closest('svg'))
      over.push(one.className || one.tagName);
    if (one.scrollWidth > one.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX))
      over.push(`${one.className} scrolls`);
  }
  for (const one of root.querySelectorAll('.column canvas, .column .head b'))
    if (one.getBoundingClientRect().right > one.closest('.column').getBoundingClientRect().right + 1)
      over.push('column');
  const columns = [...root.querySelectorAll('.column')].map(c => c.getBoundingClientRect());
  columns.forEach((a, i) => columns.slice(i + 1).forEach(b => {
    const beside = a.left >= b.right - 1 || b.left >= a.right - 1 || a.top >= b.bottom - 1 || b.top >= a.bottom - 1;
    if (!beside) over.push('columns');
  }));
  return [small, over, document.scrollingElement.scrollWidth > innerWidth + 1];
}"""
# Of every part's column the upper edge, the middle, and the point of its size in the strip below.
LINES = """root => {
  const middle = (one) => { const box = one.getBoundingClientRect(); return box.left + box.width / 2; };
  const points = [...root.querySelectorAll('.strip')].flatMap(strip => {
    const marks = [...strip.querySelectorAll('path:has(title)')];
    return marks.filter(mark => mark.textContent.includes('size of the numbers')).map(middle);
  });
  const parts = [...root.querySelectorAll('.column:not(.picture)')];
  return parts.map((one, k) => [one.getBoundingClientRect().top, middle(one), points[k]]);
}"""
PIXELS = "c => { let h = 7; for (const v of c.getContext('2d').getImageData(0, 0, c.width, c.height).data) " \
         "h = (h * 31 + v) | 0; return h; }"


@pytest.fixture(scope="module")
def run_id(app_home: Path):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(app_home))
        return trained(epochs=3)


@pytest.fixture(scope="module")
def deep(run_id, app_home: Path):  # type: ignore[no-untyped-def]
    """A training so deep that it is folded into stages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(app_home))
        return trained(1, "-".join(["c4-b-r"] * 7 + ["p2"] + ["c4-b-r"] * 7 + ["p2", "f", "d10"]), "deep")


@pytest.fixture(scope="module")
def others(run_id, app_home: Path) -> None:  # type: ignore[no-untyped-def]
    """A training of the digits with more maps than the small one, and a model of two classes with one part of its
    own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(app_home))
        trained(1, "c9-r-p2-f-d10", "wide")
        put_model("two")


@pytest.fixture
def look(page: Page, goto, run_id):  # type: ignore[no-untyped-def]
    """look("...") opens the page on the small training, with more of an address."""
    return look_at(page, goto, "small")


def look_at(page: Page, goto, training: str) -> Callable[..., None]:  # type: ignore[no-untyped-def]
    """Opens the page on a training and a digit, with more of an address, and waits for the view."""
    def opened(more: str = "") -> None:
        goto(f"network?model=training+{training}&picture=Handwritten+digit{more}")
        still(page)

    return opened


def still(page: Page) -> None:
    """Wait until the view has drawn what was asked for."""
    page.locator('.network[aria-busy="false"] .pane:not([hidden]) canvas').first.wait_for()


def maps(page: Page, column: int) -> int:
    return int(page.locator(".pane:not([hidden]) .column canvas.maps").nth(column).evaluate(PIXELS))


def test_a_training_is_a_film_of_its_epochs(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look()
    slider = page.get_by_role("slider", name="Epoch")
    told = page.locator(".film .told")
    expect(told).to_contain_text("after epoch 3: training loss")
    seen = {maps(page, 1)}
    slider.focus()
    for epoch in (2, 1, 0):
        page.keyboard.press("ArrowLeft")
        expect(told).to_contain_text(f"after epoch {epoch}")
        still(page)
        seen.add(maps(page, 1))
    assert len(seen) >= 3  # of four epochs, each has maps of its own
    page.get_by_role("button", name="Play the training").click()
    expect(told).to_contain_text("after epoch 3")
    still(page)
    assert maps(page, 1) in seen


@pytest.mark.parametrize("back", [False, True])
def test_from_the_network_to_one_product_with_four_keys(page: Page, look, back: bool) -> None:  # type: ignore[no-untyped-def]
    page.emulate_media(reduced_motion="reduce" if back else "no-preference")
    look()
    if back:
        page.get_by_role("button", name="Backward").click()
        still(page)
    page.locator(".column button.head").first.focus()
    said = []
    for crumb in ("ReLU", "map 0", "row 4, column 4"):
        page.keyboard.press("Enter")
        expect(page.locator(".crumbs b")).to_have_text(crumb)
        still(page) if crumb != "row 4, column 4" else expect(page.locator(".account").first).to_be_visible()
        said.append(page.evaluate("() => { let e = document.activeElement; while (e.shadowRoot) "
                                  "e = e.shadowRoot.activeElement; return e.ariaLabel || e.textContent; }"))
    assert all(said), said
    expect(page.locator(".value")).to_contain_text("gradient" if back else "value")
    page.keyboard.press("Escape")
    expect(page.locator(".crumbs b")).to_have_text("map 0")


def test_the_walk_back_comes_op_by_op(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look()
    page.get_by_role("button", name="Backward").click()
    expect(page.locator(".walk .told")).to_contain_text("ops, all walked")
    page.get_by_role("button", name="To the beginning of the walk").click()
    expect(page.locator(".walk .told")).to_contain_text("Op 1 of")
    assert page.locator(".column.waits").count() > 1
    page.get_by_role("button", name="All of the walk").click()
    expect(page.locator(".column.waits")).to_have_count(0)


def choose(page: Page, control: str, option: str) -> None:
    """Choose another in one of the page's lists, and wait until it is drawn."""
    page.get_by_role("combobox", name=re.compile(control)).click()
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def test_the_loss_for_another_class_is_told_as_that(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look()
    page.get_by_role("button", name="Backward").click()
    answer, start = page.locator(".pane:not([hidden]) .answer"), page.get_by_label("from")
    for k in (1, 7):
        start.select_option(f"loss:{k}")
        expect(answer).to_contain_text(f"Gradients of the loss for “{k}”")
        one = answer.locator(".class", has=page.locator(".name", has_text=re.compile(f"^{k}$")))
        expect(one).to_contain_text("p − y = −")  # its own is listed, and the only one below 0
        assert answer.inner_text().count("p − y = −") == 1


def test_another_network_shows_nothing_of_the_one_before(page: Page, goto, others) -> None:  # type: ignore[no-untyped-def]
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    goto("network?model=training+wide&picture=Handwritten+digit&view=part-0.map-8")
    expect(page.locator(".crumbs b")).to_have_text("map 8")
    choose(page, "Network", "training small")
    expect(page.locator(".crumbs")).to_be_hidden()
    expect(page.locator(".column button.head").first).to_be_visible()
    page.get_by_role("button", name="Backward").click()
    page.get_by_label("from").select_option("score:7")
    answer = page.locator(".pane:not([hidden]) .answer")
    expect(answer).to_contain_text("Gradients of the score of “7”")
    choose(page, "Network", "two")
    expect(answer).to_contain_text(re.compile("Gradients of the loss for “(dark|bright)”"))
    expect(page.locator(".column button.head")).to_have_count(2)
    goto("network?model=training+small&picture=Handwritten+digit&view=back-score_99.map-3")
    still(page)  # before, the pane for a network beside it is not hidden yet
    expect(answer).to_contain_text("Gradients of the loss for “2”")
    expect(page.locator(".walk .told")).to_contain_text("ops, all walked")
    assert failed == []


def test_what_stands_beside_has_no_part_and_no_class_of_the_other(page: Page, look, others) -> None:  # type: ignore[no-untyped-def]
    look("&beside=two&view=back-score_7")
    answers = page.locator(".pane .answer")
    expect(answers.nth(0)).to_contain_text("Gradients of the score of “7”")
    expect(answers.nth(1)).to_contain_text("Gradients of the loss for “")
    page.get_by_label("from").select_option("score:1")
    expect(answers.nth(0)).to_contain_text("Gradients of the score of “1”")
    expect(answers.nth(1)).to_contain_text("Gradients of the loss for “")  # its class 1 is no “1”
    page.goto(page.url.replace("small", "wide").split("&view")[0] + "&view=part-0.map-8.at-8_1_2")
    expect(page.locator(".pane").nth(0).locator(".value")).to_contain_text("value")
    expect(page.locator(".pane").nth(1).get_by_role("alert")).to_have_text(
        "This network has no such part, map or number.")
    expect(answers.nth(1)).to_be_empty()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1024, "dark"), (390, "light"), (390, "dark")])
def test_there_is_room_at_every_level(page: Page, look, width: int, scheme: str) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    look("&beside=epoch+1+of+it")
    pane, cursor = ".pane:not([hidden])", ".cursor >> visible=true"
    for press in (None, f"{pane} .open", f"{pane} button.head", cursor, cursor):
        if press is not None:
            page.locator(press).first.dispatch_event("click")  # drawing begins within the press
        page.locator('.network[aria-busy="false"]').wait_for()
        assert page.locator(".network").evaluate(TOO_SMALL_OR_OVER) == [[], [], False], press


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1024, "dark"), (390, "light")])
def test_opened_stages_go_on_in_further_lines(page: Page, goto, deep, width: int, scheme: str) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    goto("network?model=training+deep&picture=Handwritten+digit")
    still(page)
    assert page.locator(".head", has_text="stage of").count() >= 2
    folds, columns = page.locator(".open", has_text="+ open"), page.locator(".column")
    while folds.count():
        stood = columns.count()
        folds.first.dispatch_event("click")
        expect(columns.nth(stood)).to_be_attached()
        still(page)
        assert page.locator(".network").evaluate(TOO_SMALL_OR_OVER) == [[], [], False]
    lines = page.locator(".network").evaluate(LINES)
    assert columns.count() == 1 + 14 * 3 + 2 + 2
    assert len({top for top, _, _ in lines}) == (46 if width == 390 else -(-46 // (12 if width == 1440 else 8)))
    if width != 390:  # below each column its point
        assert [(middle, point) for _, middle, point in lines if not abs(middle - point) < 2] == []


def test_what_stands_beside_is_marked_where_it_first_differs(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look("&beside=epoch+0+of+it")
    expect(page.locator(".column.apart")).to_have_count(2)
    expect(page.locator(".pane .title").nth(1)).to_have_text("small, epoch 0")


def test_the_old_address_leads_here(page: Page, goto, run_id) -> None:  # type: ignore[no-untyped-def]
    goto("feature-maps?picture=Coffee")
    page.wait_for_url("**/network?*picture=Coffee*")
    settled(page)
    still(page)


def test_lines_come_from_what_counts_most_in_what_is_pointed_at(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look()
    note = page.locator(".columns + .note")
    expect(note).to_contain_text("Point at a map or a number")
    columns = page.locator(".column:not(.picture)")
    columns.first.locator("canvas.maps").hover(position={"x": 9, "y": 9})
    expect(note).to_have_text(re.compile(r"Counts most: picture, channel 0: 100\D+%$"))
    expect(page.locator(".web path.plain")).to_have_count(1)
    columns.last.locator("canvas.maps").hover(position={"x": 9, "y": 9})
    expect(note).to_contain_text("Counts most: ")
    expect(page.locator(".web .more, .web .less").first).to_be_attached()
    assert page.locator(".web .more, .web .less").count() <= 8
    ends = page.evaluate("""root => [...root.querySelectorAll('.web .more, .web .less')].map(p => {
      const end = p.getPointAtLength(p.getTotalLength()); return Math.round(end.x) + ' ' + Math.round(end.y); })""",
                         page.locator(".network").element_handle())
    assert len(set(ends)) == 1
    page.get_by_role("button", name="Backward").click()
    still(page)
    expect(page.locator(".web")).to_have_count(0)
    expect(note).to_have_text("Point at a map or a number: lines lead to where most of its gradient comes from.")


def test_lines_lead_to_where_a_gradient_comes_from(page: Page, look) -> None:  # type: ignore[no-untyped-def]
    look("&view=back-")
    note, columns = page.locator(".columns + .note"), page.locator(".column:not(.picture)")
    expect(note).to_contain_text("lines lead to where most of its gradient comes from")
    columns.nth(2).locator("canvas.maps").hover(position={"x": 9, "y": 9})  # of the row of numbers, before the scores
    expect(note).to_contain_text("Its gradient comes most from: dense layer, number ")
    expect(page.locator(".said")).to_contain_text("gradient. Its gradient comes most from: dense layer, number ")
    ends = page.locator(".network").evaluate("""root => [...root.querySelectorAll('.web .more, .web .less')].map(p =>
      [0, p.getTotalLength()].map(at => Math.round(p.getPointAtLength(at).x)))""")
    assert 1 < len(ends) <= 8
    assert len({begin for begin, _ in ends}) == 1
    assert min(end for _, end in ends) > ends[0][0]  # from there to the right, to the scores
    columns.first.locator("canvas.maps").hover(position={"x": 9, "y": 9})
    expect(note).to_have_text(re.compile(r"Its gradient comes most from: max pooling, map 0: 100\D+%$"))
    page.get_by_role("button", name="Forward").click()
    still(page)
    expect(note).to_have_text("Point at a map or a number: lines come from what counts most in it.")
