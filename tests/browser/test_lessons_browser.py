"""One story a lesson, in a real browser: what a reader does first, and what they then see."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import settled


def nudge(page: Page, label: str, key: str = "ArrowRight") -> None:
    """Move a slider by one step, as a keyboard does."""
    page.get_by_role("slider", name=label).first.focus()
    page.keyboard.press(key)
    settled(page)


def metric(page: Page, label: str):  # type: ignore[no-untyped-def]
    return page.locator('[data-testid="stMetric"]').filter(has_text=label)


def test_images_fewer_bits_are_fewer_levels(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("images?bits=3")
    expect(metric(page, "levels a channel")).to_contain_text("8")
    nudge(page, "Bits a channel", "ArrowLeft")
    expect(metric(page, "levels a channel")).to_contain_text("4")
    assert "bits=2" in page.url


def test_mlp_a_larger_picture_costs_a_dense_layer_more(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("mlp?side=8")
    expect(metric(page, "Dense layer")).to_contain_text("12\u202f352")
    nudge(page, "Side of the picture")
    expect(metric(page, "Dense layer")).to_contain_text("49\u202f216")
    expect(metric(page, "Convolution")).to_contain_text("1\u202f792")


def test_channels_a_right_count_is_confirmed(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("channels")
    page.get_by_role("radio", name="112").check(force=True)
    settled(page)
    expect(page.get_by_text("4 × 28 = 112.")).to_be_visible()


def test_pooling_a_gradient_goes_to_the_largest_pixel(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("pooling?pass=Backward&step=0")
    page.locator(".stepper .cell").first.wait_for()
    page.locator(".stepper").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".terms")).to_contain_text("= 0 + 1 = 1")
    page.keyboard.press("End")
    expect(page.locator(".what")).to_contain_text("output 16 of 16")


def test_augmentation_mixing_shows_mixed_labels(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("augmentation")
    page.get_by_text("mixup", exact=True).click()
    settled(page)
    expect(page.get_by_text("Two pictures, one label between them")).to_be_visible()
    assert "mix=mixup" in page.url


def test_normalization_own_numbers_are_taken(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("normalization")
    box = page.get_by_role("textbox").first
    box.fill("1, 2, 3")
    box.press("Enter")
    settled(page)
    expect(page.locator('[data-testid="stMetric"]').first).to_contain_text("2")


def test_batch_norm_four_rounds_to_the_output(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("batch-norm")
    page.locator(".stepper .cell").first.wait_for()
    page.locator(".stepper").focus()
    page.keyboard.press("End")
    expect(page.locator(".what")).to_contain_text("round 4 of 4 · number 6 of 6")
    expect(page.locator(".terms")).to_contain_text("y[5] = ")


def test_dropout_a_unit_left_out_gets_no_gradient(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("dropout?pass=Backward&step=0")
    page.locator(".stepper .cell").first.wait_for()
    page.locator(".stepper").focus()
    page.keyboard.press("End")
    expect(page.locator(".what")).to_contain_text("mini-batch 3 of 3 · unit 32 of 32")
    expect(page.locator(".terms")).to_contain_text("dh[3,7] = m[3,7]·dy[3,7]")


def test_autograd_the_link_restores_the_step(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    goto("autograd?formula=x*x&step=0")
    page.locator(".graph .node").first.wait_for()
    page.locator(".graph").focus()
    page.keyboard.press("End")
    expect(page.locator(".graph .lines")).to_contain_text("∂/∂x = 1 + ∂/∂v1 · x = 1 + 1 · 1 = 2")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    goto(link.split("/", 3)[3])
    page.locator(".graph .node").first.wait_for()
    expect(page.locator(".graph .what")).to_contain_text("Backward · operation 1 of 1")


def test_loss_every_round_says_its_own_formula(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("loss?classes=2&label=1&z0=2&z1=0&step=0")
    page.locator(".stepper .cell").first.wait_for()
    page.locator(".stepper").focus()
    terms, spoken = page.locator(".terms"), page.locator(".stepper .spoken")
    for said, words in (("d[0] = z[0] − m = 2.00 − 2.00 = 0", "z[0] 2.00 minus m 2.00 is 0"),
                        ("d[1] = z[1] − m = 0 − 2.00 = −2.00", "d[1]"), ("e[0] = exp(d[0]) = exp(0) = 1.000", "exp of"),
                        ("e[1] = exp(d[1]) = exp(−2.00) = 0.135", "exp of d[1] −2.00 is 0.135")):
        page.keyboard.press("ArrowRight")
        expect(terms).to_contain_text(said)
        expect(spoken).to_contain_text(words)
    page.keyboard.press("End")
    expect(terms).to_contain_text("L = 0 + y[1]·s[1] = 0 + 1.000·2.127 = 2.127")


@pytest.mark.parametrize(("url", "words"), [
    ("network", "It says"), ("imagenet", "Five guesses each"),
    ("lab", "8 Your own photo"),
])
def test_a_page_has_its_model_without_being_asked(page: Page, goto, url: str, words: str) -> None:  # type: ignore[no-untyped-def]
    goto(url)
    expect(page.get_by_text(words).first).to_be_visible()
    expect(page.locator('[data-testid="stAlertContentError"]')).to_have_count(0)


def test_hidden_controls_are_gone_and_still_count(page: Page, goto) -> None:  # type: ignore[no-untyped-def]
    goto("pooling?hide=window,stride&window=4&lock=1")
    page.locator(".stepper .cell").first.wait_for()
    expect(page.get_by_text("Window $K$")).to_have_count(0)
    expect(page.locator(".st-key-window")).to_be_hidden()
    expect(page.get_by_text("O = ⌊(H − K) / s⌋ + 1 = ⌊(8 − 4) / 2⌋ + 1 = 3.")).to_be_visible()
