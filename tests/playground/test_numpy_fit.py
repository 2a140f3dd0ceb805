"""Training from scratch: it learns, always the same, without the test pictures, and keeps what it has when stopped."""

import dataclasses
import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine import Tensor
from playground.datasets import named
from playground.datasets.named import ImageSet
from playground.errors import PlaygroundError
from playground.training.runs.events import Batch, Epoch, Event, Finished, Measures, Saved, Started
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.training.scratch.division import divided


def never() -> bool:
    return False


def after(calls: int) -> Callable[[], bool]:
    """A wish to stop that comes at the given call."""
    left = iter([False] * calls)
    return lambda: next(left, True)


def spec(epochs: int = 1, seed: int = 0, **request: object) -> RunSpec:
    return RunSpec("digits", {"data": "digits", "epochs": epochs, **request}, seed, "mine")


def blobs(count: int = 60, size: tuple[int, int] = (9, 7), classes: int = 3) -> ImageSet:
    """Pictures anybody can tell apart: class k is bright in row k."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = rng.integers(0, 60, (count, *size))
    images[np.arange(count), labels] += 180
    names = tuple(f"row {k}" for k in range(classes))
    return ImageSet("blobs", images.astype(np.uint8), labels.astype(np.int64), names, "made up", "none")


@pytest.fixture
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


def fit(run_dir: Path, asked: RunSpec, should_stop: Callable[[], bool] = never) -> list[Event]:
    run_dir.mkdir(exist_ok=True)
    return list(numpy_fit.fit(asked, run_dir, should_stop))


def weights(run_dir: Path) -> dict[str, np.ndarray]:
    return numpy_fit.load_trained(run_dir).model.state_dict()


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_reads_digits_it_has_never_seen_in_less_than_a_minute(tmp_path: Path) -> None:
    began = time.process_time()  # of this process alone: what else the machine is doing does not count
    finished = fit(tmp_path, spec(epochs=15))[-1]
    assert time.process_time() - began < 60
    assert isinstance(finished, Finished)
    assert finished.test_count == 355
    assert finished.test_accuracy is not None
    assert finished.test_accuracy >= 0.98


def test_tells_a_story_with_a_beginning_and_an_end(tmp_path: Path, on_blobs: None) -> None:
    events = fit(tmp_path, spec(epochs=3, batch_size=8))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert started.samples == {"train": 51, "validation": 9, "test": 21}
    assert (started.total_epochs, started.batches_per_epoch) == (3, 6)
    assert started.classes == ("row 0", "row 1", "row 2")
    assert started.parameters == sum(array.size for name, array in weights(tmp_path).items()
                                     if "running" not in name and "tracked" not in name)
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.epochs, finished.test_count) == ("completed", 3, 21)
    kinds = [type(event) for event in events if not isinstance(event, Batch | Measures)]
    assert kinds == [Started, Epoch, Saved, Epoch, Saved, Epoch, Saved, Finished]
    assert [event.time for event in events] == sorted(event.time for event in events)
    for event in events:
        if isinstance(event, Epoch | Batch):
            assert all(math.isfinite(x) for x in dataclasses.astuple(event))


def test_learns(tmp_path: Path, on_blobs: None) -> None:
    events = fit(tmp_path, spec(epochs=12, batch_size=8))
    epochs = [event for event in events if isinstance(event, Epoch)]
    assert epochs[-1].train_loss < 0.5 * epochs[0].train_loss
    assert epochs[-1].validation_accuracy == 1
    assert isinstance(events[-1], Finished)
    assert events[-1].test_accuracy == 1
    assert events[-1].confusion == ((7, 0, 0), (0, 7, 0), (0, 0, 7))


def test_the_same_spec_gives_the_same_weights_and_another_seed_others(tmp_path: Path, on_blobs: None) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        np.random.seed(seed + len(name))  # the global state must not matter
        fit(tmp_path / name, spec(epochs=2, seed=seed, batch_size=8))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_the_test_pictures_have_no_part_in_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(blobs(21), images=255 - blobs(21).images, labels=blobs(21).labels[::-1].copy())
    for name, test in (("a", blobs(21)), ("b", other)):
        monkeypatch.setattr(named, "load", lambda data, test=test: (blobs(), test))
        fit(tmp_path / name, spec(epochs=2, batch_size=8))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_the_validation_pictures_are_a_sixth_of_every_class_and_not_learnt_from() -> None:
    labels = np.repeat([0, 1, 2, 3], [60, 30, 2, 1])
    fitted, kept = divided(labels, np.random.default_rng(0))
    assert sorted([*fitted, *kept]) == list(range(93))
    assert np.bincount(labels[kept], minlength=4).tolist() == [10, 5, 1, 0]


def test_a_checkpoint_is_on_the_disk_before_the_event_that_says_so(tmp_path: Path, on_blobs: None) -> None:
    seen = []
    for event in numpy_fit.fit(spec(epochs=2, batch_size=8), tmp_path, never):
        if isinstance(event, Saved):
            trained = numpy_fit.load_trained(tmp_path)
            seen.append((event.epoch, int(trained.model.state_dict()["1.num_batches_tracked"])))
            assert Path(event.path) == tmp_path / "model.safetensors"
    assert seen == [(1, 6), (2, 12)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "history",
                                                                  "model.json", "model.safetensors"]


def test_what_was_saved_is_what_was_tested(tmp_path: Path, on_blobs: None) -> None:
    finished = fit(tmp_path, spec(epochs=2, batch_size=8))[-1]
    trained = numpy_fit.load_trained(tmp_path)
    test = blobs(21)
    colour = np.repeat(test.images[..., None], 3, axis=3)  # as a photograph would come
    logits = trained.model(Tensor(trained.preprocessing.apply_all(colour))).data
    assert isinstance(finished, Finished)
    assert (logits.argmax(1) == test.labels).mean() == finished.test_accuracy
    assert trained.classes == test.classes
    assert logits.dtype == np.float32


@pytest.mark.parametrize("calls", [1, 6, 9])
def test_stopping_keeps_what_was_learnt(tmp_path: Path, on_blobs: None, calls: int) -> None:
    events = fit(tmp_path, spec(epochs=5, batch_size=8), after(calls))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.epochs) == ("stopped", calls // 6)
    assert isinstance(events[-2], Saved)
    assert int(weights(tmp_path)["1.num_batches_tracked"]) == calls  # every step that was taken


def test_stopping_before_the_first_step_keeps_nothing_and_says_so(tmp_path: Path, on_blobs: None) -> None:
    with pytest.raises(PlaygroundError, match="before anything was learnt"):
        fit(tmp_path, spec(), lambda: True)


def test_batches_are_told_of_ten_times_a_second_at_most(
        tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = (0.03 * look for look in itertools.count(1))  # so that no machine is too quick or too slow for it
    monkeypatch.setattr(numpy_fit, "time", SimpleNamespace(time=lambda: next(clock)))
    moments = [event.time for event in fit(tmp_path, spec(epochs=5, batch_size=8)) if isinstance(event, Batch)]
    assert 2 <= len(moments) < 5 * 6
    assert min(np.diff(moments)) >= 0.099


@pytest.mark.parametrize("size", [(4, 4), (5, 11), (28, 28), (32, 40)])
def test_takes_pictures_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(12, size), blobs(6, size)))
    events = fit(tmp_path, spec(epochs=1, batch_size=8))
    assert isinstance(events[-1], Finished)
    assert numpy_fit.load_trained(tmp_path).preprocessing.size == size


def test_no_batch_is_a_single_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for count in range(6, 14):  # batch norm of one picture has no variance
        monkeypatch.setattr(named, "load", lambda data, count=count: (blobs(count), blobs(6)))
        events = fit(tmp_path / str(count), spec(epochs=1, batch_size=2))
        assert isinstance(events[-1], Finished)


@pytest.mark.parametrize(("request_", "says"), [
    ({"epochs": 0}, "no training"), ({"batch_size": 1}, "no training"), ({"learning_rate": 0}, "no training"),
    ({"learning_rate": float("nan")}, "no training"), ({"data": "/nowhere"}, "/nowhere"),
    ({"learning_rate": 1e30}, "too large"),
])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_says_in_a_sentence_why_a_request_is_no_training(tmp_path: Path, request_: dict, says: str) -> None:
    with pytest.raises(PlaygroundError, match=says):
        fit(tmp_path, spec(**{"epochs": 1, **request_}))


@pytest.mark.parametrize(("images", "says"), [
    (blobs(12, (3, 9)), "3 x 9"), (blobs(3), "too few"), (blobs(1), "too few"),
])
def test_says_in_a_sentence_why_data_are_not_enough(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: ImageSet, says: str) -> None:
    monkeypatch.setattr(named, "load", lambda data: (images, images))
    with pytest.raises(PlaygroundError, match=says):
        fit(tmp_path, spec())


def test_a_folder_without_a_network_is_said_to_have_none(tmp_path: Path, on_blobs: None) -> None:
    with pytest.raises(PlaygroundError, match="no trained network"):
        numpy_fit.load_trained(tmp_path)
    fit(tmp_path, spec())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(PlaygroundError, match="no trained network"):
        numpy_fit.load_trained(tmp_path)


def test_a_description_cannot_name_just_anything(tmp_path: Path, on_blobs: None) -> None:
    fit(tmp_path, spec())
    path = tmp_path / numpy_fit.DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), "network": "Module"}))
    with pytest.raises(PlaygroundError, match="damaged"):
        numpy_fit.load_trained(tmp_path)


def test_a_network_trained_before_networks_were_data_is_still_read(tmp_path: Path, on_blobs: None) -> None:
    fit(tmp_path, spec())
    path = tmp_path / numpy_fit.DESCRIPTION
    said = json.loads(path.read_text())
    shape = said.pop("input")
    said.pop("network")
    path.write_text(json.dumps({**said, "architecture": {"input": shape, "layers": [{"layer": "Conv2d"}]}}))
    assert numpy_fit.load_trained(tmp_path).classes


@pytest.mark.parametrize("network", ["resnet8", "mobilenet", "c4n-b-r-[c4n-b-r-c4n-b]-(c4,c4k5)-ge-g-d3", "linear"])
def test_any_design_is_trained_and_comes_back(network: str, tmp_path: Path, on_blobs: None) -> None:
    epochs = [event for event in fit(tmp_path, spec(12, network=network)) if isinstance(event, Epoch)]
    assert epochs[-1].train_loss < epochs[0].train_loss
    trained = numpy_fit.load_trained(tmp_path)
    assert trained.model(Tensor(trained.preprocessing.apply_all(blobs().images))).shape == (60, 3)


def test_memory_is_reckoned_for_the_batch_that_is_asked_for(
        tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_fit, "memory", lambda: 10**6)
    network = "c16-r-f-d3"
    assert fit(tmp_path / "small", spec(1, network=network, batch_size=8))
    with pytest.raises(PlaygroundError, match="in batches of 50 takes at least"):  # of 60, a sixth is kept aside
        fit(tmp_path / "large", spec(1, network=network, batch_size=256))
    assert fit(tmp_path / "few", spec(1, network=network, batch_size=256, train_pictures=9))


@pytest.mark.parametrize(("network", "says"), [
    ("c8-r-p64-g-d3", "nothing would be left"), ("c8-r-g-d7", "3 classes"), ("nonsense!", "cannot be read"),
    ("f-d60000-r-d60000-r-d60000-d3", "MB may be used"),
])
def test_a_design_that_cannot_be_trained_is_refused_in_a_sentence(
        network: str, says: str, tmp_path: Path, on_blobs: None) -> None:
    with pytest.raises(PlaygroundError, match=says):
        fit(tmp_path, spec(network=network))
