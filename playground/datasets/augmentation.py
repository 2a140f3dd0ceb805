"""Data augmentation: other pictures of the same thing, drawn at random from one picture.

A pipeline is plain numbers (`Augmentation`), so it can stand in a page's address and in a run's request: what a page
shows is what a trainer does.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageEnhance

from playground.errors import PlaygroundError


@dataclass(frozen=True)
class Augmentation:
    """How far each step may go; 0 leaves it out. Every draw is even between its limits.

    Steps on single pictures, in this order: `mirror` left-right with that probability; `rotate` by up to so many
    degrees either way, `scale` by a factor 1 ± so much and `translate` by up to that share of the side, in one go
    (places from outside repeat the nearest edge); `crop` a part that keeps at least 1 minus this share of each side,
    enlarged to the old size; `brightness` and `contrast` times 1 ± so much; `hue` turned by up to this share of the
    colour circle (colour pictures only); `noise`, normal, of up to this deviation (0..255); `erase` a rectangle of up
    to this share of each side, filled with gray. Steps on mini-batches, at most one of which is used: `mixup` and
    `cutmix` with λ drawn from Beta(α, α), this being α. Raises PlaygroundError when a number is out of its range.

    >>> Augmentation(mirror=0.5, rotate=15).active
    ('mirror', 'rotate')
    """

    mirror: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    translate: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    hue: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= LIMITS[name]:
                raise PlaygroundError(f"Augmentation: {name} is a number from 0 to {LIMITS[name]:g}, not {value:g}.")
        if self.mixup and self.cutmix:
            raise PlaygroundError("Augmentation: a mini-batch is mixed by mixup or by cutmix, not by both.")

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the steps that do something, in their order."""
        return tuple(name for name, value in asdict(self).items() if value)

    def to_dict(self) -> dict[str, float]:
        """Only what is not 0, as plain numbers."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Augmentation":
        """The pipeline that `to_dict` said. Raises PlaygroundError when a step is not known or not a number.

        >>> Augmentation.from_dict({"noise": 5}).noise
        5.0
        """
        known = {field.name for field in fields(cls)}
        if strange := sorted(set(data) - known):
            raise PlaygroundError(f"Augmentation: there is no step {strange[0]!r}: choose from {', '.join(LIMITS)}.")
        try:
            return cls(**{name: float(value) for name, value in data.items()})
        except (TypeError, ValueError):
            raise PlaygroundError("Augmentation: every step takes a number.") from None

    def draw(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw of the single-picture steps. uint8 (H, W) or (H, W, 3) -> the same shape.

        >>> dot = np.array([[255, 0], [0, 0]], np.uint8)
        >>> Augmentation(mirror=1).draw(dot, np.random.default_rng(0)).tolist()
        [[0, 255], [0, 0]]
        """
        return self.apply(image, self.sample(image.shape, rng))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> "Draw":
        """The random numbers of one draw for a picture of this shape, in an order that never changes.

        They are drawn apart from their use, so that a trainer on another device does the same to the same picture.
        """
        drawn: dict[str, Any] = {}
        if self.mirror:
            drawn["mirrored"] = bool(rng.random() < self.mirror)
        if self.rotate or self.scale or self.translate:
            drawn["moved"] = (rng.uniform(-self.rotate, self.rotate), 1 + rng.uniform(-self.scale, self.scale),
                              *rng.uniform(-self.translate, self.translate, 2))
        if self.crop:
            drawn["cropped"] = (1 - rng.uniform(0, self.crop), *rng.random(2))
        if self.brightness:
            drawn["brightness"] = 1 + rng.uniform(-self.brightness, self.brightness)
        if self.contrast:
            drawn["contrast"] = 1 + rng.uniform(-self.contrast, self.contrast)
        if self.hue and len(shape) == 3:
            drawn["hue"] = round(256 * rng.uniform(-self.hue, self.hue)) % 256
        if self.noise:
            drawn["noise"] = (rng.normal(0, 1, shape), rng.uniform(0, self.noise))
        if self.erase:
            sides, place = rng.uniform(0, self.erase, 2), rng.random(2)
            drawn["erased"] = rectangle(*shape[:2], *sides, *place)
        return Draw(**drawn)

    def apply(self, image: np.ndarray, drawn: "Draw") -> np.ndarray:
        """The single-picture steps with numbers that were drawn before. uint8 (H, W) or (H, W, 3) -> the same shape."""
        if drawn.mirrored:
            image = image[:, ::-1]
        if drawn.moved:
            image = _moved(image, *drawn.moved)
        if drawn.cropped:
            image = _cropped(image, *drawn.cropped)
        if drawn.brightness != 1 or drawn.contrast != 1 or drawn.hue:
            image = _coloured(image, drawn)
        if drawn.noise:
            normal, deviation = drawn.noise
            image = np.rint(np.clip(image + normal * deviation, 0, 255)).astype(np.uint8)
        if drawn.erased:
            top, bottom, left, right = drawn.erased
            image = image.copy()
            image[top:bottom, left:right] = 128
        return np.ascontiguousarray(image)

    def draw_all(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw for each of uint8 images (N, H, W) or (N, H, W, 3)."""
        return np.stack([self.draw(image, rng) for image in images])

    def mix(self, x: np.ndarray, rng: np.random.Generator) -> "Mixed":
        """mixup or cutmix of a mini-batch x (N, ...): numbers of any scale, height and width being the last two axes
        of (N, C, H, W) or the middle ones of (N, H, W, 3).

        mixup: x̃ = λ x_i + (1 - λ) x_j; cutmix: a rectangle of x_j, its area the share 1 - λ of the whole, put into
        x_i. The label becomes λ y_i + (1 - λ) y_j. Sources: Zhang et al., 2018; Yun et al., 2019.

        >>> Augmentation().mix(np.zeros((2, 1, 4, 4)), np.random.default_rng(0)).share
        1.0
        """
        last = x.ndim == 4 and x.shape[-1] == 3
        height, width = x.shape[1:3] if last else x.shape[-2:]
        partner, share, box = self.sample_mix(len(x), height, width, rng)
        if box is None:
            blended = (share * x + (1 - share) * x[partner]).astype(x.dtype) if share < 1 else x
            return Mixed(blended, partner, share)
        top, bottom, left, right = box
        mixed, place = x.copy(), (slice(top, bottom), slice(left, right))
        where = (slice(None), *place) if last else (..., *place)
        mixed[where] = x[partner][where]
        return Mixed(mixed, partner, share)

    def sample_mix(self, count: int, height: int, width: int, rng: np.random.Generator
                   ) -> tuple[np.ndarray, float, "Box | None"]:
        """The random numbers of `mix`: every picture's partner, its own share, and the rectangle for cutmix."""
        if not (self.mixup or self.cutmix):
            return np.arange(count), 1.0, None
        alpha = self.mixup or self.cutmix
        share, partner = float(rng.beta(alpha, alpha)), rng.permutation(count)
        if self.mixup:
            return partner, share, None
        side = float(np.sqrt(1 - share))
        box = top, bottom, left, right = rectangle(height, width, side, side, *rng.random(2))
        return partner, 1 - (bottom - top) * (right - left) / (height * width), box


Box: TypeAlias = tuple[int, int, int, int]
"""A rectangle of pixels: first row, row after the last, first column, column after the last."""


@dataclass(frozen=True, eq=False)
class Draw:
    """The random numbers of one draw; what is None, or 1 for a factor, is not done.

    `moved`: degrees, factor, shift down and across as shares of the side; `cropped`: the share kept of each side, and
    where, 0..1 down and across; `hue`: 256ths of the circle; `noise`: normal numbers of the picture's shape and their
    deviation.
    """

    mirrored: bool = False
    moved: tuple[float, float, float, float] | None = None
    cropped: tuple[float, float, float] | None = None
    brightness: float = 1.0
    contrast: float = 1.0
    hue: int = 0
    noise: tuple[np.ndarray, float] | None = None
    erased: Box | None = None


@dataclass(frozen=True)
class Mixed:
    """A mixed mini-batch: picture i is `share` of itself and 1 - share of picture partner[i]; so is its label."""

    x: np.ndarray
    partner: np.ndarray
    share: float


LIMITS: dict[str, float] = {
    "mirror": 1, "rotate": 180, "scale": 0.9, "translate": 0.5, "crop": 0.9, "brightness": 1, "contrast": 1, "hue": 0.5,
    "noise": 100, "erase": 0.9, "mixup": 10, "cutmix": 10,
}
"""The largest that each step may be set to."""


def _moved(image: np.ndarray, degrees: float, factor: float, down: float, across: float) -> np.ndarray:
    """Rotated, scaled and translated about the middle, bilinearly; outside, the nearest edge goes on."""
    height, width = image.shape[:2]
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle) / factor, np.sin(angle) / factor
    y, x = (height - 1) / 2, (width - 1) / 2
    rows = (np.arange(height) - y - down * height)[:, None]
    columns = np.arange(width) - x - across * width
    from_row = np.clip(c * rows + s * columns + y, 0, height - 1)
    from_column = np.clip(c * columns - s * rows + x, 0, width - 1)
    top, left = from_row.astype(np.intp), from_column.astype(np.intp)
    v, h = ((p - q).astype(np.float32).reshape(-1, 1) for p, q in ((from_row, top), (from_column, left)))
    # Pixels are taken by their number in one row of all: two indices at once take NumPy several times as long
    pixels = image.reshape(height * width, -1)
    here = (top * width + left).reshape(-1)
    on, below = (left < width - 1).reshape(-1), np.where(top < height - 1, width, 0).reshape(-1)
    upper = _between(pixels.take(here, axis=0), pixels.take(here + on, axis=0), h)
    here = here + below
    lower = _between(pixels.take(here, axis=0), pixels.take(here + on, axis=0), h)
    return np.asarray(np.rint(upper + (lower - upper) * v).astype(np.uint8).reshape(image.shape))


def _between(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    start = a.astype(np.float32)
    return np.asarray(start + (b - start) * share)


def _cropped(image: np.ndarray, keep: float, down: float, across: float) -> np.ndarray:
    height, width = image.shape[:2]
    top, left = down * (1 - keep) * height, across * (1 - keep) * width
    box = (left, top, left + keep * width, top + keep * height)
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _coloured(image: np.ndarray, drawn: Draw) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(image))
    if drawn.brightness != 1:
        picture = ImageEnhance.Brightness(picture).enhance(drawn.brightness)
    if drawn.contrast != 1:
        picture = ImageEnhance.Contrast(picture).enhance(drawn.contrast)
    turned = np.array(picture)
    if drawn.hue:
        hsv = np.array(picture.convert("HSV"))
        hsv[..., 0] += np.uint8(drawn.hue)  # a circle: 255 + 1 is 0
        turned = np.array(Image.fromarray(hsv, "HSV").convert("RGB"))
    return turned


def rectangle(height: int, width: int, tall: float, wide: float, down: float, across: float) -> Box:
    """A rectangle of these shares of the sides, at this place (0..1 of the room there is)."""
    h, w = round(tall * height), round(wide * width)
    top, left = round(down * (height - h)), round(across * (width - w))
    return top, top + h, left, left + w
