"""A set made with the camera: two classes with shots, an edit and the way back, and training is possible."""

import json
import re
import zipfile

from playwright.sync_api import expect

from playground.datasets import folders
from tests.browser.conftest import settled
from tests.waiting import shown


def test_two_classes_are_photographed_edited_and_taken_along(page, goto, tmp_path) -> None:
    page.set_viewport_size({"width": 1280, "height": 1600})
    goto("transfer?photos=Your+own+set")
    page.get_by_role("textbox", name="What should be told apart?").fill("cup, no cup")
    page.get_by_role("button", name="Begin").click()
    shown(page, "() => location.search.includes('set=')")
    assert page.get_by_role("button", name="Start training").count() == 0

    page.get_by_role("button", name="Switch the camera on").click()
    counted = page.locator(".st-key-own-set-into")
    for label in ("cup", "no cup"):
        counted.get_by_text(label, exact=True).click()
        button = page.get_by_role("button", name=re.compile(f"Hold to take photos of {label}$"))
        button.hover()
        page.mouse.down()
        page.locator(".camera .count").get_by_text(re.compile(r"^([4-9]|\d\d+)$")).wait_for()
        page.mouse.up()
        counted.get_by_text(re.compile(r"^([4-9]|\d\d) photos$")).nth(0 if label == "cup" else 1).wait_for()
    page.get_by_role("button", name="Start training").wait_for()
    settled(page)

    page.get_by_text("Look at the photos").click()
    photos = page.locator(".photo")
    photos.first.wait_for()
    before = photos.count()
    photos.locator("input").nth(0).check()
    photos.locator("input").nth(1).check()
    page.get_by_text("2 chosen").wait_for()
    page.get_by_role("button", name="Take out", exact=True).click()
    page.locator(".st-key-photos-undo").get_by_role("button", name="Undo: 2 photos taken out").wait_for()
    expect(photos).to_have_count(before - 2)
    page.locator(".st-key-photos-undo").get_by_role("button").click()
    expect(photos).to_have_count(before)
    settled(page)

    with page.expect_download() as download:
        page.get_by_role("button", name="Take along (.zip)").click()
    download.value.save_as(tmp_path / "cups.zip")
    with zipfile.ZipFile(tmp_path / "cups.zip") as archive:
        assert json.loads(archive.read("manifest.json"))["classes"] == ["cup", "no cup"]
        archive.extractall(tmp_path / "cups")
    found = folders.scan(tmp_path / "cups", seed=0)
    assert found.classes == ("cup", "no cup")
    assert len(found.train) + len(found.validation) == before
    # On a slow machine two shots may be of the same moment, which the page rightly says.
    said = page.locator('[data-testid="stAlertContentError"]').all_inner_texts()
    assert [one for one in said if "among those trained on" not in one] == []
    assert page.get_by_role("button", name="Start training").is_enabled()
