"""Digits trained to the end on the page, the file downloaded, and plain onnxruntime giving the page's answer."""

import re
from pathlib import Path

import pytest

from playground.numbers import percent
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from tests.browser.conftest import answers_of_the_download, settled
from tests.waiting import shown


@pytest.mark.slow
def test_digits_are_trained_downloaded_and_answered_by_plain_onnxruntime(page, goto, tmp_path) -> None:
    page.set_viewport_size({"width": 1280, "height": 2400})
    goto("train?epochs=4")
    page.get_by_role("button", name="Start training").click()
    shown(page, "() => location.search.includes('run=')")
    page.locator(".stPlotlyChart").first.wait_for()  # the curve stays; "epoch 1 of 4" may be over before it is seen

    page.reload()  # the run goes on without the page, and the page finds it again by its address
    settled(page)
    page.get_by_text("What came out").wait_for()
    page.get_by_text("What is taken for what").wait_for()
    settled(page)
    assert page.locator('[data-testid="stAlertContentError"]').all_inner_texts() == []

    probabilities, labels, test = answers_of_the_download(page, tmp_path)
    assert (probabilities.argmax(1) == test.labels).mean() > 0.8

    best = int(probabilities[0].argmax())
    chart = page.locator(".st-key-bars-Test-image")
    chart.locator(".bartext").first.wait_for()
    texts = chart.locator(".bartext").all_text_contents()
    names = chart.locator(".ytick text").all_text_contents()
    assert dict(zip(names, texts, strict=True))[labels[best]] == percent(float(probabilities[0, best]))

    page.get_by_text("Draw one", exact=True).click()
    canvas = page.locator("canvas[aria-label='Draw a digit here']")
    canvas.wait_for()
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + box["height"] - 20, steps=8)
    page.mouse.up()
    page.get_by_text("what the model sees").wait_for()
    page.locator(".st-key-bars-Draw-one .bartext").nth(4).wait_for()


def test_a_run_is_stopped_with_its_button(page, goto, app_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_HOME", str(app_home))
    run_id = runs.start(RunSpec("digits", {"data": "digits", "epochs": 9999}, 0, "stopped-early"))  # ends on no machine
    goto(f"train?run={run_id}")
    page.get_by_text(re.compile(r"epoch \d+ of 9999")).wait_for()
    page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop").click()
    page.get_by_text(re.compile(r"Stopped after \d+ of 9999 epochs")).wait_for()
