"""The pretrained network on a page: from the shelf, where the first reader who wants it puts it once for all."""

from itertools import count

import streamlit as st

from playground.deploy import shelf
from playground.deploy.shelf import Entry
from playground.training import runs
from playground.training.registry import BACKBONES
from playground.training.runs import PRETRAINED, RunSpec, RunView
from playground.ui import experiment, models

BACKBONE = "efficientnet_lite0"
TITLE = "EfficientNet-Lite0"


def on_the_shelf() -> Entry | None:
    """The newest pretrained network that is ready. One that scales pictures otherwise than the registry says, exported
    before that was mended, is not."""
    wanted = BACKBONES[BACKBONE].preprocessing().to_dict()
    return next((entry for entry in shelf.entries() if entry.card.get("task") == PRETRAINED
                 and {**entry.card.get("preprocessing", {}), **wanted} == entry.card.get("preprocessing")), None)


def offer() -> None:
    """A button that gets it ready, then how far that is."""
    st.markdown(f"**{TITLE}**, trained on 1.28 million photographs by its makers, has to be exported from PyTorch "
                "once; then onnxruntime gives its answers, here and wherever you take the file. No network is needed.")
    # A run that is over has put its model here; it is not here, so it was removed: the next run has another number.
    name = models.free_name("imagenet")
    wishes = (RunSpec(PRETRAINED, {"backbone": BACKBONE}, number, name) for number in count())
    spec = next(wish for wish in wishes if (found := runs.same(wish)) is None or not runs.view(found).ended)
    experiment.show(spec, button="Get the network ready", about="About 20 seconds.", draw=nothing)


def nothing(view: RunView) -> None:
    """No curves: nothing is learnt."""
