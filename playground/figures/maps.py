"""Arrays as pictures: one pixel a number, in the colours every page uses."""

import numpy as np

from playground.figures import style

# 255 colours, an odd number, so that 0 falls on the middle one and not between two.
_SIGNED = np.array(
    [[int(style.colour_at(style.SIGNED, i / 254)[k : k + 2], 16) for k in (1, 3, 5)] for i in range(255)],
    dtype=np.uint8,
)


def signed_map(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """A feature map as a picture, blue below 0, near white at 0, orange above.

    values (H, W) -> uint8 (H, W, 3). `limit` is the magnitude drawn in full colour (default: the largest there is).

    >>> signed_map(np.array([[-2.0, 0.0, 2.0]]))[0].tolist()
    [[11, 79, 138], [247, 247, 245], [184, 70, 10]]
    """
    reach = style.signed_limit(values) if limit is None else limit
    steps = np.rint(np.clip(values / reach, -1, 1) * 127).astype(int) + 127
    return np.take(_SIGNED, steps, axis=0)


def contact_sheet(images: np.ndarray, columns: int, scale: int = 1, gap: int = 1) -> np.ndarray:
    """Small images of one size side by side, each pixel `scale` wide, on a gray ground.

    images (N, H, W) or (N, H, W, 3) uint8 -> uint8 (rows, width, 3).

    >>> contact_sheet(np.zeros((3, 2, 2), np.uint8), columns=2).shape
    (5, 5, 3)
    """
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=-1)
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    n, h, w, _ = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), 128, dtype=np.uint8)
    for k, image in enumerate(images):
        top, left = (k // columns) * (h + gap), (k % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = image
    return sheet


def enlarged(image: np.ndarray, side: int = 160) -> np.ndarray:
    """A small image whose pixels can be seen, each a square block; a large one as it is.

    >>> enlarged(np.zeros((8, 8), np.uint8), 100).shape
    (96, 96)
    """
    times = max(1, side // max(image.shape[:2]))
    return image.repeat(times, axis=0).repeat(times, axis=1)
