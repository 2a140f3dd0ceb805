"""A deep stack of dense layers at a mini-batch of digits: sizes of activations and gradients, and a short training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st

from engine import Tensor, backward_steps, no_grad
from engine import functional as F
from engine.module import Sequential, watched
from playground.datasets import named
from playground.network.build import build, placed
from playground.network.parts import Network, Path
from playground.network.spelling import network_of
from playground.steps.depth import GainStep, Moments, gain_steps
from playground.training.runs.events import Measures
from playground.training.scratch.measures import Look, Parts
from playground.training.scratch.settings import Settings, first_weights, optimizer_of
from playground.ui.lessons import digits_model
from playground.ui.lessons.digits_model import CLASSES, TAKES

WIDTH, BATCH = 64, 64
STEPS, MEASURED = 60, 6
CODES = {"none": "", "ReLU": "r", "tanh": "th", "sigmoid": "sg"}
SMALL, XAVIER, KAIMING, LARGE = "0.01 each", "Xavier", "Kaiming", "1 each"
INITS: Mapping[str, tuple[str, float, float]] = {
    SMALL: ("normal", 1.0, WIDTH * 0.01**2), XAVIER: ("xavier", 1.0, 1.0), KAIMING: ("kaiming", 1.0, 2.0),
    LARGE: ("normal", 100.0, float(WIDTH)),
}
"""Name -> the trainer's name, its gain, and fan_in · var(w) of a layer of 64 by 64."""


@dataclass(frozen=True)
class Setting:
    """What the reader chose: how deep, of what, begun how, and the seed."""

    layers: int
    activation: str
    init: str
    gain: float
    batch_norm: bool
    shortcuts: bool
    seed: int
    rate: float = 0.1

    @property
    def text(self) -> str:
        """The network's spelling: the pixels, `layers` layers of 64 units, and ten scores."""
        one = "-".join(filter(None, (f"d{WIDTH}", "b" if self.batch_norm else "", CODES[self.activation])))
        return "-".join(["f", *([f"[{one}]" if self.shortcuts else one] * self.layers), f"d{CLASSES}"])

    @cached_property
    def network(self) -> Network:
        """The description of it."""
        return network_of(self.text)

    @property
    def request(self) -> dict[str, Any]:
        """The settings of its training."""
        name, gain, _ = INITS[self.init]
        return {"init": name, "weights_gain": gain * self.gain, "optimizer": "sgd", "learning_rate": self.rate,
                "batch_size": BATCH}

    @property
    def fan_in_times_variance(self) -> float:
        """fan_in · var(w) of every layer but the last."""
        return INITS[self.init][2] * self.gain**2

    def model(self) -> Sequential:
        """The network at the first weights of a training with this seed, as the doctor examines it."""
        _, weights_rng, _, _, init_rng = np.random.default_rng(self.seed).spawn(5)
        model = build(self.network, TAKES, weights_rng)
        first_weights(model, Settings.from_request(self.request), init_rng)
        return model

    def ends(self) -> list[Path]:
        """Where every layer ends: its activation, or its sum with the shortcut."""
        parts = 1 if self.shortcuts else 1 + self.batch_norm + bool(CODES[self.activation])
        return [(parts * (layer + 1),) for layer in range(self.layers)]


@dataclass(frozen=True)
class Measured:
    """One mini-batch forward and backward, in float64: root mean squares behind every layer, and what went in.

    `arriving[l]` is the gradient (64, 64) at what layer l gives, `first` the one at what the first layer takes.
    """

    sizes: np.ndarray
    gradients: np.ndarray
    given: Moments
    arriving: tuple[np.ndarray, ...]
    first: np.ndarray
    loss: float

    @property
    def ratio(self) -> float:
        """The gradient behind the first layer over that behind the last."""
        return float(self.gradients[0] / self.gradients[-1]) if self.gradients[-1] else 0.0


def batch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A mini-batch of training digits as a network takes them, and their labels."""
    digits, _ = named.load("digits")
    chosen = np.random.default_rng(seed).permutation(len(digits))[:BATCH]
    return digits_model.prepared(digits.images[chosen]), digits.labels[chosen]


@st.cache_data(max_entries=24, show_spinner=False)
def measured(setting: Setting) -> Measured:
    """The sizes at the first weights."""
    x, y = batch(setting.seed)
    model = setting.model()
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64)
    modules = placed(setting.network, model)
    given = Tensor(x.reshape(BATCH, WIDTH).astype(np.float64), requires_grad=True)
    with np.errstate(all="ignore"):
        with watched() as calls:
            scores = model[1:](given)
        outputs = {id(module): result for module, result in calls}
        loss = F.cross_entropy(scores, y)
        arrived = {id(step.output): np.asarray(step.gradient) for step in backward_steps(loss)}
        results = [outputs[id(modules[path])] for path in setting.ends()]
        arriving = tuple(arrived[id(one)] for one in results)
        pixels = given.data
        assert given.grad is not None
        return Measured(np.array([size(one.data) for one in results]), np.array([size(one) for one in arriving]),
                        Moments(float((pixels**2).mean()), float(pixels.mean()), float(pixels.var(axis=0).mean())),
                        arriving, given.grad, loss.item())


def foretold(setting: Setting, found: Measured) -> tuple[list[GainStep], list[float], list[float]]:
    """The gains of every layer, and by their product the sizes forward and the gradients backward, layer by layer."""
    steps = list(gain_steps(setting.layers, setting.activation, setting.fan_in_times_variance, found.given,
                            batch_norm=setting.batch_norm, shortcuts=setting.shortcuts))
    back = [float(found.gradients[-1])]
    for step in reversed(steps[1:]):
        back.append(back[-1] * step.backward)
    return steps, [step.size for step in steps], back[::-1]


def size(values: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt((values.astype(np.float64)**2).mean()))


def away(network: Network, setting: Setting, scale: float) -> float:
    """|out - in| / |in| on a mini-batch, of a network that gives as much as it takes; its first weights times `scale`.
    """
    x, _ = batch(setting.seed)
    rngs = np.random.default_rng(setting.seed).spawn(2)
    model = build(network, TAKES, rngs[0])
    first_weights(model, Settings.from_request(setting.request), rngs[1])
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64) * scale
    given = x.astype(np.float64)
    with no_grad(), np.errstate(all="ignore"):
        out = model(Tensor(given)).data
    return size(out - given.reshape(out.shape)) / size(given)


@dataclass(frozen=True)
class Trained:
    """A short training: the loss of every mini-batch, what a doctor reads, and how many digits kept aside are right."""

    losses: tuple[float, ...]
    measures: tuple[Measures, ...]
    right: int
    count: int


@st.cache_data(max_entries=64, show_spinner="Trained for a moment …")
def trained(setting: Setting) -> Trained:
    """`STEPS` steps of SGD on training digits; a few of them are measured. A loss that is no number ends it."""
    digits, unseen = named.load("digits")
    x, model = digits_model.prepared(digits.images), setting.model()
    optimizer, parts = optimizer_of(Settings.from_request(setting.request), model.parameters()), Parts(
        setting.network, model)
    rng, losses, seen = np.random.default_rng(setting.seed), [], []
    model.train()
    with np.errstate(all="ignore"):
        for step in range(STEPS):
            if step % (len(x) // BATCH) == 0:
                order = np.array_split(rng.permutation(len(x)), len(x) // BATCH)
            chosen = order[step % len(order)]
            optimizer.zero_grad()
            looking = step % (STEPS // MEASURED) == 0
            if looking:
                with watched() as calls:
                    loss = F.cross_entropy(model(Tensor(x[chosen])), digits.labels[chosen])
                look = Look(parts, calls, x[chosen], loss)
                look.backward()
            else:
                loss = F.cross_entropy(model(Tensor(x[chosen])), digits.labels[chosen])
                loss.backward()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                if looking:
                    seen.append(look.measures(1, step + 1, 0.0))
                break
            optimizer.step()
            if looking:
                look.stepped()
                seen.append(look.measures(1 + step * BATCH // len(x), step + 1, 0.0))
        model.eval()
        with no_grad():
            said = model(Tensor(digits_model.prepared(unseen.images))).data
    right = int((said.argmax(1) == unseen.labels).sum()) if np.isfinite(said).all() else 0
    return Trained(tuple(losses), tuple(seen), right, len(unseen))


CURES = ("first weights", "ReLU and Kaiming", "batch norm", "shortcuts", "all of them")


def cured(setting: Setting, cure: str) -> Setting:
    """The same with one of CURES.

    >>> sick = Setting(20, "sigmoid", SMALL, 1.0, False, False, 0)
    >>> cured(sick, "shortcuts").shortcuts, cured(sick, "all of them").init
    (True, 'Kaiming')
    """
    weights = {"init": KAIMING if setting.activation == "ReLU" else XAVIER, "gain": 1.0}
    rectified = {"activation": "ReLU", "init": KAIMING, "gain": 1.0}
    changes: dict[str, dict[str, Any]] = {
        "first weights": weights, "ReLU and Kaiming": rectified, "batch norm": {"batch_norm": True},
        "shortcuts": {"shortcuts": True}, "all of them": {**rectified, "batch_norm": True, "shortcuts": True}}
    return replace(setting, **changes[cure])
