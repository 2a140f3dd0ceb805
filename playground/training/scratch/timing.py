"""How long an epoch of a network takes on this machine: a few real steps are taken and the clock is read. Where even
those would take long, they are taken with smaller pictures, and what the network computes says how much longer the
whole ones take.

With PyTorch as the engine its steps are taken, which imports torch: `python -m playground.training.scratch.timing` does
so in a process of its own. It reads {"network": ..., "takes": ..., "classes": ..., "pictures": ..., "settings": ...}
from its standard input and prints the seconds, or null.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from playground.datasets.named import ImageSet
from playground.network.kind import Shape
from playground.network.parts import Network
from playground.network.presets import network_named
from playground.network.shapes import BYTES, MOMENTS, Walk, walk
from playground.network.spelling import network_of
from playground.questions import answered
from playground.training.runs.runs import RunSpec
from playground.training.scratch.division import learnt
from playground.training.scratch.losses import AT_ONCE, evaluate, scoring
from playground.training.scratch.measures import SHARE
from playground.training.scratch.numpy_fit import assembled, elsewhere_of, memory
from playground.training.scratch.settings import OURS, Settings
from playground.training.scratch.training import Training

COSTS = ("batch_size", "optimizer", "loss", "clip_norm", "augment", "train_pictures", "engine")
"""The settings on which the time depends."""
STEPS, LEAST_SECONDS, MOST_SECONDS = 4, 0.03, 0.6
"""So many steps are taken after a first one, which brings memory and is not counted, and for so long at least; no new
one so long after the first began."""
HEAVY = 2e9
"""Multiply-adds of a batch, forward, from which on fewer pictures stand for it: the clock would be waited for."""
MOST_BYTES = 2**29
"""What a few steps may take of the server's memory."""
FEWEST = 2
"""Pictures that a step is tried with, at least: batch norm needs more than one."""
BACK, PER_NUMBER, PER_WEIGHT = 3, 100, 250
"""Of what is too large to be tried: forward and back take three times the products of forward alone, every number that
a part gives as long as so many products, and so does every weight at each step of the optimizer."""
SMALLEST = 16
"""Pixels a side of the pictures that stand for larger ones, at least."""
KNOWN, KNOWN_TAKES, KNOWN_PICTURES = "c64-r-c64-r-c64-r-g-d10", (3, 32, 32), 8
"""A network whose step says how long a product takes here."""


def seconds_an_epoch(network: Network, takes: Shape, classes: int, pictures: int,
                     settings: Mapping[str, Any] | None = None) -> float | None:
    """Predicted seconds of an epoch on a set with so many training pictures (C, H, W), of which a sixth is kept aside;
    `settings` are a request's. None where it cannot be trained here.

    The steps are the trainer's own, by the engine that the settings name, with random pictures and labels: what is
    computed does not depend on what they show. Raises PlaygroundError where a setting is wrong.
    """
    asked = {name: value for name, value in (settings or {}).items() if name in COSTS}
    said, walked = Settings.from_request(asked), walk(network, takes)
    learns = learnt(pictures, said.train_pictures)
    if walked.stopped or (walked.gives != (classes,) and (walked.gives, classes) != ((1,), 2)) or learns < 1:
        return None
    batches = max(1, learns // said.batch_size)
    batch = -(-learns // batches)
    if walked.memory(batch) > memory():
        return None
    kept_aside, tried = pictures - learnt(pictures), _small_enough(network, walked, batch)
    if tried is None:
        work = learns * _work(walked, BACK) + kept_aside * _work(walked, 1) + batches * PER_WEIGHT * walked.parameters
        return work * seconds_a_product(said.engine)
    at_once, longer = _at_once(tried, batch), _work(walked, BACK) / max(1, _work(tried, BACK))
    training = _tried(network, tried.takes, classes, at_once, asked)
    step = _middle(lambda: training.step(np.arange(at_once)), MOST_SECONDS)
    update = min(step, _middle(training.update, MOST_SECONDS / BACK)) if at_once < batch else 0.0
    looked_at = min(kept_aside, AT_ONCE, 2 * at_once)
    x, y = (array[np.arange(looked_at) % at_once] for array in (training.x, training.y))
    look = (_middle(lambda: evaluate(training.model, x, y, classes, said.loss), MOST_SECONDS / BACK)
            if looked_at else 0.0)
    preparing = 2e-8 * prod(takes) * learns  # taking a batch's pictures out of all of them
    learning = learns * longer * (step - update) / at_once
    learning += batches * update * walked.parameters / max(1, tried.parameters)
    return learning * (1 + 2 * SHARE) + kept_aside * longer * look / max(1, looked_at) + preparing


@lru_cache(maxsize=2)
def seconds_a_product(engine: str = OURS) -> float:
    """How long a multiply-add of a convolution takes here, all that belongs to it included."""
    network = network_of(KNOWN)
    training = _tried(network, KNOWN_TAKES, 10, KNOWN_PICTURES, {"engine": engine})
    step = _middle(lambda: training.step(np.arange(KNOWN_PICTURES)), MOST_SECONDS)
    return step / (KNOWN_PICTURES * _work(walk(network, KNOWN_TAKES), BACK))


def _small_enough(network: Network, walked: Walk, batch: int) -> Walk | None:
    """The network on pictures that a step can be tried with: as they are, or half as high and wide, so often as is
    needed. None where they would become too small for it."""
    tried = walked
    while _at_once(tried, batch) < min(FEWEST, batch):
        channels, height, width = tried.takes
        if min(height, width) < 2 * SMALLEST:
            return None
        tried = walk(network, (channels, height // 2, width // 2))
        if tried.stopped or tried.gives != walked.gives:
            return None
    return tried


def _at_once(walked: Walk, batch: int) -> int:
    """How many pictures of a batch a step is tried with, as far as time and memory go."""
    room = MOST_BYTES / BYTES - walked.parameters * (2 + MOMENTS)
    fitting = int(min(2 * HEAVY / max(1, walked.multiply_adds), room / (2 * walked.activations + prod(walked.takes))))
    return min(batch, fitting, max(FEWEST, int(HEAVY / max(1, walked.multiply_adds))))


def _work(walked: Walk, times: int) -> float:
    """What one picture takes, in products: forward alone, or `times` as much with the way back."""
    dense = sum(row.multiply_adds for row in walked.rows if row.part.kind == "dense")  # counted with the weights
    return times * (walked.multiply_adds - dense + PER_NUMBER / BACK * walked.activations)


def _tried(network: Network, takes: Shape, classes: int, pictures: int, settings: Mapping[str, Any]) -> Training:
    """The training of a network with random pictures, in training mode."""
    rng = np.random.default_rng(0)
    channels, height, width = takes
    images = rng.integers(0, 256, (pictures, height, width) + ((channels,) if channels > 1 else ()), np.uint8)
    shown = ImageSet("random", images, rng.integers(0, classes, pictures), tuple(map(str, range(classes))), "", "")
    training = assembled(network, RunSpec("digits", dict(settings), 0, "timed"), shown, shown, np.arange(pictures),
                         np.arange(0))
    training.model.train()
    elsewhere = elsewhere_of(training.settings, scoring(network, takes), takes, 0)
    return training if elsewhere is None else replace(training, elsewhere=elsewhere)


def _middle(do: Callable[[], object], most_seconds: float) -> float:
    """The middle of the seconds that it takes, after a first time that does not count, no new one after the longest."""
    began = time.perf_counter()
    do()
    taken: list[float] = []
    while not taken or (time.perf_counter() - began < most_seconds
                        and (len(taken) < STEPS or sum(taken) < LEAST_SECONDS)):
        before = time.perf_counter()
        do()
        taken.append(time.perf_counter() - before)
    return float(np.median(taken))


def main() -> int:
    """Read the question, print the seconds; 2 and a sentence where a setting is wrong."""
    return answered(_predicted)


def _predicted(asked: Mapping[str, Any]) -> float | None:
    takes, classes = tuple(asked["takes"]), asked["classes"]
    network = network_named(asked["network"], takes, classes)
    return seconds_an_epoch(network, takes, classes, asked["pictures"], asked["settings"])


if __name__ == "__main__":
    sys.exit(main())
