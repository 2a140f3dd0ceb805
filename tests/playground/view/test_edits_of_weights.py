"""Weights edited: what it does is what torch says of the same weights, and it is undone to the bit."""

import numpy as np
import pytest
import torch

from playground.errors import PlaygroundError
from playground.view.asks.edits import Edit, Edits, effect, plane, run_edited
from playground.view.asks.measured import of_scores, prepared
from playground.view.sources import Design, File
from tests.playground.view.small_networks import a_set, as_file, as_torch, design, pictures

TEXT = "c4-b-r-p2-f-d6-r-d3"
PAINTED = Edit("a kernel painted", tuple(("0.weight", (1, 0, i, j), float(i - j)) for i in range(3) for j in range(3)))
MORE = Edit("one weight", (("7.bias", (2,), 4.0), ("0.weight", (1, 0, 0, 0), -9.5)))


@pytest.mark.parametrize("kind", ["design", "file"])
def test_an_edit_does_what_the_same_weights_do_in_torch_and_is_undone_to_the_bit(kind: str) -> None:
    made = design(TEXT)
    source: Design | File = made if kind == "design" else as_file(made)
    x, y = pictures()
    untouched = {name: weight.data.copy() for name, weight in source.weights().items()}
    scores = source.scores(x)
    edits = Edits().after(PAINTED).after(MORE)
    found = effect(source, edits, x, y)
    model = as_torch(made)
    with torch.no_grad():
        before = model(torch.tensor(x).double()).numpy()
        for name, array in edits.weights(source).items():
            model.state_dict()[name].copy_(torch.tensor(array))
        assert model.state_dict()["0.weight"][1, 0].tolist() == [[-9.5, -1, -2], [1, 0, -1], [2, 1, 0]]
        after = model(torch.tensor(x).double()).numpy()
    for measured, wanted in ((found.before, before), (found.after, after)):
        assert measured.right == int((wanted.argmax(1) == y).sum())
        loss = torch.nn.functional.cross_entropy(torch.tensor(wanted), torch.tensor(y)).item()
        assert measured.loss == pytest.approx(loss, rel=1e-5)
        assert measured.confusion.sum() == measured.count == len(x)
    trace, changed = run_edited(source, edits, x[:2])
    np.testing.assert_allclose(changed, after[:2], rtol=1e-4, atol=1e-5)
    kernel = trace.parts[0].output.data[:, 1]
    np.testing.assert_allclose(kernel, _conv(x[:2], model, 1), rtol=1e-4, atol=1e-5)

    assert edits.undone().undone().weights(source) == {}
    np.testing.assert_array_equal(source.scores(x), scores)
    for name, weight in source.weights().items():
        np.testing.assert_array_equal(weight.data, untouched[name])
    once = edits.undone().undone().redone()
    assert once.done == (PAINTED,)
    assert once.taken_back == (MORE,)
    np.testing.assert_array_equal(once.weights(source)["0.weight"][1, 0], np.subtract.outer(range(3), range(3)))
    np.testing.assert_array_equal(once.weights(source)["0.weight"][0], untouched["0.weight"][0])


def _conv(x: np.ndarray, model: torch.nn.Module, f: int) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model[0](torch.tensor(x).double())[:, f])  # type: ignore[index]


def test_an_edit_after_an_undo_forgets_what_was_undone_and_nothing_is_undone_below_the_first() -> None:
    edits = Edits().after(PAINTED).after(MORE).undone()
    assert edits.redone().done == (PAINTED, MORE)
    assert edits.after(PAINTED).taken_back == ()
    assert Edits().undone() == Edits() == Edits().redone()


def test_what_is_no_weight_or_no_number_is_refused_and_changes_nothing() -> None:
    source = design(TEXT)
    x, y = pictures(4)
    before = source.scores(x)
    for name, index, value in (("9.weight", (0,), 1.0), ("0.weight", (0, 0), 1.0), ("0.weight", (4, 0, 0, 0), 1.0),
                               ("0.weight", (0, 0, 0, -1), 1.0), ("0.weight", (0, 0, 0, 0), float("nan")),
                               ("0.weight", (0, 0, 0, 0), float("inf")), ("0.weight", (0, 0, 0, 0), 1e39)):
        with pytest.raises(PlaygroundError):
            effect(source, Edits().after(Edit("wrong", ((name, index, value),))), x, y)
    np.testing.assert_array_equal(source.scores(x), before)


def test_a_plane_is_the_kernel_of_a_weight_or_the_weight_alone() -> None:
    weight = np.arange(4 * 2 * 3 * 5.0).reshape(4, 2, 3, 5)
    kernel, where = plane(weight, (2, 1, 0, 0))
    assert kernel.shape == (3, 5)
    assert all(kernel[at] == weight[index] for at, index in where.items())
    alone, where = plane(np.arange(6.0).reshape(2, 3), (1, 2))
    assert (alone.tolist(), where) == ([[5.0]], {(0, 0): (1, 2)})


def test_labels_follow_the_names_of_the_classes_and_other_classes_are_refused() -> None:
    source = design(TEXT)
    turned = a_set(classes=("c", "a", "b"))
    x, y, which = prepared(source, turned, 10)
    assert [source.labels[k] for k in y] == [turned.classes[turned.labels[n]] for n in which]
    assert len(x) == 10
    assert which[0] == 0
    assert which[-1] == len(turned) - 1
    np.testing.assert_array_equal(x, source.preprocessing.apply_all(turned.images[which]))
    with pytest.raises(PlaygroundError, match="the network knows a, b, c"):
        prepared(source, a_set(classes=("a", "b", "d")), 10)


def test_one_score_for_two_classes_counts_from_zero() -> None:
    scores = np.array([[-2.0], [0.5], [1.0], [-0.1]])
    found = of_scores([scores[:3], scores[3:]], np.array([0, 0, 1, 1]), 2)
    assert found.confusion.tolist() == [[1, 1], [1, 1]]
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(scores[:, 0]),
                                                                  torch.tensor([0.0, 0, 1, 1]))
    assert found.loss == pytest.approx(wanted.item())
    assert found.recalls.tolist() == [0.5, 0.5]
