"""A training from scratch whose gradients PyTorch computes: the same training, to rounding, and no less of a run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.events import Epoch, Event, Finished, Measures, Started
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history, numpy_fit

PLAIN = "c4n-b-r-p2-c8-r-g-d10"
DRAWING = "c4n-b-r-p2-oc0.2-[c4]-f-o0.5-d10"


def spec(engine: str, network: str = PLAIN, **said: Any) -> RunSpec:
    return RunSpec("digits", {"data": "digits", "network": network, "epochs": 2, "train_pictures": 200,
                              "batch_size": 16, "engine": engine, **said}, 3, "x")


def trained(folder: Path, wanted: RunSpec, stop_after: int | None = None) -> list[Event]:
    folder.mkdir(exist_ok=True)
    runs.write_spec(folder, wanted, "cpu")
    seen: list[Event] = []
    for event in numpy_fit.fit(wanted, folder, lambda: False):
        seen.append(event)
        if stop_after is not None and isinstance(event, Epoch) and event.epoch == stop_after:
            stop_after = -1
        elif stop_after == -1 and type(event).__name__ == "Saved":
            break  # as if it had been killed: its state is written with this word
    return seen


@pytest.mark.parametrize("said", [
    {}, {"optimizer": "momentum", "learning_rate": 0.05, "clip_norm": 0.5},
    {"label_smoothing": 0.1, "schedule": "warmup", "optimizer": "adamw", "weight_decay": 0.01},
    {"augment": {"mixup": 0.4, "rotate": 10.0}},
], ids=["usual", "momentum, clipped", "smoothed, decayed", "mixed"])
def test_both_engines_learn_the_same_to_rounding(said: dict[str, Any]) -> None:
    ours, theirs = (numpy_fit.begun(spec(engine, **said)) for engine in ("ours", "torch"))
    for one in (ours, theirs):
        one.model.train()
    for number, (chosen, same) in enumerate(zip(ours.order(), theirs.order(), strict=True)):
        np.testing.assert_array_equal(chosen, same)
        measured = number == 3  # a step that is measured is learnt from like the others
        first, second = ours.step(chosen, measured), theirs.step(chosen, measured)
        assert second.loss == pytest.approx(first.loss, rel=2e-4)
        assert first.rate == second.rate
        assert (second.look is not None) == measured
        if second.look is not None and first.look is not None:
            for a, b in zip(first.look.measures(1, 1, 0.0).parts, second.look.measures(1, 1, 0.0).parts, strict=True):
                for name in ("activation", "gradient", "step"):
                    was = getattr(a, name)
                    assert getattr(b, name) == (None if was is None else pytest.approx(was, rel=1e-2)), name
    for name, array in ours.model.state_dict().items():
        np.testing.assert_allclose(theirs.model.state_dict()[name], array, rtol=2e-3, atol=2e-4)
    assert not all(np.array_equal(array, theirs.model.state_dict()[name])
                   for name, array in ours.model.state_dict().items()), "one engine computed both"


def test_a_run_by_pytorch_is_a_whole_run(playground_home: Path) -> None:
    folder = playground_home / "a"
    seen = trained(folder, spec("torch", DRAWING))
    assert [type(event).__name__ for event in seen if isinstance(event, Started | Finished)] == ["Started", "Finished"]
    assert any(isinstance(event, Measures) for event in seen)
    assert history.epochs(folder) == [0, 1, 2]
    last = history.at_epoch(folder, 2)
    np.testing.assert_allclose(np.concatenate([one.ravel() for one in last.model.state_dict().values()]),
                               np.concatenate([one.ravel() for one in numpy_fit.load_trained(folder).model.state_dict(
                               ).values()]), rtol=1e-2, atol=1e-2)
    with pytest.raises(PlaygroundError, match="PyTorch computed the steps"):
        history.training_at(folder, 3)


def test_a_run_by_pytorch_that_was_killed_goes_on_to_the_same_end(playground_home: Path) -> None:
    whole, broken = playground_home / "whole", playground_home / "broken"
    trained(whole, spec("torch", DRAWING))
    trained(broken, spec("torch", DRAWING), stop_after=1)
    trained(broken, spec("torch", DRAWING))
    assert (broken / numpy_fit.WEIGHTS).read_bytes() == (whole / numpy_fit.WEIGHTS).read_bytes()


def test_a_loss_that_is_no_number_is_traced_to_its_op() -> None:
    training = numpy_fit.begun(spec("torch", learning_rate=1e30, optimizer="sgd"))
    training.model.train()
    taken = [training.step(chosen) for chosen in training.order()[:4]]
    broken = next(one for one in taken if not np.isfinite(one.loss))
    assert broken.look is not None
    assert broken.look.measures(1, 1, 0.0).first is not None


def test_another_engine_is_refused_in_a_sentence() -> None:
    with pytest.raises(PlaygroundError, match="ours or torch"):
        numpy_fit.begun(spec("keras"))
