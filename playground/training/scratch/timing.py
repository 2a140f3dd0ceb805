"""How long an epoch of a network takes on this machine: a few real steps are taken and the clock is read."""

import time
from math import prod

import numpy as np

from engine import Tensor, functional
from engine.optim import Adam
from playground.network.build import build
from playground.network.kind import Shape
from playground.network.parts import Network
from playground.network.shapes import walk

STEPS, MOST_SECONDS = 4, 0.6
"""So many steps are taken after a first one, which brings memory and is not counted; no new one after so long."""
HEAVY = 2e9
"""Multiply-adds of a batch, forward, from which on fewer pictures stand for it: the clock would be waited for."""
MOST_BYTES = 2**29
"""What a few steps may take of the server's memory: a network that needs more is not timed."""
VALIDATION, BACK = 0.2, 3.0
"""A fifth as many pictures are looked at for validation, forward alone, which is a third of a step or less."""


def seconds_an_epoch(network: Network, takes: Shape, classes: int, pictures: int, batch: int) -> float | None:
    """Predicted seconds for `pictures` learnt once in batches of `batch`, and validated; None where it cannot be built,
    or is too large to be tried.

    The steps are of the NumPy engine, with random pictures (C, H, W) and labels: what is computed does not depend on
    what they show.
    """
    walked = walk(network, takes)
    if walked.stopped or walked.gives != (classes,):
        return None
    per_picture = max(1, walked.multiply_adds)
    at_once = max(2, min(batch, int(HEAVY / per_picture)))
    if per_picture * at_once > 2 * HEAVY or walked.memory(at_once) > MOST_BYTES:
        return None
    rng = np.random.default_rng(0)
    model = build(network, takes, rng)
    optimizer = Adam(model.parameters())
    x = rng.standard_normal((at_once, *takes)).astype(np.float32)
    y = rng.integers(0, classes, at_once)
    taken: list[float] = []
    began = time.perf_counter()
    for _ in range(STEPS + 1):
        before = time.perf_counter()
        loss = functional.cross_entropy(model(Tensor(x)), y)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.perf_counter() - before)
        if len(taken) > 1 and time.perf_counter() - began > MOST_SECONDS:
            break
    step = float(np.median(taken[1:])) * batch / at_once
    preparing = 2e-8 * prod(takes) * pictures  # taking a batch's pictures out of all of them
    return max(1, pictures // batch) * step * (1 + VALIDATION / BACK) + preparing
