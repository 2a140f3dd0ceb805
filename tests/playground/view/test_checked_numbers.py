"""Numbers checked: ours, torch's, onnxruntime's and finite differences agree, and a wrong one is seen."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from engine.core import OPS
from playground.errors import PlaygroundError
from playground.network.spelling import spelled
from playground.ui.parts.torch_process import asked_torch
from playground.view.asks import Chosen, checks
from playground.view.asks.onnx_number import by_onnxruntime
from playground.view.asks.torch_number import answers
from playground.view.gradients import Target, walk_back
from playground.view.trace import PICTURE, Trace
from tests.network.designs import random_design
from tests.playground.view.small_networks import as_file, design, pictures

TEXT = "c4-b-r-p2-[c4-gn2-ge-c4]-a2-f-o0.2-d6-th-d3"


def everything(trace: Trace, rng: np.random.Generator) -> list[Chosen]:
    """A pixel, a number of every part and a weight of every array."""
    def anywhere(shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(rng.integers(n)) for n in shape)

    found = [Chosen(PICTURE, anywhere(trace.picture.shape[1:]))]
    for part in trace.parts:
        found.append(Chosen(part.index, anywhere(part.shape)))
        found += [Chosen(weight=(name, anywhere(weight.shape))) for name, weight in part.weights.items()]
    return found


def targets(trace: Trace) -> list[Target]:
    middle = trace.parts[len(trace.parts) // 2]
    return [Target("loss", label=1), Target("score", label=2),
            Target("number", part=middle.index, place=tuple(0 for _ in middle.shape))]


def agree(trace: Trace, target: Target, chosen: Chosen) -> checks.Difference:
    ours = checks.gradient(trace, target, chosen, np.float64)
    found = checks.difference(trace, target, chosen)
    if not found.kink:
        assert ours == pytest.approx(found.value, rel=1e-6, abs=20 * found.error), (target, chosen)
    assert checks.gradient(trace, target, chosen) == pytest.approx(ours, rel=2e-3, abs=1e-5), (target, chosen)
    return found


def test_a_gradient_is_its_finite_difference_and_torchs_and_a_number_onnxruntimes() -> None:
    source = design(TEXT)
    trace = source.run(pictures(1)[0])
    rng, kinks = np.random.default_rng(0), 0
    graphs = as_file(source)
    of_file = graphs.run(pictures(1)[0])
    goals = targets(trace)
    for k, chosen in enumerate(everything(trace, rng)):
        for target in goals:
            kinks += agree(trace, target, chosen).kink
        target = goals[k % len(goals)]
        theirs = answers(json.loads(checks.torch_question(source, trace, target, chosen)), torch.float64)
        ours = checks.gradient(trace, target, chosen, np.float64)
        assert theirs["gradient"] == pytest.approx(ours, rel=1e-9, abs=1e-13), (target, chosen)
        if chosen.part is not None and chosen.part != PICTURE:
            assert chosen.place is not None
            value = checks.value_of(trace, chosen)
            assert theirs["value"] == pytest.approx(value, rel=1e-4, abs=1e-5)
            part = trace.parts[chosen.part]
            assert by_onnxruntime(source, trace, part)[chosen.place] == pytest.approx(value, rel=1e-4, abs=1e-5)
    assert kinks < 6
    for part in of_file.parts:
        np.testing.assert_allclose(by_onnxruntime(graphs, of_file, part), part.output.data[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_any_design_agrees(seed: int) -> None:
    source = design(spelled(random_design(np.random.default_rng(seed + 40), (1, 8, 8), 3)), seed)
    trace = source.run(pictures(1, seed=seed)[0])
    rng = np.random.default_rng(seed)
    for chosen in everything(trace, rng):
        agree(trace, Target("score", label=1), chosen)


def test_the_gradient_is_the_one_that_the_walk_back_shows() -> None:
    source = design(TEXT)
    trace = source.run(pictures(1)[0])
    for target in targets(trace):
        shown = walk_back(trace, target)
        for chosen in everything(trace, np.random.default_rng(3)):
            found = checks.gradient(trace, target, chosen)
            if chosen.weight is not None:
                name, index = chosen.weight
                assert found == (float(shown.weights[name][index]) if name in shown.weights else 0.0)
            elif chosen.part != PICTURE and chosen.part is not None:
                arrived = shown.at(trace.parts[chosen.part])
                assert found == (0.0 if arrived is None else float(arrived[chosen.place]))
    assert all(weight.grad is None for weight in source.weights().values())


def test_at_a_kink_the_slopes_of_both_sides_are_told() -> None:
    source = design("f-d2-r-d3")
    weights = source.weights()
    weights["1.weight"].data[0], weights["1.bias"].data[0] = 0, 0
    trace = source.run(pictures(1)[0])
    target, chosen = Target("score", label=0), Chosen(1, (0,))
    found = checks.difference(trace, target, chosen)
    slope = float(weights["3.weight"].data[0, 0])
    assert found.kink
    assert sorted((found.left, found.right), key=abs) == pytest.approx([0, slope], abs=1e-9)
    assert checks.gradient(trace, target, chosen) == 0  # as in torch


def test_a_wrong_way_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    really = OPS["tanh"].rule

    def wrong(x: Any) -> Any:
        value, vjp = really(x)
        return value, lambda g: (1.01 * vjp(g)[0],)

    monkeypatch.setattr(OPS["tanh"], "rule", wrong)
    source = design("f-d4-th-d3")
    trace = source.run(pictures(1)[0])
    with pytest.raises(AssertionError):
        agree(trace, Target("score", label=0), Chosen(1, (0,)))


@pytest.mark.slow
def test_a_process_of_its_own_answers_as_torch_here_does() -> None:
    source = design(TEXT)
    trace = source.run(pictures(1)[0])
    question = checks.torch_question(source, trace, Target("loss", label=1), Chosen(3, (1, 2, 2)))
    done = asked_torch("playground.view.asks.torch_number", question, patience=300, late="late")
    assert json.loads(done.stdout)["float64"] == answers(json.loads(question), torch.float64)
    refused = asked_torch("playground.view.asks.torch_number", "{}", patience=300, late="late")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_what_is_not_there_is_refused_with_a_sentence() -> None:
    source = design("c4-r-f-d3")
    trace = source.run(pictures(1)[0])
    target = Target("loss", label=0)
    for chosen in (Chosen(), Chosen(1), Chosen(9, (0,)), Chosen(0, (4, 0, 0)), Chosen(0, (0, 0)),
                   Chosen(0, (0, -1, 0)), Chosen(weight=("x", (0,))), Chosen(weight=("0.weight", (0,)))):
        with pytest.raises(PlaygroundError):
            checks.gradient(trace, target, chosen)
        with pytest.raises(PlaygroundError):
            checks.difference(trace, target, chosen)
    with pytest.raises(PlaygroundError):
        checks.gradient(trace, Target("number", part=9, place=(0,)), Chosen(0, (0, 0, 0)))
