"""The pipeline on mini-batches makes the pictures of the page's pipeline."""

import numpy as np
import pytest
import torch

from playground.datasets import samples
from playground.datasets.augmentation import Augmentation
from playground.training.torch_augment import augmented, mixed

STEPS = {"mirror": 0.5, "rotate": 30, "scale": 0.3, "translate": 0.2, "crop": 0.4, "brightness": 0.5, "contrast": 0.5,
         "hue": 0.2, "noise": 20, "erase": 0.5}
PHOTOS = np.stack([samples.photo("cat")[k : k + 96, 3 * k : 3 * k + 80] for k in range(0, 48, 8)])


@pytest.mark.parametrize("steps", [*({name: value} for name, value in STEPS.items()), STEPS],
                         ids=[*STEPS, "all"])
def test_every_step_does_what_the_page_does(steps: dict[str, float]) -> None:
    pipeline, rng = Augmentation(**steps), np.random.default_rng(0)
    draws = [pipeline.sample(photo.shape, rng) for photo in PHOTOS]
    expected = np.stack([pipeline.apply(photo, drawn) for photo, drawn in zip(PHOTOS, draws, strict=True)])
    found = augmented(torch.from_numpy(PHOTOS).permute(0, 3, 1, 2), draws).permute(0, 2, 3, 1).numpy()
    difference = np.abs(found - expected)
    assert difference.mean() < (1.0 if "hue" in steps else 0.3)  # Pillow turns hues in 8 bits
    assert np.percentile(difference, 99) <= (6 if "hue" in steps else 1)
    assert not np.array_equal(expected, PHOTOS)


def test_nothing_asked_is_nothing_done() -> None:
    draws = [Augmentation().sample(photo.shape, np.random.default_rng(0)) for photo in PHOTOS]
    same = augmented(torch.from_numpy(PHOTOS).permute(0, 3, 1, 2), draws)
    np.testing.assert_array_equal(same.permute(0, 2, 3, 1).numpy(), PHOTOS)


@pytest.mark.parametrize("how", ["mixup", "cutmix"])
def test_two_pictures_become_one_as_on_the_page(how: str) -> None:
    pipeline = Augmentation(**{how: 1.0})
    x = PHOTOS.transpose(0, 3, 1, 2).astype(np.float32)
    expected = pipeline.mix(x, np.random.default_rng(3))
    targets = torch.eye(len(x))
    found, shares = mixed(torch.from_numpy(x), targets, pipeline, np.random.default_rng(3))
    np.testing.assert_allclose(found.numpy(), expected.x, atol=1e-3)
    rows = np.arange(len(x))
    assert shares.sum(1).numpy() == pytest.approx(1.0)
    others = expected.partner != rows
    np.testing.assert_allclose(shares.numpy()[rows, rows][others], expected.share, rtol=1e-5)
