"""The shipped model of handwritten digits as the engine's own modules, for lessons that look into a whole network."""

import numpy as np
import streamlit as st

from engine import Tensor, layers, no_grad
from playground.datasets import named
from playground.datasets.named import ImageSet
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import registry
from playground.deploy.weights import state_dict_of
from playground.model_names import SHIPPED
from playground.network.build import build
from playground.network.kind import Shape
from playground.network.parts import Network
from playground.network.presets import network_named

TAKES: Shape = (1, 8, 8)
CLASSES = 10


@st.cache_resource(show_spinner=False)
def network() -> Network:
    """What it is made of: the usual small CNN."""
    return network_named("usual", TAKES, CLASSES)


@st.cache_resource(show_spinner=False)
def _file() -> tuple[dict[str, np.ndarray], Preprocessing]:
    entry = next(one for one in registry.entries() if one.name in SHIPPED)  # it comes with the playground and stays
    return state_dict_of(entry.onnx), Preprocessing.from_dict(entry.card["preprocessing"])


def fresh() -> layers.Sequential:
    """A copy of the trained model in eval mode, its weights free to be changed."""
    weights, _ = _file()
    model = build(network(), TAKES, np.random.default_rng(0))
    model.load_state_dict({**model.state_dict(), **{name: array.copy() for name, array in weights.items()}})
    return model.eval()  # type: ignore[return-value]


def preparation() -> Preprocessing:
    """What happens to a digit before the model sees it."""
    return _file()[1]


def prepared(images: np.ndarray) -> np.ndarray:
    """Digits uint8 (N, 8, 8) as the model takes them: float32 (N, 1, 8, 8)."""
    _, preparation = _file()
    return np.asarray(preparation.apply_all(images), np.float32)


def unseen() -> ImageSet:
    """The digits that the model has never seen."""
    return named.load("digits")[1]


@st.cache_data(show_spinner=False)
def unseen_scores() -> np.ndarray:
    """The model's scores (N, 10) for all digits it has never seen, by the engine."""
    with no_grad():
        return np.asarray(fresh()(Tensor(prepared(unseen().images))).numpy())
