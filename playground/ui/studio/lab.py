"""The lab: cats vs dogs in eight steps, each of which knows whether it was really done."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from playground.deploy import interval
from playground.figures import comparison, contest
from playground.figures.comparison import Result
from playground.figures.style import CONFIG
from playground.numbers import counted, number, percent
from playground.training.runs import runs
from playground.training.runs.events import Measured
from playground.training.runs.runs import RunSpec, RunView
from playground.training.scratch.experiments import RECIPES
from playground.ui import frame, links
from playground.ui.parts import camera, lesson, own_photo, screen
from playground.ui.studio import experiment, models, runs_view, transfer
from playground.ui.studio.transfer import Collected

TRANSFER = "transfer learning"
PUBLISHED = (("TensorFlow tutorial, frozen", 96.0), ("Kaggle 2014, winner", 98.9))
"""Accuracy (%) published for cats vs dogs, on other photographs of the same kind."""
STEPS = ("Look at the data", "A small CNN from scratch", "Augmentation", "Batch norm and dropout", "Transfer learning",
         "Compare", "Export and take along", "Your own photo")
PANEL = "lab-all"


def progress() -> None:
    """Where the badges of all steps and what is trained will be; filled by `finish` when the page knows."""
    st.session_state["lab_progress"] = st.empty()
    st.session_state["lab_panel"] = st.container(key=PANEL)
    st.session_state["lab_done"] = {}
    screen.bring(PANEL)


def _mark(step: int, done: bool) -> None:
    st.session_state["lab_done"][step] = done


def _title(step: int) -> None:
    st.header(f"{step + 1} · {STEPS[step]}", anchor=False)


def look() -> Collected | None:
    """Step 1: photographs, counted and shown; done when the reader has said what is on them."""
    _title(0)
    st.markdown("Cats and dogs: **Download** fetches 3\u202f000 photos of them, a zip or a folder `cats_vs_dogs` below "
                "the playground's `data` folder does as well. Without any of these there are the *sample faces*, 200 "
                "small gray pictures that come along: faces and no faces, no cats and dogs, and much easier to tell "
                "apart.")
    found = transfer.collect(cats_first=True)
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
        "And with batch norm between each convolution and its ReLU (the dense layer has none), and half of the dense "
        "layer's hidden units left out while training.",
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
        experiment.show(spec, button=f"Train the {recipe}", draw=curves)
        _mark(step, _completed(spec))
    return epochs


def curves(view: RunView) -> None:
    """Training and validation accuracy of one network from scratch."""
    names, epochs = (view.started.classes, view.started.total_epochs) if view.started else ((), 1)
    left, right = st.columns(2)
    left.plotly_chart(whole(contest.accuracy_curves(view.measured, names, epochs, of="train")), config=CONFIG,
                      key=f"train-{view.run_id}", alt="Accuracy on training photos")
    right.plotly_chart(whole(contest.accuracy_curves(view.measured, names, epochs)), config=CONFIG,
                       key=f"test-{view.run_id}", alt="Accuracy on photos never seen")
    if view.state == "completed" and view.measured and view.started is not None:
        last, counts = view.measured[-1], view.started.samples
        st.caption(learnt((last.train_accuracy, counts["train"]), (last.test_accuracy, counts["test"])))


def learnt(seen: tuple[float, int], unseen: tuple[float, int]) -> str:
    """What the shares on photos learnt from and on photos never seen, each with their number, say of learning by heart.

    >>> learnt((0.99, 400), (0.8, 200)).partition(": ")[2]
    '19 points more (95\u202f% interval: 13.8 to 25.1): more than chance. Some of them it has learnt by heart.'
    """
    (share, count), (other, other_count) = seen, unseen
    apart = not interval.chance(round(share * count), count, round(other * other_count), other_count)
    return (f"{percent(share)} on the photos it learnt from, {percent(other)} on those it did not: "
            f"{interval.compared(share, count, other, other_count)}"
            + (". Some of them it has learnt by heart." if apart and share > other else "."))


def whole(figure: go.Figure) -> go.Figure:
    """Accuracies on the whole axis: cut to what there is, a point looks like much."""
    return figure.update_yaxes(range=[0, 102]).update_layout(height=330)


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
    experiment.show(spec, button="Retrain the last layer", draw=_retrained)
    _mark(4, _completed(spec))
    frame.link("transfer", "All settings are on the page on transfer learning")


def _retrained(view: RunView) -> None:
    if view.finished is not None and view.finished.test_accuracy is not None:
        with st.container(horizontal=True):
            models.accuracy_metric("validation accuracy", view.finished.test_accuracy, view.finished.test_count)
            runs_view.time_metric(view)


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
    share = _measured(view) if view is not None and view.ended else None
    if share is None:
        return Result(recipe, None, 0, 0)
    low, high = interval.wilson(round(share[0] * share[1]), share[1])
    return Result(recipe, 100 * share[0], 100 * low, 100 * high)


def take_along(found: Collected | None, epochs: int) -> None:
    """Steps 7 and 8: the file, its proof, and a photo of one's own."""
    _title(6)
    run_id = runs.same(spec_of(found, TRANSFER, epochs)) if found else None
    entry = models.of_run(runs_view.look(run_id)) if run_id else None
    if entry is None:
        st.info("The model of step 5 will be here as an ONNX file.", icon=":material/download:")
        _mark(6, False)
    else:
        parity = entry.card.get("parity") or dict.fromkeys(("samples", "max_difference", "same_top"), 0)
        st.markdown(f"onnxruntime gives PyTorch's answers from this file on {parity['samples']} pictures: scores "
                    f"differ by at most {number(parity['max_difference'], 2)}, the best class is the same on "
                    f"{parity['same_top']}.")
        models.download(entry, type="primary")
        _mark(6, parity["same_top"] == parity["samples"])
    _title(7)
    if entry is None:
        st.info("When step 5 is done, its model answers here.", icon=":material/photo_camera:")
    else:
        models.trial(entry)
    _mark(7, entry is not None and any(st.session_state.get(key) for key in (own_photo.PHOTO, camera.SEEN)))


def finish(found: Collected | None, epochs: int) -> None:
    """At the top of the page: the badges of all steps, and everything that is trained, started by one button."""
    done = st.session_state["lab_done"]
    with st.session_state["lab_progress"].container(horizontal=True):
        for k, name in enumerate(STEPS):
            st.badge(f"{k + 1} {name}", icon=":material/check:" if done.get(k) else ":material/radio_button_unchecked:",
                     color="green" if done.get(k) else "gray")
    if found is None:
        return
    wishes = {recipe: spec_of(found, recipe, epochs) for recipe in (*RECIPES, TRANSFER)}
    chance = 1 / len(found.folder.classes)
    with st.session_state["lab_panel"]:
        under_way = {name: run_id for name, spec in wishes.items() if (run_id := runs.same(spec)) is not None}
        if len(under_way) < len(wishes):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button("Train all", type="primary", icon=":material/play_arrow:", key="train-all",
                          on_click=_train, args=(list(wishes.values()),), disabled=links.locked())
                st.caption(f"Steps 2 to 5 on {counted(len(found.folder.train), 'photo')} of "
                           f"{frame.literal(', '.join(found.folder.classes[:4]))}: three small CNNs and a pretrained "
                           f"network. {_last_time(wishes.values())}", width="content")
        if under_way:
            live = any(not runs_view.look(run_id).ended for run_id in under_way.values())
            st.fragment(_all, run_every=runs_view.TICK_SECONDS if live else None)(under_way, live, chance, epochs)


def _last_time(wishes: Iterable[RunSpec]) -> str:
    known = (runs_view.last_time(partial(_alike, spec)) for spec in wishes)
    longest = max((seconds for seconds in known if seconds is not None), default=None)
    return f"The longest of them took {runs_view.duration(longest)} on this machine." if longest is not None else ""


def _alike(one: RunSpec, other: RunSpec) -> bool:
    return (one.kind, one.request) == (other.kind, other.request)


def _train(wishes: list[RunSpec]) -> None:
    with frame.guard("Training all"):
        for spec in wishes:
            runs.start_once(spec)
        screen.wanted(PANEL)


@frame.guarded("Everything that is trained")
def _all(under_way: dict[str, str], was_live: bool, chance: float, epochs: int) -> None:
    """Progress or accuracy of every network of the lab, their curves in one figure, and what was measured."""
    views = {name: runs_view.look(run_id) for name, run_id in under_way.items()}
    if was_live and all(view.ended for view in views.values()):
        st.rerun()
    for place, (name, view) in zip(st.columns(len(RECIPES) + 1), views.items(), strict=False):
        with place:
            if not view.ended:
                st.markdown(f"**{name}**")
                st.progress(view.progress, text=frame.literal(experiment.telling(view)))
            elif (share := _measured(view)) is not None:
                models.accuracy_metric(name, *share)
            else:
                st.markdown(f"**{name}**: {runs_view.STATES[view.state][0]}")
    measured = [point for name, view in views.items() for point in _points(name, view)]
    if measured:
        longest = max(epochs, *(point.epoch for point in measured))
        st.plotly_chart(whole(contest.accuracy_curves(measured, list(views), longest)), config=CONFIG, key="lab-curves",
                        alt="Accuracy of all networks on photos never seen, over epochs")
    for sentence in story({name: share for name, view in views.items()
                           if view.ended and (share := _measured(view)) is not None}, chance):
        st.markdown(sentence)


def _points(name: str, view: RunView) -> list[Measured]:
    """What is known of a network epoch by epoch, as measurements of one contestant."""
    if view.measured:
        return [replace(one, contestant=name) for one in view.measured]
    return [Measured(name, one.epoch, one.train_loss, one.train_accuracy, one.validation_loss,
                     one.validation_accuracy, one.time) for one in view.epochs]


def _measured(view: RunView) -> tuple[float, int] | None:
    """The share of the photos never seen that a run's network named rightly, and how many they are."""
    if view.finished is not None and view.finished.test_accuracy is not None:
        share, count = view.finished.test_accuracy, view.finished.test_count
    elif view.measured and view.started is not None:
        share, count = view.measured[-1].test_accuracy, view.started.samples["test"]
    else:
        return None
    return (share, count) if count else None


def story(shares: Mapping[str, tuple[float, int]], chance: float) -> list[str]:
    """What the measured shares say, each a share and the number of photos: with intervals, and no more than they allow.

    >>> story({"small CNN": (0.5, 40)}, 0.5)[0]
    'small CNN: 50.0 % right (35.2 % to 64.8 %). Guessing would give 50 %: it may be guessing.'
    >>> story({"small CNN": (0.7, 400), "transfer learning": (0.97, 400)}, 0.5)[-1]
    'transfer learning against small CNN: 27 points more (95\u202f% interval: 22.2 to 31.8): more than chance.'
    """
    told = []
    for name, (share, count) in shares.items():
        low, high = interval.wilson(round(share * count), count)
        told.append(f"{name}: {percent(share)} right ({percent(low)} to {percent(high)}). Guessing would give "
                    f"{percent(chance, 0)}: " + ("it may be guessing." if low <= chance <= high else
                                                 "it has learnt something." if low > chance else "it is worse."))
    if TRANSFER in shares:
        told += [f"{TRANSFER} against {name}: {interval.compared(*shares[TRANSFER], *share)}."
                 for name, share in shares.items() if name != TRANSFER]
    return told
