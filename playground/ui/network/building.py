"""The page "Build and train": data, a design, settings, a run, and what the design is in code."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from playground import numbers
from playground.datasets import folders, small_photos
from playground.datasets.named import ImageSet
from playground.errors import PlaygroundError
from playground.figures import maps
from playground.network import code, presets
from playground.network.kind import Shape
from playground.network.parts import Network
from playground.network.slowness import slow
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.training.scratch.division import learnt
from playground.training.scratch.losses import HINGE
from playground.ui import frame
from playground.ui.network import at_work, both_engines, designer, predicting, run_look, settings
from playground.ui.studio import downloads, model_name, models, own_set, runs_view, train

LIBRARIES = {"Our engine": "engine", "PyTorch": "torch", "Keras": "keras"}
DATA_COLUMNS = 14
REQUEST = "design-request"
"""Where the session keeps what the controls say, for the parts that are drawn by themselves."""

AROUND = "design-around"
"""Where it keeps of which preset's design the controls were drawn last."""


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
        """Pictures that are learnt where the settings name no fewer: all but the sixth that is kept aside."""
        return learnt(len(self.training))


def chosen_data() -> Chosen | None:
    """The control of the data, and a design for them; None when they cannot be read."""
    with frame.guard("Data"):
        choices, photos, own = train.data_choices(), train.photo_choices(), own_set.at_hand()
        label = st.selectbox(
            "Data", [*choices, *photos, *own], key="data", bind="query-params",
            help="`digits`: 1\u202f797 handwritten digits of 8 × 8 pixels that come with scikit-learn. Folders with "
                 "IDX files (MNIST, Fashion-MNIST) or CIFAR-10's binary files appear here when they lie below `data/` "
                 "in the playground's home; photographs are made small. A set of your own comes here from the page "
                 "Transfer learning.",
        )
        if label in photos or label in own:
            side = st.segmented_control("Pixels a side", small_photos.SIDES, default=small_photos.SIDES[0], key="side",
                                        bind="query-params", required=True)
            folder = own_set.folder_of(own[label]) if label in own else folder_of(label, photos[label])
            data = small_photos.named_photos(folder, side)
        else:
            data = choices[label]
        downloads.small_sets()
        training, test = train.loaded(data)
        for remark in training.remarks:
            st.warning(frame.literal(remark), icon=":material/photo_library:")
        found = Chosen(data, label, training, test, numpy_fit.shape_of(training))
        run = runs_view.followed("digits")
        designer.begin(found.takes, found.classes, str(run.spec.request.get("network", numpy_fit.USUAL)) if run else
                       numpy_fit.USUAL)
        return found
    return None


def folder_of(label: str, folder: Path) -> Path:
    """Where these photographs are; the sample ones are written where they are not yet."""
    return folders.write_faces(folder) if label.startswith("faces ") else folder


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


def training(chosen: Chosen | None) -> None:
    """The controls of a training and its start button."""
    if chosen is None:
        return
    with frame.guard("Settings"):
        st.session_state[AROUND] = designer.origin()
        settings.follow(designer.made_from())
        start_from(chosen)
        asked = settings.controls(designer.unchanged())
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="seed", bind="query-params",
                               help="Decides the first weights, the order of pictures and the dropout. Same seed, same "
                                    "run.")
        name_of_model, suggested = model_name.choose(st, models.tidy(chosen.label))
        request = {"data": chosen.data, "network": designer.address(), **asked}
        st.session_state[REQUEST] = request
        if st.button("Start training", type="primary", icon=":material/play_arrow:", key="start"):
            numpy_fit.designed(request, chosen.training)  # says why, where it cannot be trained
            runs_view.begin(RunSpec(kind="digits", request=request, seed=seed, name=name_of_model), suggested)
        if said := runs_view.said_last_time(lambda spec: spec.kind == "digits" and spec.request == request):
            st.caption(said)
        st.caption(f"{numbers.count(len(chosen.training.images))} pictures to learn from, a sixth of them for "
                   f"validation; {numbers.count(len(chosen.test.images))} more are looked at once, when training is "
                   f"over. {frame.literal(chosen.training.source)} ({frame.literal(chosen.training.licence)})")


@st.fragment
@frame.guarded("The design")
def design(chosen: Chosen) -> None:
    """The designer, and the same network as text and as code: drawn anew by themselves after each edit."""
    request = st.session_state.get(REQUEST, {})
    batch = request.get("batch_size", settings.USUAL.batch_size)
    history = designer.history()
    text = history.texts[history.at]
    resting = designer.rested() == text
    seconds = predicting.seconds(text, chosen.takes, chosen.classes, len(chosen.training), request) if resting else None
    network = designer.designer(
        chosen.takes, chosen.classes, batch=min(batch, learnt(len(chosen.training), request.get("train_pictures", 0))),
        memory=numpy_fit.memory(), seconds=seconds,
        marks=(*run_look.marks(text), *slow(history.network, chosen.takes, seconds)),
        margin=request.get("loss") == HINGE)
    if st.session_state.get(AROUND) != designer.origin():
        st.rerun()  # the whole page: what it says round the designer is of another preset, or of none
    # What nobody has opened is not made: an edit is answered at once.
    drawn = st.expander("Schedule and first weights", icon=":material/show_chart:", key="drawn", on_change="rerun",
                        bind="query-params")
    if drawn.open:
        with drawn:
            settings.drawn(request, text, chosen.takes, chosen.classes, max(1, chosen.learnt // batch))
    work = st.expander("At work, untrained", icon=":material/view_column:", key=at_work.OPEN, on_change="rerun",
                       bind="query-params")
    if work.open:
        with work:
            at_work.untrained(chosen.data, text, chosen.takes, request, int(st.session_state.get("seed", 0)))
    beside = st.expander("The same in PyTorch", icon=":material/compare_arrows:", key="both-open", on_change="rerun")
    if beside.open:
        with beside:
            both_engines.both_engines({**request, "network": designer.address()}, int(st.session_state.get("seed", 0)))
    written = st.expander("As text and as code", icon=":material/code:", key="code", on_change="rerun",
                          bind="query-params")
    if written.open:
        with written:
            as_text(chosen, network, text)


def as_text(chosen: Chosen, network: Network, text: str) -> None:
    """The design's spelling, to be changed or taken along, and its code in three libraries."""
    wanted = st.text_input("The network as text", text, key=f"as-text-{hash(text)}",
                           help="Every part by a letter or two and its numbers. A link to this page holds it.")
    if wanted != text:
        designer.take_text(wanted.strip(), chosen.takes, chosen.classes)
        st.rerun(scope="fragment")
    library = st.segmented_control("Library", list(LIBRARIES), default="Our engine", key="library", required=True,
                                   bind="query-params")
    try:
        st.code(code.code(network, chosen.takes, LIBRARIES[library]), language="python", wrap_lines=True)
    except PlaygroundError as error:
        st.info(frame.literal(str(error)))


@frame.guarded("The data")
def look(chosen: Chosen) -> None:
    """The first pictures of the data."""
    st.image(
        maps.contact_sheet(chosen.training.images[: 2 * DATA_COLUMNS], DATA_COLUMNS,
                           scale=max(1, 48 // chosen.training.images.shape[1])),
        width="stretch", alt=f"The first {2 * DATA_COLUMNS} training pictures",
        caption="training pictures, every pixel a number from 0 to 255",
    )
