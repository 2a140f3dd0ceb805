"""A step taken apart: its parts add up to the step that was taken, and each is what torch says of the same numbers."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.core import OPS
from playground.datasets import named
from playground.errors import PlaygroundError
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history, numpy_fit
from playground.training.scratch.history_files import digest_of
from playground.training.scratch.settings import ask_rate
from playground.training.scratch.training import Training
from playground.view.asks.places import Use, factors, pushes
from playground.view.asks.steps import BATCH, DECAY, EARLIER
from playground.view.asks.why import Taken, take, taken, why
from tests.playground.test_numpy_fit import blobs, never

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop")
NETWORKS = {
    "one of each": "c4s2-b-r-ct3k3-gn3-r-dw-ln-[c3n]-f-o0.2-d5-r-d3",
    "mixed up": "c3k5d1-r-p2-f-d3",
}
TORCH = {"sgd": torch.optim.SGD, "momentum": torch.optim.SGD, "nesterov": torch.optim.SGD, "adam": torch.optim.Adam,
         "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}


@pytest.fixture
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


def training(optimizer: str, network: str = NETWORKS["one of each"], dtype: Any = np.float32, **more: Any) -> Training:
    asked = {"data": "digits", "optimizer": optimizer, "network": network, "batch_size": 8, "weight_decay": 0.05,
             "clip_norm": 0.4, "label_smoothing": 0.1, "schedule": "warmup", "learning_rate": 0.02, **more}
    begun = numpy_fit.begun(RunSpec("digits", asked, 1, "mine"))
    for weight in begun.model.parameters():
        weight.data = weight.data.astype(dtype)
    begun.model.train()
    return replace(begun, x=begun.x.astype(dtype))


def places_of(step: Taken, most: int = 4) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Some weights of every part."""
    rng = np.random.default_rng(0)
    for name in step.weights:
        for _ in range(most):
            yield name, tuple(int(rng.integers(n)) for n in step.before[name].shape)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_parts_of_a_step_add_up_to_it(optimizer: str, network: str, on_blobs: None) -> None:
    more: dict[str, Any] = {"augment": {"mixup": 0.4}} if network == "mixed up" else {}
    for dtype in (np.float64, np.float32):
        begun = training(optimizer, NETWORKS[network], dtype, **more)
        order = begun.order()
        steps = [take(begun, chosen) for chosen in order[:3]]  # the first has nothing to remember
        for step in steps:
            assert step.clip < 1
            for name, index in places_of(step):
                found = why(step, name, index)
                assert found.moved == float(step.after[name][index]) - float(step.before[name][index])
                pushed = sum(float(np.abs(push.places).sum()) for push in found.pushes)
                if dtype is np.float64:
                    assert abs(found.rounding) <= 1e-6 * abs(found.moved) + 1e-17
                    assert abs(found.gradient_rounding) <= 1e-12 * pushed + 1e-17
                else:  # of a weight near 1 float32 keeps its step to 1e-7 of the weight, not of the step
                    moved = sum(abs(term.value) for term in found.terms.terms)
                    assert abs(found.rounding) <= 2e-7 * (abs(found.before) + 4 * moved) + 1e-12
                    assert abs(found.gradient_rounding) <= 2e-6 * pushed + 1e-9
                batch = next(term.value for term in found.terms.terms if term.name == BATCH)
                shares = sum(push.step for push in found.pushes)
                assert shares == pytest.approx(batch, rel=2e-5, abs=3e-6 * abs(found.terms.factor) * (pushed + 1e-9))
                for push in found.pushes:
                    assert push.places.sum() == pytest.approx(push.gradient, rel=1e-12, abs=1e-15)
                    if push.inputs is not None and push.arriving is not None:
                        np.testing.assert_array_equal(push.places, push.inputs * push.arriving)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_step_is_the_one_that_training_takes_and_the_one_of_torch(optimizer: str, on_blobs: None) -> None:
    ours, twin = training(optimizer, dtype=np.float64), training(optimizer, dtype=np.float64)
    options = {"momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True}}.get(optimizer, {})
    weights = {name: torch.tensor(w.data.copy(), requires_grad=True) for name, w in ours.model.named_parameters()}
    theirs = TORCH[optimizer](weights.values(), lr=0.02, weight_decay=0.05, **options)
    order = ours.order()
    assert [list(a) for a in twin.order()] == [list(b) for b in order]
    for chosen in order[:4]:
        step = take(ours, chosen)
        twin.step(chosen)
        assert digest_of(ours.model.state_dict()) == digest_of(twin.model.state_dict())
        theirs.param_groups[0]["lr"] = step.settings["lr"]
        before = {name: w.detach().clone() for name, w in weights.items()}
        total = np.sqrt(sum(float((g**2).sum()) for g in step.gradients.values()))
        assert step.norm == pytest.approx(total)
        for name, w in weights.items():
            w.grad = torch.tensor(step.gradients[name] * min(1.0, 0.4 / (total + 1e-6)))
        theirs.step()
        for name, index in places_of(step):
            moved = float((weights[name].detach() - before[name])[index])
            assert why(step, name, index).terms.step == pytest.approx(moved, rel=1e-6, abs=1e-15), name


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_each_rule_of_sgd_is_what_torch_does_when_the_others_are_not_there(optimizer: str, on_blobs: None) -> None:
    begun = training(optimizer, dtype=np.float64)
    step = [take(begun, chosen) for chosen in begun.order()[:3]][-1]
    options = {"momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True}}.get(optimizer, {})

    def alone(name: str, rule: str) -> np.ndarray:
        w = torch.tensor(step.before[name] * (rule == DECAY), requires_grad=True)
        made = torch.optim.SGD([w], lr=step.settings["lr"], weight_decay=0.05 * (rule == DECAY), **options)
        if options:
            remembered = torch.tensor(step.memory[name]["momentum_buffer"]) * (rule == EARLIER)
            made.state[w]["momentum_buffer"] = remembered
        w.grad = torch.tensor(step.clipped[name]) * (rule == BATCH)
        before = w.detach().clone()
        made.step()
        return (w.detach() - before).numpy()

    for name, index in places_of(step, 2):
        for term in why(step, name, index).terms.terms:
            assert term.value == pytest.approx(alone(name, term.name)[index], rel=1e-9, abs=1e-15), term.name


def test_a_pictures_share_is_the_gradient_of_its_own_loss(on_blobs: None) -> None:
    begun = training("sgd", "c3-r-p2-f-d6-th-d3", np.float64, label_smoothing=0.0)
    from playground.network.build import build_torch

    model = build_torch(begun.network, begun.x.shape[1:]).double()
    model.load_state_dict({name: torch.tensor(a) for name, a in begun.model.state_dict().items()})
    step = take(begun, begun.order()[0])
    assert not step.coupled
    for n in range(len(step.chosen)):
        loss = functional.cross_entropy(model(torch.tensor(step.fed[n:n + 1])), torch.tensor(step.labels[n:n + 1]))
        own = torch.autograd.grad(loss / len(step.chosen), list(model.parameters()))
        gradients = {name: g.numpy() for (name, _), g in zip(model.named_parameters(), own, strict=True)}
        for name, index in places_of(step, 3):
            assert why(step, name, index).pushes[n].gradient == pytest.approx(gradients[name][index], rel=1e-9,
                                                                              abs=1e-14)


def _case(name: str, x: tuple[int, ...], *weights: tuple[int, ...], given: int = 0, **options: Any) -> Any:
    return pytest.param(name, x, weights, given, options, id=f"{name} {options}")


@pytest.mark.parametrize(("name", "x", "weights", "given", "options"), [
    _case("conv2d", (3, 4, 7, 6), (6, 4, 3, 2), (6,)),
    _case("conv2d", (3, 4, 9, 8), (6, 2, 3, 3), (6,), stride=(2, 3), padding=(2, 1), dilation=2, groups=2),
    _case("conv2d", (2, 4, 8, 8), (4, 1, 3, 3), (4,), padding=((0, 1), (2, 0)), groups=4),
    _case("conv_transpose2d", (3, 4, 4, 5), (4, 3, 3, 2), (3,)),
    _case("conv_transpose2d", (3, 4, 4, 5), (4, 3, 3, 2), (6,), stride=(2, 3), padding=1, output_padding=1, groups=2),
    _case("conv_transpose2d", (2, 2, 4, 5), (2, 3, 3, 3), (3,), stride=1, padding=2, dilation=2),
    _case("linear", (5, 7), (3, 7), (3,)), _case("linear", (5, 2, 7), (3, 7), (3,)),
    _case("batch_norm_training", (4, 3, 5, 2), (3,), (3,)), _case("batch_norm_training", (6, 3), (3,), (3,), eps=0.1),
    _case("batch_norm_inference", (4, 3, 5, 2), (3,), (3,), given=2),
    _case("layer_norm", (4, 3, 5, 2), (3, 5, 2), (3, 5, 2), normalized_shape=(3, 5, 2)),
    _case("layer_norm", (4, 7), (7,), (7,), normalized_shape=7),
    _case("group_norm", (4, 6, 5, 2), (6,), (6,), num_groups=3),
    _case("instance_norm", (4, 6, 5, 2), (6,), (6,)),
    _case("matmul", (5, 7), (7, 3)),  # not written out: asked of the way back
])
def test_what_every_picture_pushes_a_weight_with_is_what_the_way_back_gives_it(
        name: str, x: tuple[int, ...], weights: tuple[tuple[int, ...], ...], given: int, options: dict[str, Any]
) -> None:
    rng, op = np.random.default_rng(2), OPS[name]
    statistics = [rng.random(x[1]) + 0.5 for _ in range(given)]
    inputs = [rng.standard_normal(x), *statistics, *map(rng.standard_normal, weights)]
    y, vjp = op.rule(*inputs, **options)
    g = rng.standard_normal(y.shape)
    for position in range(1 + given, len(inputs)):
        use = Use(op, tuple(inputs), options, position, g)
        for _ in range(5):
            index = tuple(int(rng.integers(n)) for n in inputs[position].shape)
            found = pushes(use, index)
            for n in range(len(g)):
                alone = np.zeros_like(g)
                alone[n] = g[n]
                wanted = vjp(alone)[position][index]
                assert found[n].sum() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
            both = factors(use, index)
            assert (both is None) == (name == "matmul")
            assert both is None or both[0].shape == both[1].shape == found.shape


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
        asked = RunSpec("digits", {"data": "digits", "network": "c3-b-r-f-o0.3-d3", "epochs": 3, "batch_size": 8,
                                   "augment": {"mirror": 0.5}}, 3, "mine")
        for event in numpy_fit.fit(asked, folder, never):
            if getattr(event, "epoch", 0) == 1 and type(event).__name__ == "Saved":
                ask_rate(folder, 0.5)
        yield folder


@pytest.mark.parametrize("number", [1, 5, 6, 7, 12, 18])  # first and last of an epoch of 6 among them
def test_a_step_of_a_kept_run_ends_where_the_run_did(run: Path, number: int) -> None:
    step = taken(run, number)
    assert (step.number, step.epoch) == (number, (number - 1) // 6 + 1)
    wanted = history.replayed(run, number).model.state_dict()
    for name, array in step.after.items():
        np.testing.assert_array_equal(array, wanted[name])
    assert step.settings["lr"] <= step.asked_rate * (0.5 if number > 6 else 1)


def test_what_cannot_be_asked_is_refused_with_a_sentence(run: Path, tmp_path: Path) -> None:
    for number in (0, -1, 19, 10**9):
        with pytest.raises(PlaygroundError):
            taken(run, number)
    with pytest.raises(PlaygroundError, match="history"):
        taken(tmp_path, 1)
    step = taken(run, 3)
    with pytest.raises(PlaygroundError, match="no weights called"):
        why(step, "9.weight", (0,))
    for index in ((0, 0, 0), (3, 0, 0, 0), (0, 0, -1, 0)):
        with pytest.raises(PlaygroundError, match="3 × 1 × 3 × 3"):
            why(step, "0.weight", index)
