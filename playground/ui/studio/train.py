"""The parts of the page that trains a small CNN from scratch with the NumPy engine."""


from pathlib import Path

import numpy as np
import streamlit as st

from playground import numbers
from playground.datasets import downloads as catalogue
from playground.datasets import named, small_photos
from playground.datasets.named import ImageSet
from playground.deploy import session
from playground.errors import PlaygroundError
from playground.figures import bars, confusion, maps, style
from playground.home import data_dir, downloads_dir
from playground.training.runs.runs import RunView
from playground.ui import frame, reader
from playground.ui.parts.drawing import drawing, filled
from playground.ui.studio import models, own_set, runs_view

BATCH_SIZES = (16, 32, 64, 128, 256)
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
MOST_ANSWERED = 10_000
"""Test images asked of the exported model on the page: all of MNIST's."""


def data_choices() -> dict[str, str]:
    """What can be trained on: label -> what numpy_fit is told. Folders count when they hold IDX files or CIFAR-10.

    Looked for in fixed depths and not with `**`, which would walk every uploaded photo and not follow links.
    """
    found = {"digits": "digits"}
    marks = ("train-images*", named.CIFAR_TRAIN[0])
    for top in dict.fromkeys((data_dir(), downloads_dir())):
        for file in sorted(path for mark in marks for below in ("*", "*/*") for path in top.glob(f"{below}/{mark}")):
            parts = file.relative_to(top).parts
            if not any(part.startswith(".") for part in parts) and (top == data_dir() or parts[0] in
                                                                    catalogue.CATALOGUE):
                found["/".join(parts[:-1])] = str(file.parent)
    return found


def photo_choices() -> dict[str, Path]:
    """Photographs that are on this server for everybody, as small pictures to train on: label -> their folder.

    One's own sets are `own_set.at_hand`.
    """
    found = {"faces (photos)": data_dir() / "faces"}
    for name, one in catalogue.CATALOGUE.items():
        if one.photographs and (folder := catalogue.folder(name)) is not None:
            found[f"{name} (photos)"] = folder
    return found


@st.cache_resource(max_entries=3, show_spinner="Reading the images …")
def read(data: str) -> tuple[ImageSet, ImageSet]:
    """Training and test images, read once for everybody (nobody changes them): to compute with."""
    return named.load(data)


def loaded(data: str) -> tuple[ImageSet, ImageSet]:
    """The same to be shown. Raises PlaygroundError where they are photographs that not everybody may see."""
    photos = small_photos.photos_named(data)
    if photos and not own_set.may_see(photos[0]):
        raise PlaygroundError(f"These photographs are shown only to {reader.whom_it_is_for('set')}.")
    return read(data)


@st.cache_data(max_entries=8, show_spinner="Asking the exported model …")
def answers(path: str, version: tuple[int, int], data: str) -> np.ndarray:
    """Probabilities (N, K) that onnxruntime gives for the test images, from the exported file alone."""
    _, test = read(data)
    said = session.open_classifier(path).predict([raw(image) for image in test.images[:MOST_ANSWERED]])
    return np.stack([one.probabilities for one in said])


def raw(image: np.ndarray) -> np.ndarray:
    """An image of a data set as the raw RGB picture an exported model takes: (H, W) or (H, W, 3) -> (H, W, 3)."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)


@frame.guarded("The result")
def result(view: RunView) -> None:
    """Of an ended run, in a few lines: accuracy, time, the file."""
    if view.finished is None:
        return
    entry = models.of_run_or_why_not(view)
    with st.container(horizontal=True):
        models.accuracy_metric("test accuracy", view.finished.test_accuracy, view.finished.test_count)
        runs_view.time_metric(view)
        if view.exported is not None:
            st.metric(
                "engine and file differ by",
                numbers.number(view.exported.max_difference, 2),
                width="content",
                help=f"The largest difference of any score on {view.exported.samples} images between the NumPy engine "
                "and onnxruntime on the exported file.",
            )
    entry = models.of_run_or_why_not(view)
    if entry is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            models.download(entry, type="primary")
            frame.link("models", f"{entry.name} under Models", query_params={"model": entry.name})


@frame.guarded("What came out")
def outcome(view: RunView) -> None:
    """What came out of an ended run: confusions, mistakes, a trial."""
    entry = models.of_run(view)
    if view.finished is None or entry is None:
        return
    st.header("What came out", anchor=False)
    _, test = loaded(view.spec.request["data"])
    found = entry.onnx.stat()
    probabilities = answers(str(entry.onnx), (found.st_mtime_ns, found.st_size), view.spec.request["data"])
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Try it**")
        trial(str(entry.onnx), test, probabilities)
    with right:
        st.markdown("**What is taken for what**")
        st.plotly_chart(
            confusion.confusion_matrix(view.finished.confusion, test.classes),
            key="confusion",
            config=style.CONFIG,
            alt="Confusion matrix of the test images",
        )
    mistakes(test, probabilities)


@st.fragment
@frame.guarded("Try it")
def trial(path: str, test: ImageSet, probabilities: np.ndarray) -> None:
    """One test image, or a digit drawn by hand, and what the exported file says."""
    way, own = "Test image", "Draw one"
    if test.name == "digits":
        way = st.segmented_control(
            "Picture", [way, own], default=way, required=True, key="way", label_visibility="collapsed"
        )
    if way == own:
        pad, seen = st.columns([3, 2], vertical_alignment="center")
        with pad:
            ink = drawing("Draw a digit here", key="ink")
        if ink is None:
            seen.caption(
                "Draw one digit with mouse or finger. The model gets it cut to its ink, as the digits it learnt from "
                "are."
            )
            return
        chances, truth = session.open_classifier(path).predict([filled(ink)])[0].probabilities, None
        seen.image(shrunk(filled(ink)), width=96, caption="what the model sees", alt="The drawing, cut to its ink")
        place = st.container()
    else:
        number = st.slider("Test image", 1, len(probabilities), 1, key="image", bind="query-params") - 1
        chances, truth = probabilities[number], test.classes[test.labels[number]]
        left, place = st.columns([2, 3], vertical_alignment="center")
        left.image(
            maps.enlarged(test.images[number]),
            width=160,
            caption=f"it is {frame.literal(truth)}",
            alt=f"Test image {number + 1}",
        )
    place.plotly_chart(
        bars.probability_bars(test.classes, chances.tolist(), truth=truth),
        key=f"bars-{way}",
        config=style.CONFIG,
        alt="Probabilities of the classes",
    )
    st.caption("Answered by onnxruntime from the exported file." + (" Orange is the true class." if truth else ""))


def shrunk(picture: np.ndarray, side: int = 8) -> np.ndarray:
    """A drawing as the model's own preprocessing will shrink it, enlarged so that its pixels can be seen."""
    from playground.datasets.preprocessing import Preprocessing

    small = Preprocessing((side, side), gray=True, mean=(0.0,), std=(1.0,)).apply(picture)[0]
    return maps.enlarged(np.rint(255 * small).astype(np.uint8), 120)


@frame.guarded("Mistakes")
def mistakes(test: ImageSet, probabilities: np.ndarray) -> None:
    """The test images it got wrong, the surest mistakes first."""
    guesses = probabilities.argmax(axis=1)
    wrong = np.nonzero(guesses != test.labels[: len(guesses)])[0]
    if not len(wrong):
        st.success(f"All {numbers.count(len(guesses))} test images are named correctly.", icon=":material/check:")
        return
    surest = wrong[np.argsort(-probabilities[wrong, guesses[wrong]])][:12]
    st.markdown(
        f"**{numbers.count(len(wrong))} of {numbers.count(len(guesses))} test images are named wrongly**"
        + (f"; the {len(surest)} it was surest of:" if len(wrong) > len(surest) else ", the surest first:")
    )
    with st.container(horizontal=True, key="mistakes"):
        for k in surest:
            truth, said = test.classes[test.labels[k]], test.classes[guesses[k]]
            sure = numbers.percent(float(probabilities[k, guesses[k]]), 0)
            with st.container(width=104):
                st.image(
                    maps.enlarged(test.images[k], 96),
                    width=96,
                    alt=f"A {truth} taken for a {said}",
                    caption=f"{frame.literal(truth)}, read as {frame.literal(said)} ({sure})",
                )
