"""The view of a whole network beside what it is about: a design before it is trained, a training while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from playground.ui import frame
from playground.ui.network import view, whole
from playground.ui.network.whole import Subject
from playground.ui.parts import camera
from playground.ui.parts.image_input import TEST, Picture, of_set
from playground.ui.studio import train
from playground.view.sources import Design

PAUSE_SECONDS = 1.0
CHECKED = 256
"""Training pictures of which the first batch is taken."""
OPEN = "untrained"
"""Whether the view of the design is open, by its key on the page."""
_ABOVE = "at-work-above"
"""Where the session keeps what the view of the page's training looks at."""


@dataclass(frozen=True)
class Above:
    """What the view of a page's training looks at."""

    run: str
    data: str
    picture: Picture

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Above) and (self.run, self.data) == (other.run, other.data) and
                np.array_equal(self.picture.pixels, other.picture.pixels))


@frame.guarded("The design at work")
def untrained(data: str, text: str, takes: Shape, request: Mapping[str, Any], seed: int) -> None:
    """A design at its first weights: what a first batch says, and every part at work on a picture."""
    training, test = train.loaded(data)
    told(checked(data, text, takes, dict(request), seed))
    source = designed(text, takes, training, request, seed)
    subject = Subject(f"design {data} {text} {sorted(request.items())} {seed}", "this design", source.preprocessing,
                      training.classes, lambda _: (source, ""), suggested=TEST,
                      crowd=lambda: source.preprocessing.apply_all(training.images[: whole.CROWD]))
    st.fragment(below)(subject, test, data)


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


@frame.guarded("The design at work")
def below(subject: Subject, test: ImageSet, data: str) -> None:
    """A design at work, below the page's training if there is one."""
    above = st.session_state.get(_ABOVE)
    known = isinstance(above, Above) and above.run == following()
    looked_at(subject, test, data, "untrained-view", above if known else None)


def looked_at(subject: Subject, test: ImageSet, data: str, key: str, above: Above | None = None) -> Picture:
    """Draw the controls of a picture, its class, and a network at work on it; the picture. A page has one chooser: with
    a view `above` its picture is looked at, or a test picture where that is of other data."""
    with camera.Live() as live:
        left, right = st.columns([3, 2], gap="medium")
        with left:
            if above is None:
                picture = whole.picture_for(subject, live, test)
            elif above.data == data:
                picture = above.picture
                st.caption(f"On the picture that is chosen for the training above: {frame.literal(picture.name)}.")
            else:
                picture = of_set(test, key="which-below")
        with right:
            label = whole.label_of(subject, picture)
        view.view(whole.look_at(subject, picture, label), curve=whole.curve_of(subject), live=subject.live, key=key)
    return picture


def following() -> str:
    """The run that the page shows."""
    return str(st.query_params.get("run", ""))


def of_training(run: RunView) -> None:
    """A training's network on a picture: live while it runs, afterwards at every epoch."""
    waits = not run.ended and whole.of_run(run) is None
    st.fragment(drawn_at_work, run_every=PAUSE_SECONDS if waits else None)(run, waits)


@frame.guarded("The network at work")
def drawn_at_work(run: RunView, waits: bool) -> None:
    """The view, or where it will be; what stands below looks at its picture."""
    before = st.session_state.get(_ABOVE)
    st.session_state[_ABOVE] = now = above(run, waits)
    if st.session_state.get(OPEN) and not (now == before or (now is not None and now.picture.live)):
        st.rerun()  # the whole page, with the view of the design


def above(run: RunView, waits: bool) -> Above | None:
    """Draw the view of a training, or where it will be; what it looks at, None where it does not yet."""
    place = st.expander("The network at work", icon=":material/view_column:", key="at-work", on_change="rerun",
                        bind="query-params", expanded=True)
    if not place.open:
        return None
    with place:
        subject = whole.of_run(run)
        if subject is None:
            st.info("Its parts are drawn here once the first weights are there." if not run.ended else
                    "This training has kept no weights to look at.")
            return None
        if waits:
            st.rerun()  # the whole page: from now on nothing is waited for
        data = run.spec.request["data"]
        try:
            _, test = train.loaded(data)
        except PlaygroundError as error:
            st.info(frame.literal(str(error)))
            return None
        picture = looked_at(replace(subject, suggested=TEST), test, data, f"run-view-{run.run_id}")
        return Above(run.run_id, data, picture)
