"""The light chart in a real browser: its numbers are the figure's, by pointer and by keyboard; it follows a slider."""

from playwright.sync_api import Page, expect

from playground.ui.lessons.mlp import SIDES, dense_parameters


def test_points_are_read_by_keyboard_and_follow_the_sliders(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("mlp")
    chart = page.locator(".st-key-growth")
    drawing, tip = chart.locator(".plot > svg"), chart.locator(".tip")
    expect(chart.locator(".legend")).to_have_text("denseconvolution")
    expect(drawing.get_by_text("224 × 224")).to_be_visible()
    drawing.focus()
    page.keyboard.press("ArrowRight")
    expect(tip).to_have_text(
        f"8 × 8 pixels: {dense_parameters(8 * 8 * 3, 64):,} parameters\ndense".replace(",", "\u202f"))
    page.keyboard.press("ArrowRight")
    expect(tip).to_contain_text("16 × 16 pixels")
    expect(chart.locator(".spoken")).to_contain_text("16 × 16 pixels")
    page.keyboard.press("ArrowDown")
    expect(tip).to_have_text("16 × 16 pixels: 1\u202f792 parameters\nconvolution")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    slider = page.get_by_role("slider", name="Side of the picture").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(drawing.get_by_text(f"{SIDES[SIDES.index(224) + 1]} × 512")).to_be_visible()


def test_a_bowl_tells_the_loss_under_the_pointer(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("normalization")
    bowl = page.locator(".st-key-bowls .chart").first
    bowl.scroll_into_view_if_needed()
    expect(bowl.locator("canvas")).to_be_visible()
    colours = bowl.locator("canvas").evaluate("""one => new Set(new Uint32Array(
        one.getContext('2d').getImageData(0, 0, one.width, one.height).data.buffer)).size""")
    assert colours > 8, "bands and the lines between them"
    bowl.locator(".plot > svg").hover(position={"x": 200, "y": 60})
    expect(bowl.locator(".tip")).to_contain_text("loss above the lowest 10")


def test_a_chart_fits_a_phone(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 390, "height": 844})
    goto("mlp")
    drawing = page.locator(".st-key-growth .plot > svg")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    labels = drawing.locator(".tick").evaluate_all("all => all.map((one) => one.getBoundingClientRect()).filter((a) => "
                                                   "a.left < 0 || a.right > 391).length")
    assert labels == 0
