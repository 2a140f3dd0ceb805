"""The pipeline of datasets/augmentation.py on whole mini-batches, on the device that trains.

Every random number is drawn on the CPU, in the order in which the pipeline itself draws, so the same generator gives
the same pictures here, there, on a CPU and on a GPU.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from playground.datasets.augmentation import Augmentation


@dataclass(frozen=True)
class Drawn:
    """What was drawn for N pictures; a step that does nothing is None."""

    mirrored: np.ndarray | None  # bool (N,)
    moved: np.ndarray | None  # (N, 4): degrees, factor, down, across
    cropped: np.ndarray | None  # (N, 3): keep, down, across
    brightness: np.ndarray | None  # (N,) factors
    contrast: np.ndarray | None
    turned: np.ndarray | None  # (N,) 256ths of the colour circle
    noise: np.ndarray | None  # (N, H, W, 3) gray levels
    erased: np.ndarray | None  # (N, 4): top, bottom, left, right

    def of(self, rows: np.ndarray) -> "Drawn":
        """Only of these pictures."""
        return Drawn(**{name: None if value is None else value[rows] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Mix:
    """How a mini-batch is mixed: `share` of picture i with 1 - share of picture partner[i]; by a rectangle if given."""

    partner: np.ndarray
    share: float
    place: tuple[int, int, int, int] | None = None


def draw(pipeline: Augmentation, count: int, size: int, rng: np.random.Generator) -> Drawn:
    """Everything random about single pictures, drawn one picture after the other."""
    draws = [pipeline.sample((size, size, 3), rng) for _ in range(count)]

    def every(name: str, wanted: float) -> np.ndarray | None:
        return np.array([getattr(one, name) for one in draws]) if wanted else None

    moving = pipeline.rotate or pipeline.scale or pipeline.translate
    noise = [normal * deviation for normal, deviation in (one.noise for one in draws if one.noise is not None)]
    return Drawn(every("mirrored", pipeline.mirror), every("moved", moving), every("cropped", pipeline.crop),
                 every("brightness", pipeline.brightness), every("contrast", pipeline.contrast),
                 every("hue", pipeline.hue), np.array(noise, np.float32) if pipeline.noise else None,
                 every("erased", pipeline.erase))


def draw_mix(pipeline: Augmentation, count: int, size: int, rng: np.random.Generator) -> Mix | None:
    """Everything random about mixing a mini-batch, drawn as `Augmentation.mix` does."""
    if not (pipeline.mixup or pipeline.cutmix):
        return None
    return Mix(*pipeline.sample_mix(count, size, size, rng))


def apply(drawn: Drawn, x: Tensor) -> Tensor:
    """Pictures (N, 3, S, S), levels 0..255 in float, with everything drawn done to them; levels stay in 0..255."""

    def on_device(values: np.ndarray | None, *shape: int) -> Tensor:
        return torch.as_tensor(np.asarray(values), device=x.device).to(x.dtype).reshape(len(x), *shape)

    size = x.shape[-1]
    if drawn.mirrored is not None:
        x = torch.where(on_device(drawn.mirrored, 1, 1, 1) > 0, x.flip(-1), x)
    if drawn.moved is not None:
        x = _sampled(x, *_moved(on_device(drawn.moved, 4), size))
    if drawn.cropped is not None:
        keep, down, across = on_device(drawn.cropped, 3, 1, 1).unbind(1)  # (N, 1, 1) each
        at = torch.arange(size, device=x.device, dtype=x.dtype) + 0.5
        x = _sampled(x, down * (1 - keep) * size + at[:, None] * keep - 0.5,
                     across * (1 - keep) * size + at[None, :] * keep - 0.5)
    if drawn.brightness is not None:
        x = (x * on_device(drawn.brightness, 1, 1, 1)).clamp_(0, 255).floor_()  # as Pillow blends
    if drawn.contrast is not None:
        gray = (_gray(x).mean((1, 2, 3), keepdim=True) + 0.5).floor()
        x = (gray + (x - gray) * on_device(drawn.contrast, 1, 1, 1)).clamp_(0, 255).floor_()
    if drawn.turned is not None:
        x = _hue_turned(x, on_device(drawn.turned, 1, 1))
    if drawn.noise is not None:
        x = (x + on_device(drawn.noise, size, size, 3).permute(0, 3, 1, 2)).clamp_(0, 255).round_()
    if drawn.erased is not None:
        top, bottom, left, right = on_device(drawn.erased, 4, 1, 1, 1).unbind(1)
        at = torch.arange(size, device=x.device)
        down, across = at.view(-1, 1), at.view(1, -1)
        x = torch.where((down >= top) & (down < bottom) & (across >= left) & (across < right), 128.0, x)
    return x


def mixed(mix: Mix, x: Tensor, partners: Tensor) -> Tensor:
    """Pictures (N, C, S, S) mixed with their partners, whose label's part is 1 - share."""
    if mix.place is None:
        return mix.share * x + (1 - mix.share) * partners
    top, bottom, left, right = mix.place
    put = x.clone()
    put[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return put


def _moved(parameters: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Where the pixels of rotated, scaled, translated pictures come from: rows and columns, (N, S, S) each."""
    degrees, factor, down, across = parameters.view(-1, 4, 1, 1).unbind(1)
    angle = torch.deg2rad(degrees)
    c, s = angle.cos() / factor, angle.sin() / factor
    middle = (size - 1) / 2
    at = torch.arange(size, device=parameters.device, dtype=parameters.dtype) - middle
    rows, columns = at[:, None] - down * size, at[None, :] - across * size
    return c * rows + s * columns + middle, c * columns - s * rows + middle


def _sampled(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pictures read at these places, bilinearly; outside, the nearest edge goes on."""
    size = x.shape[-1]
    grid = torch.stack([columns.expand(-1, size, size), rows.expand(-1, size, size)], -1) * (2 / (size - 1)) - 1
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True).round_()


def _gray(x: Tensor) -> Tensor:
    """Pillow's mode L."""
    weights = torch.tensor([19595.0, 38470.0, 7471.0], device=x.device) / 65536
    return (x * weights.view(3, 1, 1)).sum(1, keepdim=True).add(0.5).floor()


def _hue_turned(x: Tensor, turned: Tensor) -> Tensor:
    """Colours turned on the colour circle of 256 steps, through Pillow's HSV of bytes and back."""
    value, low = x.amax(1), x.amin(1)  # (N, S, S)
    span = value - low
    red, green, blue = x.unbind(1)
    sixths = torch.where(red == value, green - blue, torch.where(green == value, blue - red, red - green))
    sixths = sixths / span.clamp_min(1) + torch.where(red == value, 0.0, torch.where(green == value, 2.0, 4.0))
    hue = (sixths.mul_(1 / 6).add_(1) % 1).mul_(255).floor_()  # 0 for grays
    saturation = (span / value.clamp_min(1)).mul_(255).floor_().div_(255)
    place = ((hue + turned) % 256) * (6 / 255)
    starts = torch.tensor([5.0, 3.0, 1.0], device=x.device).view(3, 1, 1)
    k = (place[:, None] + starts) % 6
    away = torch.minimum(k, 4 - k).clamp_(0, 1)  # how far a channel is from the colour's full value
    return (value[:, None] * (1 - saturation[:, None] * away)).round_()
