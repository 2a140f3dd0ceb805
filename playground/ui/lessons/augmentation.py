"""The parts of the page on data augmentation: a pipeline built, its draws, mixed labels, and whether it helps."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import streamlit as st
from PIL import Image

from playground.datasets import samples
from playground.datasets.augmentation import Augmentation
from playground.deploy import interval
from playground.figures import contest
from playground.figures.maps import enlarged
from playground.figures.style import CONFIG
from playground.numbers import count, counted, number, percent
from playground.training.runs.runs import RunSpec, RunView
from playground.ui import frame, links
from playground.ui.parts import lesson
from playground.ui.parts.image_input import Picture, choose_picture
from playground.ui.studio import experiment

DRAWS = 9
SIDE = 168
SCHEMES = {"off": "no mixing", "mixup": "mixup", "cutmix": "cutmix"}


class Knob(NamedTuple):
    """How a step is set: what it is called, the largest sensible value, the slider's step, and what it may not do."""

    label: str
    most: float
    step: float
    caution: str


KNOBS: dict[str, Knob] = {
    "mirror": Knob("Mirror left-right (probability)", 1.0, 0.1, "a mirrored 2 is no 2, a mirrored cat is a cat"),
    "rotate": Knob("Rotate (± degrees)", 180.0, 5.0, "half a turn makes a 6 a 9"),
    "scale": Knob("Scale (1 ± share)", 0.5, 0.05, "what matters must stay large enough to be seen"),
    "translate": Knob("Translate (± share of the side)", 0.5, 0.01, "what matters must stay in the picture"),
    "crop": Knob("Crop (share of the side given up, at most)", 0.8, 0.05, "a crop without the cat is still called cat"),
    "brightness": Knob("Brightness (1 ± share)", 0.9, 0.1, "day must not become night where that is the question"),
    "contrast": Knob("Contrast (1 ± share)", 0.9, 0.1, "nothing is left at contrast 0"),
    "hue": Knob("Hue (± share of the colour circle)", 0.5, 0.02, "a green tomato is not a ripe one"),
    "noise": Knob("Noise (deviation, gray levels, at most)", 100.0, 5.0, "too much and only noise is learnt"),
    "erase": Knob("Erase (share of the side, at most)", 0.9, 0.05, "the part that tells must not always be hidden"),
}
PHOTO = Augmentation(mirror=0.5, rotate=15, crop=0.3, brightness=0.3, hue=0.04)
DIGITS = Augmentation(rotate=10, scale=0.1, translate=0.13)
TRIALS = {"made for digits": DIGITS, "mirror and half turns": Augmentation(mirror=0.5, rotate=180)}
OWN = "the one built above"


def formula() -> None:
    """Why more data are needed, and what augmentation changes about learning."""
    st.markdown("**Why more data?** Classification is hard: a cat is a cat from every side, near and far, by day and "
                "by night, half hidden, and a network has to have met all that. But every label costs somebody's time: "
                f"{labelling(1_281_167, 5)}. A changed picture costs nothing and keeps its label.")
    st.latex(r"\min_\theta \; \frac1N \sum_{i=1}^N \, \mathbb{E}_{\textcolor{#0d7a56}{T}}\,"
             r"L\big(f_\theta(\textcolor{#0d7a56}{T}(x_i)),\, y_i\big)")
    st.caption("$\\mathbb{E}_T$ is the mean over all that may be done to a picture. Training meets it one draw at a "
               "time: $T$ is drawn anew whenever a picture is seen. The label $y$ stays, the picture $x$ changes: the "
               "network is told what must not matter.",
               text_alignment="center")


def labelling(pictures: int, seconds: float) -> str:
    """What naming so many pictures takes, in words; a working year has 220 days of 8 hours.

    >>> labelling(1_281_167, 5)
    "at 5 seconds each, naming ImageNet's 1\u202f281\u202f167 training photos is 1\u202f779 hours, a full year's work"
    """
    hours = pictures * seconds / 3600
    years = hours / (220 * 8)
    return (f"at {number(seconds)} seconds each, naming ImageNet's {count(pictures)} training photos is "
            f"{count(round(hours))} hours, " + ("a full year's work" if 0.9 <= years < 1.1 else
                                                f"{number(years, 2)} years of work"))


class Pipeline:
    """The controls of a pipeline: its steps, how much of each in so many columns, and how pictures are mixed."""

    def __init__(self, begin: Callable[[], Augmentation], columns: int = 3) -> None:
        self._begin, self._columns = begin, columns

    def groups(self) -> lesson.Groups:
        return self._steps, [partial(self._column, k) for k in range(self._columns)], self._mixing

    def setting(self) -> Augmentation:
        """The pipeline, the very one that trainers take."""
        values = {name: st.session_state.get(name, self._start(name)) for name in self.chosen}
        return Augmentation(**values, **self.mixed)

    def _start(self, name: str) -> float:
        knob = KNOBS[name]
        start = getattr(self._begin(), name) or knob.step * max(1, round(knob.most / knob.step / 4))
        return round(float(start), 4)

    def _steps(self) -> None:
        chosen = st.multiselect("Steps of the pipeline", list(KNOBS), [n for n in self._begin().active if n in KNOBS],
                                key="steps", bind="query-params", disabled=links.locked())
        self.chosen = [name for name in KNOBS if name in chosen]

    def _column(self, number: int) -> None:
        for name in self.chosen[number :: self._columns]:
            knob = KNOBS[name]
            st.slider(knob.label, 0.0, knob.most, self._start(name), knob.step, key=name, bind="query-params",
                      disabled=links.locked(), help=f"Mind: {knob.caution}.")

    def _mixing(self) -> None:
        self.mixed: dict[str, float] = {}
        how = st.segmented_control("Of two pictures make one", list(SCHEMES), default="off", key="mix", required=True,
                                   bind="query-params", format_func=lambda name: SCHEMES[name],
                                   disabled=links.locked())
        if how in ("mixup", "cutmix"):
            self.mixed[how] = st.slider("α of Beta(α, α), from which λ is drawn", 0.1, 3.0, 1.0, 0.1, key="alpha",
                                        bind="query-params", disabled=links.locked(),
                                        help="Small: λ is mostly near 0 or 1. 1: every λ alike. Large: mostly halves.")


def builder(begin: Augmentation, *, columns: int = 3) -> Augmentation:
    """Draw a pipeline's controls, those of another page; returns the pipeline."""
    controls = Pipeline(lambda: begin, columns)
    for row in controls.groups():
        if callable(row):
            row()
            continue
        for group, place in zip(row, st.columns(columns), strict=True):
            with place:
                group()
    return controls.setting()


class Controls:
    """Picture, pipeline and seed."""

    def __init__(self) -> None:
        self._built = Pipeline(lambda: DIGITS if self.picture.drawing else PHOTO)

    def groups(self) -> lesson.Groups:
        return self._picture, *self._built.groups(), self._seed

    def setting(self) -> tuple[Picture, Augmentation, int]:
        return self.picture, self._built.setting(), self.seed

    def _picture(self) -> None:
        self.picture = choose_picture()

    def _seed(self) -> None:
        self.seed = int(st.number_input("Seed of the draws", 0, 9999, 0, key="seed", bind="query-params",
                                        disabled=links.locked()))


def heading() -> None:
    """What stands over the draws, whatever the controls say."""
    st.header("One picture, many pictures", anchor=False)


def gallery(setting: tuple[Picture, Augmentation, int]) -> None:
    """The picture and draws from it."""
    picture, built, seed = setting
    rng = np.random.default_rng(seed)
    small = shrunk(picture.pixels)
    draws = [built.draw(small, rng) for _ in range(DRAWS)]
    lesson.gallery([enlarged(p, SIDE) for p in (small, *draws)], ["as it is", *(f"draw {k + 1}" for k in range(DRAWS))],
                   picture.name)
    apart = np.mean([np.abs(d.astype(float) - small).mean() for d in draws])
    st.caption(f"On average a pixel of a draw is {number(round(float(apart), 1))} gray levels away from the picture's. "
               + (f"Steps: {', '.join(n for n in built.active if n in KNOBS)}, in this order."
                  if set(built.active) & set(KNOBS) else "No step is chosen, so every draw is the picture itself."))


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """A copy of at most SIDE pixels a side: a gallery shows no more."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


def mixing(picture: Picture, built: Augmentation, seed: int) -> None:
    """Two pictures, their mixtures and the labels these get."""
    if not (built.mixup or built.cutmix):
        return
    st.header("Two pictures, one label between them", anchor=False)
    st.latex(r"\tilde x = \lambda\,x_i + (1-\lambda)\,x_j, \quad \tilde y = \lambda\,y_i + (1-\lambda)\,y_j"
             if built.mixup else
             r"\tilde x = M \odot x_i + (1-M) \odot x_j, \quad \tilde y = \lambda\,y_i + (1-\lambda)\,y_j, \quad "
             r"\lambda = \text{mean of } M")
    other = next(name for name in samples.photo_names() if name != picture.name)
    first, second = (np.asarray(Image.fromarray(pixels).convert("RGB").resize((SIDE, SIDE)))
                     for pixels in (picture.pixels, samples.photo(other)))
    rng = np.random.default_rng((seed, 1))
    found: list[np.ndarray] = []
    labels: list[str] = []
    while len(found) < 4:  # of a mini-batch of two, the draws in which they met
        mixed = built.mix(np.stack([first, second]), rng)
        if mixed.partner[0] == 1:
            found.append(mixed.x[0])
            labels.append(label(mixed.share, picture.name, other))
    lesson.gallery([first, *found], [picture.name, *labels], "Picture and label")
    st.caption("Under each mixture stands its label ỹ: the loss asks for both names, each with its share"
               + ("." if built.mixup else " of the pixels."))


def label(share: float, name: str, other: str) -> str:
    """The label of a mixture.

    >>> label(0.25, "cat", "coffee")
    '0.25 cat + 0.75 coffee'
    """
    first = round(share, 2)
    return f"{number(first)} {name} + {number(round(1 - first, 2))} {other}"


@st.fragment
@frame.guarded("Predict first")
def predict() -> None:
    """How many pictures one picture can become, counted."""
    reach = st.slider("Shift by up to so many pixels", 0, 8, 4, key="reach", bind="query-params",
                      disabled=links.locked())
    side = 2 * reach + 1
    answer = 2 * side * side
    lesson.predict(
        f"a picture is mirrored or not, and shifted by up to {reach} pixels left, right, up and down. How many "
        "different pictures can one become?",
        sorted({answer, side * side, 2 * side, 2 * reach * reach, 4 * side}), answer,
        f"{side} shifts across times {side} down times 2 for the mirror: {side} · {side} · 2 = {count(answer)}. "
        "They are no new cats, though: what augmentation cannot do is show a cat never seen.",
        key=f"guess-{reach}", format_func=count)


@st.fragment
@frame.guarded("With and without")
def ablation(built: Augmentation) -> None:
    """With and without, on few digits, live."""
    st.header("Does it help?", anchor=False)
    st.markdown("The same CNN learns from few handwritten digits twice: always the same pictures, and a fresh draw of "
                "each every time. Mirror the digits, too, and see what a pipeline that lies about labels does.")
    locked = links.locked()
    first, second, third = st.columns(3)
    few = first.select_slider("Digits to learn from", (60, 100, 200, 500), 100, key="samples", bind="query-params",
                              disabled=locked)
    epochs = second.slider("Epochs", 10, 60, 60, 10, key="epochs", bind="query-params", disabled=locked)
    which = third.selectbox("Pipeline", [*TRIALS, OWN], key="trial", bind="query-params", disabled=locked)
    pipeline = TRIALS[which].to_dict() if which in TRIALS else built.to_dict()
    steps = ", ".join(f"{name} {number(value)}" for name, value in pipeline.items())
    st.caption(f"Augmented with {steps or 'nothing'}.")
    request = {"experiment": "augmentation", "epochs": epochs, "samples": few, "batch_size": 10, "augment": pipeline}
    experiment.show(RunSpec("experiment", request, 0, "augmentation"), button="Train both", draw=result)


def result(view: RunView) -> None:
    """Both curves so far, and the difference at the end."""
    classes, total = (view.started.classes, view.started.total_epochs) if view.started else ((), 2)
    left, right = st.columns(2)
    epochs = total // len(classes)
    left.plotly_chart(contest.accuracy_curves(view.measured, classes, epochs, of="train"), config=CONFIG,
                      key=f"train-{view.run_id}", alt="Accuracy on digits it learns from")
    right.plotly_chart(contest.accuracy_curves(view.measured, classes, epochs), config=CONFIG,
                       key=f"test-{view.run_id}", alt="Accuracy on digits never seen")
    if view.state == "completed":
        learnt = {m.contestant: m.train_accuracy for m in view.measured}["augmented"]
        st.success(told(experiment.right_answers(view), learnt), icon=":material/fact_check:")


def told(right: Mapping[str, tuple[int, int]], learnt: float) -> str:
    """What the two networks came to: how many digits each named rightly, of how many.

    `learnt` is the share of its own pictures, as they are, that the augmented network names rightly: one that has not
    learnt them yet may need more epochs, one that has may have been taught what is not so.

    >>> told({"as they are": (320, 355), "augmented": (345, 355)}, 1.0)[-21:]
    'This pipeline helped.'
    """
    (plain, n), (augmented, m) = right["as they are"], right["augmented"]
    said = interval.compared(augmented / m, m, plain / n, n)
    meaning = "" if interval.chance(augmented, m, plain, n) else (
        " This pipeline helped." if augmented / m > plain / n else
        " This pipeline did harm: it changes what matters, or too much." if learnt > 0.97 else
        f" It names {percent(learnt)} of its own pictures rightly so far: with fresh draws there is more to learn, so "
        "give it more epochs, or a pipeline that changes less.")
    return (f"On {counted(n, 'digit')} never seen: {percent(plain / n)} without, {percent(augmented / m)} with "
            f"augmentation. That is {said}.{meaning}")


def in_code(built: Augmentation) -> None:
    """The pipeline as the trainers take it, and a mirror in three libraries."""
    lesson.in_code({"The pipeline": PIPELINE.format(arguments=", ".join(f"{k}={v:g}" for k, v in
                                                                        built.to_dict().items())), **CODE},
                   "Keras has layers that draw (RandomFlip, RandomRotation, RandomTranslation): put first in a model, "
                   "they do nothing in eval mode.")


PIPELINE = """import numpy as np
from playground.datasets import samples
from playground.datasets.augmentation import Augmentation

augment = Augmentation({arguments})
drawn = augment.draw(samples.photo("cat"), np.random.default_rng(0))  # what the trainers do with every picture
print(drawn.shape, drawn.dtype)
"""
CODE = {
    "Our engine": """import numpy as np
from engine import Tensor

x = Tensor(np.arange(12.0).reshape(1, 1, 3, 4))
mirrored = x[:, :, :, ::-1]
mixed = 0.7 * x + 0.3 * mirrored
print(mirrored.numpy()[0, 0].tolist(), mixed.numpy().round(6)[0, 0, 0].tolist())
""",
    "PyTorch": """import torch

x = torch.arange(12, dtype=torch.float64).reshape(1, 1, 3, 4)
mirrored = x.flip(-1)
mixed = 0.7 * x + 0.3 * mirrored
print(mirrored.numpy()[0, 0].tolist(), mixed.numpy().round(6)[0, 0, 0].tolist())
""",
    "Keras": """import keras
import numpy as np

x = np.arange(12.0).reshape(1, 3, 4, 1)  # Keras puts the channels last
mirrored = keras.ops.convert_to_numpy(keras.ops.flip(x, axis=2))
mixed = 0.7 * x + 0.3 * mirrored
print(mirrored[0, :, :, 0].tolist(), mixed.round(6)[0, 0, :, 0].tolist())
""",
}
