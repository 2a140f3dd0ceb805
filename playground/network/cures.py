"""Edits that take a fault away, and how the harder ones are found."""

from dataclasses import dataclass, replace
from itertools import count

from playground.network.edits import Edit
from playground.network.kind import SAME, Shape
from playground.network.parts import Network, Part
from playground.network.spelling import spelled

LARGEST_STRIDE = 64


@dataclass(frozen=True)
class Cure:
    """What a button says, and the edit it makes."""

    label: str
    edit: Edit


def projected(residual: Part, way: Shape, short: Shape) -> str | None:
    """The spelling of a shortcut that ends in a 1 × 1 convolution to the way's shape; None where there is none.

    Of a side n, a 1 × 1 convolution with stride s keeps (n - 1) // s + 1.
    """
    if len(way) != 3 or len(short) != 3:
        return None
    for stride in count(1):
        sides = tuple((side - 1) // stride + 1 for side in short[1:])
        if sides == way[1:]:
            break
        if stride > LARGEST_STRIDE or min(s - w for s, w in zip(sides, way[1:], strict=True)) < 0:
            return None
    before = residual.branches[1] if len(residual.branches) > 1 else ()
    step = f"s{stride}" if stride > 1 else ""
    return "-".join(filter(None, (spelled(Network(before)), f"c{way[0]}k1{step}n-b")))


def aligned(container: Part) -> Part | None:
    """The same container in which every part keeps the size of its maps; None where that is not to be had."""
    branches = []
    for branch in container.branches:
        parts = []
        for one in branch:
            if one.of.container or one.kind in ("flatten", "global_pool", "dense", "transposed", "upsample"):
                return None
            parts.append(_keeping(one))
        branches.append(tuple(parts))
    found = replace(container, branches=tuple(branches))
    return None if found == container else found


def _keeping(one: Part) -> Part:
    if one.kind in ("conv", "depthwise"):
        odd = one["kernel_size"] - (one["kernel_size"] + 1) % 2
        return one.with_value("kernel_size", max(1, odd)).with_value("stride", 1).with_value("padding", SAME)
    if one.kind in ("max_pool", "avg_pool"):
        size = one["kernel_size"] + (one["kernel_size"] + 1) % 2
        return one.with_value("kernel_size", size).with_value("stride", 1).with_value("padding", size // 2)
    return one
