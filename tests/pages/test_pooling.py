"""The Pooling page: its player ends with torch's numbers both ways, and it answers by counting."""

from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from playground.datasets import samples
from playground.ui.lessons import pooling
from tests.pages.on_a_page import OpenPage, sent, texts


def played(app: AppTest) -> dict[str, Any]:
    """What the player on the page was given."""
    (found,) = sent(app, "stepper")
    return found


@pytest.mark.parametrize("query", [
    {}, {"kind": "average", "window": "3", "stride": "1"}, {"size": "16", "window": "4", "stride": "4"},
    {"size": "5", "window": "4", "stride": "4"}, {"picture": "Handwritten digit", "stride": "1"},
], ids=["default", "overlapping means", "largest", "one window", "ties"])
def test_both_passes_end_with_torchs_numbers(open_page: OpenPage, query: dict[str, str]) -> None:
    forward, backward = (open_page("pooling", **{"pass": name}, **query) for name in ("Forward", "Backward"))
    for app in (forward, backward):
        assert not app.exception
        assert not app.error
    told = played(forward)
    x = next(grid for grid in told["grids"] if grid["name"] == "x")
    pixels = torch.tensor(np.reshape(x["values"], (x["rows"], x["columns"])), requires_grad=True)
    functional = torch.nn.functional
    pool = functional.max_pool2d if query.get("kind", "max") == "max" else functional.avg_pool2d
    y = pool(pixels[None, None], int(query.get("window", 2)), int(query.get("stride", 2)))
    last = dict(zip(told["marks"]["y"], told["writes"]["y"], strict=True))
    np.testing.assert_allclose([last[k] for k in range(y.numel())], y.detach().ravel())
    y.sum().backward()
    told = played(backward)
    reached = dict(zip(told["marks"]["dx"], told["writes"]["dx"], strict=True))
    np.testing.assert_allclose([reached.get(k, 0.0) for k in range(pixels.numel())], pixels.grad.ravel())


@pytest.mark.parametrize("kind", ["max", "average"])
def test_the_question_is_answered_by_counting_the_engines_gradient(open_page: OpenPage, kind: str) -> None:
    app = open_page("pooling", kind=kind)
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value(16 if kind == "max" else 64).run()
    assert app.success[0].value.startswith("Yes")


def test_orders_are_compared_and_measured(open_page: OpenPage) -> None:
    app = open_page("pooling")
    rows = app.dataframe[0].value
    assert rows["largest difference"][0] == 0
    assert rows["largest difference"][1] > 0
    app.button(key="measure").click().run()
    assert not app.exception
    assert "with pooling first" in texts(app)


def test_max_pooling_minds_a_small_shift_less_than_none() -> None:
    none, largest, _ = pooling.changes(samples.photo("cat").mean(axis=2), 4)
    assert none[0] == largest[0] == 0
    assert largest[1] < none[1] / 2
    assert pooling.changes(np.zeros((8, 8)), 4) is None


def test_why_pooling_minds_a_shift_less_is_counted_in_torch(open_page: OpenPage) -> None:
    gray = samples.photo("cat") @ np.array([0.299, 0.587, 0.114])
    kept = pooling.unchanged(gray, 4)
    assert kept is not None
    alone, pooled = kept
    assert pooled > 3 * alone
    side, far = pooling.SIDE, pooling.FARTHEST
    top, left = ((n - side - far) // 2 for n in gray.shape)
    parts = torch.tensor(np.stack([gray[top : top + side, left + s : left + s + side] for s in (0, 1)])[:, None])
    response = torch.conv2d(parts, torch.tensor(pooling.SOBEL)[None, None], padding=1).relu()
    before, after = torch.max_pool2d(response, 4).numpy()
    assert pooled == pytest.approx(np.isclose(before, after)[before > 0].mean())
    assert pooling.unchanged(np.zeros((200, 200)), 4) is None
    assert f"**{100 * pooled:.0f}\u202f%** of the maxima stay" in texts(open_page("pooling"))
