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


# Right and left as in a map of signed numbers; down and up take two more colours that can be told apart.
_WHEEL = np.array(
    [[int(colour[k : k + 2], 16) for k in (1, 3, 5)]
     for colour in (style.POSITIVE, style.CATEGORICAL[2], style.NEGATIVE, style.CATEGORICAL[3], style.POSITIVE)]
)


def direction_map(degrees: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Directions as colours: orange right (0), green down (90), blue left (180), pink up (-90), black where weak.

    degrees (H, W), any turn; strength (H, W) in 0..1, cut off beyond -> uint8 (H, W, 3).

    >>> direction_map(np.array([[0.0, 180.0, 0.0]]), np.array([[1.0, 1.0, 0.0]]))[0].tolist()
    [[213, 94, 0], [0, 114, 178], [0, 0, 0]]
    """
    quarter = np.mod(degrees, 360) / 90
    hue = np.stack([np.interp(quarter, np.arange(5), _WHEEL[:, k]) for k in range(3)], axis=-1)
    return np.asarray(np.rint(hue * np.clip(strength, 0, 1)[..., None]).astype(np.uint8))


def direction_wheel(side: int) -> np.ndarray:
    """The legend of `direction_map`: a disc whose colour at each place is that of the way there from its middle.

    >>> direction_wheel(5).shape
    (5, 5, 3)
    """
    across, down = np.meshgrid(*2 * [np.linspace(-1, 1, side)])
    return direction_map(np.degrees(np.arctan2(down, across)), (np.hypot(across, down) <= 1) * 1.0)


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


def outlined(image: np.ndarray, region: tuple[int, int, int, int], side: int = 160) -> np.ndarray:
    """A picture, enlarged as by `enlarged`, with a rectangle of it in full light and a frame round that.

    image uint8 (H, W, 3); region: rows from, to, columns from, to, both included -> uint8 (H', W', 3).

    >>> outlined(np.full((4, 4, 3), 255, np.uint8), (1, 2, 1, 2), 40)[5, 5].tolist()
    [153, 153, 153]
    """
    times = max(1, side // max(image.shape[:2]))
    whole = enlarged(image, side)
    top, bottom, left, right = region
    inside = np.zeros(whole.shape[:2], bool)
    inside[top * times:(bottom + 1) * times, left * times:(right + 1) * times] = True
    found = np.where(inside[..., None], whole, np.uint8(0.6 * whole))
    thick = max(1, side // 80)
    core = inside.copy()
    for axis in (0, 1):
        for step in (-thick, thick):
            core &= np.roll(inside, step, axis)
    edge = inside & ~core
    found[edge] = [int(style.VALIDATION[k : k + 2], 16) for k in (1, 3, 5)]
    return found


def enlarged(image: np.ndarray, side: int = 160) -> np.ndarray:
    """A small image whose pixels can be seen, each a square block; a large one as it is.

    >>> enlarged(np.zeros((8, 8), np.uint8), 100).shape
    (96, 96)
    """
    times = max(1, side // max(image.shape[:2]))
    return image.repeat(times, axis=0).repeat(times, axis=1)
