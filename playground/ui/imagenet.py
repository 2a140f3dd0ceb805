"""The parts of the page on the ImageNet challenge: a real network's five best answers, and what counts as right."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image, ImageFilter

from playground.deploy import session
from playground.deploy.session import Classifier, Prediction
from playground.deploy.shelf import Entry
from playground.figures import bars, challenge
from playground.figures.style import CONFIG
from playground.steps.imagenet import GROUPS, HUMAN, WINNERS, group_of, members, rank
from playground.ui import camera, frame, lesson, links, models, pretrained
from playground.ui.image_input import Picture, choose_picture

TURNS = (0, 90, 180, 270)
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


def network() -> Asked | None:
    """Picture, changes and answer; without a network, the way to one."""
    entry = pretrained.on_the_shelf()
    if entry is None:
        pretrained.offer()
        return None
    with camera.Live() as live:
        left, right = st.columns(2, gap="large")
        with left:
            picture = choose_picture(live=live)
            pixels = changed(picture.pixels)
            if not (picture.live and np.array_equal(pixels, picture.pixels)):
                st.image(pixels, frame.literal(picture.name), width="stretch", alt=f"Photo: {picture.name}")
        classifier = session.open_classifier(entry.onnx)
        said = answer(str(entry.onnx), entry.onnx.stat().st_mtime_ns, classifier, pixels)
        with right:
            st.markdown(f"## {said.top(1)[0][0]}, {100 * said.top(1)[0][1]:.1f} %")
            st.plotly_chart(bars.probability_bars(said.labels, said.probabilities.tolist()), config=CONFIG, key="top5",
                            alt="The five likeliest classes")
            five = sum(chance for _, chance in said.top(5))
            st.caption(f"{pretrained.TITLE} in onnxruntime, from the file {entry.name}.onnx. These five share "
                       f"{100 * five:.1f} %, the other {len(said.labels) - 5} classes {100 * (1 - five):.1f} %. It "
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
        f"Upside down it says “{now}” ({100 * chance:.1f} %); “{asked.said.labels[best]}” is number {place}. A "
        "convolution finds the same thing at another place, but not the same thing turned: that it has to learn from "
        "turned pictures.",
        key=f"guess-{asked.picture.name}-{hash(asked.pixels.tobytes())}", horizontal=False)


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
    st.markdown("1.28 million training photographs, 1\u202f000 classes, five guesses: from 2012 on every winner was a "
                "convolutional network, and the error fell below that of a person.")
    st.plotly_chart(challenge.winners(WINNERS, HUMAN), config=CONFIG, key="winners",
                    alt="Top-5 error of the winners from 2010 to 2017")
    st.caption("Published results, not measured here: ILSVRC 2010 to 2017, image-net.org; the person's error: "
               "Russakovsky et al., 2015. Hatched: before convolutional networks.")


def in_code() -> None:
    """The same answer elsewhere."""
    lesson.in_code(CODE, "The file is the one that is downloaded above.")


CODE = {
    "onnxruntime": """import json
import numpy as np
import onnxruntime as ort
from PIL import Image

session = ort.InferenceSession("imagenet.onnx")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
photo = np.asarray(Image.open("photo.png").convert("RGB"))
(chances,) = session.run(["probabilities"], {"image": photo[None]})
for k in chances[0].argsort()[::-1][:5]:
    print(labels[k], round(float(chances[0][k]), 3))
""",
    "Our engine": """import json
import numpy as np
import onnx
from PIL import Image
from playground.deploy.engine_backend import onnx_to_engine

file = onnx.load("imagenet.onnx")
labels = json.loads({entry.key: entry.value for entry in file.metadata_props}["labels"])
photo = np.asarray(Image.open("photo.png").convert("RGB"))
_, chances = (output.numpy() for output in onnx_to_engine(file)(photo[None]))
for k in chances[0].argsort()[::-1][:5]:
    print(labels[k], round(float(chances[0][k]), 3))
""",
    "PyTorch": """import torch
from playground.training import backbones

network = backbones.pretrained("efficientnet_lite0")  # a torch.nn.Module, in eval mode
print(sum(p.numel() for p in network.parameters()), tuple(network(torch.zeros(1, 3, 224, 224)).shape))
""",
    "Keras": """import keras

network = keras.applications.EfficientNetB0()  # downloads its weights
chances = network.predict(photos)  # (N, 224, 224, 3), 0..255
print(keras.applications.efficientnet.decode_predictions(chances, top=5))
""",
}
