"""The one way from a picture's pixels to a model's input, used for training and spelled out inside every export."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray: ITU-R 601, as Pillow's mode L."""


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a picture before a network sees it.

    image uint8 (H, W, 3) RGB or (H, W) gray, 0..255 -> float32 (C, height, width), C = 1 if `gray` else 3:
    centre crop to the target's proportions, gray if asked for, resize, then

        x -> (x / 255 - mean) / std        a channel each

    `size` is (height, width). The resize is a triangle filter as wide as the shrinking asks for ("bilinear,
    antialiased"), computed in float and not rounded, on the crop alone: no pixel from outside bleeds in. The crop's
    offsets are rounded down. The exported graph does the same arithmetic on the same integers. Raises ValueError when
    mean or std do not fit the channels.

    >>> digits = Preprocessing(size=(8, 8), gray=True, mean=(0.5,), std=(0.5,))
    >>> digits.apply(np.full((20, 30, 3), 255, np.uint8)).shape
    (1, 8, 8)
    >>> round(float(digits.apply(np.full((20, 30, 3), 255, np.uint8)).max()), 6)
    1.0
    """

    size: tuple[int, int]
    gray: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        channels = 1 if self.gray else 3
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(f"{channels} channel(s) need {channels} means and deviations, not {self.mean}, {self.std}")
        if len(self.size) != 2 or min(self.size) < 1 or min(self.std) <= 0:
            raise ValueError(f"a size of {self.size} and deviations {self.std} are not possible")

    def apply(self, image: np.ndarray) -> np.ndarray:
        """One picture, ready for the network: uint8 (H, W, 3) or (H, W) -> float32 (C, height, width)."""
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(f"a picture is uint8 (H, W, 3) or (H, W), this one is {image.dtype} {image.shape}")
        if image.size == 0:
            raise ValueError(f"a picture of shape {image.shape} holds no pixel")
        top, left, height, width = self.crop(*image.shape[:2])
        pixels = image[top:top + height, left:left + width].astype(np.float32)
        if image.ndim == 2:
            planes = [pixels] if self.gray else [pixels] * 3
        elif self.gray:
            planes = [pixels @ np.asarray(LUMA, np.float32)]
        else:
            planes = [pixels[:, :, channel] for channel in range(3)]
        rows, columns = self.size
        resized = np.stack([  # mode "F": Pillow's own triangle filter, in float
            np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((columns, rows), Image.Resampling.BILINEAR))
            for plane in planes
        ])
        return self._normalised(resized)

    def apply_all(self, images: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
        """Many pictures: (N, H, W, 3), (N, H, W), or pictures of any sizes -> float32 (N, C, height, width).

        Gray pictures that have the target's size already are only scaled, all at once: 60,000 in a blink.
        """
        if isinstance(images, np.ndarray) and images.ndim == 3 and self.gray and images.shape[1:] == self.size:
            return self._normalised(images[:, None].astype(np.float32))
        prepared = [self.apply(image) for image in images]
        return np.stack(prepared) if prepared else np.zeros((0, 1 if self.gray else 3, *self.size), np.float32)

    def pictured(self, prepared: np.ndarray) -> np.ndarray:
        """What a network was given, as a picture again: (C, H, W) -> uint8 (H, W, 3), levels outside 0..255 cut off.

        >>> digits = Preprocessing(size=(1, 2), gray=True, mean=(0.5,), std=(0.5,))
        >>> digits.pictured(np.array([[[-1.0, 1.0]]]))[0].tolist()
        [[0, 0, 0], [255, 255, 255]]
        """
        mean, std = (np.asarray(values)[:, None, None] for values in (self.mean, self.std))
        levels = np.rint(np.clip(np.nan_to_num(255 * (prepared * std + mean)), 0, 255)).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(levels, 4 - len(levels), 0)[:3].transpose(1, 2, 0))

    def crop(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The largest rectangle of the target's proportions in the middle: (top, left, height, width) in pixels.

        >>> Preprocessing((224, 224), False, (0.5,) * 3, (0.5,) * 3).crop(301, 400)
        (0, 49, 301, 301)
        """
        rows, columns = self.size
        h = min(height, max(1, width * rows // columns))
        w = min(width, max(1, height * columns // rows))
        return (height - h) // 2, (width - w) // 2, h, w

    def sentence(self) -> str:
        """What happens to a picture, in words: goes into every exported file."""
        rows, columns = self.size
        shape = "a square" if rows == columns else f"the proportions {columns}:{rows}"
        gray = ", turn gray (0.299 R + 0.587 G + 0.114 B)" if self.gray else ""
        mean, std = (", ".join(f"{x:.6g}" for x in values) for values in (self.mean, self.std))
        return (f"RGB 0..255: crop the centre to {shape}{gray}, resize to {rows} x {columns} (height x width; "
                f"bilinear, antialiased), divide by 255, subtract ({mean}) and divide by ({std}).")

    def to_dict(self) -> dict[str, Any]:
        return {"size": list(self.size), "gray": self.gray, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preprocessing":
        height, width = data["size"]
        return cls((int(height), int(width)), bool(data["gray"]), tuple(map(float, data["mean"])),
                   tuple(map(float, data["std"])))

    def _normalised(self, levels: np.ndarray) -> np.ndarray:
        mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (self.mean, self.std))
        return ((levels / np.float32(255) - mean) / std).astype(np.float32, copy=False)
