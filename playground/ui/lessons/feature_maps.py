"""The parts of the page on feature maps: any model, any layer, one number, its window, and a class's gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import streamlit as st

from playground.datasets.preprocessing import Preprocessing
from playground.deploy import registry, session
from playground.deploy.engine_maps import Inside, Layer, look_inside, receptive_field, saliency, taken_apart
from playground.deploy.registry import Entry
from playground.figures import bars, style
from playground.figures.maps import enlarged, signed_map
from playground.figures.matrix import matrix
from playground.numbers import counted, number
from playground.ui import frame, links
from playground.ui.parts import camera, lesson
from playground.ui.parts.image_input import Picture, choose_picture
from playground.ui.studio import models, pretrained

MOST_MAPS = 23
MOST_CHANNELS = 40
_LEFT = "feature-maps-left"
"""Set in the session when another layer was chosen, until a place in it is."""


@dataclass(frozen=True)
class Setting:
    """The model, the picture, and everything the engine computed of it."""

    entry: Entry
    picture: Picture
    preparation: Preprocessing
    inside: Inside
    layer: Layer

    @property
    def seen(self) -> np.ndarray:
        """What the network sees, as a picture again: uint8 (H, W, 3)."""
        return self.preparation.pictured(self.inside.prepared)

    @cached_property
    def strength(self) -> np.ndarray:
        """The mean magnitude of every map of the layer."""
        return np.asarray(np.abs(self.layer.values).mean(axis=(1, 2)))


def formula() -> None:
    """What a map is."""
    st.latex(r"z_f = b_f + \sum_c w_{f,c} \star a_c, \qquad a_f = \varphi(z_f)")
    st.caption("Each filter $f$ of a convolution answers with a map $z_f$. Activations $\\varphi$, such as ReLU, are "
               "layers of their own in the list below; their maps $a_f$ are the channels of the next convolution.",
               text_alignment="center")


def network() -> Setting | None:
    """Model, picture and layer, and the layer's maps; without a model, the ways to one."""
    with camera.Live() as live:
        setting = controls(live)
        if setting is not None:
            gallery(setting)
    return setting


def controls(live: camera.Live) -> Setting | None:
    """Model, picture and layer; without a model, the ways to one."""
    entries = {entry.name: entry for entry in registry.entries()}
    if not entries:
        models.empty()
    if pretrained.exported_entry() is None:
        with st.expander("Or look into a network that knows a thousand things", expanded=not entries):
            pretrained.offer()
    if not entries:
        return None
    left, right = st.columns(2)
    with left:
        name = st.selectbox("Model", list(entries), key="model", bind="query-params", disabled=links.locked(),
                            on_change=_leave_place)
        entry = entries[name]
        picture = choose_picture(models.first_picture(entry), live=live)
    preparation = Preprocessing.from_dict(entry.card["preprocessing"])
    if picture.live:
        inside = look_inside(entry.onnx, preparation, picture.pixels)  # the next is on its way: nothing to keep
    else:
        inside = looked(str(entry.onnx), entry.onnx.stat().st_mtime_ns, preparation, picture.pixels)
    with right:
        titles = [layer.title for layer in inside.layers]
        title = st.selectbox("Layer", titles, key="layer", bind="query-params", disabled=links.locked(),
                             on_change=_leave_place)
        classifier = session.open_classifier(entry.onnx)
        said = classifier.predict([picture.pixels])[0]
        st.plotly_chart(bars.probability_bars(said.labels, said.probabilities.tolist(), most=3), config=style.CONFIG,
                        key="says", alt="What the network says of the picture")
        apart = float(np.abs(inside.logits - said.logits).max())
        st.caption(f"{frame.literal(entry.name)} in onnxruntime. Below, our engine runs the same file, layer by layer; "
                   f"its scores differ by {number(apart, 3)}.")
    return Setting(entry, picture, preparation, inside, inside.layers[titles.index(title)])


def _leave_place() -> None:
    """Another layer has other maps: its strongest map and the strongest place of it come first."""
    st.session_state[_LEFT] = True


@st.cache_resource(max_entries=6, show_spinner="The engine runs the network …")
def looked(path: str, version: int, _preparation: Preprocessing, pixels: np.ndarray) -> Inside:
    """The network's maps for a picture, kept for the next redraw. Nobody changes them."""
    return look_inside(Path(path), _preparation, pixels)


def gallery(setting: Setting) -> None:
    """The layer's maps, strongest first; while they follow a camera, each in its place."""
    values, strength = setting.layer.values, setting.strength
    order = np.argsort(-strength, kind="stable")
    limit = style.signed_limit(np.percentile(np.abs(values), 99.5))
    live = setting.picture.live
    shown = np.arange(len(values))[:MOST_MAPS] if live else order[:MOST_MAPS]
    st.header(setting.layer.title, anchor=False)
    side = 96
    lesson.gallery([enlarged(setting.seen, side), *(enlarged(signed_map(values[f], limit), side) for f in shown)],
                   ["the picture", *(str(f) for f in shown)],
                   ["The picture as the network sees it", *(f"Feature map {f}" for f in shown)], width=side)
    which = f"first {len(shown)}" if live else f"{len(shown)} strongest"
    st.caption(f"The {which} of {len(values)} maps{'' if live else ', by their mean magnitude'}; orange "
               f"above 0, blue below, full colour from ±{number(limit, 3)} on. The strongest filters: "
               + ", ".join(f"{f} ({number(strength[f], 3)})" for f in order[:5]) + ".")


def predict(setting: Setting) -> None:
    """How much of the picture one number sees, computed from the graph."""
    height, width = setting.layer.values.shape[1:]
    top, bottom, left, right = receptive_field(setting.inside, setting.layer.output, height // 2, width // 2)
    full = setting.inside.prepared.shape[1:]
    tall, wide = bottom - top + 1, right - left + 1
    answer = f"{tall} × {wide}"
    others = {f"{full[0]} × {full[1]}", "1 × 1", "3 × 3", f"{max(1, tall // 2)} × {max(1, wide // 2)}"}
    lesson.predict(
        f"the network sees {full[0]} × {full[1]} pixels. How many of them can reach the middle number of a map of "
        f"layer {setting.layer.title.split(':')[0]}?",
        sorted({answer, *others}, key=lambda text: int(text.split(' ')[0])), answer,
        "Each 3 × 3 convolution adds a pixel on every side, times all strides before it; pooling and strides make the "
        "steps larger. This is the receptive field, outlined below.",
        key=f"guess-{setting.entry.name}-{setting.layer.title}")


@st.fragment
@frame.guarded("From the map to one number")
def one_number(setting: Setting) -> None:
    """From a map to one of its numbers, to what it saw, to its multiply-adds."""
    st.header("From the map to one number", anchor=False)
    values = setting.layer.values
    count, height, width = values.shape
    locked, strongest = links.locked(), int(np.argmax(setting.strength))
    anew = bool(st.session_state.pop(_LEFT, False))
    _into({"map": (count, strongest)}, anew)
    first, second, third = st.columns(3)
    f = int(first.number_input("Map", 0, count - 1, strongest, key="map", bind="query-params", disabled=locked))
    peak = np.unravel_index(int(np.abs(values[f]).argmax()), (height, width))
    _into({"p": (height, int(peak[0])), "q": (width, int(peak[1]))}, anew)
    p = min(second.slider("Row", 0, max(height - 1, 1), int(peak[0]), key="p", bind="query-params", disabled=locked),
            height - 1)
    q = min(third.slider("Column", 0, max(width - 1, 1), int(peak[1]), key="q", bind="query-params", disabled=locked),
            width - 1)
    top, bottom, left, right = receptive_field(setting.inside, setting.layer.output, p, q)
    gray = setting.seen @ np.array([0.299, 0.587, 0.114])
    a, b = st.columns(2)
    a.plotly_chart(matrix(np.rint(gray), frame=(top, left, bottom - top + 1, right - left + 1)), config=style.CONFIG,
                   key="field", alt="The picture with the receptive field outlined")
    b.plotly_chart(matrix(values[f], symbol="a", scale="signed", frame=(p, q, 1, 1)), config=style.CONFIG,
                   key="map-figure", alt="The map with one number outlined")
    st.caption(f"Map {f}, row {p}, column {q}: **{number(values[f, p, q])}**. It can see rows {top} to {bottom} and "
               f"columns {left} to {right} of what the network sees, {bottom - top + 1} × {right - left + 1} pixels.")
    if setting.layer.op == "Conv":
        multiply_adds(setting.layer, f, p, q)
    else:
        st.caption("A layer without weights: choose a convolution to see multiply-adds.")


def _into(places: Mapping[str, tuple[int, int]], anew: bool) -> None:
    """Take numbers in the session into a layer's range, by key (how many there are, the one to begin with)."""
    for key, (count, first) in places.items():
        if key in st.session_state:
            fits = first if anew else min(max(int(st.session_state[key]), 0), count - 1)
            if fits != st.session_state[key]:  # else the page would write what it says into its address
                st.session_state[key] = fits


def multiply_adds(layer: Layer, f: int, p: int, q: int) -> None:
    """The products of one number, channel by channel."""
    products = taken_apart(layer, f, p, q)
    sums = products.by_channel
    order = np.argsort(-np.abs(sums), kind="stable")
    c = int(order[0])
    channels, kh, kw = products.weights.shape
    st.markdown(f"**Its multiply-adds:** {counted(channels, 'channel')} × {kh} × {kw} = "
                f"{counted(channels * kh * kw, 'product')} and a bias.")
    st.latex(rf"\begin{{aligned}} a &= b + \sum_c \sum_{{i,j}} w_{{c,i,j}}\, x_{{c,i,j}} \\ &= {products.bias:.4f} + "
             rf"({sums.sum():.4f}) = {products.bias + sums.sum():.4f} \end{{aligned}}")
    if channels > 1:
        shown = np.sort(order[:MOST_CHANNELS])
        st.plotly_chart(bars.signed_bars(shown.tolist(), sums[shown].tolist(),
                                         titles=("input channel", "sum of its products")),
                        config=style.CONFIG, key="channels", alt="Sum of products of each input channel")
        if channels > MOST_CHANNELS:
            st.caption(f"The {MOST_CHANNELS} channels that count most.")
    limit = style.signed_limit(products.window[c] * products.weights[c])
    for column, (name, values, own) in zip(st.columns(3), (
        ("input", products.window[c], None), ("weights", products.weights[c], None),
        ("products", products.window[c] * products.weights[c], limit),
    ), strict=True):
        column.markdown(f"{name}, channel {c}")
        column.plotly_chart(matrix(values, symbol=name, scale="signed", limit=own, width=300), config=style.CONFIG,
                            key=f"window-{name}", alt=f"{name} of the strongest channel")


def gradient(setting: Setting) -> None:
    """Which pixels a class's score depends on."""
    st.header("Which pixels matter", anchor=False)
    st.latex(r"S[r,c] = \max_{\text{channel}} \left| \frac{\partial\, \text{score}}{\partial x[r,c]} \right|")
    labels = session.open_classifier(setting.entry.onnx).labels
    best = np.argsort(-setting.inside.logits, kind="stable")[:5]
    name = st.selectbox("Score of", [labels[k] for k in best], key=f"class-{setting.entry.name}-{setting.picture.name}",
                        disabled=links.locked())
    k = next(int(k) for k in best if labels[k] == name)
    found = mattering(setting.inside, str(setting.entry.onnx), hash(setting.picture.pixels.tobytes()), k)
    strength = np.abs(found).max(axis=0)
    top = float(np.percentile(strength, 99.5)) or 1.0
    drawn = np.rint(255 * np.clip(strength / top, 0, 1)).astype(np.uint8)
    lesson.gallery([enlarged(setting.seen, 320), enlarged(drawn, 320)],
                   ["what the network sees", f"gradient of “{frame.literal(name)}”"], width=320)
    st.caption(f"White from {number(top, 2)} on: there a small change of the pixel changes the score most. Computed by "
               "walking our engine's tape back from the score to the pixels (Simonyan et al., 2013).")


@st.cache_data(max_entries=32, show_spinner="The engine walks back …")
def mattering(_inside: Inside, path: str, picture: int, label: int) -> np.ndarray:
    """The gradient, kept for the next redraw."""
    return saliency(_inside, label)


def in_code() -> None:
    """Maps and a gradient in three libraries."""
    lesson.in_code(CODE, "With the file of a model: `onnx_to_engine(onnx.load(path)).steps(photo[None])` yields every "
                         "layer.")


CODE = {
    "Our engine": """import numpy as np
from engine import Tensor
from engine import functional as F

x = Tensor(np.arange(25.0).reshape(1, 1, 5, 5) % 4, requires_grad=True)
w = np.arange(18.0).reshape(2, 1, 3, 3) % 5 - 2
maps = F.relu(F.conv2d(x, w))
score = maps.mean((2, 3))[0, 1]
score.backward()
print(maps.numpy().sum((0, 2, 3)).tolist(), x.grad[0, 0].round(4).tolist())
""",
    "PyTorch": """import torch
from torch.nn import functional as F

x = (torch.arange(25, dtype=torch.float64).reshape(1, 1, 5, 5) % 4).requires_grad_()
w = torch.arange(18, dtype=torch.float64).reshape(2, 1, 3, 3) % 5 - 2
maps = F.relu(F.conv2d(x, w))
score = maps.mean((2, 3))[0, 1]
score.backward()
print(maps.sum((0, 2, 3)).tolist(), x.grad[0, 0].numpy().round(4).tolist())
""",
    "Keras": """import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras leaves gradients to its backend, here to PyTorch
import keras
import numpy as np

model = keras.Sequential([keras.Input((5, 5, 1)), keras.layers.Conv2D(2, 3, activation="relu", use_bias=False),
                          keras.layers.GlobalAveragePooling2D()])
model.layers[0].set_weights([(np.arange(18.0).reshape(2, 1, 3, 3) % 5 - 2).transpose(2, 3, 1, 0)])
looker = keras.Model(model.inputs, [layer.output for layer in model.layers])  # what every layer answers
x = keras.Variable(np.arange(25.0).reshape(1, 5, 5, 1) % 4)
maps, scores = looker(x.value)
scores[0, 1].backward()
print(maps.sum((0, 1, 2)).tolist(), x.value.grad[0, :, :, 0].numpy().round(4).tolist())
""",
}
