"""The parts of the page that retrains a pretrained network on photographs: collect, train, try."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from playground.datasets import allowed, folders, photos
from playground.datasets.folders import PhotoFolder
from playground.deploy.weights import count_weights
from playground.figures import blocks, confusion, maps, style
from playground.home import data_dir
from playground.numbers import count, percent
from playground.training.runs.runs import RunView
from playground.training.transfer.recipe import FINE_TUNE, FROZEN, SCRATCH
from playground.ui import frame, links
from playground.ui.studio import (
    dataset_view,
    downloads,
    insight,
    models,
    network_blocks,
    own_set,
    pretrained,
    runs_view,
    transfer_settings,
    uploaded_zip,
)

SAMPLE, ZIP, DOWNLOAD, FOLDER = "Sample faces", "Your zip", "Download", "Folder on the server"
CATS = "cats_and_dogs_filtered"
"""The set of cats and dogs that can be downloaded."""
THUMBNAIL = 96
SHOWN_PER_CLASS, MOST_STRIPS = 8, 6
WHY_SO_MANY = {
    FROZEN: "Every photo goes through the frozen part once; what comes out is kept. That is why the epochs are fast, "
    "and why a second run on the same photos skips to them.",
    FINE_TUNE: "The last blocks learnt, the ones before them stayed as they were. In the file, each batch norm is part "
    "of its convolution, so it holds a few numbers less.",
    SCRATCH: "All of it was random at the start and learnt from these photos alone.",
}
FEWEST_PER_CLASS = 10
"""Below this a class has almost nothing to be checked on; it trains, but the page says so."""


@dataclass(frozen=True)
class Collected:
    """Photographs ready to train on: what the trainer is told, a name for the model, and what was found."""

    data: str
    name: str
    folder: PhotoFolder


def collect(cats_first: bool = False) -> Collected | None:
    """Choose the photographs and see what was found in them; None until there are some.

    With `cats_first` the ways to cats and dogs stand first, and are taken where such photographs are here already.
    """
    with frame.guard("The photos"):
        on_server = allowed.folders_offered()
        arrived = own_set.arrive()
        source = st.segmented_control(
            "Photos",
            [DOWNLOAD, ZIP, *([FOLDER] if on_server else []), own_set.OWN, SAMPLE] if cats_first else
            [SAMPLE, own_set.OWN, ZIP, DOWNLOAD, *([FOLDER] if on_server else [])],
            default=None if arrived else where_cats_are(on_server) if cats_first else SAMPLE,
            required=True,
            key="photos",
            bind="query-params",
        )
        if source == SAMPLE:
            st.caption(
                "200 small gray pictures that come with scikit-image: 100 faces, and 100 cut-outs that are none."
            )
            folder = folders.write_faces(data_dir() / "faces")
            found = Collected("faces", "faces", scanned(str(folder)))
        elif source == own_set.OWN:
            own = own_set.collect()
            if own is None:
                return None
            found = Collected(str(own[0]), own[1], own[2])
        elif source == ZIP:
            folder_of_zip = uploaded_zip.given_zip()
            if folder_of_zip is None:
                return None
            found = Collected(str(folder_of_zip[0]), folder_of_zip[1], scanned(str(folder_of_zip[0])))
        elif source == DOWNLOAD:
            if (downloaded := downloads.photo_set()) is None:
                return None
            found = Collected(str(downloaded[0]), downloaded[1], scanned(str(downloaded[0])))
        else:
            labels = list(on_server)
            begin = next((k for k, label in enumerate(labels) if cats_first and is_of_cats(label)), 0)
            label = st.selectbox("Folder", labels, begin, key="folder", bind="query-params", disabled=links.locked())
            allowed.demand_inside(on_server[label])
            found = Collected(str(on_server[label]), models.tidy(label), scanned(str(on_server[label])))
        contents(found.folder)
        if source != own_set.OWN and (said := folders.division(data_dir() / "faces" if source == SAMPLE else
                                                               Path(found.data))):
            st.caption(frame.literal(said))
        path = str(data_dir() / "faces") if source == SAMPLE else found.data
        dataset_view.behind(path, found.name, found.folder, own_set.current() if source == own_set.OWN else None)
        return found
    return None


def is_of_cats(label: str) -> bool:
    """Whether a folder is named for cats and dogs."""
    return "cats" in label.lower() and "dogs" in label.lower()


def where_cats_are(on_server: Mapping[str, Path]) -> str:
    """The first choice of photographs of cats and dogs that are here; the sample faces where there are none."""
    if downloads.is_here(CATS):
        return DOWNLOAD
    return FOLDER if any(map(is_of_cats, on_server)) else SAMPLE


@st.cache_resource(max_entries=8, show_spinner="Looking at the photos …")
def scanned(path: str) -> PhotoFolder:
    """What is in a folder, every file opened once. The division shown is seed 0's; a run makes its own."""
    return folders.scan(Path(path), seed=0)


def contents(found: PhotoFolder) -> None:
    """Counts per class, a few pictures of each, and what could not be read."""
    learnt = [sum(label == k for _, label in found.train) for k in range(len(found.classes))]
    aside = [sum(label == k for _, label in found.validation) for k in range(len(found.classes))]
    left, right = st.columns([2, 3], gap="large")
    with left:
        table = {"class": found.classes, "to train on": learnt, "kept aside": aside}
        st.dataframe(table, hide_index=True, height="content")
        rows = zip(found.classes, learnt, aside, strict=True)
        few = [name for name, *counts in rows if sum(counts) < FEWEST_PER_CLASS]
        if few:
            st.warning(
                f"Fewer than {FEWEST_PER_CLASS} photos of {frame.literal(', '.join(few))}: it will train, but hardly "
                "anything is kept aside to check it on.",
                icon=":material/photo_library:",
            )
    with right:
        for k, name in enumerate(found.classes[:MOST_STRIPS]):
            shown = [path for path, label in found.train if label == k][:SHOWN_PER_CLASS]
            st.image(strip(tuple(shown)), caption=frame.literal(name), alt=f"Photos of {name}", width="stretch")
        if len(found.classes) > MOST_STRIPS:
            st.caption(f"and {len(found.classes) - MOST_STRIPS} classes more")
    if found.unreadable:
        with st.expander(f"Left out: {len(found.unreadable)} unreadable", icon=":material/broken_image:"):
            st.dataframe([{"file": path.name, "why": why} for path, why in found.unreadable[:200]], hide_index=True)


@st.cache_data(max_entries=64, show_spinner=False)
def strip(paths: tuple[Path, ...]) -> np.ndarray:
    """Photographs side by side, each cut to a square: uint8 (THUMBNAIL, width, 3)."""
    small = [
        np.asarray(ImageOps.fit(Image.fromarray(photos.open_photo(path)), (THUMBNAIL, THUMBNAIL))) for path in paths
    ]
    return maps.contact_sheet(np.stack(small), SHOWN_PER_CLASS, gap=4)


@frame.guarded("Settings")
def settings(photos_found: Collected | None) -> None:
    """What is kept and what is trained, the controls of a run, and its start button."""
    if photos_found is None:
        st.info("First choose photos above.", icon=":material/photo_library:")
        return
    found = photos_found.folder
    transfer_settings.settings(photos_found.data, photos_found.name, len(found.classes), len(found.train))


@frame.guarded("The result")
def result(view: RunView) -> None:
    """Of an ended run, in a few lines: accuracy, time, the file."""
    if view.finished is None or view.started is None:
        return
    with st.container(horizontal=True):
        models.accuracy_metric("validation accuracy", view.finished.test_accuracy, view.finished.test_count)
        runs_view.time_metric(view)
        st.metric("on", view.started.device, width="content")
    entry = models.of_run_or_why_not(view)
    if entry is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            models.download(entry, type="primary")
            models.take_home(entry, insight.predictions(view))
            frame.link("models", f"{entry.name} under Models", query_params={"model": entry.name})
    if view.finished.best_epoch:
        st.caption(f"Epoch {view.finished.best_epoch} of {view.finished.epochs} is kept, the one with the smallest "
                   "validation loss. The same photos chose it, so their accuracy is a little flattered.")


@frame.guarded("What came out")
def outcome(view: RunView) -> None:
    """What was taken for what in an ended run, and how much of the network it changed."""
    if view.finished is None or view.started is None:
        return
    entry = models.of_run(view)
    left, right = st.columns(2, gap="large")
    with left:
        if not view.finished.confusion:
            return
        st.markdown("**What is taken for what** (photos kept aside)")
        found = insight.predictions(view) if entry is not None else None
        if found is not None and found.labels == view.started.classes:
            insight.matrix(view.finished.confusion, view.started.classes, "confusion")
            st.caption("Click a cell to see its photos.")
        else:
            st.plotly_chart(
                confusion.confusion_matrix(view.finished.confusion, view.started.classes),
                key="confusion",
                config=style.CONFIG,
                alt="Confusion matrix of the photos kept aside",
            )
    if entry is not None:
        with right:
            mode = view.spec.request.get("mode", FROZEN)
            network = network_blocks.of(view.spec.request, len(view.started.classes))
            if network and sum(block.parameters for block in network if block.trained) == view.started.parameters:
                network_blocks.draw(network, "blocks-diagram", "were")
                st.caption(WHY_SO_MANY[mode])
                return
            held = weights(entry.onnx, entry.onnx.stat().st_mtime_ns)
            frozen_and_trained(mode, view.started.parameters, held)


def frozen_and_trained(mode: str, trained: int, held: int) -> None:
    """How much of the network this run changed, and how much came as it was. `held` is how many numbers are in the
    file, where each batch norm is part of its convolution."""
    total = trained if mode == SCRATCH else max(trained, held)
    share = percent(trained / total, 2)
    st.markdown(f"**{count(trained)} of {count(total)} numbers were trained** ({share})")
    st.plotly_chart(
        blocks.frozen_and_trained(total - trained, trained),
        key="blocks",
        config=style.CONFIG,
        alt=f"{share} trained, the rest frozen",
    )
    st.caption(WHY_SO_MANY[mode])


@st.cache_data(max_entries=32, show_spinner=False)
def weights(path: Path, version: int) -> int:
    """How many numbers a file holds, counted once for each version of it."""
    return count_weights(path)


@frame.guarded("Try it")
def trial(view: RunView | None) -> None:
    """A photo of the reader's, and what the new model says of it; until there is one, what the pretrained one says."""
    entry = models.of_run(view) if view is not None else None
    if entry is None:
        st.info("When a run has finished, its model answers here. Until then the pretrained network does, with its own "
                "1\u202f000 classes.", icon=":material/photo_camera:")
        entry = pretrained.ready()
    if entry is not None:
        models.trial(entry)
