"""Photographs that are always there: they come with scikit-image, no network needed."""

from functools import cache

import numpy as np

from playground.errors import PlaygroundError

_PHOTOS = {"astronaut": "astronaut", "cat": "cat", "coffee": "coffee", "camera": "camera", "rocket": "rocket"}
"""Our names for scikit-image's, in the order they are offered."""


def photo_names() -> tuple[str, ...]:
    """The built-in photographs."""
    return tuple(_PHOTOS)


def photo(name: str) -> np.ndarray:
    """A built-in photograph: uint8 (H, W, 3) RGB, the caller's own copy. Raises PlaygroundError for another name.

    >>> photo("cat").shape
    (300, 451, 3)
    """
    if name not in _PHOTOS:
        raise PlaygroundError(f"There is no built-in photo {name!r}: choose {', '.join(_PHOTOS)}.")
    return _read(name).copy()


@cache
def _read(name: str) -> np.ndarray:
    from skimage import data  # takes a moment, and not every page shows a photograph

    pixels: np.ndarray = getattr(data, _PHOTOS[name])()
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
