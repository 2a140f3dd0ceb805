"""The lab: cats vs dogs in seven steps, each of which knows whether it was really done."""

import streamlit as st

from playground.deploy import interval
from playground.figures import comparison, contest
from playground.figures.comparison import Result
from playground.figures.style import CONFIG
from playground.training import runs
from playground.training.experiments import RECIPES
from playground.training.runs import RunSpec, RunView
from playground.ui import camera, experiment, frame, lesson, links, models, own_photo, runs_view, transfer
from playground.ui.transfer import Collected

TRANSFER = "transfer learning"
PUBLISHED = (("TensorFlow tutorial, frozen", 96.0), ("Kaggle 2014, winner", 98.9))
"""Accuracy (%) published for cats vs dogs, on other photographs of the same kind."""
STEPS = ("Look at the data", "A small CNN from scratch", "Augmentation", "Batch norm and dropout", "Transfer learning",
         "Compare", "Export and take along", "Your own photo")


def progress() -> None:
    """Where the badges of all steps will be; filled by `finish` when the page knows."""
    st.session_state["lab_progress"] = st.empty()
    st.session_state["lab_done"] = {}


def _mark(step: int, done: bool) -> None:
    st.session_state["lab_done"][step] = done


def _title(step: int) -> None:
    st.header(f"{step + 1} · {STEPS[step]}", anchor=False)


def look() -> Collected | None:
    """Step 1: photographs, counted and shown; done when the reader has said what is on them."""
    _title(0)
    st.markdown("Choose photographs in one folder a class: a folder `cats_vs_dogs` below the playground's `data` "
                "folder, a zip of your own, or the faces that come along. "
                "**Download** fetches 3,000 photos of cats and dogs where there are none yet.")
    found = transfer.collect()
    if found is None:
        _mark(0, False)
        return None
    counts = {name: sum(label == k for _, label in found.folder.train) for k, name in enumerate(found.folder.classes)}
    total, most = sum(counts.values()), max(counts.values())
    share = f"{100 * most / total:.0f} %"
    chosen = lesson.ask(
        "a network that always names the most frequent class: how often is it right on the training photos?",
        sorted({share, "0 %", "100 %", f"{100 * most / total / 2:.0f} %"}, key=lambda text: int(text.split()[0])),
        share,
        f"{most} of {total} are of that class. Whatever is learnt has to be better than that.",
        key=f"lab-look-{found.data}")
    _mark(0, chosen)
    return found


def spec_of(found: Collected, recipe: str, epochs: int) -> RunSpec:
    """The run of a step: an experiment for networks from scratch, a transfer run for the last."""
    if recipe == TRANSFER:
        return RunSpec("transfer", {"data": found.data, "backbone": "efficientnet_lite0", "epochs": 20}, 0,
                       f"lab-{found.name}")
    return RunSpec("experiment", {"experiment": "lab", "data": found.data, "recipe": recipe, "epochs": epochs}, 0,
                   f"lab-{list(RECIPES).index(recipe)}")


def from_scratch(found: Collected | None) -> int:
    """Steps 2 to 4: the same small CNN, plain, with augmentation, with batch norm and dropout. Returns the epochs."""
    texts = (
        "Four convolutions with pooling and two dense layers, random at first. It sees each photo as 48 × 48 pixels.",
        "The same network, but every epoch shows other pictures: mirrored, turned, cut, lighter or darker.",
        "And with batch norm before every activation, and half of the last hidden units left out while training.",
    )
    epochs = 20
    for step, (recipe, text) in enumerate(zip(RECIPES, texts, strict=True), 1):
        _title(step)
        st.markdown(text)
        if step == 1:
            epochs = st.slider("Epochs", 3, 40, 20, key="epochs", bind="query-params", disabled=links.locked())
        if found is None:
            st.info("First choose photos above.", icon=":material/photo_library:")
            _mark(step, False)
            continue
        spec = spec_of(found, recipe, epochs)
        experiment.show(spec, button=f"Train: {recipe}", draw=curves,
                        about="About a minute for 800 photos, a few seconds for the faces.")
        _mark(step, _completed(spec))
    return epochs


def curves(view: RunView) -> None:
    """Training and validation accuracy of one network from scratch."""
    names, epochs = (view.started.classes, view.started.total_epochs) if view.started else ((), 1)
    left, right = st.columns(2)
    left.plotly_chart(contest.accuracy_curves(view.measured, names, epochs, of="train"), config=CONFIG,
                      key=f"train-{view.run_id}", alt="Accuracy on training photos")
    right.plotly_chart(contest.accuracy_curves(view.measured, names, epochs), config=CONFIG,
                       key=f"test-{view.run_id}", alt="Accuracy on photos never seen")
    if view.state == "completed" and view.measured:
        last = view.measured[-1]
        gap = 100 * (last.train_accuracy - last.test_accuracy)
        st.caption(f"{100 * last.train_accuracy:.1f} % on the photos it learnt from, {100 * last.test_accuracy:.1f} % "
                   f"on those it did not: a gap of {gap:.1f} points"
                   + (", much of it learnt by heart." if gap > 10 else "."))


def _completed(spec: RunSpec) -> bool:
    run_id = runs.same(spec)
    return run_id is not None and runs_view.look(run_id).state == "completed"


def transferred(found: Collected | None, epochs: int) -> None:
    """Step 5: a pretrained network with a new last layer."""
    _title(4)
    st.markdown("EfficientNet-Lite0 has learnt from 1.28 million photos. Its layers stay **frozen**; only a new last "
                "layer learns from yours.")
    if found is None:
        st.info("First choose photos above.", icon=":material/photo_library:")
        _mark(4, False)
        return
    spec = spec_of(found, TRANSFER, epochs)
    experiment.show(spec, button="Retrain the last layer", about="A minute or two for 800 photos.", draw=_retrained)
    _mark(4, _completed(spec))
    frame.link("transfer", "All settings are on the page on transfer learning")


def _retrained(view: RunView) -> None:
    if view.finished is not None and view.finished.test_accuracy is not None:
        with st.container(horizontal=True):
            models.accuracy_metric("validation accuracy", view.finished.test_accuracy, view.finished.test_count)
            st.metric("trained for", runs_view.duration(view.finished.seconds), width="content")


def compare(found: Collected | None, epochs: int) -> None:
    """Step 6: everything that was trained here, beside what others have published."""
    _title(5)
    if found is None:
        _mark(5, False)
        return
    results = [_result(found, recipe, epochs) for recipe in (*RECIPES, TRANSFER)]
    done = sum(result.share is not None for result in results)
    _mark(5, done == len(results))
    if not done:
        st.info("As soon as something is trained, it appears here.", icon=":material/bar_chart:")
        return
    st.plotly_chart(comparison.comparison(results, PUBLISHED, 100 / len(found.folder.classes)), config=CONFIG,
                    key="comparison", alt="Accuracy of all networks of the lab")
    st.caption("Whiskers: Wilson's 95 % interval for so few photos. Dashed: published results on **other photos** "
               "(TensorFlow's transfer-learning tutorial on cats_and_dogs_filtered; the winner of Kaggle's Dogs vs. "
               "Cats), not measured here.")


def _result(found: Collected, recipe: str, epochs: int) -> Result:
    run_id = runs.same(spec_of(found, recipe, epochs))
    view = runs_view.look(run_id) if run_id else None
    if view is None or not view.ended:
        return Result(recipe, None, 0, 0)
    if recipe == TRANSFER:
        share, count = (view.finished.test_accuracy, view.finished.test_count) if view.finished else (None, 0)
    else:
        share = view.measured[-1].test_accuracy if view.measured else None
        count = view.started.samples["test"] if view.started else 0
    if share is None or not count:
        return Result(recipe, None, 0, 0)
    low, high = interval.wilson(round(share * count), count)
    return Result(recipe, 100 * share, 100 * low, 100 * high)


def take_along(found: Collected | None, epochs: int) -> None:
    """Steps 7 and 8: the file, its proof, and a photo of one's own."""
    _title(6)
    run_id = runs.same(spec_of(found, TRANSFER, epochs)) if found else None
    entry = models.of_run(runs_view.look(run_id)) if run_id else None
    if entry is None:
        st.info("The model of step 5 will be here as an ONNX file.", icon=":material/download:")
        _mark(6, False)
    else:
        parity = entry.card["parity"]
        st.markdown(f"onnxruntime gives PyTorch's answers from this file on {parity['samples']} pictures: scores "
                    f"differ by at most {parity['max_difference']:.0e}, the best class is the same on "
                    f"{parity['same_top']}.")
        models.download(entry, type="primary")
        _mark(6, parity["same_top"] == parity["samples"])
    _title(7)
    if entry is None:
        st.info("When step 5 is done, its model answers here.", icon=":material/photo_camera:")
    else:
        models.trial(entry)
    _mark(7, entry is not None and any(st.session_state.get(key) for key in (own_photo.PHOTO, camera.SEEN)))


def finish() -> None:
    """The badges of all steps, at the top of the page."""
    done = st.session_state["lab_done"]
    with st.session_state["lab_progress"].container(horizontal=True):
        for k, name in enumerate(STEPS):
            st.badge(f"{k + 1} {name}", icon=":material/check:" if done.get(k) else ":material/radio_button_unchecked:",
                     color="green" if done.get(k) else "gray")
