"""Where a network looks, without looking into it: a gray patch covers one part of the picture after the other."""

import numpy as np

from playground.deploy.session import Array, Classifier

PLACES = 9  # a side
PATCH = 0.25  # of a side
GRAY = 127


def occluded(image: Array, places: int = PLACES, patch: float = PATCH) -> Array:
    """The picture uint8 (H, W, 3) with a gray patch at places x places positions, edge to edge: (places², H, W, 3)."""
    height, width = image.shape[:2]
    tall, wide = max(1, round(patch * height)), max(1, round(patch * width))
    covered = np.repeat(image[None], places * places, axis=0)
    for k in range(places * places):
        i, j = divmod(k, places)
        top, left = round(i * (height - tall) / (places - 1)), round(j * (width - wide) / (places - 1))
        covered[k, top : top + tall, left : left + wide] = GRAY
    return covered


def occlusion(classifier: Classifier, image: Array, label: int, places: int = PLACES, patch: float = PATCH) -> Array:
    """How much of a class's probability is lost when each part is covered: (places, places), > 0 where it was needed.

    (Zeiler and Fergus 2014, arXiv 1311.2901.)
    """
    whole, *parts = classifier.predict([image, *occluded(image, places, patch)])
    return np.array([whole.probabilities[label] - part.probabilities[label] for part in parts]).reshape(places, places)
