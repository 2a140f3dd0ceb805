"""The augmentation pipeline on mini-batches, on the device that trains: what `Augmentation.apply` does, all at once."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from playground.datasets.augmentation import Augmentation, Draw


def augmented(pixels: Tensor, draws: Sequence[Draw]) -> Tensor:
    """uint8 pictures (N, 3, H, W) and a draw for each -> float32 levels 0..255 (N, 3, H, W).

    The numbers were drawn on the CPU, so a GPU makes the same pictures. Levels are rounded where the page's pipeline
    rounds them; from a single draw they differ by a level or two, where Pillow interpolates in whole numbers.
    """
    device = pixels.device
    x = pixels.float()
    if any(d.mirrored for d in draws):
        mirrored = torch.tensor([d.mirrored for d in draws], device=device)[:, None, None, None]
        x = torch.where(mirrored, x.flip(3), x)
    if any(d.moved for d in draws):
        x = _sampled(x, *_moved(draws, x.shape[2], x.shape[3], device))
    if any(d.cropped for d in draws):
        x = _sampled(x, *_cropped(draws, x.shape[2], x.shape[3], device))
    if any(d.brightness != 1 for d in draws):
        x = (x * _each(draws, lambda d: d.brightness, device)).clamp(0, 255).floor()
    if any(d.contrast != 1 for d in draws):
        luma = torch.tensor((0.299, 0.587, 0.114), device=device)[:, None, None]
        mean = ((x * luma).sum(1, keepdim=True).round().mean((2, 3), keepdim=True) + 0.5).floor()
        x = (mean + (x - mean) * _each(draws, lambda d: d.contrast, device)).clamp(0, 255).floor()
    if any(d.hue for d in draws):
        from kornia.enhance import adjust_hue  # a second of imports that only this step needs

        turn = torch.tensor([d.hue * 2 * math.pi / 256 for d in draws], device=device)
        x = (adjust_hue(x / 255, turn) * 255).round().clamp(0, 255)
    if any(d.noise for d in draws):
        zero = (np.zeros((*x.shape[2:], 3)), 0.0)
        normal, deviation = zip(*(d.noise or zero for d in draws), strict=True)
        noise = torch.from_numpy(np.stack(normal).astype(np.float32)).to(device).permute(0, 3, 1, 2)
        x = (x + noise * torch.tensor(deviation, device=device, dtype=torch.float32)[:, None, None, None])
        x = x.clamp(0, 255).round()
    if any(d.erased for d in draws):
        inside = torch.stack([_inside(d.erased or (0, 0, 0, 0), x.shape[2], x.shape[3], device) for d in draws])
        x = x.masked_fill(inside[:, None], 128.0)
    return x


def mixed(x: Tensor, targets: Tensor, pipeline: Augmentation, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """mixup or cutmix of pictures x (N, 3, H, W) and of their targets (N, K), shares that sum to 1."""
    partner, share, box = pipeline.sample_mix(len(x), x.shape[2], x.shape[3], rng)
    if share == 1.0:
        return x, targets
    other = torch.from_numpy(partner).to(x.device)
    if box is None:
        x = share * x + (1 - share) * x[other]
    else:
        top, bottom, left, right = box
        put_in = x[other, :, top:bottom, left:right]
        x = x.clone()
        x[:, :, top:bottom, left:right] = put_in
    return x, share * targets + (1 - share) * targets[other]


def _each(draws: Sequence[Draw], of: Callable[[Draw], float], device: torch.device) -> Tensor:
    return torch.tensor([of(d) for d in draws], device=device, dtype=torch.float32)[:, None, None, None]


def _inside(box: tuple[int, int, int, int], height: int, width: int, device: torch.device) -> Tensor:
    top, bottom, left, right = box
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))


def _moved(draws: Sequence[Draw], height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """From which row and column every pixel comes, (N, H, W) each: rotated, scaled and shifted about the middle."""
    degrees, factor, down, across = (
        torch.tensor(values, device=device, dtype=torch.float32)[:, None, None]
        for values in zip(*(d.moved or (0.0, 1.0, 0.0, 0.0) for d in draws), strict=True))
    angle = torch.deg2rad(degrees)
    c, s = torch.cos(angle) / factor, torch.sin(angle) / factor
    y, x = (height - 1) / 2, (width - 1) / 2
    rows = torch.arange(height, device=device, dtype=torch.float32)[:, None] - y - down * height
    columns = torch.arange(width, device=device, dtype=torch.float32) - x - across * width
    return c * rows + s * columns + y, c * columns - s * rows + x


def _cropped(draws: Sequence[Draw], height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """From which row and column every pixel comes, (N, H, W) each: a part, enlarged to the whole."""
    keep, down, across = (torch.tensor(values, device=device, dtype=torch.float32)[:, None, None]
                          for values in zip(*(d.cropped or (1.0, 0.0, 0.0) for d in draws), strict=True))
    rows = torch.arange(height, device=device, dtype=torch.float32)[:, None]
    columns = torch.arange(width, device=device, dtype=torch.float32)
    top, left = down * (1 - keep) * height, across * (1 - keep) * width
    shape = (len(draws), height, width)
    return (((rows + 0.5) * keep + top - 0.5).expand(shape), ((columns + 0.5) * keep + left - 0.5).expand(shape))


def _sampled(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """x read bilinearly at these places, the nearest edge outside, rounded to whole levels."""
    height, width = x.shape[2:]
    grid = torch.stack((columns * 2 / max(width - 1, 1) - 1, rows * 2 / max(height - 1, 1) - 1), dim=3)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True).round()
