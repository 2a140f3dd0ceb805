"""Augmentation: every step does what its name says, a draw is repeatable, nonsense is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.datasets import samples
from playground.datasets.augmentation import LIMITS, Augmentation, _moved
from playground.errors import PlaygroundError
from playground.training.runs.events import Epoch
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([name for name in LIMITS if name not in ("mixup", "cutmix")]), st.floats(0.01, 1),
       st.sampled_from([(1, 1), (5, 7), (8, 8, 3), (1, 9, 3)]), st.integers(0, 100))
def test_a_draw_keeps_shape_and_type_and_is_repeatable(
    name: str, share: float, shape: tuple[int, ...], seed: int
) -> None:
    image = rng(1).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    pipeline = Augmentation(**{name: share * LIMITS[name]})
    first, second = (pipeline.draw(image, rng(seed)) for _ in range(2))
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert (first == second).all()
    assert (image == before).all(), "the picture given stays as it was"


@pytest.mark.parametrize("name", [name for name in LIMITS if name not in ("mixup", "cutmix")])
def test_every_step_changes_a_photo_and_nothing_is_done_without_one(name: str) -> None:
    photo = samples.photo("cat")[:60, :80]
    assert (Augmentation().draw(photo, rng()) == photo).all()
    assert (Augmentation(**{name: LIMITS[name] * 0.6}).draw(photo, rng(3)) != photo).any()


def test_a_quarter_turn_and_a_shift_are_exact() -> None:
    image = rng().integers(0, 256, (5, 5), dtype=np.uint8)
    np.testing.assert_array_equal(_moved(image, 90, 1, 0, 0), np.rot90(image))
    np.testing.assert_array_equal(_moved(image, 0, 1, 0.2, 0)[1:], image[:-1])
    np.testing.assert_array_equal(_moved(image, 0, 1, 0, -0.2)[:, :-1], image[:, 1:])


def test_mixup_is_the_weighted_mean_and_cutmix_counts_its_pixels() -> None:
    x = rng().normal(size=(6, 3, 8, 8)).astype(np.float32)
    mixed = Augmentation(mixup=1).mix(x, rng(5))
    np.testing.assert_allclose(mixed.x, mixed.share * x + (1 - mixed.share) * x[mixed.partner], rtol=1e-5)
    for batch in (np.arange(6.0)[:, None, None, None] * np.ones((6, 3, 32, 32)),
                  np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 32, 32, 3), np.uint8)):
        cut = Augmentation(cutmix=1).mix(batch, rng(4))
        moved = cut.partner != np.arange(6)
        own = (cut.x == batch).reshape(6, -1).mean(axis=1)
        np.testing.assert_allclose(own[moved], cut.share)
        assert 0 < cut.share < 1


@pytest.mark.parametrize(("data", "sentence"), [
    ({"rotate": 200}, "rotate is a number from 0 to 180"), ({"mirror": -1}, "from 0 to 1"),
    ({"melt": 1}, "no step 'melt'"), ({"hue": "x"}, "takes a number"), ({"noise": float("nan")}, "from 0 to 100"),
    ({"mixup": 1, "cutmix": 1}, "not by both"),
])
def test_nonsense_is_refused_in_one_sentence(data: dict[str, object], sentence: str) -> None:
    with pytest.raises(PlaygroundError, match=sentence):
        Augmentation.from_dict(data)


def test_a_pipeline_survives_a_request() -> None:
    pipeline = Augmentation(mirror=0.5, rotate=15, noise=8, cutmix=1)
    assert Augmentation.from_dict(pipeline.to_dict()) == pipeline
    assert pipeline.active == ("mirror", "rotate", "noise", "cutmix")


@pytest.mark.slow
def test_the_trainer_takes_the_very_pipeline(tmp_path: Path) -> None:
    request = {"data": "digits", "epochs": 1, "augment": {"rotate": 10, "mixup": 0.4}}
    events = list(numpy_fit.fit(RunSpec("digits", request, 0, "x"), tmp_path, bool))
    plain = list(numpy_fit.fit(RunSpec("digits", {**request, "augment": {}}, 0, "x"), tmp_path, bool))
    losses = [[e.train_loss for e in found if isinstance(e, Epoch)] for found in (events, plain)]
    assert losses[0][0] > losses[1][0], "what is drawn anew and mixed is harder"
    with pytest.raises(PlaygroundError, match="no step 'melt'"):
        next(numpy_fit.fit(RunSpec("digits", {**request, "augment": {"melt": 1}}, 0, "x"), tmp_path, bool))
