"""Batch norm in a network: before the activation or after it, a race with and without, the model of the slides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine import Tensor, layers, no_grad
from engine import functional as F
from playground.deploy import interval
from playground.figures import contest, style
from playground.network.build import build
from playground.network.code import code
from playground.network.edits import Edit, edited
from playground.network.kind import SAME
from playground.network.parts import Network
from playground.network.presets import preset
from playground.numbers import count, counted, number, percent
from playground.training.runs.runs import RunSpec, RunView
from playground.ui import frame, links
from playground.ui.lessons.batch_norm import CHANNELS, Setting, digits
from playground.ui.parts import lesson
from playground.ui.studio import experiment

SLIDES, PADDED = "as on the slides", "padded, with max pooling"
TAKES = (1, 8, 8)
"""What the slides' model takes here: a digit."""


@dataclass(frozen=True)
class Silent:
    """How many channels, and how many units (a channel at one place), are never or always on in a mini-batch."""

    channels: int
    channels_never: int
    channels_always: int
    units: int
    never: int
    always: int


def silent(on: np.ndarray) -> Silent:
    """Counted over the pictures of a mini-batch: on, bool (N, C, H, W), says where a ReLU passes something on.

    >>> silent(np.array([[[[True, False]]], [[[True, True]]]]))
    Silent(channels=1, channels_never=0, channels_always=0, units=2, never=0, always=1)
    """
    never, always = np.asarray(~on.any(axis=0)), np.asarray(on.all(axis=0))
    return Silent(len(never), int(never.all(axis=(1, 2)).sum()), int(always.all(axis=(1, 2)).sum()), never.size,
                  int(never.sum()), int(always.sum()))


def order(setting: Setting) -> None:
    """Before the activation, or after it."""
    st.header("Before the activation, or after?", anchor=False)
    z = Tensor(setting.z)
    with no_grad():
        normalized = layers.BatchNorm2d(CHANNELS)(z)
        versions = {"ReLU alone": (z, F.relu(z)),
                    "batch norm, then ReLU (the slides)": (normalized, F.relu(normalized)),
                    "ReLU, then batch norm": (z, layers.BatchNorm2d(CHANNELS)(F.relu(z)))}
    rows, found = [], {}
    for name, (before, version) in versions.items():
        values, found[name] = version.numpy()[:, setting.channel], silent(before.numpy() > 0)
        rows.append({"order": name, "above 0 before the ReLU (%)": round(
                         100 * float((before.numpy()[:, setting.channel] > 0).mean()), 1),
                     "mean": round(float(values.mean()), 3) + 0.0, "variance": round(float(values.var()), 3),
                     "units never on": found[name].never, "units always on": found[name].always})
    st.dataframe(rows, hide_index=True)
    alone, first = list(found.values())[:2]
    st.caption(f"Mean, variance and the share above 0 are of channel {setting.channel}; units, a channel at a place, "
               f"are counted over all {CHANNELS} channels. {told_silent(alone, first, setting.size)}")


def told_silent(alone: Silent, first: Silent, size: int) -> str:
    """What batch norm before the ReLU does to channels and to units, in its own numbers."""
    dead = first.channels_never + first.channels_always
    channels = ("Normalized before, no channel is dead and none always on" if not dead else
                f"Normalized before, {first.channels_never} of {first.channels} channels are dead and "
                f"{first.channels_always} always on")
    before = f"without it {alone.channels_never} and {alone.channels_always} of {alone.channels} are"
    if size == 1:
        return (f"{channels} ({before}). With one picture in the mini-batch every unit is either on or off; choose "
                "more to see which are always so.")
    return (f"{channels} ({before}). That is not true of **units**: of {count(first.units)}, {count(first.never)} are "
            f"never on in this mini-batch and {count(first.always)} always ({count(alone.never)} and "
            f"{count(alone.always)} without), since γ and β belong to a channel, not to a place.")


@st.fragment
@frame.guarded("The race")
def race() -> None:
    """A deep CNN with and without, at several learning rates."""
    st.header("Race", anchor=False)
    st.markdown("Eight convolutions deep, with batch norm and without, on the same digits and from the same first "
                "weights. (Batch norm's β takes the place of the convolutions' biases.)")
    locked = links.locked()
    left, right = st.columns(2)
    rates = left.multiselect("Learning rates", [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1], [0.001, 0.01], key="rates",
                             bind="query-params", max_selections=3, disabled=locked)
    epochs = right.slider("Epochs", 4, 20, 10, key="epochs", bind="query-params", disabled=locked)
    if not rates:
        st.info("Choose at least one learning rate.")
        return
    request = {"experiment": "batch-norm-race", "epochs": epochs, "samples": 300, "rates": sorted(rates)}
    experiment.show(RunSpec("experiment", request, 0, "batch-norm-race"), button="Start the race", draw=result)


def result(view: RunView) -> None:
    """Curves so far, and who was faster."""
    names, total = (view.started.classes, view.started.total_epochs) if view.started else ((), 2)
    epochs = total // len(names)
    left, right = st.columns(2)
    left.plotly_chart(contest.loss_curves(view.measured, names, epochs), config=style.CONFIG,
                      key=f"loss-{view.run_id}", alt="Training loss")
    right.plotly_chart(contest.accuracy_curves(view.measured, names, epochs), config=style.CONFIG,
                       key=f"test-{view.run_id}", alt="Accuracy on digits never seen")
    if view.state == "completed":
        lost = [name for name in names if sum(m.contestant == name for m in view.measured) < epochs]
        st.success(told(experiment.right_answers(view), view.spec.request["rates"], lost), icon=":material/fact_check:")


def told(right: Mapping[str, tuple[int, int]], rates: Sequence[float], lost: Sequence[str]) -> str:
    """With against without at every learning rate: how many digits each named rightly, of how many; who diverged."""
    said = []
    for rate in rates:
        pair = [f"{name}, rate {rate:g}" for name in ("with", "without")]
        diverged = [name.split(",")[0] for name in pair if name in lost]
        if diverged:
            said.append(f"At rate {number(rate)} the network {' and the one '.join(diverged)} batch norm diverged.")
            continue
        (yes, n), (no, m) = right[pair[0]], right[pair[1]]
        said.append(f"At rate {number(rate)} it reads {percent(yes / n)} of the digits never seen with batch norm and "
                    f"{percent(no / m)} without: {interval.compared(yes / n, n, no / m, m)}.")
    return " ".join(said)


def slides_model(setting: Setting) -> None:
    """The model of the slides as our Sequential, run forward and backward."""
    st.header("The model of the slides", anchor=False)
    chosen = st.segmented_control("Model", (SLIDES, PADDED), default=SLIDES, key="model", bind="query-params",
                                  required=True, disabled=links.locked(), label_visibility="collapsed") or SLIDES
    model = keras_like(np.random.default_rng(setting.seed), padded=chosen == PADDED)
    x = Tensor(digits(setting.size, setting.seed).astype(np.float32))
    y = model(x) if setting.size > 1 else None
    table = layers.summary(model, TAKES)
    norms: dict[str, float] = {}
    if y is not None:
        F.binary_cross_entropy(y, np.ones(y.shape, np.float32)).backward()
        for name, p in model.named_parameters():
            place = name.split(".")[0]
            if p.grad is not None:
                norms[place] = norms.get(place, 0.0) + float((p.grad.astype(np.float64) ** 2).sum())
    st.dataframe(
        [{"layer": row.layer, "output": " × ".join(map(str, row.output_shape)), "parameters": row.parameters,
          "length of its gradient": number(norms[str(k)] ** 0.5, 3) if str(k) in norms else ""}
         for k, row in enumerate(table.rows)], hide_index=True, height="content", row_height=29)
    st.caption(difference() + " " + (
        f"Untrained, it gives {', '.join(f'{v:.2f}' for v in y.numpy().ravel()[:6])}{' …' if setting.size > 6 else ''} "
        "for this mini-batch; the gradients are those of one backward pass against the answer 1." if y is not None else
        "With one picture in the mini-batch its second batch norm, after the dense layer, cannot train: choose 2 or "
        "more."))


def difference() -> str:
    """What padding and pooling change about the model of the slides, for digits of 8 × 8."""
    rng = np.random.default_rng(0)
    slides, padded = (layers.summary(keras_like(rng, padded=padded), TAKES).parameters for padded in (False, True))
    return (f"The slides' convolution has Keras' own padding, “valid”: 8 × 8 pixels become 6 × 6, and with "
            f"{counted(slides, 'number')} to learn nearly all of them stand in the first dense layer. Padded, the size "
            f"stays 8 × 8; max pooling then halves it to 4 × 4, and {counted(padded, 'number')} are left.")


def slides_network(*, padded: bool = False) -> Network:
    """The slides' Keras model for pictures of 8 × 8 and two classes.

    Padded: the convolution keeps the size, and max pooling halves it before Flatten.

    >>> len(slides_network()), [one.kind for one in slides_network(padded=True).parts][:4]
    (9, ['conv', 'batch_norm', 'relu', 'max_pool'])
    """
    network = preset("slides").network(TAKES, 2)
    if padded:
        network = edited(network, Edit("set", (0,), name="padding", value=SAME))
        network = edited(network, Edit("insert", (3,), "p2"))
    return network


def keras_like(rng: np.random.Generator, *, padded: bool = False) -> layers.Sequential:
    """The slides' model in our engine, with Keras' momentum and epsilon; see `slides_network`."""
    return build(slides_network(padded=padded), TAKES, rng)


def model_code(library: str) -> str:
    """The lines that make the slides' model, without their imports: "engine", "torch" or "keras"."""
    return code(slides_network(), TAKES, library).partition("\n\n")[2].rstrip()


def in_code() -> None:
    """The layer and the slides' model in three libraries."""
    lesson.in_code(CODE, NOTE)


NOTE = ("Keras counts momentum the other way: its 0.9 is the 0.1 of PyTorch and of our engine. Left to itself it takes "
        "momentum 0.99 and epsilon 0.001 where the others take 0.1 (its 0.9) and 0.00001: other numbers, so for the "
        "slides' model the others are told momentum=0.01 and eps=0.001. And it keeps the variance divided by N where "
        "the others divide by N − 1: after training, eval mode differs a little.")
CODE = {
    "Our engine": f"""import numpy as np
from engine import Tensor
from engine import layers as nn

z = Tensor(np.arange(24.0).reshape(2, 3, 2, 2))
norm = nn.BatchNorm2d(3)
trained = norm(z).numpy()
print(trained.mean().round(4) + 0.0, trained.std().round(4), [round(float(m), 4) for m in norm.running_mean])

{model_code("engine")}
print(sum(p.size for p in model.parameters()))
""",
    "PyTorch": f"""import torch
from torch import nn

z = torch.arange(24, dtype=torch.float64).reshape(2, 3, 2, 2)
norm = nn.BatchNorm2d(3, dtype=torch.float64)
trained = norm(z).detach().numpy()
print(trained.mean().round(4) + 0.0, trained.std().round(4), [round(float(m), 4) for m in norm.running_mean])

{model_code("torch")}
print(sum(p.numel() for p in model.parameters()))
""",
    "Keras": f"""import keras
import numpy as np
from keras import layers

z = np.arange(24.0).reshape(2, 3, 2, 2)
norm = layers.BatchNormalization(axis=1, momentum=0.9, epsilon=1e-5, dtype="float64")
trained = keras.ops.convert_to_numpy(norm(z, training=True))
running_mean = keras.ops.convert_to_numpy(norm.moving_mean)
print(trained.mean().round(4) + 0.0, trained.std().round(4), [round(float(m), 4) for m in running_mean])

{model_code("keras")}
print(sum(int(np.prod(w.shape)) for w in model.trainable_weights))
""",
}
