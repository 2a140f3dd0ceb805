"""Numbers for places of a picture, laid over it in the colours of signed numbers."""

import numpy as np

from playground.figures import style
from playground.figures.maps import signed_map


def overlaid(image: np.ndarray, heat: np.ndarray, limit: float | None = None) -> np.ndarray:
    """The picture in gray and over it `heat`: orange where above 0, blue where below, clear where near it.

    image uint8 (H, W, 3), heat (H, W) -> uint8 (H, W, 3). `limit` (the largest magnitude) is full colour.

    >>> overlaid(np.full((4, 4, 3), 100, np.uint8), np.zeros((4, 4)))[0, 0].tolist()
    [100, 100, 100]
    """
    top = style.signed_limit(heat) if limit is None else limit
    strength = np.clip(np.abs(heat) / top, 0, 1)[..., None] * 0.75
    gray = (image.astype(np.float64) @ np.array((0.299, 0.587, 0.114)))[..., None]
    return np.asarray(np.rint(gray * (1 - strength) + signed_map(heat, top) * strength).astype(np.uint8))
