"""Experiments: contestants under the same conditions, trained once for everybody who asks for the same."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from engine import layers
from playground import jobs
from playground.deploy import interval
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.events import Finished, Measured, Started
from playground.training.runs.runs import RunSpec
from playground.training.scratch import experiment_networks, experiment_reports, experiments


def spec_of(epochs: int = 2, name: str = "shuffled-pixels") -> RunSpec:
    return RunSpec("experiment", {"experiment": name, "epochs": epochs}, 3, name)


def test_shuffling_moves_the_pixels_of_all_pictures_alike_and_loses_none() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8))
    moved = experiments.shuffled(images, 1)
    assert (np.sort(moved.reshape(5, -1)) == np.sort(images.reshape(5, -1))).all()
    assert (moved != images).any()
    assert (experiments.shuffled(images[:1], 1) == moved[:1]).all()


@pytest.mark.slow
def test_the_cnn_minds_shuffled_pixels_and_the_mlp_does_not(tmp_path: Path) -> None:
    events = list(jobs.events(spec_of(20), tmp_path, lambda: False))
    started = events[0]
    assert isinstance(started, Started)
    assert isinstance(events[-1], Finished)
    assert started.samples == {"train": 300, "test": 1497}
    count = started.samples["test"]
    right = {e.contestant: round(e.test_accuracy * count) for e in events if isinstance(e, Measured)}
    kept, moved = "pixels as they are", "pixels shuffled"
    assert interval.chance(right[f"MLP, {kept}"], count, right[f"MLP, {moved}"], count)
    assert interval.difference(right[f"CNN, {kept}"], count, right[f"CNN, {moved}"], count)[0] > 0
    assert min(right.values()) > 0.88 * count


def test_the_mlp_and_the_cnn_are_alike_but_for_their_windows() -> None:
    contestants = experiments.shuffled_pixels({}, 0)
    sizes = {experiments.size(c.model) for c in contestants}
    assert max(sizes) < 1.1 * min(sizes)
    kinds = {type(m) for c in contestants for m in c.model}
    assert kinds == {layers.Flatten, layers.Linear, layers.ReLU, layers.Conv2d, layers.MaxPool2d}, "no batch norm"
    for kept, moved in zip(contestants[:2], contestants[2:], strict=True):
        assert same_weights(kept, moved) == len(weights(kept))


def weights(contestant: experiments.Contestant) -> list[np.ndarray]:
    return [m.weight.data for m in contestant.model if isinstance(m, layers.Linear | layers.Conv2d)]


def same_weights(one: experiments.Contestant, other: experiments.Contestant) -> int:
    """How many weights two networks have in common, bit by bit, when they are put beside each other in their order."""
    return sum(a.shape == b.shape and bool((a == b).all()) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.mark.parametrize(("name", "request_", "count"), [
    ("batch-norm-race", {"rates": [0.001, 0.01]}, 9), ("overfitting", {"p": 0.5, "weight_decay": 0.03}, 3),
    ("augmentation", {"augment": {"rotate": 10}}, 4),
])
def test_contestants_begin_with_the_same_weights(name: str, request_: dict[str, object], count: int) -> None:
    first, *others = experiments.EXPERIMENTS[name](request_, 5)
    for other in others:
        assert same_weights(first, other) == len(weights(first)) == count
    again = experiments.EXPERIMENTS[name](request_, 6)[0]
    assert same_weights(first, again) == 0, "another seed is another beginning"


def test_the_networks_of_the_lab_begin_with_the_same_weights() -> None:
    plain, regularized = (
        experiments.Contestant("", experiment_networks.photo_cnn(np.random.default_rng(3), 2, regularized),
                               *[np.zeros(0)] * 4, 0.1) for regularized in (False, True))
    assert same_weights(plain, regularized) == 6


@pytest.mark.parametrize("units", experiments.WIDTHS)
def test_dropout_changes_no_first_weight_at_any_width(units: int) -> None:
    by_name = {c.name: c for c in experiments.width({"p": 0.5}, 1)}
    plain, dropped = (by_name[experiments.width_name(units, dropout)] for dropout in (False, True))
    assert same_weights(plain, dropped) == 3
    assert any(isinstance(m, layers.Dropout) and m.p == 0.5 for m in dropped.model)
    assert weights(plain)[1].shape == (units, units)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3, 0.5])
def test_as_many_labels_are_wrong_as_is_said(noise: float) -> None:
    clean, noisy = (experiments.few_digits({"samples": 200, "noise": share}, 4) for share in (0.0, noise))
    assert (clean[0] == noisy[0]).all()
    assert int((clean[1] != noisy[1]).sum()) == round(200 * noise)
    assert set(noisy[1].tolist()) <= set(range(10))


@pytest.mark.slow
def test_wider_networks_learn_wrong_labels_by_heart(tmp_path: Path) -> None:
    request = {"experiment": "width", "epochs": 40, "samples": 250, "noise": 0.3, "p": 0.5}
    last = {e.contestant: e for e in experiments.fit(RunSpec("experiment", request, 0, "x"), tmp_path, bool)
            if isinstance(e, Measured)}
    assert list(last) == [f"{units} units{drop}" for drop in ("", ", dropout") for units in experiments.WIDTHS]
    learnt = [last[f"{units} units"].train_accuracy for units in experiments.WIDTHS]
    assert learnt == sorted(learnt), "more units learn more of the labels, the wrong ones, too"
    assert learnt[-1] > 0.97
    assert last["16 units"].test_accuracy > last["256 units"].test_accuracy + 0.02
    assert last["64 units, dropout"].test_accuracy > last["64 units"].test_accuracy + 0.02


@pytest.mark.slow
def test_the_same_spec_gives_the_same_curves(tmp_path: Path) -> None:
    first, second = (
        [(e.contestant, e.epoch, e.train_loss, e.test_accuracy) for e in experiments.fit(spec_of(), tmp_path, bool)
         if isinstance(e, Measured)] for _ in range(2))
    assert first == second


def test_a_stop_keeps_what_was_measured(tmp_path: Path) -> None:
    asked = iter([False] * 15 + [True] * 1000)
    events = list(experiments.fit(spec_of(), tmp_path, lambda: next(asked)))
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stopped"
    assert len([e for e in events if isinstance(e, Measured)]) == 1


@pytest.mark.parametrize(("spec", "sentence"), [(spec_of(0), "1 to 60"), (spec_of(61), "1 to 60"),
                                                (spec_of(name="alchemy"), "no experiment 'alchemy'")])
def test_what_is_no_experiment_is_refused(spec: RunSpec, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PlaygroundError, match=sentence):
        list(experiments.fit(spec, tmp_path, bool))


def test_thirty_who_ask_for_the_same_train_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    started: list[RunSpec] = []

    # A run without a worker: this test asks who starts, not what is learnt.
    def start(spec: RunSpec, suggested: bool = False) -> str:
        started.append(spec)
        run_id = f"20260101-000000-00000{len(started)}-abcd"
        folder = tmp_path / ".runs" / run_id
        folder.mkdir()
        runs.write_spec(folder, spec, "cpu")
        log = runs.EventLog(folder / "events.jsonl")
        log.append(Finished("completed", 2, None, 0, 1.0, (), 1.0))
        log.close()
        return run_id

    monkeypatch.setattr(runs, "start", start)
    assert len({runs.start_once(spec_of()) for _ in range(30)}) == 1
    assert len(started) == 1
    assert runs.start_once(spec_of(3)) != runs.start_once(spec_of())
    assert len(started) == 2


@pytest.mark.slow
def test_overfitting_is_held_back_by_dropout_and_by_l2(tmp_path: Path) -> None:
    request = {"experiment": "overfitting", "epochs": 60, "samples": 250, "noise": 0.3, "p": 0.5, "weight_decay": 0.03}
    events = list(experiments.fit(RunSpec("experiment", request, 0, "x"), tmp_path, bool))
    last = {e.contestant: e for e in events if isinstance(e, Measured)}
    assert last["neither"].train_accuracy > 0.97, "it learns even the wrong labels by heart"
    assert last["dropout"].test_accuracy > last["neither"].test_accuracy + 0.03
    assert last["L2"].test_accuracy > last["neither"].test_accuracy + 0.03
    found = experiments.report(tmp_path)
    norms = {name: weights["norm"] for name, weights in found["weights"].items()}
    assert norms["L2"] < norms["dropout"] < norms["neither"]
    for name, relied in found["relied"].items():
        assert relied["whole"] == pytest.approx(last[name].test_accuracy), "the weights are as they were"
        assert max(relied["worst"], relied["half"]) <= relied["whole"]
    assert found["relied"]["dropout"]["half"] > found["relied"]["neither"]["half"] + 0.1
    ensemble = found["ensemble"]
    assert ensemble["average"][-1] > np.mean(ensemble["single"])
    assert ensemble["eval"] == pytest.approx(last["dropout"].test_accuracy)


@pytest.mark.parametrize("name", ["overfitting", "width", "shuffled-pixels"])
@pytest.mark.parametrize("samples", [10, 10**6])
def test_too_few_or_too_many_digits_are_refused(samples: int, name: str, tmp_path: Path) -> None:
    spec = RunSpec("experiment", {"experiment": name, "epochs": 1, "samples": samples}, 0, "x")
    with pytest.raises(PlaygroundError, match="choose 50 to"):
        list(experiments.fit(spec, tmp_path, bool))


@pytest.mark.slow
def test_augmented_digits_are_drawn_anew_and_help(tmp_path: Path) -> None:
    request = {"experiment": "augmentation", "epochs": 60, "samples": 100, "batch_size": 10,
               "augment": {"rotate": 10, "scale": 0.1, "translate": 0.13}}
    events = list(experiments.fit(RunSpec("experiment", request, 0, "x"), tmp_path, bool))
    last = {e.contestant: e for e in events if isinstance(e, Measured)}
    assert last["as they are"].train_accuracy == 1.0
    assert last["augmented"].test_accuracy > last["as they are"].test_accuracy + 0.01
    assert last["augmented"].test_loss < last["as they are"].test_loss


def test_who_diverges_is_measured_no_more_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two(request: object, seed: int) -> list[experiments.Contestant]:
        calm, wild = experiments.overfitting({"samples": 60}, seed)[:2]
        return [calm, dataclasses.replace(wild, learning_rate=1e30)]

    monkeypatch.setitem(experiments.EXPERIMENTS, "two", two)
    with np.errstate(all="ignore"):
        events = list(experiments.fit(spec_of(3, "two"), tmp_path, bool))
    assert isinstance(events[-1], Finished)
    counts = [sum(isinstance(e, Measured) and e.contestant == name for e in events) for name in events[0].classes]
    assert counts[0] == 3
    assert counts[1] < 3
    monkeypatch.setitem(experiments.EXPERIMENTS, "two", lambda request, seed: two(request, seed)[1:])
    with np.errstate(all="ignore"), pytest.raises(PlaygroundError, match="every network is no longer a number"):
        list(experiments.fit(spec_of(3, "two"), tmp_path, bool))


@pytest.mark.parametrize("rates", [[], [0.1] * 5, [-1], [100]])
def test_a_race_without_sensible_rates_is_refused(rates: list[float], tmp_path: Path) -> None:
    spec = RunSpec("experiment", {"experiment": "batch-norm-race", "epochs": 1, "rates": rates}, 0, "x")
    with pytest.raises(PlaygroundError, match="one to four learning rates"):
        list(experiments.fit(spec, tmp_path, bool))


@pytest.mark.parametrize(("request_", "sentence"), [
    ({"recipe": "magic"}, "no recipe 'magic'"), ({"recipe": "small CNN", "data": "/nowhere"}, "no folder /nowhere"),
])
def test_a_lab_without_a_recipe_or_photos_is_refused(request_: dict[str, str], sentence: str, tmp_path: Path) -> None:
    spec = RunSpec("experiment", {"experiment": "lab", "epochs": 1, **request_}, 0, "x")
    with pytest.raises(PlaygroundError, match=sentence):
        list(experiments.fit(spec, tmp_path, bool))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", experiments.RECIPES)
def test_the_labs_networks_learn_faces(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    spec = RunSpec("experiment", {"experiment": "lab", "epochs": 12, "data": "faces", "recipe": recipe}, 0, "x")
    last = [e for e in experiments.fit(spec, tmp_path, bool) if isinstance(e, Measured)][-1]
    assert last.test_accuracy > 0.85


def test_a_unit_that_is_relied_on_is_missed() -> None:
    contestant = experiments.overfitting({"samples": 60}, 0)[0]
    first, second, last = (m for m in contestant.model if isinstance(m, layers.Linear))
    for layer in (first, second, last):
        layer.weight.data[:] = 0
    second.weight.data[5, 9] = last.weight.data[3, 5] = 1  # one path: unit 9, unit 5, class 3
    first.weight.data[9] = 1
    first.bias.data[9] = 100
    everything = experiment_reports.accuracy(contestant)
    assert everything == (contestant.y_test == 3).mean()
    found = experiment_reports.relied(contestant)
    assert found["whole"] == everything
    assert found["worst"] < everything
    assert experiment_reports.accuracy(contestant) == everything, "nothing is left changed"
