"""Transfer learning from photographs on disk to a trained head: what it learns, keeps, reuses and refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from playground.datasets.photos import open_photo
from playground.errors import PlaygroundError
from playground.training.runs.events import Batch, Epoch, Event, Finished, Saved, Stage, Started
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones
from playground.training.transfer import features as torch_features
from playground.training.transfer import fit as torch_fit
from playground.training.transfer.fit import fit, load_trained, photo_folder
from playground.training.transfer.head import Head, Split, measure

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("home_of_the_file")]

COLOURS = {"blue": (40, 60, 220), "green": (40, 200, 60), "red": (220, 50, 40)}
EACH = 6


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of coloured noise."""
    top, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (top / name).mkdir()
        for k in range(EACH):
            noise = np.clip(colour + rng.normal(0, 40, (40, 60, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(top / name / f"{k}.png")
    return top


def spec_of(data: Path | str, seed: int = 0, **request: Any) -> RunSpec:
    return RunSpec("transfer", {"data": str(data), "epochs": 3, "batch_size": 4, **request}, seed, "name")


def never() -> bool:
    return False


def run(spec: RunSpec, folder: Path, should_stop: Callable[[], bool] = never) -> list[Event]:
    folder.mkdir(exist_ok=True)
    return list(fit(spec, folder, should_stop))


def of_kind(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def refusal(spec: RunSpec, folder: Path) -> str:
    with pytest.raises(PlaygroundError) as caught:
        run(spec, folder)
    return str(caught.value)


def test_a_run_tells_what_happens_and_learns_the_classes(colours: Path, tmp_path: Path) -> None:
    events = run(spec_of(colours, epochs=4), tmp_path)
    (started,), (finished,) = of_kind(events, Started), of_kind(events, Finished)
    assert started.classes == ("blue", "green", "red")
    assert started.samples == {"train": 15, "validation": 3}
    assert started.parameters == 1281 * 3
    assert (started.total_epochs, started.batches_per_epoch) == (4, 4)
    stages = [(stage.done, stage.total) for stage in of_kind(events, Stage) if stage.total > 1]
    assert stages[0] == (0, 18)
    assert stages[-1] == (18, 18)
    assert stages == sorted(stages)
    epochs = of_kind(events, Epoch)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert (finished.reason, finished.epochs, finished.test_accuracy, finished.test_count) == ("completed", 4, 1.0, 3)
    assert finished.confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert events[-1] is finished
    assert all(Path(saved.path).is_file() for saved in of_kind(events, Saved))


def test_what_is_loaded_gives_the_answers_that_were_measured(colours: Path, tmp_path: Path) -> None:
    spec = spec_of(colours, epochs=1)
    events = run(spec, tmp_path)
    trained, found = load_trained(tmp_path), photo_folder(spec)
    assert trained.classes == found.classes
    pixels = np.stack([trained.preprocessing.apply(open_photo(path)) for path, _ in found.validation])
    with torch.inference_mode():
        logits = trained.module(torch.from_numpy(pixels))
    labels = torch.tensor([label for _, label in found.validation])
    (epoch,) = of_kind(events, Epoch)
    assert torch.nn.functional.cross_entropy(logits, labels).item() == pytest.approx(epoch.validation_loss, abs=1e-4)
    assert (logits.argmax(1) == labels).float().mean().item() == epoch.validation_accuracy
    assert not trained.module.training


def test_a_second_run_needs_no_backbone_and_learns_the_same(colours: Path, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    run(spec_of(colours), tmp_path / "one")
    monkeypatch.setattr(backbones, "pretrained", lambda name: pytest.fail("the backbone was asked again"))
    moved = shutil.copytree(colours, tmp_path / "elsewhere")
    again = run(spec_of(moved), tmp_path / "two")
    assert not [stage for stage in of_kind(again, Stage) if stage.total > 1]
    one, two = ((tmp_path / name / "head.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    run(spec_of(moved, seed=1), tmp_path / "three")
    assert (tmp_path / "three" / "head.safetensors").read_bytes() != one


def test_validation_pictures_choose_nothing(colours: Path, tmp_path: Path) -> None:
    found = photo_folder(spec_of(colours))
    heads = []
    for name, wrong in (("right", 0), ("wrong", 1)):
        top = tmp_path / name
        for half, pictures, shift in (("train", found.train, 0), ("validation", found.validation, wrong)):
            for path, label in pictures:
                folder = top / half / found.classes[(label + shift) % 3]
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder)
        finished = run(spec_of(top, epochs=5), tmp_path / f"run-{name}")[-1]
        assert isinstance(finished, Finished)
        assert finished.test_accuracy == 1 - wrong
        heads.append(load_file(tmp_path / f"run-{name}" / "head.safetensors"))
    assert all(torch.equal(heads[0][key], heads[1][key]) for key in ("weight", "bias"))


def test_a_stop_while_features_are_computed_says_that_nothing_was_learnt(tmp_path: Path,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(torch_features.AT_ONCE, "cpu", 1)
    rng = np.random.default_rng(7)
    for name in ("a", "b"):
        (tmp_path / "new" / name).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(tmp_path / "new" / name / f"{k}.png")
    spec, asked = spec_of(tmp_path / "new"), []
    (tmp_path / "run").mkdir()
    with pytest.raises(PlaygroundError, match="before anything was learnt") as caught:
        list(fit(spec, tmp_path / "run", lambda: bool(asked.append(0)) or len(asked) >= 3))
    assert "of 3 of 8 photos are kept" in str(caught.value)
    with pytest.raises(PlaygroundError, match="not kept a model"):
        load_trained(tmp_path / "run")
    first = next(event for event in fit(spec, tmp_path / "run", never) if isinstance(event, Stage) and event.total > 1)
    assert first.done >= 3


@pytest.mark.parametrize("batches", [1, 6])
def test_a_stop_in_the_epochs_keeps_what_was_learnt(batches: int, colours: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    run(spec_of(colours), tmp_path / "before")
    monkeypatch.setattr(torch_fit, "BATCH_PAUSE_SECONDS", 0.0)
    seen: list[Event] = []
    (tmp_path / "run").mkdir()
    for event in fit(spec_of(colours, epochs=50), tmp_path / "run", lambda: len(of_kind(seen, Batch)) >= batches):
        seen.append(event)
    finished = seen[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "stopped"
    assert finished.epochs == len(of_kind(seen, Epoch)) == batches // 4
    assert len(of_kind(seen, Batch)) == batches
    assert load_file(tmp_path / "run" / "head.safetensors")["weight"].abs().sum() > 0


def test_the_learning_rate_falls_along_a_cosine(colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_fit, "BATCH_PAUSE_SECONDS", 0.0)
    rates = [batch.learning_rate for batch in of_kind(run(spec_of(colours, learning_rate=0.01), tmp_path), Batch)]
    assert len(rates) == 12
    assert np.allclose(rates, [0.005 * (1 + np.cos(np.pi * k / 12)) for k in range(12)])


def test_of_an_epoch_quicker_than_the_eye_the_last_batch_is_told(colours: Path, tmp_path: Path) -> None:
    batches = of_kind(run(spec_of(colours, epochs=30, learning_rate=0.01), tmp_path), Batch)
    last = [batch for batch in batches if batch.batch == batch.batches]
    assert [batch.epoch for batch in last] == list(range(1, 31)), "the whole of the schedule is seen"
    assert last[-1].learning_rate < 0.0001


def test_unreadable_files_are_left_out_and_listed(colours: Path, tmp_path: Path) -> None:
    top = shutil.copytree(colours, tmp_path / "data")
    (top / "red" / "notes.txt").write_text("hello")
    events = run(spec_of(top), tmp_path / "run")
    (started,) = of_kind(events, Started)
    assert started.samples == {"train": 15, "validation": 3, "left out": 1}
    assert any("1 file was left out: notes.txt is not a picture" in stage.text for stage in of_kind(events, Stage))
    assert json.loads((tmp_path / "run" / "model.json").read_text())["left_out"][0][0].endswith("notes.txt")


def test_the_same_picture_twice_is_no_trouble(colours: Path, tmp_path: Path) -> None:
    top = shutil.copytree(colours, tmp_path / "data")
    shutil.copy(top / "red" / "0.png", top / "blue" / "copy.png")
    (started,) = of_kind(run(spec_of(top), tmp_path / "run"), Started)
    assert sum(started.samples.values()) == 3 * EACH + 1


@pytest.mark.parametrize(("request_", "sentence"), [
    ({"data": "/nowhere/at/all"}, "There is no folder"),
    ({"epochs": 0}, "Epochs cannot be 0."),
    ({"epochs": 2.5}, "Epochs cannot be 2.5."),
    ({"batch_size": 0}, "Batch size cannot be 0."),
    ({"learning_rate": -1.0}, "Learning rate cannot be -1.0."),
    ({"learning_rate": float("nan")}, "Learning rate cannot be nan."),
    ({"backbone": "resnet"}, "There is no backbone 'resnet'"),
    ({"colour": "red"}, "does not know 'colour'"),
])
def test_what_cannot_be_done_is_refused_with_one_sentence(request_: dict[str, Any], sentence: str, colours: Path,
                                                          tmp_path: Path) -> None:
    assert sentence in refusal(spec_of(**{"data": colours, **request_}), tmp_path)


def test_a_run_needs_photographs(tmp_path: Path) -> None:
    assert "needs photographs" in refusal(RunSpec("transfer", {}, 0, "name"), tmp_path)


def test_threads_are_taken_politely_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAYGROUND_THREADS", raising=False)
    assert 1 <= torch_features.threads() <= 4
    monkeypatch.setenv("PLAYGROUND_THREADS", "7")
    assert torch_features.threads() == 7
    before = torch.get_num_threads()
    with torch_features.one_core():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_feature_that_never_varies_counts_for_nothing() -> None:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(5, 2, (40, 4)).astype(np.float32))
    labels = (features[:, 0] > 5).long()
    features[:, 1] = 3.0
    head = Head(Split(features, labels), 2, learning_rate=0.05, weight_decay=0.0, steps=100)
    for _ in range(100):
        head.step(torch.arange(40))
    weight, bias = head.linear()
    assert weight[:, 1].abs().max() == 0
    assert weight[1, 0] > weight[0, 0]
    inside = (features - head.mean) / head.spread @ head.weight.T + head.bias
    assert torch.allclose(features @ weight.T + bias, inside, atol=1e-4)
    loss, confusion = measure((weight, bias), Split(features, labels))
    assert loss < 0.2
    assert sum(map(sum, confusion)) == 40
    assert confusion[0][0] + confusion[1][1] >= 38


def test_the_steps_are_adamws() -> None:
    rng = np.random.default_rng(2)
    features, labels = rng.normal(3, 2, (20, 6)).astype(np.float32), rng.integers(0, 3, 20)
    split = Split(torch.from_numpy(features), torch.from_numpy(labels))
    head = Head(split, 3, learning_rate=0.1, weight_decay=0.2, steps=15)
    weight, bias = torch.zeros(3, 6, requires_grad=True), torch.zeros(3, requires_grad=True)
    theirs = torch.optim.AdamW([weight, bias], lr=0.1, weight_decay=0.2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=15)
    for k in range(15):
        rows = torch.arange(k % 4, 20, 3)
        assert head.learning_rate == pytest.approx(schedule.get_last_lr()[0])
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(head.inputs[rows] @ weight.T + bias, split.labels[rows]).backward()
        theirs.step()
        schedule.step()
        head.step(rows)
        assert torch.allclose(head.weight, weight, atol=1e-5)
        assert torch.allclose(head.bias, bias, atol=1e-5)


def test_the_head_comes_to_where_an_exact_solver_does() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    features = rng.normal(0, 1.5, (300, 5)) + np.eye(5)[labels]  # overlapping, so that the best weights are finite
    split = Split(torch.from_numpy(features.astype(np.float32)), torch.from_numpy(labels))
    head = Head(split, 3, learning_rate=0.05, weight_decay=0.0, steps=400)
    for _ in range(400):
        head.step(torch.arange(300))
    exact = LogisticRegression(C=np.inf, max_iter=1000).fit(features, labels)
    mine = split.features @ head.linear()[0].T + head.linear()[1]
    assert np.allclose(mine.softmax(1).numpy(), exact.predict_proba(features), atol=0.01)


def test_twenty_photos_a_class_tell_cats_from_dogs(shared_photos: Path, tmp_path: Path) -> None:
    for half in ("train", "validation"):
        for name in ("cats", "dogs"):
            (tmp_path / "few" / half / name).mkdir(parents=True)
            for path in sorted((shared_photos / half / name).iterdir())[:20]:
                shutil.copy(path, tmp_path / "few" / half / name)
    finished = run(spec_of(tmp_path / "few", epochs=20), tmp_path / "run")[-1]
    assert isinstance(finished, Finished)
    assert finished.test_count == 40
    assert finished.test_accuracy is not None
    assert finished.test_accuracy >= 0.9
