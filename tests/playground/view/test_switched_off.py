"""Parts switched off: the scores are those of torch with a masked output, of onnxruntime with a Mul in the graph."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch.nn import functional

from engine import no_grad
from playground.errors import PlaygroundError
from playground.network.build import placed
from playground.network.parts import everything, place
from playground.view.asks.without import (
    LAYER,
    MAPS,
    SHORTCUT,
    WAY,
    Off,
    effect,
    guess,
    is_sum,
    passes_on,
    truly,
    without,
)
from playground.view.replay import in_order, replayed
from playground.view.sources import Design
from tests.network.designs import random_design
from tests.playground.view.small_networks import as_file, as_torch, design, graph_of, pictures

TEXT = "c6-b-r-[c6-b-r-c6:c6k1]-r-p2-[b-r]-f-d5-r-d3"


def masked(source: Design, part: str, mask: Any, x: np.ndarray) -> np.ndarray:
    """The scores of torch with what a part gives changed by `mask`."""
    model = as_torch(source)
    path = next(path for path, _ in everything(source.network.parts) if place(path) == part)
    placed(source.network, model)[path].register_forward_hook(lambda module, given, output: mask(given[0], output))
    with torch.no_grad():
        return np.asarray(model(torch.tensor(x).double()))


def close(found: Any, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found.data, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_maps_off_are_a_masked_output_in_torch() -> None:
    source = design(TEXT)
    x, _ = pictures(6)
    trace = source.run(x)
    for part in trace.parts:
        maps = tuple({0, part.shape[0] - 1, part.shape[0] // 2})

        def mask(given: Any, output: Any, maps: tuple[int, ...] = maps) -> Any:
            keep = torch.ones(output.shape[1], dtype=output.dtype)
            keep[list(maps)] = 0
            return output * keep.reshape(-1, *[1] * (output.ndim - 2))

        close(without(trace, [Off(part.index, MAPS, maps)]), masked(source, part.name, mask, x))


def test_a_shortcut_a_way_and_a_layer_off_are_what_torch_gives_without_them() -> None:
    source = design(TEXT)
    x, _ = pictures(6)
    trace = source.run(x)
    model = as_torch(source)
    sums = [part for part in trace.parts if is_sum(trace, part)]
    assert [part.name for part in sums] == ["part 4", "part 7"]
    for part in sums:
        module = model[int(part.name.split()[1]) - 1]
        close(without(trace, [Off(part.index, SHORTCUT)]),
              masked(source, part.name, lambda given, output, m=module: m.way(given), x))
        close(without(trace, [Off(part.index, WAY)]),
              masked(source, part.name, lambda given, output, m=module: m.shortcut(given), x))
    for part in trace.parts:
        if len(part.sources) != 1:
            continue
        keeps = passes_on(trace, part)
        close(without(trace, [Off(part.index, LAYER)]),
              masked(source, part.name, lambda given, output, keeps=keeps: given if keeps else output * 0, x))


def test_several_at_once_are_all_off() -> None:
    source = design("c4-r-c5-r-f-d3")
    x, _ = pictures(3)
    trace = source.run(x)
    model = as_torch(source)
    with torch.no_grad():
        first = model[1](model[0](torch.tensor(x).double()))
        first[:, [1, 3]] = 0
        second = model[3](model[2](first))
        second[:, 2] = 0
        wanted = np.asarray(model[5](model[4](second)))
    off = [Off(1, MAPS, (1,)), Off(1, MAPS, (3,)), Off(3, MAPS, (2,))]
    close(without(trace, off), wanted)
    assert without(trace, []) is trace.logits


def test_in_a_file_it_is_what_onnxruntime_gives_with_a_mul_in_the_graph() -> None:
    source = as_file(design(TEXT))
    x, _ = pictures(5)
    trace = source.run(x)
    for part in trace.parts:
        mask = np.ones((1, part.shape[0], *[1] * (len(part.shape) - 1)), np.float32)
        mask[0, [0, part.shape[0] // 2]] = 0
        model = graph_of(source)
        node = next(node for node in model.graph.node if node.name == part.name)
        own = node.output[0]
        if own == model.graph.output[0].name:
            continue
        node.output[0] = "unmasked"
        at = list(model.graph.node).index(node)
        model.graph.node.insert(at + 1, helper.make_node("Mul", ["unmasked", "mask"], [own]))
        model.graph.initializer.append(numpy_helper.from_array(mask, "mask"))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        wanted = session.run(None, {model.graph.input[0].name: x})[0]
        close(without(trace, [Off(part.index, MAPS, (0, part.shape[0] // 2))]), wanted)
    kept = [part.index for part in trace.parts if is_sum(trace, part)]
    twin = design(TEXT).run(x)
    for mine, theirs in zip(kept, [part.index for part in twin.parts if is_sum(twin, part)], strict=True):
        for what in (SHORTCUT, WAY):
            close(without(trace, [Off(mine, what)]), without(twin, [Off(theirs, what)]).data)


def test_the_effect_counts_what_the_scores_say() -> None:
    source = design(TEXT)
    x, y = pictures(20)
    found = effect(source, x, y, [Off(2, MAPS, (1, 2))])
    trace = source.run(x)
    off = without(trace, [Off(2, MAPS, (1, 2))])
    for measured, scores in ((found.before, trace.logits.data), (found.after, off.data)):
        wanted = np.zeros((3, 3), int)
        for true, said in zip(y, scores.argmax(1), strict=True):
            wanted[true, said] += 1
        assert measured.confusion.tolist() == wanted.tolist()
        assert measured.loss == pytest.approx(
            functional.cross_entropy(torch.tensor(scores), torch.tensor(y)).item(), rel=1e-5)
    same = effect(source, x, y, [])
    assert same.before.loss == same.after.loss


@pytest.mark.parametrize("kind", ["design", "file"])
def test_the_guess_is_the_gradient_times_the_activation_and_truly_is_the_loss_without(kind: str) -> None:
    made = design("c6-b-r-p2-c5-th-f-d3")
    source = made if kind == "design" else as_file(made)
    x, y = pictures(12)
    trace = made.run(x)
    for part in (1, 2, 5, 7):
        kept: list[torch.Tensor] = []
        model = as_torch(made)
        path = next(p for p, _ in everything(made.network.parts) if place(p) == trace.parts[part].name)

        def keep(module: Any, given: Any, output: torch.Tensor, kept: list[torch.Tensor] = kept) -> None:
            output.retain_grad()
            kept.append(output)

        placed(made.network, model)[path].register_forward_hook(keep)
        loss = functional.cross_entropy(model(torch.tensor(x).double()), torch.tensor(y))
        loss.backward()
        activation = kept[0]
        assert activation.grad is not None
        wanted = -(activation.grad * activation).detach().sum(dim=(0, *range(2, activation.ndim))).numpy()
        found = guess(source, x, y, part)
        np.testing.assert_allclose(found.values, wanted, rtol=1e-3, atol=1e-6)
        assert found.values[found.order].tolist() == sorted(found.values, reverse=True)
        for one, value in enumerate(truly(source, x, y, part, range(3))):
            both = effect(source, x, y, [Off(part, MAPS, (one,))])
            assert value == pytest.approx(both.after.loss - both.before.loss, rel=1e-6, abs=1e-9)


def test_the_guess_is_the_whole_of_it_where_the_loss_is_a_straight_line() -> None:
    """Scores of a class far off: cross-entropy is then nearly linear in what is switched off."""
    source = design("f-d6-d3")
    source.weights()["2.bias"].data[:] = [-60, 0, 60]
    x, _ = pictures(10)
    y = np.zeros(10, int)
    np.testing.assert_allclose(guess(source, x, y, 1).values, truly(source, x, y, 1, range(6)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_computed_again_without_a_change_has_the_same_bits(seed: int) -> None:
    network = random_design(np.random.default_rng(seed), (1, 8, 8), 3)
    from playground.network.spelling import spelled

    source = design(spelled(network), seed)
    x, _ = pictures(3)
    trace = source.run(x)
    with no_grad():
        now = replayed(trace, leaves={id(trace.picture): trace.picture.data.copy()})
        wide = replayed(trace, dtype=np.float64)
    for tensor in in_order(trace.logits):
        np.testing.assert_array_equal(now(tensor).data, tensor.data)
    wanted = as_torch(source)(torch.tensor(x).double()).detach().numpy()
    np.testing.assert_allclose(wide(trace.logits).data, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


def test_what_is_not_there_is_refused() -> None:
    source = design("c4-r-f-d3")
    trace = source.run(pictures(1)[0])
    for off in (Off(9, LAYER), Off(-1, LAYER), Off(0, MAPS, (4,)), Off(0, MAPS, (-1,)), Off(1, SHORTCUT), Off(3, WAY)):
        with pytest.raises(PlaygroundError):
            without(trace, [off])
