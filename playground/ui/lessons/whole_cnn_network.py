"""A whole network at one digit: every part's numbers on the way forward, every gradient on the way back, and a step."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine import Tensor, backward_steps, layers, no_grad
from engine import functional as F
from engine.module import watched
from engine.optim import SGD, Adam
from playground.datasets import named
from playground.network.build import build, placed
from playground.network.parts import Network, Path
from playground.network.shapes import Row, walk
from playground.network.spelling import network_of
from playground.ui.lessons import digits_model
from playground.ui.lessons.digits_model import CLASSES, TAKES

FIRST, TINY, LARGE = "tiny, first weights", "tiny, trained", "the digits model"
NETWORKS = (FIRST, TINY, LARGE)
SPELLED = "c4-r-p2-c8-r-p2-f-d10"
EPOCHS, BATCH, RATE, SEED = 6, 64, 0.01, 0


@dataclass(frozen=True)
class Part:
    """One part on the way: its row (shape, counts, receptive field), what it gave and the gradient that came to that.

    `given` and `gradient` are of one picture, (C, H, W) or (N,); `weight_gradients` by the parameters' names.
    """

    row: Row
    given: np.ndarray
    gradient: np.ndarray
    weights: Mapping[str, np.ndarray]
    weight_gradients: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Look:
    """A network at one digit: x (1, 8, 8) as it takes it, its gradient, every part, scores (10,), and the loss."""

    x: np.ndarray
    x_gradient: np.ndarray
    parts: tuple[Part, ...]
    scores: np.ndarray
    probabilities: np.ndarray
    loss: float

    @property
    def steepness(self) -> float:
        """The sum of all squared gradients of weights: by how much the loss falls for each unit of rate, at first."""
        return float(sum((gradient**2).sum() for part in self.parts for gradient in part.weight_gradients.values()))


def description(name: str) -> Network:
    """What one of NETWORKS is made of."""
    return digits_model.network() if name == LARGE else network_of(SPELLED)


def copy_of(name: str) -> layers.Sequential:
    """One of NETWORKS in eval mode, its weights free to be changed."""
    if name == LARGE:
        return digits_model.fresh()
    model = build(network_of(SPELLED), TAKES, np.random.default_rng(SEED))
    if name == TINY:
        model.load_state_dict({key: array.copy() for key, array in _trained().items()})
    return model.eval()  # type: ignore[return-value]


@st.cache_resource(show_spinner="A tiny network is trained …")
def _trained() -> dict[str, np.ndarray]:
    """The tiny network's weights after a few passes over the training digits."""
    digits, _ = named.load("digits")
    x, model = digits_model.prepared(digits.images), copy_of(FIRST)
    rng, optimizer = np.random.default_rng(SEED), Adam(model.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for chosen in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(Tensor(x[chosen])), digits.labels[chosen]).backward()
            optimizer.step()
    return model.state_dict()


def look(model: layers.Sequential, network: Network, x: np.ndarray, label: int) -> Look:
    """One digit x (1, 8, 8) through the model and its loss against a label back, every part's share kept."""
    modules = placed(network, model)
    picture = Tensor(x[None], requires_grad=True)
    for parameter in model.parameters():
        parameter.zero_grad()
    with watched() as calls:
        scores = model(picture)
    outputs = {id(module): result for module, result in calls}
    loss = F.cross_entropy(scores, np.array([label]))
    arrived = {id(step.output): np.asarray(step.gradient) for step in backward_steps(loss)}
    parts = []
    for row in walk(network, TAKES).rows:
        module = modules[row.path]
        given = outputs[id(module)]
        own = dict(module.named_parameters())
        parts.append(Part(row, given.data[0], arrived[id(given)][0], {name: one.data for name, one in own.items()},
                          {name: np.asarray(one.grad) for name, one in own.items()}))
    assert picture.grad is not None
    return Look(x, picture.grad[0], tuple(parts), scores.data[0], F.softmax(scores.data, 1).numpy()[0], loss.item())


def stepped(name: str, x: np.ndarray, label: int, rate: float, steps: int = 1) -> tuple[layers.Sequential, list[float]]:
    """The network after so many steps of SGD on one digit, and the loss before, between and after them.

    What is not finite ends it: a rate that leaps out of what float32 holds.
    """
    model = copy_of(name)
    optimizer = SGD(model.parameters(), lr=rate)
    losses = []
    with np.errstate(all="ignore"):
        for step in range(steps + 1):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(Tensor(x[None])), np.array([label]))
            losses.append(loss.item())
            if step == steps or not np.isfinite(loss.item()):
                break
            loss.backward()
            optimizer.step()
    return model, losses


@st.cache_data(max_entries=64, show_spinner=False)
def losses_over_rates(name: str, x: np.ndarray, label: int, rates: tuple[float, ...]) -> list[float]:
    """The loss on a digit after one step from the same weights, for every rate."""
    model = copy_of(name)
    F.cross_entropy(model(Tensor(x[None])), np.array([label])).backward()
    held = [(one, one.data.copy(), np.asarray(one.grad)) for one in model.parameters()]
    found = []
    with no_grad(), np.errstate(all="ignore"):
        for rate in rates:
            for parameter, weights, gradient in held:
                parameter.data[...] = weights - rate * gradient
            found.append(F.cross_entropy(model(Tensor(x[None])), np.array([label])).item())
    return found


@dataclass(frozen=True)
class Everyone:
    """How a network does on all digits it was not trained on: the mean loss and how many it reads rightly."""

    loss: float
    right: int
    count: int


def everyone(model: layers.Sequential) -> Everyone:
    """The model on all digits kept aside."""
    digits = digits_model.unseen()
    with no_grad(), np.errstate(all="ignore"):
        scores = model(Tensor(digits_model.prepared(digits.images)))
        return Everyone(F.cross_entropy(scores, digits.labels).item(),
                        int((scores.data.argmax(1) == digits.labels).sum()), len(digits))


@st.cache_data(show_spinner=False)
def everyone_before(name: str) -> Everyone:
    """One of NETWORKS as it is, on all digits kept aside."""
    return everyone(copy_of(name))


@st.cache_data(show_spinner=False)
def hardest_first(name: str) -> dict[int, list[int]]:
    """Of every class the places of the digits kept aside, what costs the network most first."""
    digits, model = digits_model.unseen(), copy_of(name)
    with no_grad():
        scores = model(Tensor(digits_model.prepared(digits.images)))
        losses = F.cross_entropy(scores, digits.labels, reduction="none").numpy()
    order = np.argsort(-losses, kind="stable")
    return {label: [int(k) for k in order if digits.labels[k] == label] for label in range(CLASSES)}


def words(path: Path, parts: tuple[Part, ...]) -> str:
    """A part's place and title, as the page calls it: "1 · convolution, 4 filters 3 × 3"."""
    place = next(k for k, part in enumerate(parts) if part.row.path == path)
    return f"{place + 1} · {parts[place].row.part.title}"
