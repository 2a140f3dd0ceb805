"""One step of gradient descent on one digit: what it does to this digit, to the weights, and to all other digits."""

import numpy as np
import streamlit as st

from engine import Tensor, layers, no_grad
from engine import functional as F
from playground.figures import whole_network as pictures
from playground.network.code import code as network_code
from playground.network.spelling import network_of
from playground.numbers import counted, number, percent
from playground.ui import frame, links
from playground.ui.lessons import whole_cnn_network as whole
from playground.ui.lessons.digits_model import TAKES
from playground.ui.lessons.loss import probability
from playground.ui.lessons.whole_cnn import Setting
from playground.ui.parts import lesson
from playground.ui.parts.chart import side_by_side

RANGE = tuple(float(rate) for rate in np.geomspace(1e-5, 1, 41))


@st.fragment
@frame.guarded("One step")
def step(setting: Setting) -> None:
    """The loss before and after a step, over all rates; the prediction before and after; what moved."""
    st.header("One step: every weight against its gradient", anchor=False)
    lesson.equations(r"L(w - \eta g) \approx L(w) - \eta \lVert g \rVert^2", r"g = \frac{\partial L}{\partial w}")
    steps = st.slider("Steps, all on this digit", 1, 20, 1, key="steps", bind="query-params", disabled=links.locked())
    found = setting.look
    model, losses = whole.stepped(setting.network, setting.x, setting.label, setting.rate, steps)
    with no_grad():
        scores = model(Tensor(setting.x[None]))
    after = F.softmax(scores.data, 1).numpy()[0]
    rates = whole.losses_over_rates(setting.network, setting.x, setting.label, RANGE)
    straight = [found.loss - rate * found.steepness for rate in RANGE]
    side_by_side({
        "Loss on this digit after one step, over the learning rate": pictures.over_the_rate(
            RANGE, rates, straight, setting.rate),
        "Probabilities before and after": pictures.before_and_after(
            [str(k) for k in range(len(after))], found.probabilities.tolist(), after.tolist()),
    }, key="step")
    one = losses[1]
    foretold = found.loss - setting.rate * found.steepness
    st.markdown(
        f"The squares of all gradients add up to ‖g‖² = {number(found.steepness, 4)}. With rate "
        f"{number(setting.rate)} the slope foretells a loss of {number(foretold, 4)}; one step really leads from "
        f"**{number(losses[0], 4)}** to **{number(one, 4)}**"
        + (": the slope holds only near where it was taken. " if abs(foretold - one) > 0.1 * abs(losses[0] - one)
           else ", nearly that. ")
        + f"After {counted(steps, 'step')} p of label {setting.label} has gone from "
          f"{probability(float(found.probabilities[setting.label]))} to {probability(float(after[setting.label]))}, "
          f"and the network says {int(found.scores.argmax())} before and {int(scores.data.argmax())} after.")
    moved(setting, model)
    others(setting, model)


def moved(setting: Setting, after: layers.Sequential) -> None:
    """How far the weights of every part went, as a share of their size."""
    before, now, rows = whole.copy_of(setting.network), dict(after.named_parameters()), []
    titles = {str(part.row.path[0]): whole.words(part.row.path, setting.look.parts) for part in setting.look.parts}
    for name, parameter in before.named_parameters():
        place, own = name.split(".")
        gone, size = _length(now[name].data - parameter.data), _length(parameter.data)
        rows.append({"part": titles[place], "numbers": f"{own}: {' × '.join(map(str, parameter.shape))}",
                     "size ‖w‖": number(size, 3), "moved ‖Δw‖": number(gone, 3),
                     "‖Δw‖ / ‖w‖": percent(gone / size, 2) if size else "began at 0"})
    st.dataframe(rows, hide_index=True)


def others(setting: Setting, model: layers.Sequential) -> None:
    """What the steps did to the digits that were not asked."""
    before, after = whole.everyone_before(setting.network), whole.everyone(model)
    with st.container(horizontal=True):
        for name, value, by in (
            (f"mean loss of {before.count} digits", number(after.loss), after.loss - before.loss),
            ("of them read rightly", f"{after.right} of {after.count}", after.right - before.right),
        ):
            st.metric(name, value, f"{number(abs(by), 3)} {'more' if by > 0 else 'less'}" if by else "as before",
                      delta_color="off", delta_arrow="off")
    outcome = ("What was good for one digit was not good for all" if after.loss > before.loss else
               "Here the others have gained, too, which nothing promised")
    st.caption(f"{outcome}: learning is many small steps, each on the mean of a mini-batch. That is what Build and "
               "train does.")
    with st.container(horizontal=True):
        frame.link("train", "Train a network of your own: Build and train")
        frame.link("loss", "The loss at its end, number by number: The loss")


def _length(values: np.ndarray) -> float:
    return float(np.sqrt((values.astype(np.float64)**2).sum()))


CODED = "c4-r-p2-c8-r-g-d10"
"""With the mean of each map before the dense layer: libraries lay maps out in different orders, means are the same."""


def in_code(setting: Setting) -> None:
    """A whole small network, its loss, and one step, in three libraries."""
    lesson.in_code(code(setting), "The weights are made up, the same in all three, so that all print the same. Keras "
                                  "keeps kernels as (height, width, in, out) and takes pictures as (H, W, C).")


def code(setting: Setting) -> dict[str, str]:
    """A network of three layers on a made-up picture, the loss before and after one step, in three libraries."""
    network, rate, label = network_of(CODED), f"{setting.rate:g}", setting.label
    made = "np.sin(np.arange(one.size) * (k + 1.0)).reshape(one.shape)"
    picture = "np.cos(np.arange(64.0)).reshape(1, 1, 8, 8)"
    return {
        "Our engine": f"""import numpy as np
from engine import Tensor
from engine import functional as F
from engine.optim import SGD
{network_code(network, TAKES, "engine")}

for k, one in enumerate(model.parameters()):
    one.data = {made}
optimizer = SGD(model.parameters(), lr={rate})
x, y = Tensor({picture}), np.array([{label}])
loss = F.cross_entropy(model(x), y)
loss.backward()
optimizer.step()
print(sum(one.size for one in model.parameters()), loss.item(), F.cross_entropy(model(x), y).item())
""",
        "PyTorch": f"""import numpy as np
import torch
from torch.nn import functional as F
{network_code(network, TAKES, "torch")}

model.double()
for k, one in enumerate(model.parameters()):
    size, shape = one.numel(), tuple(one.shape)
    one.data = torch.tensor(np.sin(np.arange(size) * (k + 1.0)).reshape(shape))
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
x, y = torch.tensor({picture}), torch.tensor([{label}])
loss = F.cross_entropy(model(x), y)
loss.backward()
optimizer.step()
print(sum(one.numel() for one in model.parameters()), loss.item(), F.cross_entropy(model(x), y).item())
""",
        "Keras": f"""import os

os.environ["KERAS_BACKEND"] = "torch"
import numpy as np
{network_code(network, TAKES, "keras")}

made = []
for k, one in enumerate(model.weights):
    turned = {{1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}}[len(one.shape)]  # where PyTorch has Keras' axes
    shape = [one.shape[axis] for axis in turned]
    values = np.sin(np.arange(np.prod(shape)) * (k + 1.0)).reshape(shape)
    made.append(values.transpose(np.argsort(turned)))
model.set_weights(made)
model.compile(keras.optimizers.SGD({rate}), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
x, y = {picture}.transpose(0, 2, 3, 1), np.array([{label}])
before = model.train_on_batch(x, y)
print(sum(int(np.prod(one.shape)) for one in model.weights), float(before), float(model.evaluate(x, y, verbose=0)))
""",
    }
