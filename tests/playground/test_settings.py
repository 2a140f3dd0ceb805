"""The settings of a training from scratch: each does what torch does by that name, wrong ones are refused in a
sentence, and none of them changes where a run that was killed goes on to."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import Tensor, functional, layers
from engine.lr_scheduler import CosineAnnealingLR
from engine.optim import Adam
from playground.datasets import named
from playground.datasets.augmentation import Augmentation
from playground.datasets.named import ImageSet
from playground.errors import PlaygroundError
from playground.network import presets
from playground.network.build import build, build_torch
from playground.network.spelling import network_of
from playground.training.runs.events import (
    Batch,
    Epoch,
    Finished,
    Started,
)
from playground.training.scratch import losses, numpy_fit
from playground.training.scratch.division import divided
from playground.training.scratch.division import few as cut_to
from playground.training.scratch.settings import (
    INITS,
    OPTIMIZERS,
    SCHEDULES,
    Settings,
    first_weights,
    rates,
    stalled,
    with_preset,
)
from tests.playground.test_numpy_fit import blobs, fit, never, same, spec, weights

SMOOTH = "c4-th-g-d3"
"""A network without kinks or batch statistics, so that two libraries stay together."""


@pytest.fixture(autouse=True)
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


def of_two() -> ImageSet:
    return blobs(60, (8, 8), 2)


def every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_fit, "BETWEEN_BATCHES_SECONDS", -math.inf)


def prepared(seed: int, settings: Settings) -> tuple[np.ndarray, np.ndarray, list[np.random.Generator]]:
    """What is learnt from, and the generators, as the trainer has them."""
    train, generators = blobs(), np.random.default_rng(seed).spawn(5)
    fitted, _ = divided(train.labels, generators[0])
    preprocessing = numpy_fit.preprocessing_of(train.images[fitted], settings.normalize)
    return preprocessing.apply_all(train.images[fitted]), train.labels[fitted], generators


# --- what is not said stays as it was ---


def test_a_request_that_says_nothing_more_is_the_usual_training_to_the_last_bit(tmp_path: Path) -> None:
    assert Settings.from_request({"data": "digits", "network": "usual"}) == Settings()
    fit(tmp_path, spec(epochs=3, seed=4, batch_size=8))
    x, y, (_, weights_rng, order_rng, *_) = prepared(4, Settings())
    model = build(presets.network_named("usual", x.shape[1:], 3), x.shape[1:], weights_rng)
    optimizer = Adam(model.parameters(), lr=0.003)
    schedule = CosineAnnealingLR(optimizer, T_max=18)
    model.train()
    for _ in range(3):
        for chosen in np.array_split(order_rng.permutation(len(x)), 6):
            model.zero_grad()
            functional.cross_entropy(model(Tensor(x[chosen])), y[chosen]).backward()
            optimizer.step()
            schedule.step()
    assert same(model.state_dict(), weights(tmp_path))


# --- what each says is what torch does ---

TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD, "momentum": lambda p, **o: torch.optim.SGD(p, momentum=0.9, **o),
    "nesterov": lambda p, **o: torch.optim.SGD(p, momentum=0.9, nesterov=True, **o), "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
}


def torch_schedule(name: str, optimizer: Any, steps: int) -> Any:
    plans = torch.optim.lr_scheduler
    if name == "warmup":
        rising = max(1, round(steps / 10))
        return plans.SequentialLR(optimizer, [
            plans.LinearLR(optimizer, 0.1, total_iters=rising),
            plans.CosineAnnealingLR(optimizer, steps - rising)], milestones=[rising])
    return {"cosine": lambda: plans.CosineAnnealingLR(optimizer, steps),
            "constant": lambda: plans.ConstantLR(optimizer, 1.0),
            "step": lambda: plans.StepLR(optimizer, math.ceil(steps / 3), 0.1),
            "linear": lambda: plans.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)}[name]()


@pytest.mark.parametrize(("optimizer", "more"), [
    ("sgd", {"schedule": "constant", "learning_rate": 0.1}),
    ("momentum", {"schedule": "step", "clip_norm": 0.1, "learning_rate": 0.1}),
    ("nesterov", {"schedule": "linear", "weight_decay": 0.1}),
    ("adam", {"schedule": "cosine", "weight_decay": 0.1, "label_smoothing": 0.2}),
    ("adamw", {"schedule": "warmup", "weight_decay": 0.5, "label_smoothing": 0.1}),
    ("rmsprop", {"schedule": "cosine", "clip_norm": 0.5, "learning_rate": 0.001}),
])
def test_a_training_takes_torchs_steps(optimizer: str, more: dict[str, Any], tmp_path: Path) -> None:
    request = {"network": SMOOTH, "batch_size": 8, "optimizer": optimizer, **more}
    fit(tmp_path, spec(epochs=3, **request))
    settings = Settings.from_request({"epochs": 3, **request})
    x, y, (_, weights_rng, order_rng, *_) = prepared(0, settings)
    began = build(network_of(SMOOTH), x.shape[1:], weights_rng).state_dict()
    module = build_torch(network_of(SMOOTH), x.shape[1:])
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in began.items()})
    steps = TORCH[optimizer](module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch_schedule(settings.schedule, steps, 18)
    for _ in range(3):
        for chosen in np.array_split(order_rng.permutation(len(x)), 6):
            steps.zero_grad()
            torch.nn.functional.cross_entropy(module(torch.from_numpy(x[chosen])), torch.from_numpy(y[chosen]),
                                              label_smoothing=settings.label_smoothing).backward()
            if settings.clip_norm:
                torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip_norm)
            steps.step()
            schedule.step()
    learnt = weights(tmp_path)
    for name, tensor in module.state_dict().items():
        np.testing.assert_allclose(learnt[name], tensor.numpy(), atol=2e-5)
        assert np.abs(learnt[name] - began[name]).max() > 1e-3


def test_every_optimizer_and_schedule_is_judged_by_torch() -> None:
    assert set(TORCH) == set(OPTIMIZERS)
    for name in SCHEDULES:
        torch_schedule(name, torch.optim.SGD([torch.zeros(1)], lr=1.0), 20)


@pytest.mark.parametrize("steps", [1, 2, 18, 100])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning", "ignore:The epoch parameter:UserWarning")
def test_the_rates_that_are_drawn_are_torchs(schedule: str, steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    if schedule == "warmup" and steps == 1:
        assert rates(Settings(schedule=schedule, learning_rate=0.3), 1) == pytest.approx([0.03])
        return
    plan, wanted = torch_schedule(schedule, optimizer, steps), []
    for _ in range(steps):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plan.step()
    drawn = rates(Settings(schedule=schedule, learning_rate=0.3), steps)
    np.testing.assert_allclose(drawn, wanted, rtol=1e-6, atol=1e-12)
    assert (drawn > 0).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rates_that_are_drawn_are_those_of_the_trainer(
        schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every_batch(monkeypatch)
    events = fit(tmp_path, spec(epochs=3, batch_size=8, network="linear", schedule=schedule))
    used = [event.learning_rate for event in events if isinstance(event, Batch)]
    assert used == rates(Settings(schedule=schedule), 18).tolist()


# --- first weights ---


def made() -> layers.Sequential:
    return build(network_of("c48-b-r-[c48-b]-g-d64-r-d32"), (1, 8, 8), np.random.default_rng(0))


def begun(**said: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A network's weights before and after."""
    model = made()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    first_weights(model, Settings.from_request(said), np.random.default_rng(1))
    return before, model.state_dict()


def weighty(state: dict[str, np.ndarray]) -> list[str]:
    return [name for name, array in state.items() if array.ndim >= 2]


def test_first_weights_are_left_alone_unless_asked() -> None:
    assert same(*begun())


def test_the_gain_multiplies_the_weights_of_convolutions_and_dense_layers_alone() -> None:
    before, after_ = begun(weights_gain=10)
    assert len(weighty(before)) == 4
    for name, array in after_.items():
        factor = np.float32(10 if name in weighty(before) else 1)
        assert np.array_equal(array, before[name] * factor), name


def test_the_first_bias_is_that_of_all_layers_but_the_one_that_gives_the_scores() -> None:
    before, after_ = begun(first_bias=-5)
    biases = [name.replace("weight", "bias") for name in weighty(before)]
    for name, array in after_.items():
        if name in biases[:-1]:
            assert (array == -5).all()
        else:
            assert np.array_equal(array, before[name])


@pytest.mark.parametrize("init", [name for name in INITS if name != "default"])
def test_first_weights_have_the_spread_of_torchs_initialisation(init: str) -> None:
    fill = {"kaiming": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"),
            "xavier": torch.nn.init.xavier_uniform_, "normal": lambda w: torch.nn.init.normal_(w, std=0.01),
            "zeros": torch.nn.init.zeros_}[init]
    torch.manual_seed(0)
    before, after_ = begun(init=init)
    for name in weighty(before):
        theirs = fill(torch.zeros(before[name].shape)).numpy()
        assert after_[name].std() == pytest.approx(theirs.std(), rel=0.12), name
        assert not after_[name.replace("weight", "bias")].any()
    assert np.array_equal(after_["1.weight"], np.ones(48, np.float32))  # batch norm's


def test_a_sick_presets_settings_count_where_nothing_else_is_said() -> None:
    asked = with_preset({"network": "weights-x10", "weights_gain": 2.0, "data": "digits"})
    assert asked == {"network": "weights-x10", "weights_gain": 2.0, "data": "digits"}
    assert with_preset({"data": "digits"}) == {"data": "digits"}
    for preset in presets.PRESETS.values():
        settings = Settings.from_request(with_preset({"network": preset.name}))
        for name, value in preset.settings.items():
            assert getattr(settings, name) == value != getattr(Settings(), name)


def test_a_network_of_zeros_learns_nothing_but_its_last_bias(tmp_path: Path) -> None:
    fit(tmp_path, spec(epochs=2, network="f-d8-r-d3", init="zeros", batch_size=8))
    assert [name for name, array in weights(tmp_path).items() if array.any()] == ["3.bias"]


# --- data ---


def test_without_normalization_the_network_sees_0_to_255(tmp_path: Path) -> None:
    fit(tmp_path, spec(network="linear", normalize=False))
    preprocessing = numpy_fit.load_trained(tmp_path).preprocessing
    np.testing.assert_allclose(preprocessing.apply_all(blobs().images)[:, 0], blobs().images, rtol=1e-6)
    colour = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), np.uint8)
    np.testing.assert_allclose(numpy_fit.preprocessing_of(colour, False).apply_all(colour),
                               colour.transpose(0, 3, 1, 2), rtol=1e-6)


def test_fewer_pictures_learn_and_the_same_validate(tmp_path: Path) -> None:
    held = {}
    for count in (0, 12, 1000):
        events = fit(tmp_path / str(count), spec(epochs=1, network="linear", train_pictures=count, learning_rate=1e-30))
        assert isinstance(events[0], Started)
        assert events[0].samples == {"train": 12 if count == 12 else 51, "validation": 9, "test": 21}
        held[count] = next(event.validation_loss for event in events if isinstance(event, Epoch))
    assert held[0] == held[1000]
    fitted, labels = np.arange(100, 190), np.repeat([9, 0, 1, 2], [100, 60, 20, 10])
    few = [set(cut_to(fitted, labels, most, np.random.default_rng(3)).tolist()) for most in (9, 18, 90)]
    assert few[0] < few[1] < few[2] == set(fitted.tolist())
    assert np.bincount(labels[list(few[1])]).tolist() == [12, 4, 2]


# --- one score for two classes ---


@pytest.mark.parametrize("network", ["slides", "c4-r-g-d1", "f-{d1-sg}"])
def test_one_score_for_two_classes_trains_with_binary_cross_entropy(
        network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (of_two(), of_two()))
    events = fit(tmp_path, spec(epochs=8, network=network, batch_size=8, learning_rate=0.03, label_smoothing=0.05))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.test_accuracy == 1
    trained = numpy_fit.load_trained(tmp_path)
    x, y = trained.preprocessing.apply_all(of_two().images), of_two().labels
    scores = trained.model(Tensor(x))
    assert scores.shape == (60, 1)
    module = build_torch(network_of(network) if network != "slides" else presets.network_named(
        network, x.shape[1:], 2), x.shape[1:]).eval()
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in trained.model.state_dict().items()})
    with torch.no_grad():
        said = module(torch.from_numpy(x))[:, 0]
    truth = torch.from_numpy(y).float()
    judged = torch.nn.functional.binary_cross_entropy(said, truth) if "d1-sg" in network or network == "slides" else \
        torch.nn.functional.binary_cross_entropy_with_logits(said, truth)
    loss, confusion = losses.evaluate(trained.model, x, y, 2)
    assert loss == pytest.approx(float(judged), rel=1e-4)
    assert confusion.tolist() == [[30, 0], [0, 30]]


def test_a_smoothed_and_mixed_binary_label_is_what_torch_makes_of_it() -> None:
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(6, 1)), np.array([0, 1, 1, 0, 1, 0])
    mixed = Augmentation(mixup=1.0).mix(rng.normal(size=(6, 1, 2, 2)), rng)
    ours = Tensor(scores, requires_grad=True)
    loss = losses.mixed_loss(ours, y, mixed, 0.2)
    loss.backward()
    theirs = torch.tensor(scores, requires_grad=True)
    target = torch.tensor(mixed.share * y + (1 - mixed.share) * y[mixed.partner])[:, None]
    judged = torch.nn.functional.binary_cross_entropy(torch.sigmoid(theirs), 0.8 * target + 0.1)
    judged.backward()
    assert loss.item() == pytest.approx(judged.item())
    assert theirs.grad is not None
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-6)


# --- the end, early ---


def test_stops_after_epochs_that_validate_no_better_and_keeps_the_last_weights(tmp_path: Path) -> None:
    request: dict[str, Any] = {"network": "linear", "batch_size": 8, "learning_rate": 30.0, "schedule": "constant"}
    whole = [event for event in fit(tmp_path / "whole", spec(epochs=12, **request)) if isinstance(event, Epoch)]
    held = [event.validation_loss for event in whole]
    ends = next(k for k in range(1, 13) if stalled(held[:k], 2))
    assert ends < 12
    best = int(np.argmin(held[:ends]))
    assert ends - 1 - best == 2
    events = fit(tmp_path / "early", spec(epochs=12, early_stopping=2, **request))
    assert [event.validation_loss for event in events if isinstance(event, Epoch)] == held[:ends]
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, events[-1].epochs, events[-1].best_epoch) == ("completed", ends, None)
    again = fit(tmp_path / "early", spec(epochs=12, early_stopping=2, **request))  # killed before its last word
    assert sum(isinstance(event, Epoch) for event in again) == ends
    fit(tmp_path / "short", spec(epochs=ends, **request))
    assert same(weights(tmp_path / "early"), weights(tmp_path / "short"))


def test_a_loss_that_is_no_number_is_never_the_best() -> None:
    assert not stalled([], 1)
    assert not stalled([1.0, math.nan], 0)
    assert not stalled([math.nan, 1.0], 1)
    assert stalled([1.0, math.nan], 1)


# --- wrong values ---

WRONG: tuple[tuple[str, Any, str], ...] = (
    ("epochs", 0, "epochs 0"), ("epochs", "many", "epochs 'many'"), ("epochs", 2.5, "2.5"), ("epochs", True, "True"),
    ("batch_size", 1, "batch size 1"), ("learning_rate", -1, "a number above 0"), ("learning_rate", math.inf, "inf"),
    ("learning_rate", 10**400, "a number above 0"),
    ("learning_rate", None, "None"), ("optimizer", "lion", "sgd, momentum, nesterov, adam, adamw or rmsprop"),
    ("optimizer", ["adam"], "adam"), ("schedule", "cyclic", "cosine, constant, step, linear or warmup"),
    ("loss", "mse", "cross-entropy, squared-error or hinge"), ("loss", ["hinge"], "hinge"),
    ("weight_decay", -0.1, "from 0 to 1"), ("weight_decay", 1.5, "from 0 to 1"),
    ("label_smoothing", 1, "from 0 to below 1"), ("label_smoothing", "a", "'a'"), ("clip_norm", -1, "clip norm -1"),
    ("clip_norm", math.nan, "nan"), ("init", "ones", "default, kaiming, xavier, normal or zeros"),
    ("weights_gain", 0, "above 0"), ("first_bias", "low", "first bias 'low'"), ("first_bias", math.inf, "inf"),
    ("normalize", 1, "true or false"), ("train_pictures", 1, "2 or more"), ("train_pictures", -3, "2 or more"),
    ("early_stopping", -1, "0 for never"), ("early_stopping", 1.5, "0 for never"), ("augment", 3, "augment 3"),
    ("engine", "keras", "ours or torch"), ("augment", {"melt": 1}, "'melt'"), ("augment", {"mirror": 2}, "mirror"),
)


@pytest.mark.parametrize(("name", "value", "says"), WRONG, ids=[f"{name}-{value}" for name, value, _ in WRONG])
def test_a_wrong_value_is_refused_at_once_in_one_sentence(
        name: str, value: Any, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: pytest.fail("the data were read first"))
    with pytest.raises(PlaygroundError) as raised:
        next(numpy_fit.fit(spec(**{"epochs": 1, name: value}), tmp_path, never))  # type: ignore[arg-type]
    said = str(raised.value)
    assert says in said
    assert said.endswith(".")
    assert "\n" not in said


def test_every_setting_has_a_wrong_value() -> None:
    assert {name for name, _, _ in WRONG} == set(Settings.__dataclass_fields__)


COUNTS: dict[str, Any] = {
    "epochs": 2, "batch_size": 16, "learning_rate": 1, "optimizer": "sgd", "schedule": "step", "loss": "hinge",
    "weight_decay": 1, "label_smoothing": 0.5, "clip_norm": 0.01, "init": "xavier", "weights_gain": 3, "first_bias": 0,
    "normalize": False, "train_pictures": 20, "early_stopping": 1, "engine": "torch", "augment": {"mirror": 0.5},
}


@pytest.mark.parametrize("name", Settings.__dataclass_fields__)
def test_every_setting_changes_what_is_learnt(name: str, tmp_path: Path) -> None:
    request: dict[str, Any] = {"epochs": 3, "network": "f-d4-r-d3", "batch_size": 8, "optimizer": "momentum"}
    if name == "early_stopping":
        request = {"epochs": 12, "network": "linear", "batch_size": 8, "learning_rate": 30.0, "schedule": "constant"}
    fit(tmp_path / "plain", spec(**request))
    fit(tmp_path / "other", spec(**{**request, name: COUNTS[name]}))
    assert not same(weights(tmp_path / "plain"), weights(tmp_path / "other"))
