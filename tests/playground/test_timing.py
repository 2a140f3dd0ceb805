"""The seconds an epoch will take: of the trainer's own steps, on as many pictures as learn, however large a network."""

import io
import json
import sys
from typing import Any

import numpy as np
import pytest

from playground.network.edits import edited
from playground.network.presets import network_named
from playground.network.shapes import walk
from playground.network.slowness import SLOW_SECONDS, slow
from playground.network.spelling import network_of
from playground.training.scratch import timing
from playground.training.scratch.training import Training

DIGITS = 1438
"""Training pictures of the digits, 1,198 of which learn."""


class Steps:
    """Steps of which each lasts a second for every 32 pictures in it, and evaluation 0: how large they were, and of
    what trainings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.sizes: list[int] = []
        self.of: list[Training] = []
        monkeypatch.setattr(Training, "step", lambda training, chosen: self.step(training, chosen))
        monkeypatch.setattr(timing, "_middle", self.lasting)

    def step(self, training: Training, chosen: np.ndarray) -> None:
        self.sizes.append(len(chosen))
        self.of.append(training)

    def lasting(self, do: Any, _: float) -> float:
        before = len(self.sizes)
        do()
        return sum(self.sizes[before:]) / 32


def seconds(text: str, takes: tuple[int, ...] = (1, 8, 8), classes: int = 10, pictures: int = DIGITS, **settings: Any,
            ) -> float | None:
    return timing.seconds_an_epoch(network_named(text, takes, classes), takes, classes, pictures, settings)


def test_an_epoch_is_of_the_pictures_that_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    every, few = seconds("mlp"), seconds("memoriser", train_pictures=60)
    assert every == pytest.approx(1198 / 32, rel=0.1)
    assert few == pytest.approx(60 / 32, rel=0.1), "not the 1,198 there are"
    assert steps.sizes == [33, 60], "batches as the trainer makes them"


@pytest.mark.parametrize("settings", [
    {"augment": {"rotate": 10.0, "mixup": 0.4}}, {"optimizer": "sgd", "clip_norm": 1.0}, {"batch_size": 256}])
def test_what_is_timed_is_the_trainers_own_step(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Training] = []
    really = Training.step
    monkeypatch.setattr(Training, "step", lambda self, chosen: seen.append(self) or really(self, chosen))
    assert seconds("c4-r-g-d10", **settings)
    asked = vars(seen[0].settings)
    for name, value in settings.items():
        assert (asked[name].to_dict() if name == "augment" else asked[name]) == value
    assert len(seen[0].x) >= settings.get("batch_size", 32)


def test_augmentation_is_part_of_the_time() -> None:
    plain, turned = seconds("linear"), seconds("linear", augment={"rotate": 10.0})
    assert plain is not None
    assert turned is not None
    assert turned > 2 * plain


def test_one_score_for_two_classes_is_timed() -> None:
    assert seconds("f-d1-sg", classes=2)
    assert seconds("f-d1", classes=3) is None


def test_with_pytorch_its_own_steps_are_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch_gradients = pytest.importorskip("playground.training.scratch.torch_gradients")
    taken: list[int] = []
    really = torch_gradients.TorchGradients.__call__
    monkeypatch.setattr(torch_gradients.TorchGradients, "__call__",
                        lambda self, model, mixed, y, step: taken.append(len(y)) or really(self, model, mixed, y, step))
    assert seconds("c4-b-r-g-d10")
    assert taken == []
    assert seconds("c4-b-r-g-d10", engine="torch")
    assert set(taken) == {33}, "of whole batches"
    asked = {"network": "f-d10", "takes": [1, 8, 8], "classes": 10, "pictures": 100, "settings": {"engine": "torch"}}
    for settings, status in ((asked["settings"], 0), ({"engine": "abacus"}, 2)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**asked, "settings": settings})))
        assert timing.main() == status
    assert float(capsys.readouterr().out) > 0


def test_what_is_too_large_to_be_tried_is_tried_with_smaller_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    wide, tried = "c256-r-c256-r-c256-r-c256-r-g-d2", (3, 32, 32)
    once, twice = (seconds(wide, (3, 64, 64), 2, pictures, batch_size=8) for pictures in (1200, 2400))
    assert [one.x.shape[1:] for one in steps.of] == [tried] * 2
    assert once is not None
    assert twice == pytest.approx(2 * once, rel=0.01)
    times = walk(network_of(wide), (3, 64, 64)).multiply_adds / walk(network_of(wide), tried).multiply_adds
    assert once == pytest.approx(times * 1000 / 32, rel=0.2), "of each, a 32nd of a second times the products"


def test_what_has_no_smaller_pictures_is_reckoned_by_its_products(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    monkeypatch.setattr(timing, "seconds_a_product", lambda _: 4e-11)
    wide, takes = "c1024-r-c1024-r-c1024-r-g-d2", (3, 24, 24)
    once, twice = (seconds(wide, takes, 2, pictures, batch_size=8) for pictures in (1200, 2400))
    assert steps.sizes == []
    assert once is not None
    assert twice == pytest.approx(2 * once, rel=0.01)
    products = walk(network_of(wide), takes).multiply_adds
    assert once == pytest.approx(4e-11 * products * (3 * 1000 + 200), rel=0.3)


def test_what_a_product_takes_here_is_measured_once() -> None:
    timing.seconds_a_product.cache_clear()
    assert 1e-13 < timing.seconds_a_product() < 1e-7
    assert timing.seconds_a_product() == timing.seconds_a_product()


def test_a_step_is_tried_with_as_many_pictures_as_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    text, takes = "c64k1-p8-g-d10", (3, 256, 256)
    assert seconds(text, takes) == pytest.approx(1198 / 32, rel=0.3)
    assert 2 <= steps.sizes[0] < 32
    assert walk(network_of(text), takes).memory(steps.sizes[0]) <= timing.MOST_BYTES


@pytest.mark.parametrize(("text", "takes"), [
    ("c64k7-r-c64k7-r-g-d10", (3, 32, 32)), ("c32-r-[c32-r-c32]-g-d10", (3, 64, 64)),
    ("f-d4096-r-d4096-r-d10", (1, 8, 8)), ("c8s2-r-g-d10", (1, 8, 8)), ("f-d10", (1, 8, 8)),
])
def test_minutes_an_epoch_are_told_of_with_cures_that_shorten_them(text: str, takes: tuple[int, ...]) -> None:
    network = network_of(text)
    assert slow(network, takes, None) == slow(network, takes, SLOW_SECONDS) == ()
    (fault,) = slow(network, takes, 1359.0)
    assert fault.level == "warn"
    assert "about 23 min on this machine" in fault.sentence
    assert "about 2 h" in slow(network, takes, 7200.0)[0].sentence
    assert bool(fault.cures) == (len(network) > 2)
    for cure in fault.cures:
        after = walk(edited(network, cure.edit), takes)
        assert after.gives == (10,)
        assert after.multiply_adds < walk(network, takes).multiply_adds


def test_a_design_that_does_not_fit_is_not_slow() -> None:
    assert slow(network_of("c8-p64-g-d10"), (1, 8, 8), 999.0) == ()
    assert slow(network_of(""), (1, 8, 8), 999.0) == ()
