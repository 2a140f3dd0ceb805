"""What is measured while a network trains: right by PyTorch's own hooks, cheap, and without a trace in the weights."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import Tensor
from engine.module import watched
from playground.datasets import named
from playground.errors import PlaygroundError
from playground.network.build import build, build_torch, placed
from playground.network.spelling import network_of
from playground.training.runs.events import Batch, Measures, NotFinite, Resumed, from_json, to_json
from playground.training.runs.run_view import fold
from playground.training.runs.runs import RunSpec
from playground.training.scratch import measures, numpy_fit
from playground.training.scratch.history_files import digest_of
from playground.training.scratch.losses import loss_of
from playground.training.scratch.measures import Look, Meter, Parts
from tests.playground.test_numpy_fit import blobs, never

DESIGN = "c6n-b-r-[c6-gn2-si:c6k1]-(c3-th,c5k5-sg)-p2-{c8-ln-lr}-f-d16-el-d3"


def spec(**request: Any) -> RunSpec:
    return RunSpec("digits", {"data": "digits", "batch_size": 8, **request}, 3, "mine")


@pytest.fixture
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


def rms(a: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(a, np.float64)))))


def test_sizes_of_activations_gradients_and_steps_are_those_that_pytorch_sees() -> None:
    network, takes = network_of(DESIGN), (1, 9, 7)
    model = build(network, takes, np.random.default_rng(0))
    twin = build_torch(network, takes)
    twin.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in model.state_dict().items()})
    x = np.random.default_rng(1).normal(size=(12, *takes)).astype(np.float32)
    y = np.arange(12) % 3
    names = {id(module): name for name, module in model.named_modules()}
    paths = {names[id(module)]: path for path, module in placed(network, model).items()}
    seen: dict[Any, torch.Tensor] = {}

    def remember(path: Any) -> Any:
        def hook(module: Any, inputs: Any, output: torch.Tensor) -> None:
            output.retain_grad()
            seen[path] = output
        return hook

    for name, module in twin.named_modules():
        if name in paths:
            module.register_forward_hook(remember(paths[name]))
    torch.nn.functional.cross_entropy(twin(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    optimizer = numpy_fit.optimizer_of(numpy_fit.Settings(), model.parameters())
    with watched() as calls:
        loss = loss_of(model(Tensor(x)), y)
    look = Look(Parts(network, model), calls, x, loss)
    look.backward()
    before = {path: weight.data.copy() for path, _, _, weight in look.parts.rows if weight is not None}
    optimizer.step()
    look.stepped()
    found = look.measures(1, 1, 0.0)
    assert len(found.parts) == len(paths) - sum(1 for path in paths.values() if network.at(path).kind in (
        "residual", "parallel", "block", "flatten", "max_pool"))
    assert found.pictures == pytest.approx(rms(x), rel=1e-3)
    after = {path: weight.data for path, _, _, weight in look.parts.rows if weight is not None}
    for part in found.parts:
        output = seen[part.path].detach().numpy()
        assert part.activation == pytest.approx(rms(output), rel=1e-3), part
        assert seen[part.path].grad is not None
        assert part.gradient == pytest.approx(rms(seen[part.path].grad), rel=2e-3), part
        assert part.zeros == pytest.approx(float(np.mean(output == 0)), abs=1e-3)
        assert part.not_finite == 0
        if part.path in before:
            moved = np.linalg.norm(after[part.path] - before[part.path]) / np.linalg.norm(before[part.path])
            assert part.step == pytest.approx(moved, rel=1e-3)
        else:
            assert part.step is None
        assert (part.saturated is None) == (part.kind not in ("sigmoid", "tanh"))
        assert (part.dead is None) == (part.kind != "relu")


def test_saturated_is_where_the_slope_is_below_a_25th_of_the_largest_and_dead_where_nothing_answers() -> None:
    x = np.linspace(-8, 8, 4001, dtype=np.float32)
    for kind, function in (("sigmoid", torch.sigmoid), ("tanh", torch.tanh)):
        points = torch.from_numpy(x).requires_grad_()
        answers = function(points)
        answers.sum().backward()
        slopes = points.grad
        assert slopes is not None
        wanted = float((slopes < 0.04 * slopes.max()).float().mean())
        assert measures._given(kind, answers.detach().numpy()[None])["saturated"] == pytest.approx(wanted, abs=2e-3)
    y = np.zeros((4, 3, 2, 2), np.float32)
    y[1, 2, 0, 1] = 1
    assert measures._given("relu", y)["dead"] == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize(("numbers", "size", "not_finite"), [
    ([3.0, 4.0], math.sqrt(12.5), 0), ([np.nan, 3.0, np.inf], 3.0, 2), ([np.nan], None, 1), ([0.0, 0.0], 0.0, 0),
    ([1e-30, 1e-30], 1e-30, 0), ([1e30, 1e30], 1e30, 0), ([], 0.0, 0),
])
def test_the_size_of_numbers_of_any_size(numbers: list[float], size: float | None, not_finite: int) -> None:
    found, broken = measures._size(np.array(numbers, np.float32))
    assert broken == not_finite
    assert found is None if size is None else found == pytest.approx(size, rel=1e-3)


def test_measuring_changes_no_weight(on_blobs: None) -> None:
    digests = []
    for measured in (lambda step: False, lambda step: True, lambda step: step % 3 == 0):
        training = numpy_fit.begun(spec(network="c4n-b-r-oc0.2-(c3-th,c4-sg)-f-d9-r-o0.5-d3", epochs=4,
                                        augment={"rotate": 9, "mixup": 0.3}))
        step = 0
        for _ in range(4):
            training.model.train()
            for chosen in training.order():
                training.step(chosen, measured(step))
                step += 1
        digests.append(digest_of(training.model.state_dict()))
    assert digests[0] == digests[1] == digests[2]


def test_a_run_tells_its_measures_as_strict_json(tmp_path: Path, on_blobs: None) -> None:
    told = [event for event in numpy_fit.fit(spec(epochs=3), tmp_path, never) if isinstance(event, Measures)]
    assert told[0].step == 1
    assert told[0].first is None
    for event in told:
        line = to_json(event)
        json.loads(line, parse_constant=lambda constant: pytest.fail(constant))
        assert from_json(line) == event


def test_a_run_that_went_on_shows_the_measures_of_all_its_attempts_once_each() -> None:
    def at(step: int, loss: float) -> Measures:
        return Measures(1, step, 1.0, loss, (), None, 0.0)

    told = [at(1, 3.0), at(5, 2.0), Resumed(1.0), at(3, 2.5), at(5, 2.0), at(9, 1.0)]
    view = fold("20261129-120000-000000-abcd", spec(), told, True, False)
    assert [(one.step, one.loss) for one in view.measures] == [(1, 3.0), (3, 2.5), (5, 2.0), (9, 1.0)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_number_that_is_none_is_told_with_its_op_before_the_run_fails(tmp_path: Path, on_blobs: None) -> None:
    told: list[Any] = []
    training = numpy_fit.fit(spec(network="c4-r-c4-r-f-d3", learning_rate=1e30), tmp_path, never)
    with pytest.raises(PlaygroundError, match="no longer a number"):
        told.extend(iter(lambda: told.append(next(training)) or 0, 1))
    last = next(event for event in reversed(told) if isinstance(event, Measures))
    json.loads(to_json(last), parse_constant=lambda constant: pytest.fail(constant))
    assert last.loss is None
    assert last.first == NotFinite((2,), "conv2d", "forward")
    assert from_json(to_json(last)) == last


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("broken", "wanted"), [
    ("weight", NotFinite((3,), "linear", "step")), ("pictures", NotFinite((), "conv2d", "forward")),
    ("loss", NotFinite((), "cross_entropy", "forward")), ("backward", NotFinite((3,), "linear", "backward")),
])
def test_where_it_came_up(broken: str, wanted: NotFinite, on_blobs: None) -> None:
    training = numpy_fit.begun(spec(network="c4-r-f-d5-r-d3"))
    training.model.train()
    weights = training.model.state_dict()
    if broken == "weight":
        weights["3.weight"][0, 0] = np.inf
    if broken == "pictures":
        training.x[:] = np.nan
    if broken == "loss":
        weights["5.bias"][:] = (3e38, -3e38, -3e38)
        weights["5.weight"][:] = 0
    if broken == "backward":  # forward all is finite: the next weights are too large for what comes back
        weights["3.weight"][:, ::2], weights["3.weight"][:, 1::2] = 3e38, -3e38
        weights["3.bias"][:] = 1
        weights["0.weight"][:] = 0
        weights["0.bias"][:] = 1e-3
        weights["5.weight"][:] = np.array([[3e3], [-3e3], [1]], np.float32)
    look = training.step(np.arange(8), measure=True).look
    assert look is not None
    assert look.first == wanted


def test_what_is_measured_is_let_go_with_the_step(on_blobs: None) -> None:
    training = numpy_fit.begun(spec())
    training.model.train()
    look = training.step(np.arange(8), measure=True).look
    assert look is not None
    assert not any(isinstance(value, Tensor) for value in vars(look).values())
    assert not {"outputs", "weights"} & set(vars(look))


def test_a_meter_spends_its_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(measures.time, "perf_counter", lambda: now[0])
    meter, measured = Meter(1000), []
    for step in range(1, 1001):
        if meter.due(step):
            now[0] += 0.02
            meter.took(step, 0.02)
            measured.append(step)
        now[0] += 0.01
    assert measured[0] == 1
    assert 0.8 * measures.SHARE <= 0.02 * len(measured) / now[0] <= measures.SHARE + 0.02 / now[0]
    cheap = Meter(1000)
    steps = [step for step in range(1, 1001) if cheap.due(step) and cheap.took(step, 0.0) is None]
    assert len(steps) <= measures.MOST


@pytest.mark.slow
def test_measuring_costs_less_than_a_20th_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the looks took by their own clock, and what the rest took: a loaded machine slows both."""
    spent = [0.0]
    really = Look.measures

    def told(look: Look, *rest: Any) -> Any:
        spent[0] += look.seconds
        return really(look, *rest)

    monkeypatch.setattr(Look, "measures", told)
    began = time.perf_counter()
    events = list(numpy_fit.fit(RunSpec("digits", {"data": "digits", "epochs": 3}, 0, "mine"), tmp_path, never))
    assert spent[0] < 0.05 * (time.perf_counter() - began)
    assert any(isinstance(event, Measures) for event in events)
    assert any(isinstance(event, Batch) for event in events)
