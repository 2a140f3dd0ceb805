"""Of the page on whole networks: what a feature map is, how much of the picture one number sees, and all in code."""

import streamlit as st

from playground.ui.network.whole import Setting
from playground.ui.parts import lesson
from playground.view import looks
from playground.view.field import receptive_field
from playground.view.trace import Part, Trace


def formula() -> None:
    """What a map is."""
    lesson.equations(r"z_f = b_f + \sum_c w_{f,c} \star a_c", r"a_f = \varphi(z_f)")
    st.caption("Each filter $f$ of a convolution answers with a map $z_f$. Activations $\\varphi$, such as ReLU, are "
               "parts of their own; their maps $a_f$ are the channels of the next convolution. Press a map, then a "
               "number in it.", text_alignment="center")


def predict(setting: Setting) -> None:
    """How much of the picture one number sees, computed from the network."""
    subject = setting.subject
    trace = looks.traced(setting.look, str(subject.epochs[-1]) if subject.epochs else "")
    part = deepest(trace)
    if part is None:
        return
    channels, height, width = part.shape
    top, bottom, left, right = receptive_field(trace, part, (0, height // 2, width // 2))
    full = trace.picture.shape[2:]
    tall, wide = bottom - top + 1, right - left + 1
    answer = f"{tall} × {wide}"
    others = {f"{full[0]} × {full[1]}", "1 × 1", "3 × 3", f"{max(1, tall // 2)} × {max(1, wide // 2)}"}
    lesson.predict(
        f"the network sees {full[0]} × {full[1]} pixels. How many of them can reach the middle number of a map of "
        f"“{part.title}”, which gives {channels} maps of {height} × {width}?",
        sorted({answer, *others}, key=lambda text: int(text.split(" ")[0])), answer,
        "Each 3 × 3 convolution adds a pixel on every side, times all strides before it; pooling and strides make the "
        "steps larger. This is the receptive field.", key=f"guess-{subject.title}-{part.index}")


def deepest(trace: Trace) -> Part | None:
    """The last convolution whose maps have places; None where there is none."""
    found = [part for part in trace.parts if part.sort.key == "conv" and len(part.shape) == 3
             and part.shape[1] * part.shape[2] > 1]
    return found[-1] if found else None


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
