"""A training walked back: any epoch at once, any step to the same bits, and a sentence where neither is to be had."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from engine import Tensor
from engine.kernels import threads
from playground.datasets import named
from playground.errors import PlaygroundError
from playground.training.runs.events import Epoch, Finished, RateChanged, Saved
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history, history_files, numpy_fit
from playground.training.scratch import training as stepping
from playground.training.scratch.history_files import STATE, WEIGHTS, digest_of
from playground.training.scratch.settings import ask_rate
from playground.training.scratch.training import Training
from tests.playground.test_numpy_fit import after, blobs, never

BATCHES = 6  # of the 51 pictures that are learnt from, 8 at a time
RUNS: dict[str, dict[str, Any]] = {
    "usual": {"network": "usual", "epochs": 6},  # batch norm and dropout
    "no norm": {"network": "c4-r-p2-f-d3", "epochs": 7},
    "drawn": {"network": "c4n-b-r-oc0.2-g-d8-th-o0.3-d3", "epochs": 5, "augment": {"mirror": 0.5, "translate": 0.2}},
    "mixed": {"network": "[c4-gn2-r-c1]-f-d3", "epochs": 9, "augment": {"mixup": 0.4, "noise": 9}},
    "resumed": {"network": "c4n-b-r-f-o0.5-d3", "epochs": 7, "augment": {"rotate": 10}},
    "one score": {"network": "c3-r-f-d1-sg", "epochs": 4, "optimizer": "nesterov", "learning_rate": 0.02,
                  "clip_norm": 0.5, "label_smoothing": 0.1, "schedule": "warmup"},
    "rate": {"network": "c3-b-r-f-d3", "epochs": 7, "optimizer": "rmsprop", "weight_decay": 0.01},
    "stopped": {"network": "c4n-b-r-f-o0.5-d3", "epochs": 7},
}


def spec(**request: Any) -> RunSpec:
    return RunSpec("digits", {"data": "digits", "batch_size": 8, **request}, 3, "mine")


@pytest.fixture
def on_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))


class Instrumented:
    """Trains, and writes down the exact weights after every step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.digests: dict[int, str] = {}
        really = Training.step

        def step(training: Training, chosen: np.ndarray, *rest: Any, **more: Any) -> Any:
            steps = training.schedule.last_epoch
            self.digests.setdefault(steps, digest_of(training.model.state_dict()))
            found = really(training, chosen, *rest, **more)
            self.digests[steps + 1] = digest_of(training.model.state_dict())
            return found

        monkeypatch.setattr(Training, "step", step)

    def fit(self, folder: Path, asked: RunSpec, should_stop: Callable[[], bool] = never,
            changes: Mapping[int, float] = MappingProxyType({})) -> None:
        folder.mkdir(exist_ok=True)
        for event in numpy_fit.fit(asked, folder, should_stop):
            if isinstance(event, Saved) and event.epoch in changes:
                ask_rate(folder, changes[event.epoch])


def killed_after(folder: Path, asked: RunSpec, epochs: int) -> None:
    """A run whose worker dies in the middle of an epoch."""
    folder.mkdir()
    for event in numpy_fit.fit(asked, folder, never):
        if isinstance(event, Saved) and event.epoch == epochs:
            return


@pytest.mark.slow
def test_any_step_of_any_run_comes_back_to_the_same_bits(
        tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, dict[int, str]] = {}
    for name, request in RUNS.items():
        with monkeypatch.context() as patch:
            instrumented = Instrumented(patch)
            folder = tmp_path / name
            if name == "one score":  # two classes
                patch.setattr(named, "load", lambda data: (blobs(classes=2), blobs(21, classes=2)))
            if name == "resumed":
                killed_after(folder, spec(**request), 3)
            instrumented.fit(folder, spec(**request), after(31) if name == "stopped" else never,
                             {2: 0.5, 5: 3.0} if name == "rate" else {})
        taken[name] = instrumented.digests
        wanted = 31 if name == "stopped" else request["epochs"] * BATCHES
        assert sorted(taken[name]) == list(range(wanted + 1)), name
        assert history.steps(folder) == wanted
        changed = json.loads((folder / "history" / "history.json").read_text())["factors"]
        assert changed == ({"3": [0.5], "6": [0.5, 3.0]} if name == "rate" else {})
    rng = np.random.default_rng(0)
    pairs = [(name, int(rng.integers(0, len(digests)))) for name, digests in taken.items() for _ in range(15)]
    pairs += [(name, step) for name, digests in taken.items() for step in (0, len(digests) - 1)]
    assert len(pairs) >= 100
    for name, step in pairs:
        classes = 2 if name == "one score" else 3
        monkeypatch.setattr(named, "load", lambda data, n=classes: (blobs(classes=n), blobs(21, classes=n)))
        found = history.replayed(tmp_path / name, step)
        assert digest_of(found.model.state_dict()) == taken[name][step], (name, step)
        assert not found.model.training


def test_a_rate_changed_for_an_epoch_that_never_took_a_step_is_none_of_the_epoch_before(
        tmp_path: Path, on_blobs: None) -> None:
    stop = threading.Event()
    for event in numpy_fit.fit(spec(network="c3-r-f-d3", epochs=4), tmp_path, stop.is_set):
        if isinstance(event, Saved) and event.epoch == 1:
            ask_rate(tmp_path, 0.5)
        if isinstance(event, RateChanged):
            stop.set()
    assert json.loads((tmp_path / "history" / "history.json").read_text())["factors"] == {"2": [0.5]}
    history_files.path_of(tmp_path, STATE, 1).unlink()  # so the first epoch is replayed, and checked
    assert digest_of(history.replayed(tmp_path, BATCHES).model.state_dict()) == digest_of(
        numpy_fit.load_trained(tmp_path).model.state_dict())


def test_the_weights_of_every_epoch_are_there_and_answer_nearly_as_they_did(tmp_path: Path, on_blobs: None) -> None:
    x, answers, first = np.zeros(0), {}, None
    for event in numpy_fit.fit(spec(epochs=5), tmp_path, never):
        if isinstance(event, Epoch):
            answers[event.epoch] = event
    assert history.epochs(tmp_path) == [0, 1, 2, 3, 4, 5]
    last, now = numpy_fit.load_trained(tmp_path), history.at_epoch(tmp_path, 5)
    x = last.preprocessing.apply_all(blobs().images)
    assert now.classes == last.classes
    assert now.preprocessing == last.preprocessing
    exact = last.model(Tensor(x)).data
    np.testing.assert_allclose(now.model(Tensor(x)).data, exact, atol=0.01 * np.abs(exact).max())
    assert all(array.dtype in (np.float32, np.int64) for array in now.model.state_dict().values())
    first = history.at_epoch(tmp_path, 0)
    assert not any(module.training for _, module in first.model.named_modules())
    begun = numpy_fit.begun(spec(epochs=5)).model.state_dict()
    for name, array in first.model.state_dict().items():
        np.testing.assert_allclose(array, begun[name], rtol=1e-3, atol=1e-7)


def test_exact_states_are_kept_of_powers_of_two_and_of_the_last_three(tmp_path: Path, on_blobs: None) -> None:
    seen = []
    for event in numpy_fit.fit(spec(epochs=12, network="linear"), tmp_path, never):
        if isinstance(event, Saved):
            seen.append(sorted(epoch for kind, epoch in history_files.kept(tmp_path) if kind == STATE))
    assert seen[5] == [0, 1, 2, 3, 4, 5]  # what came after the Saved of epoch 6 is not written yet
    assert sorted(epoch for kind, epoch in history_files.kept(tmp_path) if kind == STATE) == [0, 1, 2, 4, 8, 10, 11, 12]


def test_what_goes_first_when_it_is_too_much() -> None:
    sizes = {(STATE, epoch): 9_000_000 for epoch in (0, 1, 2, 4, 8, 10, 11, 12)}
    sizes |= {(WEIGHTS, epoch): 1_000_000 for epoch in range(13)}
    gone = history_files.too_many(sizes, 12)
    assert gone == [(STATE, 0), (STATE, 1), (STATE, 2)]
    sizes |= {(WEIGHTS, epoch): 8_000_000 for epoch in range(13)}
    gone = history_files.too_many(sizes, 12)
    assert gone[:8] == [(STATE, epoch) for epoch in (0, 1, 2, 4, 8, 10, 11, 12)]
    assert gone[8:] == [(WEIGHTS, epoch) for epoch in (1, 3, 5, 7, 9)]
    assert sum(size for key, size in sizes.items() if key not in gone) <= history_files.MOST_BYTES
    sizes = {(WEIGHTS, epoch): 8_000_000 for epoch in (0, 2, 4, 6, 8, 10, 11, 12, 13)}  # what was left, and one more
    assert history_files.too_many(sizes, 13) == [(WEIGHTS, 11)]
    assert len(history_files.too_many({(WEIGHTS, 0): 10**9}, 0)) == 1
    assert history_files.too_many({(WEIGHTS, 0): 10**6, (STATE, 0): 10**6}, 0) == []


def test_never_more_than_was_said_and_every_step_still_comes_back(
        tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_files, "MOST_BYTES", 40_000)  # of this network, four exact states would be 60 000
    with monkeypatch.context() as patch:
        instrumented = Instrumented(patch)
        instrumented.fit(tmp_path, spec(epochs=6, network="f-d16-r-d3"))
    kept = history_files.kept(tmp_path)
    assert sum(kept.values()) <= 40_000
    assert (STATE, 0) not in kept
    for step in (0, 5, 17, 36):
        assert digest_of(history.replayed(tmp_path, step).model.state_dict()) == instrumented.digests[step]


def test_what_the_next_batch_would_be_is_known(
        tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[np.ndarray] = []
    with monkeypatch.context() as patch:
        really = Training.step
        patch.setattr(Training, "step", lambda self, chosen, *rest: (batches.append(chosen), really(
            self, chosen, *rest))[1])
        Instrumented(patch).fit(tmp_path, spec(epochs=2, network="linear"))
    training, following = history.training_at(tmp_path, 8)
    assert following is not None
    assert following.tolist() == batches[8].tolist()
    training.step(following)
    assert digest_of(training.model.state_dict()) == digest_of(history.replayed(tmp_path, 9).model.state_dict())


def test_numbers_too_large_for_a_half_are_kept_whole(tmp_path: Path, on_blobs: None) -> None:
    training = numpy_fit.begun(spec(network="c2n-b-g-d3"))
    training.model.state_dict()["1.running_var"][:] = 1e6
    history_files.keep(tmp_path, training.state, training.batches, 1)
    numpy_fit._describe(tmp_path, training.network, (1, 9, 7), training.preprocessing, training.train.classes)
    assert history.at_epoch(tmp_path, 0).model.state_dict()["1.running_var"].tolist() == [1e6, 1e6]


def test_a_replay_in_a_process_with_other_threads_comes_to_the_same_bits(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are cut by threads, and come to other last bits where they are cut elsewhere."""
    monkeypatch.setattr(threads, "LARGE", 0)  # so that even small work is cut
    monkeypatch.setattr(threads, "WORTH", 0)
    asked = RunSpec("digits", {"data": "digits", "epochs": 1, "train_pictures": 200}, 0, "mine")
    exact = {}
    for count in (1, 2, 3):
        threads.set_threads(count)
        try:
            instrumented = Instrumented(monkeypatch)
            instrumented.fit(tmp_path / str(count), asked)
            exact[count] = instrumented.digests[6]
        finally:
            threads.set_threads(None)
    assert len(set(exact.values())) > 1  # else this test would show nothing
    for count, digest in exact.items():
        assert digest_of(history.replayed(tmp_path / str(count), 6).model.state_dict()) == digest
        for kind, epoch in history_files.kept(tmp_path / str(count)):
            if kind == STATE:
                history_files.path_of(tmp_path / str(count), kind, epoch).unlink()
        assert digest_of(history.replayed(tmp_path / str(count), 6).model.state_dict()) == digest


# --- sentences ---


def test_a_run_without_history_an_epoch_and_a_step_there_are_none_of_are_said_to_be(
        tmp_path: Path, on_blobs: None) -> None:
    for ask in (lambda: history.at_epoch(tmp_path, 0), lambda: history.replayed(tmp_path, 0)):
        with pytest.raises(PlaygroundError, match="kept no history"):
            ask()
    killed_after(tmp_path / "a", spec(epochs=3, network="linear"), 2)
    with pytest.raises(PlaygroundError, match=r"no weights of epoch 7: it has those of epochs 0 to 1\."):
        history.at_epoch(tmp_path / "a", 7)
    with pytest.raises(PlaygroundError, match="no step 7 to go back to: this training has taken 6 steps"):
        history.replayed(tmp_path / "a", 7)
    with pytest.raises(PlaygroundError, match="no step -1"):
        history.replayed(tmp_path / "a", -1)


def test_other_pictures_are_no_replay(tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Instrumented(monkeypatch).fit(tmp_path, spec(epochs=2, network="linear"))
    monkeypatch.setattr(named, "load", lambda data: (blobs(66), blobs(21)))
    with pytest.raises(PlaygroundError, match="no longer those this training began with"):
        history.replayed(tmp_path, 3)
    assert history.at_epoch(tmp_path, 1).classes  # it needs no pictures


def test_a_replay_that_comes_to_other_numbers_says_so(
        tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Instrumented(monkeypatch).fit(tmp_path, spec(epochs=4, network="linear"))
    for epoch in (1, 2, 3, 4):
        history_files.path_of(tmp_path, STATE, epoch).unlink()
    really = stepping.mixed_loss
    monkeypatch.setattr(stepping, "mixed_loss", lambda *rest: 1.000001 * really(*rest))
    with pytest.raises(PlaygroundError, match="other numbers after epoch 1"):
        history.replayed(tmp_path, 8)


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"version": 2}', '{"version": 1, "asked": {}, "steps": -1}', "nan"])
def test_a_damaged_index_is_a_sentence(tmp_path: Path, on_blobs: None, said: str) -> None:
    killed_after(tmp_path / "a", spec(epochs=1, network="linear"), 1)
    (tmp_path / "a" / "history" / "history.json").write_text(said)
    for ask in (lambda: history.at_epoch(tmp_path / "a", 0), lambda: history.replayed(tmp_path / "a", 0)):
        with pytest.raises(PlaygroundError, match="history of this training is damaged"):
            ask()


def test_damaged_files_are_a_sentence(tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Instrumented(monkeypatch).fit(tmp_path, spec(epochs=1, network="linear"))
    for kind in (STATE, WEIGHTS):
        for epoch in (0, 1):
            path = history_files.path_of(tmp_path, kind, epoch)
            path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(PlaygroundError, match="damaged"):
        history.at_epoch(tmp_path, 1)
    with pytest.raises(PlaygroundError, match="damaged"):
        history.replayed(tmp_path, 6)


def test_another_training_in_the_same_folder_forgets_the_history_of_the_first(
        tmp_path: Path, on_blobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Instrumented(monkeypatch).fit(tmp_path, spec(epochs=4, network="linear"))
    Instrumented(monkeypatch).fit(tmp_path, spec(epochs=1, network="mlp"))
    assert history.epochs(tmp_path) == [0, 1]
    assert len(history.at_epoch(tmp_path, 1).model) == len(history.replayed(tmp_path, 1).model) == 6


def test_a_loss_that_is_no_number_can_be_replayed_up_to_it(tmp_path: Path, on_blobs: None) -> None:
    with pytest.raises(PlaygroundError, match="no longer a number"), np.errstate(all="ignore"):
        list(numpy_fit.fit(spec(epochs=2, learning_rate=1e30), tmp_path, never))
    steps = history.steps(tmp_path)
    assert 1 <= steps < 2 * BATCHES
    with np.errstate(all="ignore"):
        history.replayed(tmp_path, steps)


def test_the_index_is_strict_json_and_holds_no_secret(tmp_path: Path, on_blobs: None) -> None:
    killed_after(tmp_path / "a", spec(epochs=1, network="linear"), 1)
    said = json.loads((tmp_path / "a" / "history" / "history.json").read_text())
    assert set(said) == {"version", "asked", "data", "batches", "steps", "threads", "factors"}


def test_weights_of_an_epoch_are_there_in_a_moment(tmp_path: Path, on_blobs: None) -> None:
    finished = list(numpy_fit.fit(spec(epochs=1), tmp_path, never))[-1]
    assert isinstance(finished, Finished)
    spent = []
    for _ in range(3):
        began = time.process_time()
        history.at_epoch(tmp_path, 1)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.15
