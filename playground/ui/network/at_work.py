"""The view of a whole network beside what it is about: a design before it is trained, a training while it runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from playground.datasets.named import ImageSet
from playground.errors import PlaygroundError
from playground.network.build import build
from playground.network.kind import Shape
from playground.network.presets import network_named
from playground.training.runs.run_view import RunView
from playground.training.scratch import numpy_fit
from playground.training.scratch.doctor import Preflight, preflight
from playground.training.scratch.losses import scoring
from playground.training.scratch.settings import Settings, first_weights
from playground.ui import frame, links
from playground.ui.network import view, whole
from playground.ui.studio import train
from playground.view.looks import Look
from playground.view.sources import Design, Source

PICTURES = 300
"""Of the test pictures, those that can be looked at."""
PAUSE_SECONDS = 1.0
CHECKED = 256
"""Training pictures of which the first batch is taken."""


@frame.guarded("The design at work")
def untrained(data: str, text: str, takes: Shape, request: Mapping[str, Any], seed: int) -> None:
    """A design at its first weights: what a first batch says, and every part at work on a picture."""
    training, test = train.loaded(data)
    told(checked(data, text, takes, dict(request), seed))
    index = which(test, "untrained")
    source = designed(text, takes, training, request, seed)
    view.view(look_at(f"design {data} {text} {sorted(request.items())} {seed}", lambda _: (source, ""), source, test,
                      index, training), key="untrained-view")


def told(found: Preflight) -> None:
    """What one batch at the first weights says, before anything is trained."""
    if not found.findings:
        st.success("One batch forward and back at the first weights: gradients reach every part, and the first step is "
                   "of a good size.", icon=":material/check:")
    for finding in found.findings:
        st.warning(f"**{finding.kind[0].upper()}{finding.kind[1:]}.** {frame.literal(finding.sentence)}")


@st.cache_data(max_entries=64, show_spinner=False)
def checked(data: str, text: str, takes: Shape, request: dict[str, Any], seed: int) -> Preflight:
    """The doctor's look at the first batch, once a design and its settings."""
    training, _ = train.read(data)
    classes = len(training.classes)
    return preflight(network_named(text, takes, classes), takes, training.images[:CHECKED], training.labels[:CHECKED],
                     classes, request, seed)


def designed(text: str, takes: Shape, training: ImageSet, request: Mapping[str, Any], seed: int) -> Design:
    """A design built, at the first weights that a training with this seed begins with."""
    asked = Settings.from_request(request)
    network = scoring(network_named(text, takes, len(training.classes)), takes)
    _, weights_rng, _, _, init_rng = np.random.default_rng(seed).spawn(5)
    model = build(network, takes, weights_rng)
    first_weights(model, asked, init_rng)
    preparation = numpy_fit.preprocessing_of(training.images, asked.normalize)
    return Design(network, model, preparation, training.classes, asked.loss)


def which(test: ImageSet, key: str) -> int:
    """A test picture, by its number."""
    return int(st.number_input("Test picture", 0, min(PICTURES, len(test)) - 1, 0, key=f"{key}-picture",
                               disabled=links.locked(), width=160))


def look_at(key: str, of: Any, source: Source, test: ImageSet, index: int, training: ImageSet,
            epochs: tuple[int, ...] = (), changes: Mapping[str, Mapping[str, float]] | None = None) -> Look:
    """A look at a test picture, among the first training pictures where it is in training mode."""
    pixels = test.images[index]
    crowd = source.preprocessing.apply_all(training.images[: whole.CROWD])
    x = source.preprocessing.apply(pixels)
    return Look(key, of, x[None], source.preprocessing.pictured(x), int(test.labels[index]), crowd, epochs,
                changes or {})


def of_training(run: RunView) -> None:
    """A training's network on a test picture: live while it runs, afterwards at every epoch."""
    waits = not run.ended and whole.of_run(run) is None
    st.fragment(drawn_at_work, run_every=PAUSE_SECONDS if waits else None)(run, waits)


@frame.guarded("The network at work")
def drawn_at_work(run: RunView, waits: bool) -> None:
    """The view, or where it will be."""
    place = st.expander("The network at work", icon=":material/view_column:", key="at-work", on_change="rerun",
                        bind="query-params", expanded=True)
    if not place.open:
        return
    with place:
        subject = whole.of_run(run)
        if subject is None:
            st.info("Its parts are drawn here once the first weights are there." if not run.ended else
                    "This training has kept no weights to look at.")
            return
        if waits:
            st.rerun()  # the whole page: from now on nothing is waited for
        try:
            training, test = train.loaded(run.spec.request["data"])
        except PlaygroundError as error:
            st.info(frame.literal(str(error)))
            return
        index = which(test, "trained")
        source, _ = subject.source(str(subject.epochs[-1]))
        curve = [(one.epoch, one.train_loss, one.validation_loss) for one in run.epochs]
        view.view(look_at(subject.key, subject.source, source, test, index, training, subject.epochs,
                          whole.moved(subject)),
                  curve=curve, live=subject.live, key=f"run-view-{run.run_id}")
