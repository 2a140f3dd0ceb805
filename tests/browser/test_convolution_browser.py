"""The convolution player in a real browser: it plays, steps, points and is reached by keyboard, without the server."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from playground.figures import style
from tests.browser.conftest import settled, silent


def position(page: Page) -> int:
    return int(page.locator(".stepper").get_attribute("data-position") or -1)


def cell(page: Page, grid: str, row: int, column: int, columns: int):  # type: ignore[no-untyped-def]
    return page.locator(f'[data-grid="{grid}"] [data-index="{row * columns + column}"]')


def numbers(page: Page, grid: str) -> list[str]:
    return [t.replace("−", "-") for t in page.locator(f'[data-grid="{grid}"] .cell text').all_text_contents()]


class Player:
    """An open page and every message its browser has sent to the server."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.sent = page, list[object]()
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: self.sent.append(frame)))
        page.goto(url)
        page.locator(".stepper .cell").first.wait_for()
        settled(page)


@pytest.fixture(scope="module")
def opened(shared_context: BrowserContext, app_url: str) -> Iterator[Player]:
    """One load of the page for all tests that change nothing on it."""
    page = shared_context.new_page()
    page.set_viewport_size({"width": 1440, "height": 1200})
    yield Player(page, f"{app_url}/convolution")
    page.close()


@pytest.fixture
def player(opened: Player) -> Player:
    """The open page with its player at the end and the pointer away."""
    opened.page.locator(".bar").hover()
    opened.page.locator(".stepper").focus()
    opened.page.keyboard.press("Escape")
    opened.page.keyboard.press("End")
    return opened


@pytest.fixture
def own(page: Page, app_url: str) -> Page:
    """A load of its own, to be changed."""
    page.set_viewport_size({"width": 1440, "height": 1200})
    return Player(page, f"{app_url}/convolution").page


def test_stepping_scrubbing_and_pointing_ask_the_server_for_nothing(player: Player) -> None:
    page = player.page
    silent(page, player.sent)
    before = len(player.sent)
    assert before, "the page did speak to the server while it opened, so the count counts"
    page.locator(".stepper").focus()
    page.keyboard.press("Home")
    assert position(page) == 0
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert position(page) == 5
    page.keyboard.press("ArrowDown")
    assert position(page) == 9, "the end of the first window"
    page.keyboard.press("ArrowLeft")
    assert position(page) == 8
    page.keyboard.press("End")
    assert position(page) == 576
    page.get_by_label("Step", exact=True).fill("100")
    assert position(page) == 100
    cell(page, "y", 4, 4, 8).hover()
    expect(page.locator(".sum .what")).to_contain_text("y[4,4]")
    assert len(player.sent) == before


def test_an_outputs_products_add_up_to_it(player: Player) -> None:
    page = player.page
    for row, column in ((0, 0), (3, 5), (7, 7)):
        target = cell(page, "y", row, column, 8)
        target.hover()
        expect(page.locator(".sum .what")).to_contain_text(f"y[{row},{column}]")
        shown = int(target.locator("text").text_content().replace("−", "-"))
        assert sum(int(n) for n in numbers(page, "products")) == shown
        terms = [re.sub(r"[()]", "", t).replace("−", "-").split("·")
                 for t in page.locator(".terms .term:not(.start)").all_text_contents()]
        assert sum(int(w) * int(x) for w, x in terms) == shown
        assert page.locator(".terms .total").text_content().replace("−", "-").strip() == f"= {shown}"


def test_the_output_on_the_screen_is_the_convolution_of_the_picture_on_the_screen(player: Player) -> None:
    page = player.page
    x = np.array(numbers(page, "x"), dtype=float).reshape(10, 10)
    w = np.array(numbers(page, "w"), dtype=float).reshape(3, 3)
    y = np.array([[(x[p : p + 3, q : q + 3] * w).sum() for q in range(8)] for p in range(8)])
    np.testing.assert_array_equal(np.array(numbers(page, "y"), dtype=float).reshape(8, 8), y)


def test_colours_are_the_figures_colours(player: Player) -> None:
    page = player.page
    for index, weight in ((0, -1), (1, 0), (5, 2)):
        fill = page.locator(f'[data-grid="w"] [data-index="{index}"] rect').evaluate("e => getComputedStyle(e).fill")
        r, g, b = (int(v) for v in re.findall(r"\d+", fill))
        assert f"#{r:02x}{g:02x}{b:02x}" == style.colour_at(style.SIGNED, weight / 2 / 2 + 0.5)


def test_a_pixel_tells_which_windows_it_is_in_and_padding_is_called_padding(player: Player) -> None:
    page = player.page
    cell(page, "x", 5, 5, 10).hover()
    expect(page.locator(".sum .what")).to_contain_text("is in 9 windows")
    cell(page, "x", 1, 1, 10).hover()
    expect(page.locator(".sum .what")).to_contain_text("is in 4 windows")
    cell(page, "x", 0, 0, 10).hover()
    expect(page.locator(".sum .what")).to_contain_text("x[−1,−1] = 0 (padding) is in one window")
    page.locator(".bar").hover()
    expect(page.locator(".sum .what")).to_contain_text("multiply-add")


def test_it_plays_and_pauses_by_space_and_stops_at_the_end(player: Player) -> None:
    page = player.page
    page.locator(".stepper select.speed").select_option("10")  # slow enough to be seen at it
    page.locator(".stepper").focus()
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    expect(page.locator(".stepper")).to_have_class(re.compile("playing"))
    expect(page.locator(".stepper")).not_to_have_attribute("data-position", "0")
    page.keyboard.press(" ")
    expect(page.locator(".stepper")).not_to_have_class(re.compile("playing"))
    held = position(page)
    assert 0 < held < 576
    page.locator(".stepper select.speed").select_option("100")
    page.locator(".stepper select.unit").select_option("group")
    page.locator(".stepper").focus()
    page.keyboard.press(" ")
    expect(page.locator(".stepper")).to_have_attribute("data-position", "576")
    expect(page.locator(".stepper")).not_to_have_class(re.compile("playing"))


def test_a_grid_is_read_by_keyboard_alone(player: Player) -> None:
    page = player.page
    page.locator('[data-grid="y"] > svg').focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".sum .what")).to_contain_text("y[0,0]")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".sum .what")).to_contain_text("y[0,1]")
    expect(page.locator(".stepper .spoken")).to_contain_text("y[0,1]")
    page.keyboard.press("Escape")
    expect(page.locator(".sum .what")).to_contain_text("multiply-add")


def test_an_edited_weight_reaches_the_player_and_the_address(own: Page) -> None:
    page = own
    centre = page.get_by_label("w[1,1]")
    centre.fill("1/3")
    centre.press("Enter")
    expect(cell(page, "w", 1, 1, 3).locator("text")).to_have_text("1/3")
    expect(page).to_have_url(re.compile(r"kernel=.*1%2F3"))
    centre.fill("many")
    centre.press("Tab")
    expect(centre).to_have_attribute("aria-invalid", "true")
    expect(cell(page, "w", 1, 1, 3).locator("text")).to_have_text("1/3")


def test_dragging_the_square_moves_the_patch(own: Page) -> None:
    page = own
    before = numbers(page, "x")
    page.get_by_text("Predict first").wait_for()  # it stands above the picture and moves it down when it comes
    page.locator(".square").drag_to(page.locator(".picker"), target_position={"x": 30, "y": 20})
    expect(page).to_have_url(re.compile(r"across=\d+"))
    settled(page)
    assert numbers(page, "x") != before


def test_a_link_restores_the_step(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    goto("convolution?stride=2&padding=0&step=21")
    page.locator(".stepper .cell").first.wait_for()
    assert position(page) == 21
    page.locator(".stepper").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert {"stride=2", "padding=0", "step=22"} <= set(link.split("?")[1].split("&"))
    goto("convolution?" + link.split("?")[1])
    page.locator(".stepper .cell").first.wait_for()
    assert position(page) == 22


def test_backward_steps_add_up_in_the_gradients(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("convolution?pass=Backward&step=0")
    page.locator(".stepper .cell").first.wait_for()
    expect(page.locator(".terms")).to_have_text("Nothing is done yet.")
    page.locator(".stepper").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".terms")).to_contain_text("db = 1 + dy[0,1] = 1 + 1 = 2")
    page.keyboard.press("End")
    expect(page.locator(".what")).to_contain_text("output 64 of 64 · product 9 of 9")
    page.locator('.grid').filter(has_text="its gradient").last.locator('[data-index="9"]').click()
    expect(page.locator(".what")).to_contain_text("gathers 9 products")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_and_nothing_moves_where_that_was_asked(page: Page, goto, scheme: str) -> None:  # type: ignore[no-untyped-def]
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_viewport_size({"width": 390, "height": 844})
    goto("convolution")
    page.locator(".stepper .cell").first.wait_for()
    settled(page)
    wide = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stMainBlockContainer] *')].filter(
            (e) => e.getBoundingClientRect().right > 391 && !e.closest('.katex, [data-testid=stCode]')).length"""
    )
    assert wide == 0
    box = page.locator('[data-grid="y"] > svg').bounding_box()
    assert box
    assert box["x"] + box["width"] <= 390
    font = page.locator('[data-grid="y"] .cell text').first.evaluate(
        "e => e.getBoundingClientRect().height")
    assert font >= 8
    duration = page.locator('[data-grid="x"] .window').evaluate("e => getComputedStyle(e).transitionDuration")
    assert set(duration.split(", ")) == {"0s"}


def test_after_a_slider_has_redrawn_the_player_the_rest_of_the_page_follows(own: Page) -> None:
    own.get_by_role("slider", name="Stride").first.focus()
    own.keyboard.press("ArrowRight")
    expect(own.locator(".stepper")).to_contain_text("4 × 4 sums")
    cell(own, "y", 1, 1, 4).click()
    expect(own.get_by_text("stride=2").first).to_be_visible()  # the code, below everything
    assert "stride=2" in own.url
    settled(own)  # with the rest came the player's story once more: it goes on as it was
    expect(own.locator(".stepper")).to_have_attribute("data-inspected", "y:5")


def test_controls_that_are_drawn_apart_move_one_player(own: Page) -> None:
    own.set_viewport_size({"width": 1440, "height": 4000})  # what is far below the screen is not rendered
    own.locator(".stepper").evaluate("(player) => { player.marked = true; }")
    for name, key, said in (("Padding", "ArrowLeft", "6 × 6 sums"), ("Stride", "ArrowRight", "3 × 3 sums"),
                            ("Cells a side", "ArrowRight", "4 × 4 sums")):
        own.get_by_role("slider", name=name).first.focus()
        own.keyboard.press(key)
        expect(own.locator(".stepper")).to_contain_text(said)
        expect(own.locator(".stepper")).to_have_count(1)
    own.get_by_label("w[1,1]").fill("7")
    own.keyboard.press("Enter")
    expect(cell(own, "w", 1, 1, 3).locator("text")).to_have_text("7")
    expect(own.locator(".stepper")).to_contain_text("4 × 4 sums")
    expect(own.get_by_text("[-2, 7, 2]").first).to_be_visible()  # the code, below everything
    assert own.locator(".stepper").evaluate("(player) => player.marked"), "still the player that the page began with"
    own.get_by_text("As a matrix product", exact=True).click()  # chosen in what the last group has drawn
    expect(own.locator(".stepper")).to_have_count(0)
    own.get_by_role("slider", name="Window").first.focus()
    own.keyboard.press("ArrowRight")
    expect(own.get_by_text("is the window of output")).to_have_count(1)
    own.get_by_role("slider", name="Padding").first.focus()
    own.keyboard.press("ArrowRight")
    expect(own.get_by_text("stride=2, padding=1").first).to_be_visible()
    own.get_by_text("Backward", exact=True).first.click()
    expect(own.locator(".stepper")).to_contain_text("arrives at the output")
    expect(own.get_by_text("As a matrix product", exact=True)).to_have_count(1)


def test_grids_that_take_other_numbers_are_those_that_a_fresh_page_draws(own: Page) -> None:
    """A grid of the same size is kept and filled, another one is drawn anew: neither may show what was there before."""

    def drawn() -> str:
        own.locator(".stepper").focus()
        own.keyboard.press("Home")
        return own.locator(".grids").evaluate("""(grids) => {
            const seen = grids.cloneNode(true);
            for (const one of seen.querySelectorAll('[style*="display: none"]')) one.remove();
            return seen.innerHTML.replaceAll(' style=""', '');
        }""")

    def press(name: str, key: str, sums: str) -> None:
        own.get_by_role("slider", name=name).first.focus()
        own.keyboard.press(key)
        expect(own.locator(".stepper")).to_contain_text(sums)
        settled(own)

    first = drawn()
    grids = own.locator(".grid")
    grids.evaluate_all("(all) => { for (const one of all) one.kept = true; }")
    kept = "(all) => all.filter((one) => one.kept).map((one) => one.dataset.grid)"
    press("Stride", "ArrowRight", "4 × 4 sums")
    assert grids.evaluate_all(kept) == ["x", "w", "products"]
    press("Padding", "ArrowRight", "5 × 5 sums")
    assert grids.evaluate_all(kept) == ["w", "products"]
    press("Padding", "ArrowLeft", "4 × 4 sums")
    press("Stride", "ArrowLeft", "8 × 8 sums")
    assert drawn() == first
