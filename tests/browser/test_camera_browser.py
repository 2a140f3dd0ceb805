"""The live camera in a real browser: what it sees is answered picture by picture, and the last one stays."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import settled
from tests.waiting import shown

PICTURE = 2_000  # bytes of a message from the browser that holds one


def test_kernels_follow_what_the_camera_sees_and_keep_the_last_picture(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(len(data))))
    goto("kernels?picture=Live+camera")
    button = page.get_by_role("button", name="Switch the camera on")
    expect(page.get_by_text("The camera is off.")).to_be_visible()
    gallery = page.locator('[data-testid="stImage"] img').first
    before = gallery.get_attribute("src")

    button.click()
    shown(page, "() => document.querySelectorAll('[data-testid=stImage] img').length > 8")
    expect(gallery).not_to_have_attribute("src", before or "")
    for _ in range(3):
        now = gallery.get_attribute("src")
        expect(gallery).not_to_have_attribute("src", now or "")  # the fake camera's clock moves
    assert sum(size > PICTURE for size in sent) >= 3  # the last one may not have been told of yet

    page.get_by_role("button", name="Switch off and keep this picture").click()
    expect(button).to_be_visible()
    settled(page)
    count = len(sent)
    page.get_by_role("combobox", name=re.compile("Kernel")).click()
    page.get_by_role("option", name="Laplacian").click()
    expect(page.get_by_role("heading", name="Laplacian, large")).to_be_visible()
    assert sum(size > PICTURE for size in sent[count:]) == 0
    expect(page.get_by_text("Until there is a photo of yours")).to_have_count(0)
    assert page.locator('[data-testid="stAlertContentError"]').all_inner_texts() == []


TRACKS = """
  window.tracks = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const stream = await ask(wish);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
"""


def test_a_camera_left_on_is_switched_off_and_can_be_chosen_again(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    page.add_init_script(TRACKS)
    goto("kernels?picture=Live+camera")
    page.get_by_role("button", name="Switch the camera on").click()
    expect(page.get_by_role("button", name="Switch off and keep this picture")).to_be_visible()
    source = page.get_by_role("combobox", name=re.compile("Picture"))
    source.click()
    page.get_by_role("option", name="Cat", exact=True).click()
    expect(page.get_by_role("button", name="Switch off and keep this picture")).to_have_count(0)
    shown(page, "() => window.tracks.length === 1 && window.tracks[0].readyState === 'ended'")
    settled(page)
    source.click()
    page.get_by_role("option", name="Live camera").click()
    expect(page.get_by_role("button", name="Switch the camera on")).to_be_visible()
