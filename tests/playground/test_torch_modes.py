"""Fine-tuning and training from scratch: what learns, what stays, what a killed run comes to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from playground.datasets.photos import open_photo
from playground.errors import PlaygroundError
from playground.training import backbones, torch_fit, torch_loop
from playground.training.events import Batch, Epoch, Event, Finished, Stage, Started
from playground.training.runs import RunSpec
from playground.training.torch_fit import fit, load_trained
from playground.training.torch_loop import AdamW, rate_at

COLOURS = {"blue": (70, 80, 160), "red": (160, 80, 70)}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("PLAYGROUND_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of coloured noise."""
    top, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (top / name).mkdir()
        for k in range(10):
            noise = np.clip(colour + rng.normal(0, 60, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(top / name / f"{k}.png")
    return top


def spec_of(data: Path, mode: str, **request: Any) -> RunSpec:
    small = {"image_size": 32, "batch_size": 4, "epochs": 2}
    return RunSpec("transfer", {"data": str(data), "mode": mode, **small, **request}, 3, "name")


def run(spec: RunSpec, folder: Path) -> list[Event]:
    folder.mkdir(exist_ok=True)
    return list(fit(spec, folder, lambda: False))


def of_kind(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize(("mode", "head"), [("scratch", "sigmoid"), ("fine-tune", "linear"), ("frozen", "hidden"),
                                            ("frozen", "sigmoid"), ("scratch", "hidden"), ("fine-tune", "hidden")])
def test_what_is_loaded_gives_the_answers_that_were_measured(mode: str, head: str, colours: Path, tmp_path: Path
                                                             ) -> None:
    spec = spec_of(colours, mode, head=head, image_size=0 if mode == "frozen" else 32)
    events = run(spec, tmp_path)
    (finished,) = of_kind(events, Finished)
    assert finished.reason == "completed"
    trained = load_trained(tmp_path)
    paths = [path for path, _ in torch_fit.photo_folder(spec).validation]
    with torch.no_grad():
        scores = trained.module(torch.from_numpy(np.stack([trained.preprocessing.apply(open_photo(p)) for p in paths])))
    assert scores.shape[1] == (1 if head == "sigmoid" else 2)
    picked = torch_loop.two_scores(scores).argmax(1).tolist()
    cells = [[0, 0], [0, 0]]
    for path, k in zip(paths, picked, strict=True):
        cells[list(COLOURS).index(path.parent.name)][k] += 1
    assert finished.confusion == tuple(map(tuple, cells))


def test_only_the_last_parts_learn_and_batch_norm_keeps_its_statistics(colours: Path, tmp_path: Path) -> None:
    events = run(spec_of(colours, "fine-tune", parts=2, epochs=1), tmp_path)
    before = backbones.pretrained("efficientnet_lite0").state_dict()
    after = load_file(tmp_path / "network.safetensors")
    changed = {name for name in after
               if not name.startswith("classifier") and not torch.equal(after[name], before[name])}
    assert {".".join(name.split(".")[:2]) for name in changed} <= {"blocks.15", "head.conv", "head.norm"}
    assert any(name.startswith("blocks.15") for name in changed)
    assert not any("running" in name for name in changed)
    (started,) = of_kind(events, Started)
    learning = [p for name, p in after.items() if name.startswith(("blocks.15", "head", "classifier"))
                and "running" not in name and "num_batches" not in name]
    assert started.parameters == sum(p.numel() for p in learning)


@pytest.mark.parametrize(("mode", "extra"), [
    ("scratch", {"augment": {"mirror": 0.5, "noise": 10, "mixup": 1.0}, "dropout": 0.5, "ema": 0.9}),
    ("fine-tune", {"parts": 1, "augment": {"mirror": 0.5}, "patience": 5}),
])
def test_a_killed_run_comes_to_the_same_weights(mode: str, extra: dict[str, Any], colours: Path, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(torch_loop, "BATCH_PAUSE_SECONDS", 0.0)
    spec = spec_of(colours, mode, **extra)
    whole = run(spec, tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    events, batches = fit(spec, tmp_path / "killed", lambda: False), 0
    for event in events:
        batches += isinstance(event, Batch)
        if batches == 6:  # in the middle of the second epoch
            break
    events.close()  # type: ignore[attr-defined]
    assert (tmp_path / "killed" / torch_fit.CHECKPOINT).exists()
    again = run(spec, tmp_path / "killed")
    assert of_kind(again, Batch)[0].epoch == 2
    assert [e.validation_loss for e in of_kind(again, Epoch)] == [e.validation_loss for e in of_kind(whole, Epoch)]
    one, two = (load_file(tmp_path / name / "network.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not (tmp_path / "killed" / torch_fit.CHECKPOINT).exists()


def test_a_damaged_checkpoint_is_told_in_a_sentence(colours: Path, tmp_path: Path) -> None:
    (tmp_path / torch_fit.CHECKPOINT).write_bytes(b"no tensors")
    with pytest.raises(PlaygroundError, match="cannot be read, so the training cannot go on"):
        run(spec_of(colours, "scratch"), tmp_path)


def test_too_little_memory_halves_the_batch_and_changes_nothing_else(colours: Path, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(colours, "fine-tune", parts=1, epochs=1, dropout=0.0)
    run(spec, tmp_path / "plain")
    step = torch_loop._step

    def tight(*given: Any) -> Any:
        if given[-1] > 1:
            raise torch.OutOfMemoryError("planted")
        return step(*given)

    monkeypatch.setattr(torch_loop, "_step", tight)
    events = run(spec, tmp_path / "tight")
    said = [stage.text for stage in of_kind(events, Stage) if "memory" in stage.text]
    assert said == [f"not enough memory for 4 pictures at once: they go through in parts of {n}, with the same result"
                    for n in (2, 1)]
    one, two = (load_file(tmp_path / name / "network.safetensors") for name in ("plain", "tight"))
    assert all(torch.allclose(one[name].float(), two[name].float(), atol=1e-5) for name in one)
    monkeypatch.setattr(torch_loop, "_step", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("planted")))
    with pytest.raises(torch.OutOfMemoryError):
        run(spec, tmp_path / "none")


def test_early_stopping_keeps_the_best_epoch_and_says_so(colours: Path, tmp_path: Path) -> None:
    events = run(spec_of(colours, "scratch", epochs=30, patience=2, learning_rate=0.05), tmp_path)
    epochs, (finished,) = of_kind(events, Epoch), of_kind(events, Finished)
    losses = [epoch.validation_loss for epoch in epochs]
    assert finished.best_epoch == int(np.argmin(losses)) + 1
    assert len(epochs) in (finished.best_epoch + 2, 30)
    assert finished.test_accuracy == epochs[finished.best_epoch - 1].validation_accuracy


@pytest.mark.parametrize(("request_", "sentence"), [
    ({"mode": "magic"}, "There is no mode 'magic': choose frozen, fine-tune, scratch."),
    ({"mode": "scratch", "head": "two"}, "There is no head 'two': choose linear, hidden, sigmoid."),
    ({"mode": "frozen", "augment": {"mirror": 0.5}}, "Frozen features are computed once"),
    ({"mode": "scratch", "augment": {"melt": 1}}, "there is no step 'melt'"),
    ({"mode": "frozen", "image_size": 160}, "Frozen features are computed at the backbone's own size, 224 pixels"),
    ({"mode": "scratch", "ema": 1.0}, "Ema cannot be 1.0."),
    ({"mode": "fine-tune", "parts": 1.5}, "Parts cannot be 1.5."),
])
def test_what_cannot_be_done_is_refused(request_: dict[str, Any], sentence: str, colours: Path) -> None:
    with pytest.raises(PlaygroundError, match=sentence.replace("?", r"\?")):
        torch_fit.Request.of(RunSpec("transfer", {"data": str(colours), **request_}, 0, "name"))


def test_a_sigmoid_head_takes_two_classes(colours: Path, tmp_path: Path) -> None:
    (colours / "green").mkdir()
    try:
        for k in range(2):
            Image.new("RGB", (40, 40), (0, 200, k)).save(colours / "green" / f"{k}.png")
        with pytest.raises(PlaygroundError, match="A sigmoid head tells two classes apart, these photos have 3"):
            run(spec_of(colours, "scratch", head="sigmoid"), tmp_path)
    finally:
        for path in (colours / "green").iterdir():
            path.unlink()
        (colours / "green").rmdir()


def test_the_steps_are_torchs_adamws_with_a_rate_a_group() -> None:
    torch.manual_seed(0)
    ours, theirs = [[torch.randn(5, requires_grad=True) for _ in range(2)] for _ in range(2)]
    for a, b in zip(ours, theirs, strict=True):
        b.data = a.data.clone()
    mine = AdamW([([ours[0]], 0.1), ([ours[1]], 0.01)], weight_decay=0.2)
    known = torch.optim.AdamW([{"params": [theirs[0]], "lr": 0.1}, {"params": [theirs[1]], "lr": 0.01}],
                              weight_decay=0.2)
    for k in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad, b.grad = torch.full((5,), k - 1.5), torch.full((5,), k - 1.5)
        mine.step(1.0)
        known.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_the_rate_rises_then_falls() -> None:
    rates = [rate_at(k, 40, 0.25) for k in range(41)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[9] == rates[10] == 1.0
    assert rates[40] == 0.0
