"""The losses that can be learnt from: torch's values and gradients, the same steps in both engines, and whatever knows
a run knows its loss."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as torch_f

from engine import Tensor
from playground.datasets import named
from playground.datasets.augmentation import Mixed
from playground.errors import PlaygroundError
from playground.training.runs.events import Epoch, Event, Saved
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history, numpy_fit, torch_gradients
from playground.training.scratch.history_files import digest_of
from playground.training.scratch.losses import (
    CROSS_ENTROPY,
    HINGE,
    LOSSES,
    SQUARED_ERROR,
    WORDS,
    chance,
    evaluate,
    loss_of,
    mixed_loss,
)
from playground.training.scratch.settings import Settings
from playground.training.scratch.torch_steps import both
from tests.playground.test_numpy_fit import blobs, never, spec

LABELS = np.array([0, 1, 1, 0, 1])


def scores_of(classes: int, large: float = 3.0) -> np.ndarray:
    scores = large * np.random.default_rng(classes).standard_normal((5, classes))
    scores[2] = 0.0  # all alike
    return scores


def by_torch(loss: str, scores: torch.Tensor, y: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """A loss of each picture, (N,), spelled out of torch's own: one score is the second of two."""
    two = scores if scores.shape[1] > 1 else torch.cat([torch.zeros_like(scores), scores], 1)
    if loss == CROSS_ENTROPY:
        return torch_f.cross_entropy(two, y, reduction="none", label_smoothing=smoothing)
    if loss == HINGE:
        return torch_f.multi_margin_loss(two, y, reduction="none")
    wanted = (1 - smoothing) * torch_f.one_hot(y, two.shape[1]).to(two.dtype) + smoothing / two.shape[1]
    return torch_f.mse_loss(two.softmax(1), wanted, reduction="none").mean(1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [1, 2, 3, 10])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_values_and_gradients_are_those_of_torch(loss: str, classes: int, smoothing: float) -> None:
    if loss == HINGE and smoothing:
        return  # refused: see below
    for large in (0.3, 3.0, 200.0):
        ours = Tensor(scores_of(classes, large), requires_grad=True)
        theirs = torch.tensor(ours.data, requires_grad=True)
        found = loss_of(ours, LABELS, smoothing, loss=loss)
        wanted = by_torch(loss, theirs, torch.from_numpy(LABELS), smoothing)
        assert found.item() == pytest.approx(wanted.mean().item(), rel=1e-12)
        found.backward()
        wanted.mean().backward()
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-9, atol=1e-14)
        together = loss_of(Tensor(ours.data), LABELS, smoothing, reduction="sum", loss=loss)
        assert together.item() == pytest.approx(wanted.sum().item(), rel=1e-12)
        single = loss_of(Tensor(ours.data.astype(np.float32)), LABELS, smoothing, loss=loss)
        assert single.dtype == np.float32
        engine = torch_gradients.loss_of(theirs, torch.from_numpy(LABELS), smoothing, loss)
        assert engine.item() == pytest.approx(found.item(), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_score_is_worth_what_it_and_a_score_of_0_are(loss: str) -> None:
    one = scores_of(1)
    two = np.concatenate([np.zeros_like(one), one], 1)
    alone, beside = (loss_of(Tensor(scores), LABELS, loss=loss).item() for scores in (one, two))
    assert alone == pytest.approx(beside)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_chance_is_the_loss_of_scores_that_are_all_alike(loss: str, classes: int) -> None:
    alike = loss_of(Tensor(np.full((2, classes), 7.0)), np.array([0, 1]), loss=loss)
    assert chance(loss, classes) == pytest.approx(alike.item())
    if classes == 2:
        assert chance(loss, 2) == pytest.approx(loss_of(Tensor(np.zeros((2, 1))), np.array([0, 1]), loss=loss).item())


def test_a_margin_that_is_just_kept_teaches_nothing() -> None:
    for scores, y in (([[2.0, 1.0, 1.0]], 0), ([[1.0]], 1)):
        ours = Tensor(np.array(scores), requires_grad=True)
        loss_of(ours, np.array([y]), loss=HINGE).backward()
        assert not ours.grad.any()


def test_confidently_wrong_the_squared_error_pulls_with_almost_nothing() -> None:
    pulls = {}
    for loss in LOSSES:
        scores = Tensor(np.array([[0.0, 12.0, 0.0]]), requires_grad=True)
        loss_of(scores, np.array([0]), loss=loss).backward()
        pulls[loss] = abs(scores.grad[0, 0])
    assert pulls[CROSS_ENTROPY] > 0.99
    assert pulls[HINGE] == pytest.approx(2 / 3)
    assert pulls[SQUARED_ERROR] < 1e-5


@pytest.mark.parametrize("loss", LOSSES)
def test_mixed_labels_are_learnt_from_as_their_share_says(loss: str) -> None:
    scores, partner, share = Tensor(scores_of(3), requires_grad=True), np.array([4, 3, 2, 1, 0]), 0.7
    mixed_loss(scores, LABELS, Mixed(np.zeros(0), partner, share), loss=loss).backward()
    theirs = torch.tensor(scores.data, requires_grad=True)
    y, other = torch.from_numpy(LABELS), torch.from_numpy(LABELS[partner])
    if loss == HINGE:
        wanted = (share * by_torch(loss, theirs, y) + (1 - share) * by_torch(loss, theirs, other)).mean()
    else:  # against the mixed label itself
        label = share * torch_f.one_hot(y, 3).double() + (1 - share) * torch_f.one_hot(other, 3).double()
        wanted = (torch_f.cross_entropy(theirs, label) if loss == CROSS_ENTROPY
                  else torch_f.mse_loss(theirs.softmax(1), label))
    wanted.backward()
    np.testing.assert_allclose(scores.grad, theirs.grad, rtol=1e-9, atol=1e-14)


# --- trained with ---


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("more", [{}, {"optimizer": "momentum", "learning_rate": 0.1, "clip_norm": 0.5}], ids=str)
def test_both_engines_take_the_same_first_steps(loss: str, more: dict[str, Any]) -> None:
    smooth = {} if loss == HINGE else {"label_smoothing": 0.1}
    asked = {"data": "digits", "network": "c8n-b-r-p2-[c8-r]-g-d10", "epochs": 1, "batch_size": 64, "loss": loss}
    losses = both({**asked, **smooth, **more}, 3, 12)
    assert losses["engine"][0] != losses["engine"][-1]
    np.testing.assert_allclose(losses["engine"], losses["torch"], rtol=0, atol=2e-4)
    np.testing.assert_allclose(losses["engine"][:1], losses["torch"][:1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", ["c4n-b-r-p2-c8-r-g-d10", "f-d8-r-d1-sg"], ids=["ten scores", "one score"])
def test_a_training_by_either_engine_comes_to_the_same_weights(
        loss: str, network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if network.endswith("sg"):
        monkeypatch.setattr(named, "load", lambda data: (blobs(60, (8, 8), 2), blobs(21, (8, 8), 2)))
    asked = {"data": "digits", "network": network, "epochs": 2, "train_pictures": 200, "batch_size": 16, "loss": loss,
             "augment": {"mixup": 0.4}}
    ours, theirs = (numpy_fit.begun(RunSpec("digits", {**asked, "engine": engine}, 3, "x"))
                    for engine in ("ours", "torch"))
    for one in (ours, theirs):
        one.model.train()
    for chosen, same in zip(ours.order(), theirs.order(), strict=True):
        first, second = ours.step(chosen), theirs.step(same)
        assert second.loss == pytest.approx(first.loss, rel=2e-4, abs=1e-6)
        assert first.right == second.right
    for name, array in ours.model.state_dict().items():
        np.testing.assert_allclose(theirs.model.state_dict()[name], array, rtol=2e-3, atol=2e-4)


@pytest.fixture
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


def trained(folder: Path, wanted: RunSpec, killed_after: int | None = None) -> list[Event]:
    """The events of a run; one that is killed goes no further than its network after that epoch."""
    folder.mkdir(exist_ok=True)
    seen: list[Event] = []
    for event in numpy_fit.fit(wanted, folder, never):
        seen.append(event)
        if killed_after is not None and isinstance(event, Saved) and event.epoch == killed_after:
            break
    return seen


def digest(folder: Path) -> str:
    return digest_of(numpy_fit.load_trained(folder).model.state_dict())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_is_replayed_and_goes_on_to_the_same_bits_and_is_told_of_in_its_loss(
        loss: str, tmp_path: Path, on_blobs: None) -> None:
    wanted = spec(epochs=3, seed=4, batch_size=8, loss=loss)
    events = trained(tmp_path / "whole", wanted)
    last = history.replayed(tmp_path / "whole", history.steps(tmp_path / "whole"))
    assert digest_of(last.model.state_dict()) == digest(tmp_path / "whole")
    assert last.loss == loss
    assert {history.at_epoch(tmp_path / "whole", epoch).loss for epoch in (0, 3)} == {loss}
    trained(tmp_path / "broken", wanted, killed_after=2)
    trained(tmp_path / "broken", wanted)
    assert digest(tmp_path / "broken") == digest(tmp_path / "whole")
    told = [event for event in events if isinstance(event, Epoch)][-1]
    begun, kept = numpy_fit.begun(wanted), numpy_fit.load_trained(tmp_path / "whole")
    held, _ = evaluate(kept.model, begun.x_held, begun.y_held, 3, loss)
    assert told.validation_loss == pytest.approx(held)
    assert held == pytest.approx(by_torch(loss, torch.from_numpy(kept.model(Tensor(begun.x_held)).data),
                                          torch.from_numpy(begun.y_held)).mean().item(), rel=1e-5)


def test_what_is_learnt_depends_on_the_loss(tmp_path: Path, on_blobs: None) -> None:
    for loss in LOSSES:
        trained(tmp_path / loss, spec(epochs=2, loss=loss))
    assert len({digest(tmp_path / loss) for loss in LOSSES}) == len(LOSSES)


def test_an_older_run_that_says_no_loss_learnt_from_the_cross_entropy(tmp_path: Path, on_blobs: None) -> None:
    wanted = spec(epochs=2, seed=1)
    assert "loss" not in wanted.request
    trained(tmp_path, wanted)
    path = tmp_path / numpy_fit.DESCRIPTION
    said = json.loads(path.read_text())
    assert said.pop("loss") == CROSS_ENTROPY
    path.write_text(json.dumps(said))
    assert numpy_fit.load_trained(tmp_path).loss == history.at_epoch(tmp_path, 1).loss == CROSS_ENTROPY
    path.write_text(json.dumps({**said, "loss": ["hinge"]}))
    with pytest.raises(PlaygroundError, match="or it is damaged"):
        numpy_fit.load_trained(tmp_path)


def test_the_hinge_takes_no_shares_of_a_label() -> None:
    with pytest.raises(PlaygroundError, match=r"no shares of a label: label smoothing has to be 0 with it\.$"):
        Settings.from_request({"loss": HINGE, "label_smoothing": 0.1})
    assert Settings.from_request({"loss": HINGE, "label_smoothing": 0}).loss == HINGE


def test_every_loss_has_its_words() -> None:
    assert tuple(WORDS) == LOSSES
