"""How many numbers each block of a network holds, and which of them a request trains. No torch in here.

Counted from the rows of `BACKBONES` alone; a test compares every count with the real network's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from playground.training.transfer.backbone_facts import (
    BACKBONES,
    HEAD_CHANNELS,
    SMALL_WIDTHS,
    STAGES,
    STEM_CHANNELS,
    scaled,
)
from playground.training.transfer.recipe import FROZEN, HIDDEN, SCRATCH, SIGMOID, Request


@dataclass(frozen=True)
class Block:
    """A block in the order pictures go through them. `stage` names the ones that are drawn in one row."""

    name: str
    stage: str
    parameters: int
    trained: bool


def blocks(request: Request, classes: int) -> tuple[Block, ...] | None:
    """The blocks of the network a request asks for, from the picture to the scores; None for one only timm knows."""
    if request.mode == SCRATCH:
        widths = (3, *SMALL_WIDTHS)
        rows = [(f"block {k}", _conv(widths[k - 1], widths[k], 3)) for k in range(1, len(widths))]
        small = tuple(Block(name, name, count, True) for name, count in rows)
        return (*small, _head(request, SMALL_WIDTHS[-1], classes))
    if request.backbone not in BACKBONES:
        return None
    row = BACKBONES[request.backbone]
    units = list(_units(row.width, row.depth))
    learning = 0 if request.mode == FROZEN else min(request.blocks, len(units))
    return (*(Block(name, stage, count, k >= len(units) - learning) for k, (name, stage, count) in enumerate(units)),
            _head(request, HEAD_CHANNELS, classes))


def _units(width: float, depth: float) -> Iterator[tuple[str, str, int]]:
    """Name, stage and parameters of every unit of an EfficientNet-Lite in front of its classifier."""
    yield "stem", "stem", _conv(3, STEM_CHANNELS, 3)
    channels = STEM_CHANNELS
    for k, (kernel, _, expansion, filters, count) in enumerate(STAGES):
        fixed = k in (0, len(STAGES) - 1)
        repeats, narrow = count if fixed else math.ceil(depth * count), scaled(filters, width)
        for n in range(repeats):
            wide = channels * expansion
            total = (_conv(channels, wide) if expansion > 1 else 0) + _conv(1, wide, kernel) + _conv(wide, narrow)
            yield f"stage {k}, block {n + 1} of {repeats}", f"stage {k}", total
            channels = narrow
    yield "last convolution", "last conv", _conv(channels, HEAD_CHANNELS)


def _conv(channels: int, filters: int, kernel: int = 1) -> int:
    """A convolution without bias and its batch norm's scale and shift; `channels` are those one filter looks at."""
    return filters * (channels * kernel * kernel + 2)


def _head(request: Request, inputs: int, classes: int) -> Block:
    outputs = 1 if request.head == SIGMOID else classes
    if request.head == HIDDEN:
        count = (inputs + 1) * request.hidden + (request.hidden + 1) * outputs
    else:
        count = (inputs + 1) * outputs
    return Block("new head", "new head", count, True)
