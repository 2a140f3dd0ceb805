"""Our EfficientNet-Lite gives the published implementation's answers with the published weights."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from playground.datasets.photos import open_photo
from playground.datasets.preprocessing import Preprocessing
from playground.datasets.samples import photo
from playground.errors import PlaygroundError
from playground.training.transfer.backbones import BACKBONES, fused, pretrained

pytestmark = pytest.mark.slow

reference = pytest.importorskip("efficientnet_lite_pytorch", reason="pip install -r requirements-dev.txt")


def square(image: np.ndarray, size: int) -> np.ndarray:
    """The middle of a picture in the size that a network takes: what is left to ask is the scaling alone."""
    return np.asarray(ImageOps.fit(Image.fromarray(image), (size, size)))


def as_published(image: np.ndarray) -> torch.Tensor:
    """How Google's `efficientnet/lite` scales what its networks see: MEAN_RGB = 127, STDDEV_RGB = 128, of 0..255."""
    return (torch.tensor(image).permute(2, 0, 1)[None].float() - 127) / 128


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("picture", ["cat", "coffee"])
def test_the_logits_are_the_references(name: str, picture: str) -> None:
    row = BACKBONES[name]
    try:
        weights = row.weights_file()
    except PlaygroundError as error:
        if name == "efficientnet_lite0":
            raise
        pytest.skip(str(error))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = reference.EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=str(weights)).eval()
    image = square(photo(picture), row.image_size)
    pixels = torch.from_numpy(row.preprocessing().apply(image))[None]
    with torch.inference_mode():
        expected, got = theirs(as_published(image)), pretrained(name)(pixels)
    assert expected.abs().max() > 1
    assert (got - expected).abs().max() < 1e-4


@pytest.mark.parametrize("level", [0, 127, 128, 255])
def test_a_level_is_scaled_as_published(level: int) -> None:
    image = np.full((40, 60, 3), level, np.uint8)
    assert np.allclose(BACKBONES["efficientnet_lite0"].preprocessing(32).apply(image), (level - 127) / 128, atol=1e-6)


IMAGENET_MEAN = Preprocessing((224, 224), gray=False, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def sureness(preprocessing: Preprocessing, pictures: list[np.ndarray], groups: list[range]) -> float:
    """The mean probability of the right group of kinds."""
    network = fused(pretrained("efficientnet_lite0"))
    with torch.inference_mode():
        chances = network(torch.from_numpy(preprocessing.apply_all(pictures))).softmax(1)
    return float(np.mean([row[list(group)].sum() for row, group in zip(chances.numpy(), groups, strict=True)]))


def test_the_built_in_photos_are_known_more_surely_than_with_another_scaling() -> None:
    own = BACKBONES["efficientnet_lite0"].preprocessing()
    asked = [photo("cat"), photo("coffee")], [range(281, 286), range(967, 968)]
    assert sureness(own, *asked) > 0.9 > sureness(IMAGENET_MEAN, *asked)


def guesses_of(preprocessing: Preprocessing, pictures: list[np.ndarray]) -> np.ndarray:
    """The five likeliest kinds of each picture, the likeliest first."""
    network = fused(pretrained("efficientnet_lite0"))
    with torch.inference_mode():
        found = [network(torch.from_numpy(preprocessing.apply_all(pictures[k:k + 16]))).topk(5, 1).indices.numpy()
                 for k in range(0, len(pictures), 16)]
    return np.concatenate(found)


def rightly(guesses: np.ndarray, groups: list[range]) -> int:
    """For how many pictures one of the guesses is of the right group of kinds."""
    return sum(any(one in group for one in row) for row, group in zip(guesses.tolist(), groups, strict=True))


@pytest.mark.slow
def test_cats_and_dogs_are_named_more_often_than_with_another_scaling(shared_photos: Path) -> None:
    cats, dogs = (sorted((shared_photos / "validation" / kind).glob("*.jpg"))[:80] for kind in ("cats", "dogs"))
    pictures = [open_photo(path) for path in (*cats, *dogs)]
    groups = [range(281, 286)] * len(cats) + [range(151, 269)] * len(dogs)
    own = guesses_of(BACKBONES["efficientnet_lite0"].preprocessing(), pictures)
    other = guesses_of(IMAGENET_MEAN, pictures)
    assert rightly(own, groups) > 0.93 * len(pictures)
    for first in (1, 5):
        assert rightly(own[:, :first], groups) > rightly(other[:, :first], groups)
