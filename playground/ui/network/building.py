"""The page "Build and train": data, a design, settings, a run, and what the design is in code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from playground import numbers
from playground.datasets.augmentation import Augmentation
from playground.datasets.named import ImageSet
from playground.errors import PlaygroundError
from playground.figures import maps
from playground.network import code, presets
from playground.network.kinds import Shape
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit, timing
from playground.ui import frame
from playground.ui.lessons import augmentation
from playground.ui.network import designer
from playground.ui.studio import downloads, model_name, models, runs_view, train

BATCH_SIZES = (8, 16, 32, 64, 128, 256)
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
LIBRARIES = {"Our engine": "engine", "PyTorch": "torch", "Keras": "keras"}
DATA_COLUMNS = 14


@dataclass(frozen=True)
class Chosen:
    """What is trained on: what numpy_fit is told, its label, its pictures, and their shape (C, H, W)."""

    data: str
    label: str
    training: ImageSet
    test: ImageSet
    takes: Shape

    @property
    def classes(self) -> int:
        return len(self.training.classes)

    @property
    def learnt(self) -> int:
        """Pictures that are learnt: all but the sixth that is kept aside."""
        return round(len(self.training.images) * (1 - numpy_fit.VALIDATION_SHARE))


def chosen_data() -> Chosen | None:
    """The control of the data, and a design for them; None when they cannot be read."""
    with frame.guard("Data"):
        choices = train.data_choices()
        label = st.selectbox(
            "Data", list(choices), key="data", bind="query-params",
            help="`digits`: 1\u202f797 handwritten digits of 8 × 8 pixels that come with scikit-learn. Folders with "
                 "IDX files (MNIST, Fashion-MNIST) or CIFAR-10's binary files appear here when they lie below `data/` "
                 "in the playground's home.",
        )
        downloads.small_sets()
        training, test = train.loaded(choices[label])
        found = Chosen(choices[label], label, training, test, numpy_fit.shape_of(training))
        designer.begin(found.takes, found.classes)
        return found
    return None


def start_from(chosen: Chosen) -> None:
    """A preset to begin with; the sick ones below the others."""
    names = [*(n for n, one in presets.PRESETS.items() if not one.sick),
             *(n for n, one in presets.PRESETS.items() if one.sick)]
    now = designer.unchanged()
    picked = st.selectbox("Start from", names, index=names.index(now) if now else None, format_func=titled,
                          placeholder="your own design", key=f"start-from-{now}",
                          help="A network to go on from. What was there before comes back with Undo.")
    if picked is not None and picked != now:
        designer.start_from(picked, chosen.takes, chosen.classes)
        st.rerun()
    if now:
        st.caption(presets.preset(now).about)


def titled(name: str) -> str:
    """A preset in a list."""
    one = presets.preset(name)
    return f"{one.title} (sick on purpose)" if one.sick else one.title


def settings(chosen: Chosen | None) -> None:
    """The controls of a training and its start button."""
    if chosen is None:
        return
    with frame.guard("Settings"):
        start_from(chosen)
        sick = dict(presets.preset(name).settings) if (name := designer.unchanged()) else {}
        left, right = st.columns(2)
        epochs = left.number_input("Epochs", 1, 1000, numpy_fit.EPOCHS, key="epochs", bind="query-params",
                                   help="How often every training picture is seen.")
        batch_size = right.selectbox("Batch size", BATCH_SIZES, index=BATCH_SIZES.index(numpy_fit.BATCH_SIZE),
                                     key="batch", bind="query-params",
                                     help="Pictures whose gradients are averaged before the weights move one step.")
        rate = left.selectbox("Learning rate", RATES, index=RATES.index(numpy_fit.LEARNING_RATE), key="rate",
                              bind="query-params",
                              help="How far the weights move against the gradient. Too small: slow. Too large: the "
                                   "loss jumps.")
        seed = right.number_input("Seed", 0, 2**31 - 1, 0, key="seed", bind="query-params",
                                  help="Decides the first weights, the order of pictures and the dropout. Same seed, "
                                       "same run.")
        with st.expander("Augmentation"):
            augment = augmentation.builder(Augmentation(), columns=1)
        name_of_model, suggested = model_name.choose(st, models.tidy(chosen.label))
        request = {"data": chosen.data, "epochs": int(epochs), "batch_size": batch_size, "learning_rate": rate,
                   **({"augment": augment.to_dict()} if augment.active else {}), **sick}
        if st.button("Start training", type="primary", icon=":material/play_arrow:", key="start"):
            begin(chosen, request, seed, name_of_model, suggested)
        if said := runs_view.said_last_time(lambda spec: spec.kind == "digits" and spec.request == request):
            st.caption(said)
        st.caption(f"{numbers.count(len(chosen.training.images))} pictures to learn from, a sixth of them for "
                   f"validation; {numbers.count(len(chosen.test.images))} more are looked at once, when training is "
                   f"over. {frame.literal(chosen.training.source)} ({frame.literal(chosen.training.licence)})")


def begin(chosen: Chosen, request: Mapping[str, Any], seed: int, name: str, suggested: bool) -> None:
    """Start the run of the design as it stands. Raises PlaygroundError where it cannot be trained."""
    history = designer.history()
    asked = {**request, "network": designer.unchanged() or history.texts[history.at]}
    numpy_fit.designed(asked, chosen.takes, chosen.classes)
    runs_view.begin(RunSpec(kind="digits", request=asked, seed=seed, name=name), suggested)


@st.fragment
@frame.guarded("The design")
def design(chosen: Chosen) -> None:
    """The designer, and the same network as text and as code: drawn anew by themselves after each edit."""
    batch = st.session_state.get("batch", numpy_fit.BATCH_SIZE)
    history = designer.history()
    text = history.texts[history.at]
    resting = designer.rested() == text
    network = designer.designer(
        chosen.takes, chosen.classes, batch=batch,
        seconds=predicted(text, chosen.takes, chosen.classes, chosen.learnt, batch) if resting else None)
    with st.expander("As text and as code", icon=":material/code:"):
        written = st.text_input("The network as text", text, key=f"as-text-{hash(text)}",
                                help="Every part by a letter or two and its numbers. A link to this page holds it.")
        if written != text:
            designer.take_text(written.strip(), chosen.takes, chosen.classes)
            st.rerun(scope="fragment")
        library = st.segmented_control("Library", list(LIBRARIES), default="Our engine", key="library", required=True)
        try:
            st.code(code.code(network, chosen.takes, LIBRARIES[library]), language="python")
        except PlaygroundError as error:
            st.info(frame.literal(str(error)))


@st.cache_data(max_entries=256, show_spinner=False)
def predicted(text: str, takes: Shape, classes: int, pictures: int, batch: int) -> float | None:
    """Seconds an epoch, measured once a design."""
    try:
        network = presets.network_named(text, takes, classes)
        return timing.seconds_an_epoch(network, takes, classes, pictures, batch)
    except (PlaygroundError, MemoryError):
        return None


@frame.guarded("The data")
def look(chosen: Chosen) -> None:
    """The first pictures of the data."""
    st.image(
        maps.contact_sheet(chosen.training.images[: 2 * DATA_COLUMNS], DATA_COLUMNS,
                           scale=max(1, 48 // chosen.training.images.shape[1])),
        width="stretch", alt=f"The first {2 * DATA_COLUMNS} training pictures",
        caption="training pictures, every pixel a number from 0 to 255",
    )
