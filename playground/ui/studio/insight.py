"""Understand a result: its classes, what was taken for what with the photos themselves, its sureness, its card."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from playground import numbers
from playground.datasets import collection, photos
from playground.deploy import evaluation, interval, package
from playground.deploy.evaluation import Predictions
from playground.deploy.registry import Entry
from playground.errors import PlaygroundError
from playground.figures import beside as figures_beside
from playground.figures import confusion, style
from playground.figures.calibration import reliability
from playground.figures.comparison import Result
from playground.figures.features import feature_map
from playground.figures.photo_count import photo_count
from playground.numbers import counted, percent
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec, RunView
from playground.training.scratch.experiments import PHOTO_COUNT
from playground.ui import frame, links
from playground.ui.parts import screen
from playground.ui.studio import corrections, experiment, heat, models

VIEWS = ("Classes", "Confusions", "Mistakes", "Where it looks", "Map of features", "Calibration",
         "Other runs", "How many photos?", "Model card")
CLASSES, CONFUSIONS = VIEWS[:2]
PHOTOS = "photos-of-a-cell"
MOST_LISTED = 200
MOST_PINNED = 60
MOST_RUNS, MOST_BARS = 100, 8
PUBLISHED = (("cats/dogs, TensorFlow, frozen", 96.0), ("cats/dogs, TensorFlow, fine-tuned", 98.0),
             ("cats/dogs, Kaggle 2014 winner", 98.9), ("ants/bees, PyTorch, fine-tuned", 93.5),
             ("ants/bees, PyTorch, frozen", 95.4))
"""Accuracy (%) that others have published, each on photographs of its own."""


def predictions(view: RunView) -> Predictions | None:
    """What the run's exported file said of the photos kept aside; None where it was not asked."""
    path = runs.run_dir(view.run_id) / evaluation.FILE
    return _read(str(path), path.stat().st_mtime_ns) if path.exists() else None


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(path: str, version: int) -> Predictions | None:
    return evaluation.read(Path(path))


@st.fragment
@frame.guarded("Understand the result")
def understand(view: RunView) -> None:
    """One view of an ended run at a time; nothing is drawn until the reader asks."""
    corrections.follow_edits()
    entry, found = models.of_run(view), predictions(view)
    if entry is None or found is None:
        return
    look = st.segmented_control("**Understand the result**", VIEWS, key="understand", bind="query-params",
                                disabled=links.locked(), help="Everything here is what the exported file said, through "
                                "onnxruntime, of the photos that were kept aside.")
    if look == CLASSES:
        classes(found)
    elif look == CONFUSIONS:
        with st.container(key=PHOTOS):
            confusions(view, found)
        screen.bring(PHOTOS)
    elif look == "Mistakes":
        mistakes(view, found)
    elif look == "Where it looks":
        places(entry, found)
    elif look == "Map of features":
        features(found, runs.run_dir(view.run_id))
    elif look == "Calibration":
        calibration(found)
    elif look == "Other runs":
        beside(view)
    elif look == "How many photos?":
        spec = RunSpec(runs.EXPERIMENT, {"experiment": PHOTO_COUNT, "data": view.spec.request["data"]}, view.spec.seed,
                       PHOTO_COUNT)
        experiment.show(spec, button="How many photos are enough?", draw=photo_counts, about="A frozen backbone and "
                        "new heads: features are computed once for all of them.")
    elif look == "Model card":
        text = package.model_card(entry, found)
        with st.container(border=True):
            st.markdown(text)
        st.caption("The same text is MODEL_CARD.md in the download.")


def classes(found: Predictions) -> None:
    """Precision and recall, class by class."""
    scores = evaluation.class_scores(found.confusion(), found.labels)
    rows = [{"class": score.name, "photos of it": score.support, "taken for it": score.said, "right": score.right,
             **{name: None if value is None else 100 * value for name, value in
                (("precision", score.precision), ("recall", score.recall), ("F1", score.f1))}} for score in scores]
    bars = {name: st.column_config.ProgressColumn(name, format="%.1f %%", min_value=0, max_value=100)
            for name in ("precision", "recall", "F1")}
    st.dataframe(rows, hide_index=True, height="content", column_config=bars)
    st.latex(r"\begin{aligned} \text{precision } P &= \frac{\text{right}}{\text{taken for it}} \\[1em] "
             r"\text{recall } R &= \frac{\text{right}}{\text{photos of it}} \\[1em] "
             r"F_1 &= \frac{2PR}{P + R} \end{aligned}")
    weakest = min((s for s in scores if s.recall is not None), key=lambda s: s.recall or 0.0)
    st.caption("Precision: of what was taken for a class, how much is. Recall: of what is, how much was found. "
               f"Hardest to find here: {frame.literal(weakest.name)}, {weakest.right} of {weakest.support}.")


def confusions(view: RunView, found: Predictions) -> None:
    """One cell of the confusion matrix, and the photos in it."""
    counts = found.confusion()
    off = counts - np.diag(np.diag(counts))
    i, j = np.unravel_index(off.argmax(), off.shape) if off.any() else (0, 0)
    for key, k in (("true", i), ("said", j)):  # no field has a default of its own: the address names every cell
        if not {st.session_state.get(key), st.query_params.get(key)} & set(found.labels):
            st.session_state[key] = found.labels[k]
    left, right = st.columns([2, 3], gap="large")
    with right:
        first, second = st.columns(2)
        true = first.selectbox("The picture is", found.labels, None, key="true", bind="query-params",
                               disabled=links.locked()) or found.labels[i]
        said = second.selectbox("The model said", found.labels, None, key="said", bind="query-params",
                                disabled=links.locked()) or found.labels[j]
        row, column = found.labels.index(true), found.labels.index(said)
        cell = found.cell(row, column)
        st.markdown(f"**{len(cell)}** of {int(counts[row].sum())} photos of {frame.literal(true)} were taken for "
                    f"{frame.literal(said)}.")
        st.caption("Click a cell to see its photos, or choose it in the two fields.")
        corrections.shown(view, found, cell)
    with left:
        matrix(counts, found.labels, "cells", (row, column))


def matrix(counts: np.ndarray | Sequence[Sequence[int]], labels: Sequence[str], key: str,
           chosen: tuple[int, int] | None = None) -> None:
    """A confusion matrix whose cells open their photos."""
    st.plotly_chart(confusion.confusion_matrix(counts, labels, clickable=not links.locked(), chosen=chosen), key=key,
                    config=style.CONFIG, selection_mode="points", alt="Confusion matrix of the photos kept aside",
                    on_select="ignore" if links.locked() else lambda: clicked(st.session_state.get(key), labels))


def clicked(said: object, labels: Sequence[str]) -> None:
    """Open the cell that was clicked. A browser may send anything."""
    try:
        row, column = said["selection"]["points"][0]["customdata"][:2]  # type: ignore[index]
        true, model = labels[int(row)], labels[int(column)]
    except (KeyError, IndexError, TypeError, ValueError):
        return  # nothing is selected any more
    st.session_state["understand"] = CONFUSIONS
    screen.wanted(PHOTOS)
    for key, value in (("true", true), ("said", model)):
        if key in st.session_state:
            st.session_state[key] = value
        else:  # not drawn yet: it begins with what the address says
            st.query_params[key] = value


def mistakes(view: RunView, found: Predictions) -> None:
    """What the model was surest of, and wrong."""
    wrong = found.mistakes()
    if not len(wrong):
        st.success(f"It made no mistake on these {numbers.count(len(found.truth))} photos. That is not the same as "
                   f"never: see the "
                   "interval above.", icon=":material/check:")
        return
    st.markdown(f"{numbers.count(len(wrong))} of {numbers.count(len(found.truth))} photos were taken for something "
                f"else; the surest mistakes "
                "first. Wrongly labelled, unusual, or showing both?")
    corrections.shown(view, found, wrong)


def places(entry: Entry, found: Predictions) -> None:
    """Heat maps of one photo kept aside, the surest mistakes first."""
    if corrections.hidden(found):
        return
    order = [*found.mistakes(), *np.flatnonzero(found.right)]
    k = st.selectbox("Photo", order[:MOST_LISTED], key="photo", format_func=lambda k: (
        f"{found.paths[k].name}: {found.labels[found.said[k]]} {percent(float(found.sure[k]), 0)}"
        + ("" if found.right[k] else f", is {found.labels[found.truth[k]]}")), help="The surest mistakes come first.")
    try:
        heat.show(entry, photos.open_photo(found.paths[k]), "kept-aside")
    except PlaygroundError as error:
        st.info(frame.literal(str(error)))


def features(found: Predictions, folder: Path) -> None:
    """The photos as places in the plane: near where the network sees something alike. Those deleted are left out."""
    if corrections.hidden(found):
        return
    path = folder / evaluation.FEATURES
    left, right = st.columns(2, vertical_alignment="bottom")
    method = left.segmented_control("Flattened by", ("t-SNE", "PCA"), default="t-SNE", key="flat", required=True,
                                    bind="query-params", disabled=links.locked())
    pictures = right.toggle("Photos instead of points", key="as-photos", bind="query-params", disabled=links.locked())
    places = _places(str(path), path.stat().st_mtime_ns, method or "t-SNE") if path.exists() else None
    if places is None or len(places) != len(found.truth):
        st.info("This model keeps no features of its photos: it does not end in a dense layer.")
        return
    kept = np.flatnonzero(np.isfinite(places).all(1))
    if not len(kept):
        st.info("The photos of this run were deleted, and what was computed from them with them.")
        return
    paths = [found.paths[k] for k in kept]
    spread = np.linspace(0, len(kept) - 1, min(MOST_PINNED, len(kept)) if pictures else 0)
    some = np.unique(spread.astype(int))
    pinned = {int(k): small for k in some if (small := corrections.thumbnail(str(paths[k]))) is not None}
    st.plotly_chart(
        feature_map(places[kept], found.truth[kept], found.right[kept], found.labels, [path.name for path in paths],
                    pinned),
        config=style.CONFIG, key="feature-map", alt="Photos as places in the plane, by what the network sees in them")
    st.caption("Each point is a photo kept aside, placed by the numbers that the last layer is given of it. "
               + ("PCA shows the two directions in which they differ most. " if method == "PCA" else
                  "t-SNE keeps neighbours together; how far apart the groups lie means nothing. ")
               + "Crossed: taken for another class.")


@st.cache_data(max_entries=16, show_spinner="Flattening …")
def _places(path: str, version: int, method: str) -> np.ndarray | None:
    given = evaluation.read_features(Path(path))
    if given is None:
        return None
    kept = np.isfinite(given).all(1)  # those of deleted photos are not
    places = np.full((len(given), 2), np.nan)
    if kept.any():
        places[kept] = evaluation.flat_map(given[kept], method)
    return places


def calibration(found: Predictions) -> None:
    """Whether it is as often right as it says."""
    bins, error = evaluation.calibration(found.sure, found.right)
    st.plotly_chart(reliability([b.sure for b in bins], [b.right for b in bins], [b.count for b in bins],
                                1 / evaluation.BINS),
                    config=style.CONFIG, key="reliability",
                    alt="How often the model is right over how sure it says it is")
    mean, right = float(found.sure.mean()), float(found.right.mean())
    st.latex(r"\mathrm{ECE} = \sum_b \frac{n_b}{N}\, \left| \bar p_b - a_b \right| = " + f"{100 * error:.1f}\\,\\%")
    st.caption("Each bar: the photos for which the likeliest class got about that probability (their number is written "
               f"on it), and how many of them were right. On average it says {percent(mean)} and is right "
               f"{percent(right)} of the time: {sureness(bins)}. Bars of few photos say little.")


def sureness(bins: Sequence[evaluation.Bin]) -> str:
    """Whether the model is too sure or not sure enough, as far as so few photos can tell.

    Wilson's 95 % interval of the share that was right, from the counts in the bins: as long as what the model says on
    average lies inside, the difference may be chance.
    """
    count = sum(b.count for b in bins)
    mean = sum(b.sure * b.count for b in bins) / count
    low, high = interval.wilson(round(sum(b.right * b.count for b in bins)), count)
    between = f"{percent(low)} to {percent(high)}"
    if low <= mean <= high:
        return f"about as often as it says, for with {counted(count, 'photo')} it could be anything from {between}"
    return f"{'too sure of itself' if mean > high else 'not sure enough'}, beyond what may be chance ({between})"


def beside(view: RunView) -> None:
    """The newest finished runs on the same photos, and what others have published on theirs."""
    rows, others = [], []
    for run_id in runs.run_ids()[:MOST_RUNS]:
        try:
            one = runs.view(run_id)
        except PlaygroundError:
            continue  # a damaged run is nobody's result
        if one.spec.kind != view.spec.kind or set_of(one) != set_of(view):
            continue
        if one.finished is None or one.finished.test_accuracy is None or not one.finished.test_count:
            continue
        share, count = one.finished.test_accuracy, one.finished.test_count
        low, high = interval.wilson(round(share * count), count)
        name = f"{one.spec.name}, {one.spec.request.get('mode', 'frozen')}"
        rows.append(Result(name, 100 * share, 100 * low, 100 * high))
        if one.run_id != view.run_id:
            others.append((share, count, name))
    published = st.toggle("Published results, on other photos", True, key="published", bind="query-params",
                       disabled=links.locked())
    st.plotly_chart(figures_beside.beside(rows[:MOST_BARS], PUBLISHED if published else ()), config=style.CONFIG,
                    key="beside", alt="Accuracy of the runs on the same photos")
    st.caption("Runs on these photos, measured on photos kept aside, with Wilson's 95 % interval. "
               + _against_the_best(view, others) + "A run with another seed keeps other photos aside"
               + (", and so may one on another version of the set. " if set_of(view) != view.spec.request["data"] else
                  ". ")
               + ("Diamonds: what others report on their own photos, so only a rough measure." if published else ""))


def _against_the_best(view: RunView, others: Sequence[tuple[float, int, str]]) -> str:
    """How far a run lies from the best of the others (share, count, name), and whether that can be chance."""
    done = view.finished
    if done is None or done.test_accuracy is None or not others:
        return ""
    share, count, name = max(others)
    return (f"This run against {frame.literal(name)}, the best of the others: "
            f"{interval.compared(done.test_accuracy, done.test_count, share, count)}. ")


def set_of(view: RunView) -> str:
    """What a run learnt from: its folder, or for a version of an own set what all versions of it have in common."""
    data = str(view.spec.request.get("data"))
    path = Path(data)
    return path.parent.name.partition("-")[0] if collection.sets_dir() / ".versions" in path.parents else data


def photo_counts(view: RunView) -> None:
    """Accuracy over the number of photos a class, as far as it is known."""
    found: dict[int, list[float]] = {}
    for one in view.measured:
        found.setdefault(int(one.contestant), []).append(100 * one.test_accuracy)
    if not found:
        return
    st.plotly_chart(photo_count(found), config=style.CONFIG, key="photo-count",
                    alt="Accuracy over the number of photos a class")
    first, last = min(found), max(found)
    st.caption(f"Each point is a head trained on another draw of so many photos. From {first} to {last} photos a class "
               f"the mean goes from {percent(float(np.mean(found[first])) / 100)} to "
               f"{percent(float(np.mean(found[last])) / 100)}. Where the line is "
               "flat, more photos of the same kind hardly help; others might.")
