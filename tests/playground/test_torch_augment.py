"""Augmentation on mini-batches is the pipeline of the augmentation page, to what rounding leaves."""

import numpy as np
import pytest
import torch
from PIL import Image

from playground.datasets import samples
from playground.datasets.augmentation import Augmentation
from playground.training.transfer import augment as torch_augment

STEPS = {"mirror": 0.5, "rotate": 15, "scale": 0.2, "translate": 0.1, "crop": 0.3, "brightness": 0.3, "contrast": 0.3,
         "hue": 0.1, "noise": 20, "erase": 0.4}
SIZE = 64


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(samples.photo(name)).convert("RGB").resize((SIZE, SIZE)))
                     for name in samples.photo_names()])


def on_batches(pipeline: Augmentation, pictures: np.ndarray, seed: int) -> np.ndarray:
    drawn = torch_augment.draw(pipeline, len(pictures), SIZE, np.random.default_rng(seed))
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    return torch_augment.apply(drawn, x).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_the_pages_own_for_the_same_draws(step: str, photos: np.ndarray) -> None:
    pipeline = Augmentation(**{step: STEPS[step]})
    for seed in range(3):
        theirs = pipeline.draw_all(photos, np.random.default_rng(seed)).astype(float)
        apart = np.abs(on_batches(pipeline, photos, seed) - theirs)
        assert apart.mean() < 0.3
        assert np.mean(apart > 1) < 0.005  # hue goes through bytes: a few pixels round to the next one
        if step != "hue":
            assert apart.max() <= 1


def test_the_whole_pipeline_is_the_pages_own(photos: np.ndarray) -> None:
    pipeline = Augmentation(**STEPS)
    apart = np.abs(on_batches(pipeline, photos, 5) - pipeline.draw_all(photos, np.random.default_rng(5)))
    assert apart.mean() < 0.5
    assert np.quantile(apart, 0.999) <= 8


def test_a_share_of_what_was_drawn_is_that_share_of_the_pictures(photos: np.ndarray) -> None:
    pipeline, rows = Augmentation(**STEPS), np.array([1, 3])
    drawn = torch_augment.draw(pipeline, len(photos), SIZE, np.random.default_rng(0)).of(rows)
    x = torch.from_numpy(photos[rows]).permute(0, 3, 1, 2).float()
    some = torch_augment.apply(drawn, x).permute(0, 2, 3, 1).numpy()
    assert np.abs(some - on_batches(pipeline, photos, 0)[rows]).max() <= 1


@pytest.mark.parametrize("scheme", ["mixup", "cutmix"])
def test_mixtures_are_the_pages_own(scheme: str, photos: np.ndarray) -> None:
    pipeline = Augmentation(**{scheme: 1.0})
    x = photos.transpose(0, 3, 1, 2).astype(np.float32)
    theirs = pipeline.mix(x, np.random.default_rng(4))
    mix = torch_augment.draw_mix(pipeline, len(x), SIZE, np.random.default_rng(4))
    assert mix is not None
    assert (mix.share, mix.partner.tolist()) == (theirs.share, theirs.partner.tolist())
    mine = torch_augment.mixed(mix, torch.from_numpy(x), torch.from_numpy(x[mix.partner]))
    assert np.allclose(mine.numpy(), theirs.x, atol=1e-3)


def test_nothing_is_mixed_where_nothing_is_asked_for() -> None:
    assert torch_augment.draw_mix(Augmentation(mirror=1), 4, SIZE, np.random.default_rng(0)) is None


def test_kornia_finds_the_same_pixels_and_colours(photos: np.ndarray) -> None:
    kornia = pytest.importorskip("kornia")
    x = torch.from_numpy(photos).permute(0, 3, 1, 2).float()
    rows, columns = (torch.rand(len(x), SIZE, SIZE, generator=torch.Generator().manual_seed(k)) * SIZE for k in (0, 1))
    theirs = kornia.geometry.transform.remap(x, columns, rows, padding_mode="border", align_corners=True)
    assert (torch_augment._sampled(x, rows, columns) - theirs).abs().max() <= 0.51
    turned = torch.full((len(x), 1, 1), 64.0)
    hsv = kornia.color.rgb_to_hsv(x / 255)
    hsv[:, 0] = (hsv[:, 0] + 2 * torch.pi * 64 / 255) % (2 * torch.pi)
    apart = (torch_augment._hue_turned(x, turned) - 255 * kornia.color.hsv_to_rgb(hsv)).abs()
    assert apart.mean() < 3
