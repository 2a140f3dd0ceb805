"""The parts of the page on the ImageNet challenge: a real network's five best answers, and what counts as right."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image, ImageFilter

from playground.datasets import samples
from playground.deploy import session
from playground.deploy.registry import Entry
from playground.deploy.session import Classifier, Prediction
from playground.figures import bars, challenge
from playground.figures.style import CONFIG
from playground.numbers import count, percent
from playground.steps.imagenet import GROUPS, HUMAN, WINNERS, group_of, members, rank
from playground.training.transfer.backbone_facts import HEAD_CHANNELS
from playground.ui import frame, links
from playground.ui.parts import camera, lesson
from playground.ui.parts.image_input import Picture, choose_picture
from playground.ui.studio import models, pretrained

TURNS = (0, 90, 180, 270)
WIDTH = 168
"""Pixels a photo of the grid: two stand side by side on a phone, five on a desk."""
OUTCOMES = ("Its best answer stays the same", "Another answer is best, the old one is still among the five",
            "The old one is no longer among the five")


@dataclass(frozen=True)
class Asked:
    """A picture as the reader changed it, and what the network says of it."""

    entry: Entry
    picture: Picture
    pixels: np.ndarray
    said: Prediction


def question() -> None:
    """What counts as right."""
    st.latex(r"\text{top-5 error} = \frac1N \sum_{i=1}^N "
             r"\big[\, y_i \notin \text{the 5 likeliest of } f(x_i) \,\big]")
    st.caption("Of $N$ photos $x_i$, the share whose label $y_i$ is not among the network's five likeliest classes.",
               text_alignment="center")


def network() -> Asked | None:
    """Picture, changes and answer; without a network, the way to one."""
    entry = pretrained.exported_entry()
    if entry is None:
        pretrained.offer()
        return None
    with camera.Live() as live:
        left, right = st.columns(2, gap="large")
        with left:
            picture = choose_picture(live=live, least=1)
            pixels = changed(picture.pixels)
            if not (picture.live and np.array_equal(pixels, picture.pixels)):
                st.image(pixels, frame.literal(picture.name), width="stretch", alt=f"Photo: {picture.name}")
        classifier = session.open_classifier(entry.onnx)
        said = answer(str(entry.onnx), entry.onnx.stat().st_mtime_ns, classifier, pixels)
        with right:
            st.markdown(f"## {said.top(1)[0][0]}, {percent(said.top(1)[0][1])}")
            st.plotly_chart(bars.probability_bars(said.labels, said.probabilities.tolist()), config=CONFIG, key="top5",
                            alt="The five likeliest classes")
            five = sum(chance for _, chance in said.top(5))
            st.caption(f"{pretrained.TITLE} in onnxruntime, from the file {entry.name}.onnx. These five share "
                       f"{percent(five)}, the other {len(said.labels) - 5} classes {percent(1 - five)}. It "
                       "cannot say “none of these”.")
            models.download(entry)
    return Asked(entry, picture, pixels, said)


@st.cache_data(max_entries=64, show_spinner=False)
def answer(path: str, version: int, _classifier: Classifier, pixels: np.ndarray) -> Prediction:
    """What onnxruntime says of a picture, kept for the next redraw."""
    return _classifier.predict([pixels])[0]


def changed(pixels: np.ndarray) -> np.ndarray:
    """The picture turned, cut, blurred or without colour, as the reader asks."""
    with st.expander("Make it harder"):
        locked = links.locked()
        turn = st.select_slider("Turned by (degrees)", TURNS, 0, key="turn", bind="query-params", disabled=locked)
        part = st.slider("Middle part (%)", 10, 100, 100, 5, key="part", bind="query-params", disabled=locked)
        blur = st.slider("Blur (radius, % of the side)", 0.0, 10.0, 0.0, 0.5, key="blur", bind="query-params",
                         disabled=locked)
        gray = st.toggle("Without colour", key="gray", bind="query-params", disabled=locked)
    image = Image.fromarray(np.ascontiguousarray(np.rot90(pixels, turn // 90)))
    width, height = image.size
    w, h = max(1, width * part // 100), max(1, height * part // 100)
    left, top = (width - w) // 2, (height - h) // 2
    image = image.crop((left, top, left + w, top + h))
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur / 100 * min(image.size)))
    if gray:
        image = image.convert("L").convert("RGB")
    return np.asarray(image)


def judge(asked: Asked) -> None:
    """The reader says what it is; top-1 and top-5 count it."""
    labels = [f"{k}: {name}" for k, name in enumerate(asked.said.labels)]
    truth = st.selectbox("What is it really?", labels, index=None, key="truth", placeholder="one of all classes",
                         disabled=links.locked())
    if truth is None:
        return
    place = rank(asked.said.probabilities, labels.index(truth))
    verdict = ("right for top-1 and for top-5" if place == 1 else "wrong for top-1, right for top-5" if place <= 5
               else "wrong for both")
    (st.success if place <= 5 else st.info)(
        f"“{truth}” is its answer number {place}: {verdict}. Over many pictures, the share of wrong ones is the error.")


def predict(asked: Asked) -> None:
    """Upside down: computed on the reader's own picture."""
    turned = np.ascontiguousarray(np.rot90(asked.pixels, 2))
    classifier = session.open_classifier(asked.entry.onnx)
    said = answer(str(asked.entry.onnx), asked.entry.onnx.stat().st_mtime_ns, classifier, turned)
    best = int(asked.said.probabilities.argmax())
    place = rank(said.probabilities, best)
    now, chance = said.top(1)[0]
    lesson.predict(
        "the picture above is turned upside down. What happens?", OUTCOMES,
        OUTCOMES[0 if place == 1 else 1 if place <= 5 else 2],
        f"Upside down it says “{now}” ({percent(chance)}); “{asked.said.labels[best]}” is number {place}. A "
        "convolution finds the same thing at another place, but not the same thing turned: that it has to learn from "
        "turned pictures.",
        key=f"guess-{asked.picture.name}-{hash(asked.pixels.tobytes())}", horizontal=False)


@frame.guarded("Five guesses each")
def examples(asked: Asked) -> None:
    """The photographs that come with the app, and the network's five guesses for each."""
    st.header("Five guesses each", anchor=False)
    classifier = session.open_classifier(asked.entry.onnx)
    with st.container(horizontal=True, gap="small"):
        for name in samples.photo_names():
            photo = samples.photo(name)
            said = answer(str(asked.entry.onnx), asked.entry.onnx.stat().st_mtime_ns, classifier, photo)
            with st.container(width=WIDTH):
                st.image(thumbnail(photo), name, width=WIDTH, alt=f"Photo: {name}")
                st.markdown("  \n".join(f"{'**' * (k == 0)}{frame.literal(guess)}, {percent(chance)}{'**' * (k == 0)}"
                                        for k, (guess, chance) in enumerate(said.top(5))))
    st.caption("Right for top-5 is who names it in five guesses. Where the thousand classes have no word for what is "
               "seen, no guess can be right.")


@st.cache_data(max_entries=16, show_spinner=False)
def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """The middle square of a photo, 2 · WIDTH pixels a side."""
    image = Image.fromarray(pixels)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.resize((2 * WIDTH,) * 2, Image.Resampling.BOX, (left, top, left + side, top + side)))


def classes(asked: Asked) -> None:
    """What the thousand classes are, and where this picture's probability went."""
    st.header("A thousand classes", anchor=False)
    st.markdown("Every answer shares 100 % among exactly these: 118 kinds of dogs, but no word for *dog*; an astronaut "
                "has to be something else.")
    p = asked.said.probabilities
    rows = [{"group": name, "classes": len(members(name)),
             "this picture (%)": round(float(100 * p[members(name)].sum()), 2)} for name in GROUPS]
    left, right = st.columns([2, 3])
    left.dataframe(rows, hide_index=True, height="content", row_height=29)
    right.dataframe(
        [{"class": k, "name": name, "group": group_of(k), "this picture (%)": round(float(100 * p[k]), 3)}
         for k, name in sorted(enumerate(asked.said.labels), key=lambda entry: -p[entry[0]])],
        hide_index=True, height=380, row_height=29)
    right.caption("Click a column's head to sort; the lens above the table searches.")


def history() -> None:
    """The winners' errors."""
    st.header("The challenge", anchor=False)
    st.markdown("1.28 million training photographs, a thousand classes, five guesses: from 2012 to 2017 every winner "
                "was a convolutional network, and the error fell below that of a person.")
    st.plotly_chart(challenge.winners(WINNERS, HUMAN), config=CONFIG, key="winners",
                    alt="Top-5 error of the winners from 2010 to 2017")
    st.caption("Published results, not measured here: ILSVRC 2010 to 2017, image-net.org; the person's error: "
               "Russakovsky et al., 2015. Hatched: before convolutional networks.")


def published() -> None:
    """Open implementations and weights, and what they are good for."""
    st.header("Nobody has to begin again", anchor=False)
    known, new = (classes * (HEAD_CHANNELS + 1) for classes in (sum(len(members(name)) for name in GROUPS), 2))
    st.markdown("Such a network learns for weeks on many GPUs: the winner of 2012 five to six days on two, VGG in "
                "2014 two to three weeks on four. But code and learnt weights are published, for PyTorch, for Keras, "
                "as ONNX, so nobody has to repeat it. They are a better **initialization** than random numbers, also "
                "for other pictures: edges, textures and parts are the same everywhere. That is *transferring the "
                "knowledge*.")
    st.markdown("Only the **last layer** cannot stay. It has one output a class, and your question has another number "
                "of classes. Or it asks for another kind of answer, and so for another activation: softmax shares "
                "100 % among classes, a sigmoid says yes or no to each, a quantity needs none.")
    st.caption(f"In {pretrained.TITLE} the last layer has {count(known)} parameters, {count(HEAD_CHANNELS)} weights "
               f"and a bias a class; for two classes {count(new)} new ones take their place. Training times: "
               "Krizhevsky et al., 2012; Simonyan & Zisserman, 2014.")
    frame.link("transfer", "Transfer it to your photos")


def in_code() -> None:
    """The same answer elsewhere."""
    lesson.in_code(CODE, "imagenet.onnx is the file that is downloaded above.")


CODE = {
    "onnxruntime": """import json
import onnxruntime as ort
from skimage import data

session = ort.InferenceSession("imagenet.onnx")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
photo = data.chelsea()  # the cat: uint8 (H, W, 3)
(chances,) = session.run(["probabilities"], {"image": photo[None]})
for k in chances[0].argsort()[::-1][:5]:
    print(labels[k], round(float(chances[0][k]), 3))
""",
    "Our engine": """import json
import onnx
from skimage import data
from playground.deploy.engine_backend import onnx_to_engine

file = onnx.load("imagenet.onnx")
labels = json.loads({entry.key: entry.value for entry in file.metadata_props}["labels"])
photo = data.chelsea()  # the cat: uint8 (H, W, 3)
_, chances = (output.numpy() for output in onnx_to_engine(file)(photo[None]))
for k in chances[0].argsort()[::-1][:5]:
    print(labels[k], round(float(chances[0][k]), 3))
""",
    "PyTorch": """import torch
from skimage import data
from playground.training.transfer import backbones

network = backbones.pretrained("efficientnet_lite0")  # a torch.nn.Module, in eval mode
labels = backbones.imagenet_labels()
photo = backbones.find("efficientnet_lite0").preprocessing().apply(data.chelsea())  # the cat: float32 (3, 224, 224)
with torch.no_grad():
    chances = network(torch.from_numpy(photo)[None]).softmax(1)[0]
for k in chances.argsort(descending=True)[:5]:
    print(labels[k], round(float(chances[k]), 3))
""",
    "Keras": """import os

os.environ["KERAS_BACKEND"] = "torch"  # the weights are PyTorch's
import keras
from skimage import data
from playground.training.transfer import backbones

# Keras' own networks are in keras.applications; they download their weights, EfficientNetB0() for one
network = keras.Sequential([
    keras.layers.TorchModuleWrapper(backbones.pretrained("efficientnet_lite0")), keras.layers.Softmax()])
labels = backbones.imagenet_labels()
photo = backbones.find("efficientnet_lite0").preprocessing().apply(data.chelsea())  # the cat: float32 (3, 224, 224)
chances = network.predict(photo[None], verbose=0)[0]
for k in chances.argsort()[::-1][:5]:
    print(labels[k], round(float(chances[k]), 3))
""",
}
