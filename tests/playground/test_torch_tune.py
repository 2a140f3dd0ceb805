"""Fine-tuning and training from scratch: what learns, what stays, what survives a kill, a stop and a full memory."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from playground.datasets.photos import open_photo
from playground.errors import PlaygroundError
from playground.training.runs.events import (
    Epoch,
    Event,
    Finished,
    Saved,
    Stage,
    Started,
)
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones
from playground.training.transfer import features as torch_features
from playground.training.transfer import networks as torch_networks
from playground.training.transfer import tune as torch_tune
from playground.training.transfer.adamw import AdamW
from playground.training.transfer.fit import fit, load_trained, photo_folder
from playground.training.transfer.networks import Tail, head_description, head_of, take_apart
from playground.training.transfer.recipe import ALL_BLOCKS, Request

TUNE = {"mode": "fine-tune", "image_size": 32, "blocks": 1, "epochs": 2, "batch_size": 4, "head_epochs": 2}
SCRATCH = {"mode": "scratch", "image_size": 32, "epochs": 2, "batch_size": 4}
AUGMENT = {"mirror": 0.5, "crop": 0.2, "mixup": 0.4}
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("home_of_the_file")]


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured(tmp_path_factory.mktemp("colours"))


def coloured(top: Path) -> Path:
    """Two classes of coloured noise, eight pictures to train on and two kept aside."""
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (40, 60, 220)), ("red", (220, 50, 40))):
        (top / name).mkdir()
        for k in range(5):
            noise = np.clip(colour + rng.normal(0, 40, (36, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(top / name / f"{k}.png")
    return top


def spec_of(data: Path, plan: dict[str, Any], seed: int = 0, **request: Any) -> RunSpec:
    return RunSpec("transfer", {"data": str(data), **plan, **request}, seed, "name")


def never() -> bool:
    return False


def run(spec: RunSpec, folder: Path, should_stop: Callable[[], bool] = never) -> list[Event]:
    folder.mkdir(exist_ok=True)
    return list(fit(spec, folder, should_stop))


def of_kind(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / torch_tune.WEIGHTS)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("request_", [
    TUNE, TUNE | {"blocks": 2, "augment": AUGMENT, "ema": 0.9}, TUNE | {"head": "sigmoid", "batch_norm": "batch"},
    SCRATCH | {"head": "hidden", "hidden": 8}, SCRATCH | {"augment": {"cutmix": 1.0}},
], ids=["last block", "augmented, averaged", "sigmoid, batch statistics", "scratch", "scratch, cutmix"])
def test_what_is_loaded_gives_the_answers_that_were_measured(request_: dict[str, Any], colours: Path,
                                                             tmp_path: Path) -> None:
    spec = spec_of(colours, request_)
    events = run(spec, tmp_path)
    (started,), (finished,) = of_kind(events, Started), of_kind(events, Finished)
    assert started.samples == {"train": 8, "validation": 2}
    assert [epoch.epoch for epoch in of_kind(events, Epoch)] == [1, 2]
    assert events[-1] is finished
    assert all(Path(saved.path).is_file() for saved in of_kind(events, Saved))
    trained, found = load_trained(tmp_path), photo_folder(spec)
    assert trained.preprocessing.size == (32, 32)
    assert not trained.module.training
    pixels = np.stack([trained.preprocessing.apply(open_photo(path)) for path, _ in found.validation])
    with torch.inference_mode():
        logits = torch_networks.two_logits(trained.module(torch.from_numpy(pixels)))
    labels = torch.tensor([label for _, label in found.validation])
    assert (logits.argmax(1) == labels).float().mean().item() == finished.test_accuracy
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert loss == pytest.approx(of_kind(events, Epoch)[-1].validation_loss, rel=0.05, abs=0.02)  # bytes were rounded
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["parameters"]["trained"] == started.parameters


@pytest.mark.parametrize(("blocks", "trained"), [(1, 412_160), (2, 1_017_600), (ALL_BLOCKS, 3_371_008)])
def test_only_the_last_blocks_and_the_head_learn(blocks: int, trained: int) -> None:
    request = Request.of({"data": "faces", "mode": "fine-tune", "blocks": blocks})
    parts = take_apart(request, head_of(head_description(request, 1280, 3)))
    assert parts.trained == trained + 1281 * 3
    assert parts.total == 3_371_008 + 1281 * 3
    assert sum(p.numel() for p in parts.network.parameters() if p.requires_grad) == parts.trained
    assert (parts.prefix is None) == (blocks == ALL_BLOCKS)
    x = torch.rand(2, 3, 64, 64)
    parts.tail.eval()
    with torch.inference_mode():
        whole = parts.network(x)
        seen = parts.tail(x if parts.prefix is None else parts.prefix(x))
    assert torch.allclose(whole, seen, atol=1e-3)


def test_earlier_blocks_learn_more_slowly_and_biases_do_not_decay() -> None:
    request = Request.of({"data": "faces", "mode": "fine-tune", "blocks": 3, "layer_decay": 0.5})
    parts = take_apart(request, head_of(head_description(request, 1280, 2)))
    groups = list(torch_networks.decayed(parts.groups, request.layer_decay))
    assert sorted({factor for _, factor, _ in groups}, reverse=True) == [1.0, 0.5, 0.25]
    assert all((p.ndim > 1) == decays for group, _, decays in groups for p in group)
    assert sum(p.numel() for group, _, _ in groups for p in group) == parts.trained


def test_batch_norms_do_what_was_decided() -> None:
    for statistics, learning, training in (("kept", True, False), ("batch", True, True), ("batch", False, False)):
        norm = nn.BatchNorm2d(2).requires_grad_(learning)
        tail = Tail([norm], nn.Linear(2, 2), statistics=statistics).train()
        tail(torch.rand(4, 2, 3, 3) + 5)
        assert norm.training == training
        assert (norm.running_mean.abs().max() > 0) == training
        assert tail.training


def test_fine_tuning_begins_where_frozen_ends(colours: Path, tmp_path: Path) -> None:
    frozen = run(spec_of(colours, {"image_size": 32, "epochs": 20}), tmp_path / "frozen")
    plan = TUNE | {"head_epochs": 20, "learning_rate": 0.0, "epochs": 1}
    tuned = run(spec_of(colours, plan), tmp_path / "tuned")
    before, after = of_kind(frozen, Epoch)[-1], of_kind(tuned, Epoch)[-1]
    assert after.validation_loss == pytest.approx(before.validation_loss, abs=1e-3)
    head = load_file(tmp_path / "frozen" / "head.safetensors")
    assert torch.allclose(weights(tmp_path / "tuned")["head.weight"], head["weight"], atol=1e-4)


@pytest.mark.parametrize("head", [{"head": "sigmoid"}, {"head": "hidden", "hidden": 16, "dropout": 0.2}])
def test_other_heads_learn_on_frozen_features_too(head: dict[str, Any], colours: Path, tmp_path: Path) -> None:
    events = run(spec_of(colours, {"image_size": 32, "epochs": 40, **head}), tmp_path)
    assert of_kind(events, Finished)[0].test_accuracy == 1.0
    module = load_trained(tmp_path).module
    assert sum(p.numel() for p in module.classifier.parameters()) == of_kind(events, Started)[0].parameters
    losses = [epoch.train_loss for epoch in of_kind(events, Epoch)]
    assert losses[-1] < losses[0]


def test_the_frozen_part_is_asked_once(colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(spec_of(colours, TUNE), tmp_path / "one")
    monkeypatch.setattr("playground.training.transfer.photo_list.still", lambda path: pytest.fail("decoded again"))
    run(spec_of(colours, TUNE), tmp_path / "two")
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))



def test_early_stopping_keeps_the_best_epoch_and_says_so(colours: Path, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.5, 0.3, 0.4, 0.6, 0.0, 0.0])
    measure = torch_tune.Trainer.measure
    monkeypatch.setattr(torch_tune.Trainer, "measure",
                        lambda self, pictures: (next(losses), measure(self, pictures)[1]))
    kept: list[dict[str, torch.Tensor]] = []
    (tmp_path / "run").mkdir()
    events = []
    for event in fit(spec_of(colours, TUNE, epochs=50, patience=2), tmp_path / "run", never):
        events.append(event)
        if isinstance(event, Saved):
            kept.append(weights(tmp_path / "run"))
    assert [epoch.validation_loss for epoch in of_kind(events, Epoch)] == [0.5, 0.3, 0.4, 0.6]
    assert "epoch 2 of 4 is kept, the best on validation" in of_kind(events, Stage)[-1].text
    assert same(kept[-1], kept[1])
    assert not same(kept[0], kept[1])
    assert json.loads((tmp_path / "run" / "model.json").read_text())["chosen"] == "best on validation"
    (finished,) = of_kind(events, Finished)
    assert (finished.reason, finished.epochs, finished.best_epoch) == ("completed", 4, 2)


@pytest.mark.parametrize("ends", ["stopped", "killed after the last epoch"])
def test_the_best_epoch_that_is_named_is_the_one_whose_weights_are_kept(ends: str, colours: Path, tmp_path: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.5, 0.3, 0.4, 0.6])
    measure = torch_tune.Trainer.measure

    def planned(self: torch_tune.Trainer, pictures: Any) -> Any:
        return (next(losses) if ends == "stopped" or not self.progress.done else 0.0, measure(self, pictures)[1])

    monkeypatch.setattr(torch_tune.Trainer, "measure", planned)
    stops, seen, kept = ends == "stopped", [], []
    spec = spec_of(colours, SCRATCH, epochs=5 if stops else 3, patience=3, ema=0.5)
    (tmp_path / "run").mkdir()
    for event in fit(spec, tmp_path / "run", lambda: stops and len(of_kind(seen, Epoch)) == 3):
        seen.append(event)
        if isinstance(event, Saved):
            kept.append(weights(tmp_path / "run"))
            if not stops and event.epoch == 3:
                break
    if not stops:
        seen = run(spec, tmp_path / "run")  # resumed: only the last word was missing
    (finished,) = of_kind(seen, Finished)
    assert (finished.reason, finished.epochs, finished.best_epoch) == ("stopped" if stops else "completed", 3, 2)
    assert same(weights(tmp_path / "run"), kept[1])
    network = load_trained(tmp_path / "run").module.state_dict()
    assert any(torch.equal(network[name], kept[1][f"head.{name.removeprefix('classifier.')}"])
               for name in network if name.startswith("classifier."))


@pytest.mark.parametrize("plan", [
    {"image_size": 32, "epochs": 2, "head": "hidden", "hidden": 8, "dropout": 0.2},
    TUNE | {"augment": AUGMENT, "epochs": 1, "dropout": 0.2}, SCRATCH | {"augment": AUGMENT, "ema": 0.9},
], ids=["frozen", "fine-tune", "scratch"])
def test_the_same_spec_and_seed_give_the_same_weights_with_nothing_in_any_cache(
        plan: dict[str, Any], colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    for once in ("one", "other"):
        monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / once))
        with torch_features.one_core():
            run(spec_of(colours, plan, seed=5), tmp_path / once)
        kept.append(next(path.read_bytes() for path in (tmp_path / once).glob("*.safetensors")
                         if path.name in ("head.safetensors", torch_tune.WEIGHTS)))
    assert kept[0] == kept[1]


@pytest.mark.parametrize("fits", [1, 2])
def test_a_full_memory_halves_the_parts_and_changes_nothing_else(fits: int, colours: Path, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(colours, TUNE)
    run(spec, tmp_path / "roomy")
    forward = Tail.forward

    def full(self: Tail, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) > fits:
            raise torch.OutOfMemoryError("planted")
        return forward(self, x)

    monkeypatch.setattr(Tail, "forward", full)
    events = run(spec, tmp_path / "narrow")
    said = [stage.text for stage in of_kind(events, Stage) if "memory is full" in stage.text]
    assert [int(text.split("parts of ")[1].split()[0]) for text in said] == [2, 1][:len(said)]
    assert f"in parts of {fits} from now on" in said[-1]
    one, other = weights(tmp_path / "roomy"), weights(tmp_path / "narrow")
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


def test_a_memory_too_small_for_one_picture_ends_the_run(colours: Path, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Tail, x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("planted")

    monkeypatch.setattr(Tail, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        run(spec_of(colours, TUNE), tmp_path)


def test_the_steps_are_torchs_own_adamw() -> None:
    parts = [nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(k))) for k in range(3)]
    copies = [nn.Parameter(p.detach().clone()) for p in parts]
    mine = AdamW([([parts[0]], 1.0, True), (parts[1:], 0.5, False)], weight_decay=0.1)
    theirs = torch.optim.AdamW([{"params": [copies[0]]}, {"params": copies[1:], "lr": 0.005, "weight_decay": 0.0}],
                               lr=0.01, weight_decay=0.1)
    for k in range(10):
        for some in (parts, copies):
            sum(((p - k) ** 3).sum() for p in some).backward()  # type: ignore[union-attr]
        mine.step(0.01)
        theirs.step()
        mine.zero_grad()
        theirs.zero_grad()
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(parts, copies, strict=True))


class FakeNet(nn.Module):
    """Stands for a network of timm: stages of blocks, pooled features without a classifier."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 4)
        self.blocks = nn.Sequential(nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)), nn.Conv2d(8, 8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.stem(x).relu()).mean((2, 3))


@pytest.fixture
def fake_timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("timm")
    module.__version__ = "1.0"  # type: ignore[attr-defined]
    module.is_model = lambda name: name == "fakenet"  # type: ignore[attr-defined]
    facts = SimpleNamespace(input_size=(3, 40, 40), mean=(0.5,) * 3, std=(0.25,) * 3)
    module.get_pretrained_cfg = lambda name: facts  # type: ignore[attr-defined]

    def create_model(name: str, pretrained: bool, num_classes: int) -> FakeNet:
        assert num_classes == 0
        with torch.random.fork_rng():
            torch.manual_seed(1 if pretrained else 2)
            return FakeNet()

    module.create_model = create_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.mark.parametrize("plan", [{"epochs": 2}, {"mode": "fine-tune", "epochs": 1, "blocks": 2},
                                  {"mode": "fine-tune", "epochs": 1, "blocks": 2, "augment": {"mirror": 0.5}}])
def test_networks_of_timm_are_taken(plan: dict[str, Any], fake_timm: ModuleType, colours: Path, tmp_path: Path) -> None:
    events = run(spec_of(colours, plan, backbone="timm:fakenet"), tmp_path)
    (finished,) = of_kind(events, Finished)
    trained = load_trained(tmp_path)
    assert trained.preprocessing.size == (40, 40)
    assert of_kind(events, Started)[0].parameters == 9 * 2 + (2 * 72 if "mode" in plan else 0)
    pixels = np.stack([trained.preprocessing.apply(open_photo(path)) for path, _ in photo_folder(
        spec_of(colours, plan, backbone="timm:fakenet")).validation])
    with torch.inference_mode():
        answers = trained.module(torch.from_numpy(pixels)).argmax(1).tolist()
    assert finished.test_accuracy == np.mean(np.array(answers) == [0, 1])


def test_a_network_timm_does_not_have_is_refused(fake_timm: ModuleType) -> None:
    with pytest.raises(PlaygroundError, match="timm has no network 'resnet0'"):
        backbones.find("timm:resnet0")


def test_timm_that_is_not_there_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PlaygroundError, match="pip install timm"):
        backbones.find("timm:resnet18")
