"""An own photo in a browser: it goes along to other pages and through a reload, and to nobody else; the way back."""

import io
import re

import numpy as np
from PIL import Image

from tests.browser.conftest import HOPE, settled
from tests.waiting import shown


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def says(page, words: str) -> None:
    """Wait until the list of pictures says these words."""
    page.locator(".st-key-picture", has_text=re.compile(re.escape(words))).or_(
        page.locator(f".st-key-picture input[value='{words}']")).first.wait_for(timeout=HOPE)


def test_the_way_back_leads_to_what_the_address_says_though_the_page_before_has_the_same_controls(page, goto) -> None:
    goto("channels?picture=Coffee")
    says(page, "Coffee")
    page.get_by_role("link", name=re.compile("Next: ")).click()
    page.get_by_role("heading", name="Feature maps and the whole network").wait_for()
    settled(page)
    page.go_back()
    page.get_by_role("heading", name="Many channels").wait_for()
    settled(page)
    says(page, "Coffee")
    assert "picture=Coffee" in page.url
    page.reload()
    settled(page)
    says(page, "Coffee")


def test_it_stays_on_the_next_page_and_after_a_reload_and_is_nobody_elses(page, goto, app_url, shared_context) -> None:
    goto("channels?picture=Your+photo")
    says(page, "Cat")  # until there is one, the list says what is shown
    page.locator('input[type="file"]').set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": png()})
    says(page, "Your photo")
    page.get_by_text("Your photo stays on all pages").wait_for()
    shown(page, "() => (sessionStorage.getItem('playground-own-photo') || '').length > 100")
    settled(page)

    page.get_by_role("link", name=re.compile("Next: ")).click()  # as a reader goes, within the session
    page.wait_for_url("**/network**")
    says(page, "Your photo")
    page.go_back()
    page.get_by_role("heading", name="Many channels").wait_for()  # until then it is the page before that is seen
    page.wait_for_url("**/channels?*picture=Your+photo*")
    settled(page)
    says(page, "Your photo")

    page.reload()
    settled(page)
    says(page, "Your photo")
    page.get_by_text("Your photo stays on all pages").wait_for()

    other = shared_context.new_page()
    try:
        other.goto(f"{app_url}/channels?picture=Your+photo")
        settled(other)
        other.get_by_text("Until there is a photo of yours").wait_for(timeout=HOPE)
        says(other, "Cat")
    finally:
        other.close()
