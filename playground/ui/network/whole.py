"""The page "Network": which network, on which picture, what beside it, and what is asked of it."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.datasets.named import ImageSet
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import registry
from playground.deploy.registry import Entry
from playground.errors import PlaygroundError
from playground.network.parts import place
from playground.training.runs import runs
from playground.training.runs.run_view import began_at
from playground.training.runs.runs import RunView
from playground.training.scratch import history, losses
from playground.ui import frame, links
from playground.ui.network import asks, stepped, view
from playground.ui.network.asks import editing
from playground.ui.network.asks.asked import key_of
from playground.ui.parts import camera
from playground.ui.parts.image_input import Picture, are_digits, asked, choose_picture
from playground.ui.studio import models, pretrained, runs_view, train
from playground.view import looks, maps, trainings
from playground.view.asks import Chosen
from playground.view.looks import Look
from playground.view.sources import Design, File, Source, edited
from playground.view.trace import Part

CROWD = 31
"""Pictures that stand beside the one looked at in training mode, for the statistics of a batch."""
NOBODY = "nothing"


@dataclass(frozen=True)
class Subject:
    """A network that can be looked at: its name in lists, what goes before it, its classes, and where it comes from.

    `source` gives it after an epoch; `crowd` prepared pictures of its training; `suggested` the picture to begin
    with; `names` what its parts are called in the built network.
    """

    key: str
    title: str
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    source: Callable[[str], tuple[Source, str]]
    epochs: tuple[int, ...] = ()
    run: RunView | None = None
    suggested: str = "Cat"
    crowd: Callable[[], np.ndarray | None] = lambda: None
    names: Mapping[tuple[int, ...], str] | None = None

    @property
    def live(self) -> bool:
        """Whether it is being trained."""
        return self.run is not None and not self.run.ended


def subjects() -> dict[str, Callable[[], Subject | None]]:
    """All networks there are to look at, by the words of the list: trainings with a history, then models. Of trainings
    of one name the newest has it alone, older ones say when they began. Each is made when it is called: of many, only
    what is looked at is read."""
    found: dict[str, Callable[[], Subject | None]] = {}
    for one in runs_view.listed(None):
        if one.spec.kind == "digits" and history.epochs(runs.run_dir(one.run_id)):
            title = one.spec.name
            if f"training {title}" in found:
                began = datetime.fromtimestamp(began_at(one.run_id), UTC)
                title = f"{title}, begun {began:%Y-%m-%d %H:%M:%S} UTC"
            if f"training {title}" in found:  # within the same second
                title = f"{title} ({one.run_id[-4:]})"
            found[f"training {title}"] = partial(of_run, one, title)
    for entry in registry.entries():
        found[entry.name] = partial(of_entry, entry)
    return found


def of_entry(entry: Entry) -> Subject:
    """An exported model."""
    preparation = Preprocessing.from_dict(entry.card["preprocessing"])
    labels = tuple(map(str, entry.card["labels"]))
    version = str(entry.onnx.stat().st_mtime_ns)

    def source(_: str) -> tuple[Source, str]:
        return File.of_export(entry.onnx, preparation, labels, learnt_from(entry)), version

    return Subject(f"model {entry.onnx} {version}", entry.name, preparation, labels, source,
                   suggested=models.first_picture(entry))


def learnt_from(entry: Entry) -> str:
    """The loss of an exported model's training, as its card says it."""
    return losses.learnt_from(entry.card.get("training", {}).get("request", {}))


def of_run(run: RunView, title: str = "") -> Subject | None:
    """A training from scratch that keeps its weights, under its name or a title; None while there are none yet."""
    folder = runs.run_dir(run.run_id)
    try:
        epochs = tuple(history.epochs(folder))
        if not epochs:
            return None
        last, _ = trainings.at(folder, str(epochs[-1]))
    except PlaygroundError:
        return None
    suggested, preparation = "Handwritten digit" if last.preprocessing.gray else "Cat", last.preprocessing
    return Subject(f"run {run.run_id}", title or run.spec.name, preparation, last.labels,
                   lambda epoch: trainings.at(folder, epoch), epochs, run, suggested,
                   lambda: crowd_of(run.spec.request["data"], preparation), last.names())


@st.cache_resource(max_entries=8, show_spinner=False)
def crowd_of(data: str, preparation: Preprocessing) -> np.ndarray | None:
    """Pictures of a training's data, prepared: the batch beside the picture looked at. Nobody changes them."""
    try:
        training, _ = train.read(data)
    except PlaygroundError:
        return None
    return preparation.apply_all(training.images[:CROWD])


@dataclass(frozen=True)
class Setting:
    """What the page's controls say."""

    subject: Subject
    picture: Picture
    label: int
    look: Look
    beside: Look | None
    titles: tuple[str, ...]


def controls(live_camera: camera.Live) -> Setting | None:
    """Network, picture, its class, and what stands beside; None without a network."""
    found = subjects()
    if not found:
        models.empty()
        return None
    left, middle, right = st.columns([2, 2, 2], gap="medium")
    with left:
        name = st.selectbox("Network", list(found), key="model", bind="query-params", disabled=links.locked(),
                            help="Trainings from scratch keep their weights of every epoch: they can be watched while "
                                 "they learn, and afterwards.")
        subject = made(found, name)
    with middle:
        chosen = chosen_for(subject, live_camera, data_of(subject) if subject.run is not None else None)
        picture = asked(chosen, subject.labels)
    with right:
        label = label_of(subject, picture)
        beside, titles = second(found, name, subject, picture, label, chosen, middle)
    return Setting(subject, picture, label, look_at(subject, picture, label), beside, titles)


def chosen_for(subject: Subject, live_camera: camera.Live, test: ImageSet | None) -> Picture:
    """The one chooser of a picture to look at: of the test pictures, a sample, one's own photo or drawing, or what the
    camera sees."""
    return choose_picture(subject.suggested, live=live_camera, least=1, test=test, draw=True)


def picture_for(subject: Subject, live_camera: camera.Live, test: ImageSet | None) -> Picture:
    """What was chosen, as the network is asked about it."""
    return asked(chosen_for(subject, live_camera, test), subject.labels)


def made(found: Mapping[str, Callable[[], Subject | None]], name: str) -> Subject:
    """The network of that name. Raises PlaygroundError when what is kept of it cannot be read."""
    subject = found[name]()
    if subject is None:
        raise PlaygroundError(f"The weights of “{name}” cannot be read any more: choose another network.")
    return subject


def label_of(subject: Subject, picture: Picture) -> int:
    """The class that the picture is said to be: the loss is against it. It is the picture's own until another is
    chosen, and that holds for this picture; for a camera's pictures, or strokes, which follow each other, for all."""
    names = list(dict.fromkeys(subject.labels))
    own = subject.labels[own_class(subject, picture)]
    digest = hashlib.blake2s(picture.pixels.tobytes()).hexdigest()
    of = "camera" if picture.live else "drawing" if picture.drawn else (picture.drawing and picture.shows) or digest
    said = st.selectbox("Its class", names, index=names.index(own), key=f"class-{subject.key}-{of}",
                        disabled=links.locked(), help="The loss is computed against it.")
    return subject.labels.index(said)


def own_class(subject: Subject, picture: Picture) -> int:
    """The class of a picture as far as it is known: its own where it has one, else what the network says."""
    own = picture.shows
    return subject.labels.index(own) if own in subject.labels else likeliest(subject, picture)


@st.cache_data(max_entries=64, show_spinner=False)
def _likeliest(_subject: Subject, key: str, epochs: tuple[int, ...], x: np.ndarray) -> int:
    source, _ = _subject.source(str(epochs[-1]) if epochs else "")
    scores = source.scores(x)[0]
    return int(scores.argmax()) if scores.size > 1 else int(scores[0] > 0)


def likeliest(subject: Subject, picture: Picture) -> int:
    """The class that the network itself says."""
    return _likeliest(subject, subject.key, subject.epochs, subject.preprocessing.apply(picture.pixels)[None])


def second(found: Mapping[str, Callable[[], Subject | None]], first: str, subject: Subject, picture: Picture,
           label: int, chosen: Picture, controls: DeltaGenerator) -> tuple[Look | None, tuple[str, ...]]:
    """What stands beside: nothing, another epoch of this network, or another, asked about what was `chosen` in its own
    way; what that needs to know is asked among the picture's `controls`."""
    epochs = [f"epoch {epoch} of it" for epoch in subject.epochs]
    name = st.selectbox("Beside it", [NOBODY, *epochs, *(one for one in found if one != first)], key="beside",
                        bind="query-params", disabled=links.locked(),
                        help="Both are drawn below each other and moved together; the first part in which they differ "
                             "is marked.")
    if name == NOBODY:
        return None, ()
    if name in epochs:
        epoch = subject.epochs[epochs.index(name)]
        return look_at(subject, picture, label, epoch), (subject.title, f"{subject.title}, epoch {epoch}")
    other = made(found, name)
    theirs = picture
    if not (are_digits(subject.labels) and are_digits(other.labels)):
        with controls:
            theirs = asked(chosen, other.labels)
    return look_at(other, theirs, class_beside(subject, label, other, theirs)), (subject.title, other.title)


def class_beside(subject: Subject, label: int, other: Subject, picture: Picture) -> int:
    """The class of that name in the network beside; where it has none, which is told, the picture's own there."""
    name = subject.labels[label]
    if name in other.labels:
        return label if other.labels[label:label + 1] == (name,) else other.labels.index(name)
    own = own_class(other, picture)
    whose = ("the class that it says itself" if other.labels[own] != picture.shows else
             f"the {'digit' if picture.drawing else 'picture'}’s own class")
    st.caption(f"“{frame.literal(other.title)}” has no class “{frame.literal(name)}”: its loss is against "
               f"“{frame.literal(other.labels[own])}”, {whose}.")
    return own


def look_at(subject: Subject, picture: Picture, label: int, epoch: int | None = None) -> Look:
    """A look at a network, at all of its epochs or at one alone."""
    x = subject.preprocessing.apply(picture.pixels)
    shown, crowd = subject.preprocessing.pictured(x), subject.crowd()
    if epoch is not None:
        return Look(f"{subject.key} at {epoch}", lambda _: subject.source(str(epoch)), x[None], shown, label, crowd)
    return Look(subject.key, subject.source, x[None], shown, label, crowd, subject.epochs, moved(subject),
                dead_units(subject))


def curve_of(subject: Subject) -> list[tuple[int, float, float]]:
    """Epoch, training and validation loss of a training, over which its film runs; of others nothing."""
    return [(one.epoch, one.train_loss, one.validation_loss) for one in subject.run.epochs] if subject.run else []


def moved(subject: Subject) -> dict[str, dict[str, float]]:
    """|Δw| / |w| of each part's weight at the last step that was measured in an epoch, by the weight's name."""
    if subject.run is None or subject.names is None:
        return {}
    return {str(one.epoch): {f"{subject.names[part.path]}.weight": part.step for part in one.parts
                             if part.step is not None and part.path in subject.names}
            for one in subject.run.measures}


def dead_units(subject: Subject) -> dict[str, dict[str, float]]:
    """Of every ReLU the share of units that gave 0 on all pictures of the step that was measured last in an epoch."""
    return {str(one.epoch): {place(part.path): part.dead for part in one.parts if part.dead is not None}
            for one in (subject.run.measures if subject.run is not None else ())}


@st.fragment
@frame.guarded("The network")
def shown(setting: Setting) -> None:
    """The view itself, and what is asked of what was chosen in it."""
    subject = setting.subject
    epoch = epoch_now(subject)
    source = looks.source_of(setting.look, epoch)
    look = with_edits(setting.look, source, epoch)
    beside = replace(setting.beside, like=look) if setting.beside is not None else None
    at = view.view(look, beside, titles=setting.titles, curve=curve_of(subject), live=subject.live)
    if subject.live or not isinstance(source, Design | File):
        return
    chosen = Chosen()
    if at is not None:
        trace = looks.traced(setting.look, epoch)
        if at.part < len(trace.parts):
            chosen = chosen_in(trace.parts[at.part], at)
            if at.place is not None and at.place == chosen.place:
                stepped.steps(trace.parts[at.part], at.place, "one-number")
    st.header("Ask it", anchor=False)
    asks.draw(source, setting.picture, chosen, data_of(subject),
              runs.run_dir(subject.run.run_id) if subject.run else None)


def epoch_now(subject: Subject) -> str:
    """The epoch that the view stood at when it last told of a choice; the last one before."""
    if not subject.epochs:
        return ""
    said = st.session_state.get("network-view")
    at = view.chosen_of(said.get("chosen")) if said is not None else None
    known = at is not None and at.epoch.isdigit() and int(at.epoch) in subject.epochs
    return at.epoch if known and at is not None else str(subject.epochs[-1])


def with_edits(look: Look, source: Source, epoch: str) -> Look:
    """The look, at the epoch looked at with what the reader has edited in it."""
    done = editing.edits(key_of(source))
    if not done.done or not isinstance(source, Design | File):
        return look
    new = done.weights(source)
    digest = hashlib.blake2s(b"".join(name.encode() + new[name].tobytes() for name in sorted(new))).hexdigest()
    own = look.source

    def found(at: str) -> tuple[Source, str]:
        return (edited(source, new), digest) if at in (epoch, "") else own(at)

    return replace(look, key=f"{look.key} edited {epoch} {digest}", source=found)


def chosen_in(part: Part, at: view.Place) -> Chosen:
    """What is chosen, as far as the part has it: of a map its middle."""
    if at.weight is not None and at.channel is not None:
        with contextlib.suppress(PlaygroundError):
            middle = (at.channel, *(n // 2 for n in part.shape[1:]))
            return Chosen(part.index, middle, maps.weight_at(part, at.channel, at.weight))
    if at.place is not None and on_part(part.shape, at.place):
        return Chosen(part.index, at.place)
    if at.channel is not None and part.shape and at.channel < part.shape[0]:
        return Chosen(part.index, (at.channel, *(n // 2 for n in part.shape[1:])))
    return Chosen(part.index)


def data_of(subject: Subject) -> ImageSet | None:
    """Labelled pictures that a network can be measured on: its training's test pictures, or digits."""
    if subject.run is not None:
        with contextlib.suppress(PlaygroundError):
            return train.loaded(subject.run.spec.request["data"])[1]
    if subject.labels == tuple("0123456789") and subject.preprocessing.gray:
        return train.loaded("digits")[1]
    return None


def on_part(shape: tuple[int, ...], place: tuple[int, ...]) -> bool:
    """Whether a part gives a number at a place."""
    return len(shape) == len(place) and all(0 <= i < n for i, n in zip(place, shape, strict=True))


def network() -> Setting | None:
    """The whole page: controls, view; without a model, the ways to one."""
    with camera.Live() as live_camera, st.container(key="whole-network"):
        setting = controls(live_camera)
        if pretrained.exported_entry() is None:
            with st.expander("Or look into a network that knows a thousand things", expanded=setting is None):
                pretrained.offer()
        if setting is not None:
            shown(setting)
    return setting


__all__ = ["CROWD", "Setting", "Subject", "network", "of_entry", "of_run", "shown", "subjects"]
