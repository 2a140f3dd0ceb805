"""The pretrained network on a page: from the registry, where the first page that needs it puts it once for all."""

import streamlit as st

from playground.deploy import registry
from playground.deploy.registry import Entry
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.runs import PRETRAINED, RunSpec, RunView
from playground.training.transfer.backbone_facts import BACKBONES
from playground.ui.studio import experiment, models, runs_view

BACKBONE = "efficientnet_lite0"
TITLE = "EfficientNet-Lite0"
BY_ITSELF = True
"""Whether a page that needs the network has it made ready without being asked."""


def exported_entry() -> Entry | None:
    """The newest pretrained network that is ready. One that scales pictures otherwise than `BACKBONES` says, exported
    before that was mended, is not."""
    wanted = BACKBONES[BACKBONE].preprocessing().to_dict()
    return next((entry for entry in registry.entries() if entry.card.get("task") == PRETRAINED
                 and {**entry.card.get("preprocessing", {}), **wanted} == entry.card.get("preprocessing")), None)


def ready() -> Entry | None:
    """The network; where it is not ready yet, None, and how far that is stands on the page."""
    entry = exported_entry()
    if entry is None:
        offer()
    return entry


def offer() -> None:
    """How far the network is from being ready. It is begun by itself once; after a failure a button begins it anew."""
    st.markdown(f"**{TITLE}**, trained on 1.28 million photographs by its makers, has to be exported from PyTorch "
                "once; then onnxruntime gives its answers, here and wherever you take the file. No network is needed.")
    earlier = attempts()
    # A run that is over has put its model here; it is not here, so it was removed: the next run has another number.
    wish = RunSpec(PRETRAINED, {"backbone": BACKBONE}, len(earlier), models.free_name("imagenet"))
    if not earlier and BY_ITSELF:
        earlier = [runs_view.look(runs.start_once(wish))]
        if exported_entry() is not None:  # as quick as that: nothing on this page waits for a run that has ended
            st.rerun()
    if earlier and earlier[0].state in ("failed", "lost"):
        runs_view.ending(earlier[0])
        return
    under_way = bool(earlier) and not earlier[0].ended
    experiment.show(earlier[0].spec if under_way else wish, button="Get the network ready", draw=nothing)


def attempts() -> list[RunView]:
    """The runs that made it ready or tried to, newest first."""
    found = []
    for run_id in runs.run_ids():
        try:
            if runs.read_spec(runs.run_dir(run_id)).kind == PRETRAINED:
                found.append(runs_view.look(run_id))
        except PlaygroundError:
            continue  # a damaged run is nobody's attempt
    return found


def nothing(view: RunView) -> None:
    """No curves: nothing is learnt."""
