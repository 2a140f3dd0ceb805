"""Sick trainings are found to be sick, at the layer that is; healthy ones are left in peace."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from playground.datasets import named
from playground.errors import PlaygroundError
from playground.network.edits import Edit, edited
from playground.network.parts import Network, Path
from playground.network.presets import PRESETS
from playground.network.shapes import walk
from playground.network.spelling import network_of, spelled
from playground.training.runs.events import Epoch, Event, Measures, PartMeasures
from playground.training.runs.runs import RunSpec
from playground.training.scratch import doctor, numpy_fit
from playground.training.scratch.doctor import (
    DEAD,
    EXPLODING,
    IDLE,
    MEMORISING,
    NOT_FINITE,
    SATURATED,
    TOO_LARGE,
    VANISHING,
    Finding,
)
from playground.training.scratch.losses import (
    CROSS_ENTROPY,
    HINGE,
    LOSSES,
    SQUARED_ERROR,
    chance,
    evaluate,
)
from playground.training.scratch.settings import Settings
from playground.training.scratch.training import Training

PLAIN = "c16-r-p2-c32-r-p2-f-d64-r-d10"
TANH = "c8-th-p2-f-d64-th-d32-th-d10"
LOOKS = 16
"""Steps of a training that are measured here, evenly spread, so that a loaded machine sees the same as an idle one."""


def times(path: Path, factor: float) -> Callable[[Training], None]:
    """The first weights of one layer so many times as large."""
    def change(training: Training) -> None:
        weight = next(weight for one, _, _, weight in training.parts.rows if one == path)
        assert weight is not None
        weight.data *= np.float32(factor)
    return change


def biased(path: Path, value: float) -> Callable[[Training], None]:
    """The first biases of one layer of a value."""
    def change(training: Training) -> None:
        module: Any = next(module for one, _, module, _ in training.parts.rows if one == path)
        module.bias.data[...] = value
    return change


@dataclass(frozen=True)
class Case:
    """A training, and what is wrong with it: the kind and the layer."""

    name: str
    network: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Training], None] | None = None
    kind: str = ""
    path: Path = ()


def preset(name: str, kind: str, path: Path, **settings: Any) -> Case:
    return Case(name, name, {**PRESETS[name].settings, **settings}, None, kind, path)


# A rate is every layer's: named is the one with the largest step.
SICK = [
    preset("ten-sigmoids", VANISHING, (1,)),
    preset("weights-x10", EXPLODING, (0,)),
    preset("dead-relus", DEAD, (1,)),
    preset("rate-x100", TOO_LARGE, (4,)),
    preset("raw-pixels", EXPLODING, (0,)),
    preset("memoriser", MEMORISING, (3,), epochs=12),
    Case("one layer x 100", PLAIN, {}, times((3,), 100), EXPLODING, (3,)),
    Case("one layer's biases -5", PLAIN, {}, biased((7,), -5), DEAD, (8,)),
    Case("one layer saturates its tanh", TANH, {}, times((6,), 50), SATURATED, (7,)),
    Case("biases that saturate sigmoids", "f-d32-sg-d32-sg-d10", {}, biased((3,), 20), SATURATED, (4,)),
    Case("no rate to speak of", PLAIN, {"learning_rate": 1e-7}, None, IDLE, (0,)),
    # With Adam this heals at the first step, which is as large as the rate, however small the gradient.
    Case("one layer x 1/10000", PLAIN, {"optimizer": "sgd", "learning_rate": 0.02}, times((3,), 1e-4), VANISHING, (3,)),
    Case("fourteen ReLUs with small weights", "f-" + "d32-r-" * 14 + "d10", {}, None, VANISHING, (1,)),
    Case("a rate beyond all", PLAIN, {"learning_rate": 1e30}, None, NOT_FINITE, (3,)),
    Case("a weight that is NaN", PLAIN, {}, times((7,), float("nan")), NOT_FINITE, (7,)),
    Case("momentum, rate 3", PLAIN, {"optimizer": "momentum", "learning_rate": 3.0}, None, TOO_LARGE, (7,)),
]
HEALTHY = [
    Case(name, name) for name in ("usual", "resnet8", "mobilenet", "lenet5", "vgg6", "all-convolution", "linear",
                                  "mlp", "inception")
] + [
    Case("plain", PLAIN, {"epochs": 4}),
    Case("sgd", PLAIN, {"optimizer": "sgd", "learning_rate": 0.05}),
    Case("momentum", PLAIN, {"optimizer": "momentum", "learning_rate": 0.02, "schedule": "warmup"}),
    Case("gelu", "c16-ge-p2-c32-ge-g-d10", {"optimizer": "adamw", "weight_decay": 0.01, "init": "kaiming"}),
    Case("augmented", TANH, {"augment": {"translate": 0.1}, "schedule": "constant", "learning_rate": 0.001}),
    Case("rmsprop", "c16n-b-si-c32s2n-b-si-g-d10", {"optimizer": "rmsprop", "learning_rate": 0.001, "clip_norm": 1.0}),
]


def watched(case: Case) -> tuple[Training, list[Event]]:
    """The events of a training, by the trainer's own steps, up to a loss that is no number."""
    request = {"data": "digits", "network": case.network, "epochs": 2, **case.settings}
    training = numpy_fit.begun(RunSpec("digits", request, 0, ""))
    if case.change is not None:
        case.change(training)
    events: list[Event] = []
    step, every = 0, max(1, training.settings.epochs * training.batches // LOOKS)
    with np.errstate(all="ignore"):
        for epoch in range(1, training.settings.epochs + 1):
            training.model.train()
            losses, right = 0.0, 0
            for chosen in training.order():
                step += 1
                taken = training.step(chosen, (step - 1) % every == 0)
                if taken.look is not None:
                    events.append(taken.look.measures(epoch, step, 0.0))
                if not math.isfinite(taken.loss):
                    return training, events
                losses, right = losses + taken.loss * len(chosen), right + taken.right
            loss, confusion = evaluate(training.model, training.x_held, training.y_held, 10, training.settings.loss)
            seen = len(training.x)
            events.append(Epoch(epoch, losses / seen, right / seen, loss,
                                float(np.trace(confusion) / confusion.sum()), 0.0, 0.0))
    return training, events


def findings(case: Case) -> tuple[Finding, ...]:
    training, events = watched(case)
    return doctor.diagnose(training.network, training.x.shape[1:], events, case.settings)


@pytest.mark.slow
def test_the_sick_are_found_at_the_right_layer_and_the_healthy_left_in_peace() -> None:
    missed, alarms = [], []
    for case in SICK:
        found = findings(case)
        if not found or (found[0].kind, found[0].path) != (case.kind, case.path):
            missed.append((case.name, [(one.kind, one.path) for one in found]))
    for case in HEALTHY:
        alarms += [(case.name, one.kind, one.path, one.sentence) for one in findings(case)]
    assert len(SICK) >= 14
    assert len(HEALTHY) >= 14
    assert len(missed) <= 1, missed
    assert len(alarms) <= 1, alarms


@pytest.mark.slow
@pytest.mark.parametrize("loss", [SQUARED_ERROR, HINGE])
def test_with_another_loss_the_same_are_sick_and_healthy(loss: str) -> None:
    missed, alarms = [], []
    for case in SICK:
        found = findings(dataclasses.replace(case, settings={**case.settings, "loss": loss}))
        if loss == SQUARED_ERROR and case.name == "momentum, rate 3":
            assert not found, "its gradients are 50 times smaller"
        elif not found or (found[0].kind, found[0].path) != (case.kind, case.path):
            missed.append((case.name, [(one.kind, one.path) for one in found]))
    for case in HEALTHY:
        found = findings(dataclasses.replace(case, settings={**case.settings, "loss": loss}))
        if loss == SQUARED_ERROR and case.settings.get("optimizer") in ("sgd", "momentum"):
            assert [one.kind for one in found] == [IDLE], case.name
        else:
            alarms += [(case.name, one.kind, one.path) for one in found]
    assert len(missed) <= 1, missed
    assert len(alarms) <= 1, alarms


def test_that_the_squared_error_stands_still_is_seen_and_the_cross_entropy_tried() -> None:
    case = Case("sgd", PLAIN, {"optimizer": "sgd", "learning_rate": 0.1, "loss": SQUARED_ERROR})
    (found,) = findings(case)
    assert (found.kind, found.cure) == (IDLE, {"loss": CROSS_ENTROPY})
    assert "a mere guess 0.09. " in found.sentence
    assert "whose gradient at a guess is 50 times smaller than the cross-entropy's" in found.sentence
    assert findings(dataclasses.replace(case, settings={**case.settings, **found.cure})) == ()


@pytest.mark.parametrize(("loss", "worst", "leapt"), [
    (CROSS_ENTROPY, 1.6, False), (CROSS_ENTROPY, 2.1, True), (SQUARED_ERROR, 1.4, False), (SQUARED_ERROR, 1.6, True),
    (HINGE, 1.6, False), (HINGE, 2.1, True)])
def test_a_loss_has_risen_too_far_by_its_own_measure(loss: str, worst: float, leapt: bool) -> None:
    guess = chance(loss, 10)
    parts = (PartMeasures((0,), "conv", 1.0, 1.0, 0.01, 0.0, 0.0),)
    told = [Measures(1, k, 1.0, times * guess, parts, None, 0.0) for k, times in enumerate((1.0, worst, 0.95), 1)]
    found = doctor.diagnose(PLAIN, (1, 8, 8), told, {"loss": loss})
    assert (TOO_LARGE in {one.kind for one in found}) is leapt


@pytest.mark.slow
def test_the_cure_of_what_settings_or_design_made_sick_takes_it_away() -> None:
    tried = 0
    for case in SICK:
        if case.change is not None:
            continue
        training, events = watched(case)
        first, *_ = doctor.diagnose(training.network, training.x.shape[1:], events, case.settings)
        settings = dict(case.settings)
        network: Network = training.network
        if isinstance(first.cure, Edit):
            network = edited(network, first.cure)
        else:
            settings |= first.cure
        after = findings(dataclasses.replace(case, network=spelled(network), settings=settings))
        assert first.kind not in {one.kind for one in after}, (case.name, first.cure, after)
        tried += 1
    assert tried >= 9


@pytest.mark.parametrize("case", SICK, ids=lambda case: case.name)
def test_every_finding_has_a_sentence_numbers_and_a_cure_that_can_be_tried(case: Case) -> None:
    if case.kind == MEMORISING:
        return  # it takes epochs: see the test of all
    images, labels = digits()
    takes = (1, 8, 8)
    network = PRESETS[case.network].network(takes, 10) if case.network in PRESETS else network_of(case.network)
    for one in doctor.preflight(network, takes, images, labels, 10, case.settings).findings:
        check(one, network, takes)


def check(one: Finding, network: Network, takes: tuple[int, ...]) -> None:
    assert one.sentence[0].isupper()
    assert one.sentence.endswith(".")
    assert all(math.isfinite(value) for value in one.evidence.values())
    assert network.at(one.path).kind
    if isinstance(one.cure, Edit):
        assert walk(edited(network, one.cure), takes).stopped is None
    else:
        Settings.from_request(one.cure)


def digits() -> tuple[np.ndarray, np.ndarray]:
    train, _ = named.load("digits")
    return train.images, train.labels


@pytest.mark.parametrize(("name", "kind", "path"), [
    ("ten-sigmoids", VANISHING, (1,)), ("weights-x10", EXPLODING, (0,)), ("dead-relus", DEAD, (1,)),
    ("rate-x100", TOO_LARGE, (4,)), ("raw-pixels", EXPLODING, (0,)),
])
def test_what_can_be_seen_before_training_is_seen(name: str, kind: str, path: Path) -> None:
    images, labels = digits()
    network = PRESETS[name].network((1, 8, 8), 10)
    found = doctor.preflight(network, (1, 8, 8), images, labels, 10, dict(PRESETS[name].settings)).findings
    assert [(one.kind, one.path) for one in found][:1] == [(kind, path)]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_before_training_nothing_ails_the_healthy(case: Case, loss: str) -> None:
    images, labels = digits()
    network = PRESETS[case.network].network((1, 8, 8), 10) if case.network in PRESETS else network_of(case.network)
    found = doctor.preflight(network, (1, 8, 8), images, labels, 10, {**case.settings, "loss": loss}).findings
    if (case.name, loss) == ("momentum", SQUARED_ERROR):  # a tenth of its rate to begin with, of a gradient of a 50th
        assert [(one.kind, one.cure) for one in found] == [(IDLE, {"loss": CROSS_ENTROPY})]
        assert "0.02 is too small for the squared error, whose gradient at a guess is 50 times" in found[0].sentence
    else:
        assert found == ()


@pytest.mark.parametrize("takes", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("network", ["usual", "resnet8", "mobilenet", "lenet5", "all-convolution", "inception", "mlp",
                                     "c8-r-g-d10", "c8-th-a2-c8-th-a2-g-d10"])
def test_larger_pictures_do_not_make_the_healthy_sick(network: str, takes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    channels, height, width = takes
    images = rng.integers(0, 256, (16, height, width) + ((3,) if channels == 3 else ())).astype(np.uint8)
    told = PRESETS[network].network(takes, 10) if network in PRESETS else network_of(network)
    assert doctor.preflight(told, takes, images, np.arange(16) % 10, 10, {"batch_size": 16}).findings == ()


@pytest.mark.parametrize("settings", [
    {"weights_gain": 2.0, "learning_rate": 0.01},
    {"optimizer": "momentum", "learning_rate": 1.0, "clip_norm": 0.5, "weights_gain": 4.0},
    {"learning_rate": 0.1, "schedule": "warmup"},
    {"label_smoothing": 0.3, "weight_decay": 0.1, "optimizer": "adamw"},
    {"augment": {"rotate": 20, "mixup": 0.4}},
    {"normalize": False, "init": "kaiming", "first_bias": -1.0},
], ids=lambda one: " ".join(one))
def test_preflight_is_of_the_very_first_step_of_the_training(settings: dict[str, Any]) -> None:
    request = {"data": "digits", "network": "c8-r-f-o0.2-d10", **settings}
    training = numpy_fit.begun(RunSpec("digits", request, 7, ""))
    found = doctor.preflight("c8-r-f-o0.2-d10", (1, 8, 8), training.raw, training.y, 10, request, seed=7)
    training.model.train()
    look = training.step(np.arange(32), measure=True).look
    assert look is not None
    assert found.measures == look.measures(1, 1, 0.0)


def test_before_training_a_clipped_first_step_is_not_called_too_large() -> None:
    images, labels = digits()
    asked = {"optimizer": "momentum", "learning_rate": 1.0, "weights_gain": 4.0}
    network = PRESETS["usual"].network((1, 8, 8), 10)
    for settings, leaps in ((asked, True), ({**asked, "clip_norm": 0.5}, False)):
        found = doctor.preflight(network, (1, 8, 8), images, labels, 10, settings).findings
        assert (TOO_LARGE in {one.kind for one in found}) is leaps, settings


def test_preflight_of_what_does_not_fit_is_a_sentence() -> None:
    images, labels = digits()
    for network, says in (("c8-r-g-d7", "each of 10 classes"), ("c8-p64-d10", "nothing would be left"),
                          ("nonsense!", "cannot be read")):
        with pytest.raises(PlaygroundError, match=says):
            doctor.preflight(network, (1, 8, 8), images, labels, 10)
    with pytest.raises(PlaygroundError, match="learning rate"):
        doctor.preflight("c8-r-g-d10", (1, 8, 8), images, labels, 10, {"learning_rate": -1})


def test_nothing_told_is_nothing_found() -> None:
    assert doctor.diagnose(PLAIN, (1, 8, 8), []) == ()
    assert doctor.diagnose(PLAIN, (1, 8, 8), [Epoch(1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.0)]) == ()


def test_memorising_is_read_from_the_epochs_alone() -> None:
    told = [Epoch(k, loss, right, held, 0.7, 1.0, 0.0)
            for k, (loss, right, held) in enumerate([(1.5, 0.5, 1.4), (0.5, 0.8, 1.0), (0.05, 1.0, 1.6)], 1)]
    found = doctor.diagnose(PLAIN, (1, 8, 8), [Measures(1, 1, 1.0, 2.3, (), None, 0.0), *told])
    assert [one.kind for one in found] == [MEMORISING]
    assert doctor.diagnose(PLAIN, (1, 8, 8), told[:2]) == ()
