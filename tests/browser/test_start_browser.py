"""The app as a stranger meets it: it starts, shows itself, and is found by address, mouse and keyboard."""

import pytest

from tests.browser.conftest import settled
from tests.waiting import shown, until


def test_the_app_starts_and_the_first_page_shows_its_picture(page, goto) -> None:
    goto()
    page.get_by_role("heading", name="CNN Playground").wait_for()
    picture = page.locator('img[alt^="The cat\'s feature map"]')
    picture.wait_for()
    shown(page, "() => [...document.querySelectorAll('img')].every(i => i.complete && i.naturalWidth > 0)")
    assert page.title() == "CNN Playground"


def test_the_first_page_is_found_under_its_name_too(page, goto, app_url: str) -> None:
    goto("home?look=Laplacian")
    page.locator('img[alt="The cat\'s feature map under Laplacian"]').wait_for()
    page.wait_for_url(f"{app_url}/?look=Laplacian")
    assert page.get_by_role("dialog").count() == 0


def test_another_kernel_changes_the_picture_and_the_address(page, goto) -> None:
    goto()
    before = page.locator('img[alt^="The cat\'s feature map"]').get_attribute("src")
    page.get_by_text("Laplacian", exact=True).click()
    page.locator('img[alt="The cat\'s feature map under Laplacian"]').wait_for()
    assert page.locator('img[alt^="The cat\'s feature map"]').get_attribute("src") != before
    shown(page, "() => location.search.includes('look=Laplacian')")


def test_a_script_that_got_into_a_page_is_not_run(page, goto) -> None:
    goto()
    page.get_by_role("heading", name="CNN Playground").wait_for()
    refused = []
    page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        const picture = document.createElement('img');
        picture.setAttribute('onerror', 'window.ran = true');
        picture.src = '/nothing.png?' + Math.random();
        document.body.append(picture);
    }""")
    until(lambda: len(refused) >= 2)
    assert page.evaluate("window.ran") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_the_ground_in_light_and_in_dark(page, goto, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    goto()
    ground, letters = (
        page.evaluate(f"getComputedStyle(document.querySelector('{where}')).{what}")
        for where, what in (('[data-testid="stApp"]', "backgroundColor"), ("h1", "color"))
    )
    light = sum(int(part) for part in ground[4:-1].split(",")[:3]) > 3 * 128
    assert light == (scheme == "light")
    difference = [abs(int(a) - int(b)) for a, b in zip(ground[4:-1].split(","), letters[4:-1].split(","), strict=True)]
    assert min(difference) > 125


def test_a_page_can_be_reached_with_the_keyboard_alone(page, goto) -> None:
    goto()
    page.get_by_role("heading", name="CNN Playground").wait_for()
    settled(page)  # what is drawn anew loses the focus
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").endswith("Build and train"):
            break
    else:
        pytest.fail("no way to the page with the keyboard")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Build and train").wait_for()
