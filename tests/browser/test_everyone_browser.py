"""Everybody can use every page: axe-core's rules, headings in order, words for pictures, a player that is heard."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from playground.ui import contents
from tests.browser.conftest import HOPE, kept_open, settled
from tests.pages.test_network import trained
from tests.waiting import shown

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
FOUND = """async (runOnly) => (await axe.run(document, {
    resultTypes: ["violations"], runOnly, elementRef: true,
})).violations.flatMap((rule) => rule.nodes.map((node) => ({
    rule: rule.id, impact: rule.impact, target: node.target.flat().join(" "),
    inside: node.element?.closest("[data-testid^=stSidebar]") ? "sidebar" : "page", html: node.html.slice(0, 200),
    why: [...node.any, ...node.all, ...node.none].map((check) => check.message).join("; "),
})))"""

STREAMLITS = "on a narrow screen Streamlit's own list of the pages, whose groups are boxes between a list and its items"
EXEMPT = {("list", "sidebar"): STREAMLITS, ("listitem", "sidebar"): STREAMLITS}
"""(rule, where the element is) -> why it stays: only what is Streamlit's own and cannot be changed here."""

STILL = """document.getAnimations().every((one) => one.playState !== 'running'
                                         || one.effect?.getComputedTiming().endTime === Infinity)"""

SMALL = {"images": "images?size=8"}
"""Where one page repeats one cell hundreds of times, a setting with fewer: each costs axe a tenth of a second."""


def opened(page: Page, url: str) -> None:
    """A page with all that it draws after its first pass."""
    page.goto(url)
    settled(page)
    page.wait_for_timeout(600)  # the part of a page that follows its main figure comes by a timer of its own
    settled(page)
    shown(page, "!document.querySelector('[data-testid=stSkeleton]')")


def violations(page: Page, colours_alone: bool = False) -> list[str]:
    """What axe finds; with `colours_alone` only what other colours can change, for a page that was looked at before."""
    asked = {"type": "rule", "values": ["color-contrast"]} if colours_alone else {"type": "tag", "values": RULES}
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(AXE)
    return [f"{one['impact']} {one['rule']}: {one['target']} | {one['html']} | {one['why']}"
            for one in page.evaluate(FOUND, asked)
            if (one["impact"] in ("serious", "critical") or one["rule"] == "heading-order")
            and (one["rule"], one["inside"]) not in EXEMPT]


def windows(browser: Browser, width: int, app_url: str) -> BrowserContext:
    """Windows so tall that nothing of a page is off the screen: what is there is not looked at."""
    # Every frame of what moves would be ten million pixels, painted without a graphics card.
    context = browser.new_context(viewport={"width": width, "height": 7000}, color_scheme="light",
                                  reduced_motion="reduce")
    context.set_default_timeout(HOPE)
    kept_open(context, app_url)
    return context


@pytest.fixture(scope="module")
def tall(browser: Browser, app_url: str) -> Iterator[BrowserContext]:
    """Windows of a wide screen."""
    context = windows(browser, 1440, app_url)
    page = context.new_page()
    page.goto(f"{app_url}/imagenet")  # what is under way fades while it is drawn anew: the network becomes ready first
    page.get_by_role("heading", name="Five guesses each").wait_for()
    page.close()
    yield context
    context.close()


@pytest.mark.parametrize("chapter", contents.CHAPTERS[::2], ids=lambda c: c.url)
def test_no_page_shuts_anybody_out(chapter: contents.Chapter, tall: BrowserContext, app_url: str) -> None:
    shuts_nobody_out(chapter, tall, app_url)


def shuts_nobody_out(chapter: contents.Chapter, tall: BrowserContext, app_url: str) -> None:
    """Axe finds nothing on a page, light and dark; headings are in order, pictures have words."""
    page = tall.new_page()
    home = chapter is contents.CHAPTERS[0]
    opened(page, f"{app_url}/{'' if home else SMALL.get(chapter.url, chapter.url)}")
    assert page.title() == contents.tab_title(chapter)
    assert in_order(page)
    assert page.locator("img:not([alt])").count() == 0
    light = violations(page)
    page.emulate_media(color_scheme="dark")
    shown(page, "getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme === 'dark'")
    shown(page, STILL)  # colours change over a moment
    assert {"light": light, "dark": violations(page, colours_alone=True)} == {"light": [], "dark": []}
    page.close()


def in_order(page: Page) -> bool:
    """One first heading, and none that leaves a level out."""
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((h) => Number(h.tagName[1]))")
    return levels[0] == 1 and levels.count(1) == 1 and all(after <= before + 1 for before, after in pairwise(levels))


def test_a_training_that_has_ended_shuts_nobody_out(tall: BrowserContext, app_url: str, app_home: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_HOME", str(app_home))
        run_id = trained()
    page = tall.new_page()
    opened(page, f"{app_url}/train?run={run_id}")
    page.get_by_role("heading", name="What ails it").wait_for()
    assert in_order(page)
    assert violations(page) == []
    page.close()


@pytest.fixture(scope="module")
def tall_phone(browser: Browser, app_url: str) -> Iterator[BrowserContext]:
    """Windows of a phone."""
    context = windows(browser, 390, app_url)
    yield context
    context.close()


@pytest.mark.parametrize("url", ["autograd", "dropout", "kernels", "network", "images?size=8"])
def test_a_phone_shuts_nobody_out(tall_phone: BrowserContext, app_url: str, url: str) -> None:
    page = tall_phone.new_page()
    opened(page, f"{app_url}/{url}")
    assert page.locator("pre").count() > 0
    assert in_order(page)
    assert violations(page) == []
    page.close()


def test_the_rules_see_a_planted_fault(tall: BrowserContext) -> None:
    page = tall.new_page()
    page.set_content('<html lang="en"><title>t</title><main><h1>A</h1><h3>B</h3><img src="x.png">'
                     '<p style="color: #777d85; background: #fff; font-size: 12px">words</p></main></html>')
    found = {one.split(":")[0] for one in violations(page)}
    assert found == {"critical image-alt", "serious color-contrast", "moderate heading-order"}
    page.close()


def test_pictures_on_a_phone_scroll_nothing_sideways(page: Page, app_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for url in ("", "convolution", "kernels", "train"):
        opened(page, f"{app_url}/{url}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, url


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_first_screen_has_a_picture_that_answers_and_three_doors(
    page: Page, app_url: str, width: int, height: int,
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    opened(page, app_url)
    seen = [page.get_by_alt_text("A tabby cat, in gray"), page.get_by_alt_text("The cat's feature map under Sobel x"),
            page.get_by_label("w[0,0]"), page.get_by_label("w[2,2]"),
            *(page.locator(".st-key-doors").get_by_text(label) for label in
              ("See how it works", "Train one", "Use my photos"))]
    for element in seen:
        expect(element).to_be_visible()
        box = element.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
        assert box["x"] + box["width"] <= width
    before = seen[1].get_attribute("src")
    page.get_by_label("w[1,1]").fill("9")
    page.keyboard.press("Tab")
    changed = page.get_by_alt_text("The cat's feature map under Own kernel")
    expect(changed).to_be_visible()
    assert changed.get_attribute("src") != before
    page.get_by_text("Laplacian", exact=True).click()
    expect(page.get_by_alt_text("The cat's feature map under Laplacian")).to_be_visible()
    expect(page.get_by_label("w[1,1]")).to_have_value("−4")


SAMPLED = """() => new Promise((done) => {
    const host = [...document.querySelectorAll("*")].find((e) => e.shadowRoot?.querySelector(".stepper"));
    const root = host.shadowRoot.querySelector(".stepper");
    const box = root.querySelector('[data-grid="x"] .window');
    const places = [];
    root.querySelector('[data-do="forward"]').click();
    const until = performance.now() + 400;
    const look = () => {
        places.push(parseFloat(getComputedStyle(box).x));
        if (performance.now() < until) requestAnimationFrame(look);
        else done(places);
    };
    look();
})"""


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_with_less_motion_asked_for_play_goes_one_step_a_press_and_nothing_slides(
    page: Page, app_url: str, motion: str,
) -> None:
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.emulate_media(reduced_motion=motion)
    opened(page, f"{app_url}/convolution?step=9")
    stepper = page.locator(".stepper")
    page.locator('.stepper [data-grid="x"] .window').first.wait_for(state="attached")
    places = page.evaluate(SAMPLED)
    between = [x for x in places if x % 40]
    assert bool(between) == (motion == "no-preference"), "the window slides, or jumps"
    start = int(stepper.get_attribute("data-position") or -1)
    page.get_by_role("button", name="Play").click()
    if motion == "reduce":
        expect(stepper).to_have_attribute("data-position", str(start + 1))
        page.wait_for_timeout(1200)  # nothing more happens: there is no condition to wait for
        expect(stepper).to_have_attribute("data-position", str(start + 1))
        page.get_by_label("Speed").select_option("10")
        page.get_by_role("button", name="Play").click()
    shown(page, "start => [...document.querySelectorAll('*')].some((e) => "
                "Number(e.shadowRoot?.querySelector('.stepper')?.dataset.position) > start + 2)", start)


def test_the_player_says_its_numbers(page: Page, app_url: str) -> None:
    opened(page, f"{app_url}/convolution?step=400")
    spoken = page.locator(".stepper .spoken")
    page.locator(".stepper").focus()
    page.keyboard.press("ArrowRight")
    w, x = (page.locator(f'[data-grid="{name}"]') for name in "wx")
    # step 401 is the fifth of window 45, y[5,4]: w[1,1] on x[5,4]
    pixel = x.locator(f'[data-index="{6 * 10 + 5}"] text').text_content()
    weight = w.locator('[data-index="4"] text').text_content()
    product = int(str(pixel)) * int(str(weight).replace("−", "-"))
    value = page.locator('[data-grid="y"]').locator(f'[data-index="{5 * 8 + 4}"] text').text_content()
    expect(spoken).to_have_text(f"w[1,1] {weight} times x[5,4] {pixel} is {product}; so far {value}.")
    page.keyboard.press("ArrowDown")
    expect(spoken).to_contain_text("y[5,4] is ")
    expect(spoken).to_contain_text("window 45 of 64")
    page.keyboard.press("Home")
    expect(spoken).to_have_text("At the start: nothing is done yet.")


def test_numbers_are_written_alike_in_python_and_in_the_browser(page: Page) -> None:
    from playground import numbers
    from playground.ui.parts.stepper import COLOURS_JS

    values = [0.0, 1, -0.792, 1234567, 6.46e-05, -3.21e-9, 2.5, 98.76543, 12345.678, 0.00012345, 999.96, 1e13, 1e-4]
    said = page.evaluate(f"(values) => {{ {COLOURS_JS}; return values.map((value) => numberText(value)); }}", values)
    assert said == [numbers.number(value) for value in values]
    assert page.evaluate(f"() => {{ {COLOURS_JS}; return [NaN, Infinity, -Infinity].map((v) => numberText(v)); }}") == [
        numbers.number(float(value)) for value in ("nan", "inf", "-inf")]
    fixed = page.evaluate(f"() => "
                          f"{{ {COLOURS_JS}; return [written(-1020, 0), written(-0.001, 2), written(3.14159, 2)]; }}")
    assert fixed == [numbers.count(-1020), "0", "3.14"]
