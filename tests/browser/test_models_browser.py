"""An exported model in a browser: own photo in, answer out, file along, checked again."""

import io
from urllib.parse import quote

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from playground.numbers import percent
from playground.ui.parts import image_input
from tests.pages.on_a_page import put_model


@pytest.fixture
def model(app_home, monkeypatch):
    """A small real model in the server's own registry, removed again after."""
    from playground.deploy import registry

    monkeypatch.setenv("PLAYGROUND_HOME", str(app_home))
    entry = put_model("brightness", accuracy={"value": 0.975, "count": 40, "split": "test"})
    yield entry
    if any(one.name == entry.name for one in registry.entries()):
        registry.remove(entry.name)


def test_an_own_photo_gets_the_answer_plain_onnxruntime_gives(page, goto, model) -> None:
    pixels = np.random.default_rng(1).integers(90, 256, (70, 110, 3), np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    goto(f"models?model=brightness&picture={quote(image_input.UPLOAD)}")
    page.locator('input[type="file"]').set_input_files(
        {"name": "own.png", "mimeType": "image/png", "buffer": png.getvalue()}
    )
    page.get_by_text("your photo, 110 × 70 pixels").wait_for()
    _, probabilities = onnxruntime.InferenceSession(model.onnx).run(None, {"image": pixels[None]})
    best = int(probabilities[0].argmax())
    page.get_by_role("heading", name=f"{('dark', 'bright')[best]}, {percent(probabilities[0, best])}").wait_for()


def test_the_download_is_the_exported_file(page, goto, model, tmp_path) -> None:
    goto("models?model=brightness")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .onnx").click()
    download.value.save_as(tmp_path / "got.onnx")
    assert download.value.suggested_filename == "brightness.onnx"
    assert (tmp_path / "got.onnx").read_bytes() == model.onnx.read_bytes()


def test_verify_again_and_remove_work_with_the_mouse(page, goto, model) -> None:
    goto("models?model=brightness")
    page.get_by_role("tab", name="Same answer?").click()
    page.get_by_role("button", name="Verify again").click()
    page.get_by_text("The same file.").wait_for()
    page.get_by_role("tab", name="Use it elsewhere").click()
    page.get_by_role("button", name="Remove this model").click()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_text("brightness was removed.").wait_for()
    assert not model.folder.exists()
