"""The page on depth: a deep stack as chosen, sizes at every layer, and the product of gains that explains them."""

import numpy as np
import streamlit as st

from playground.figures import depth as pictures
from playground.numbers import number
from playground.steps.depth import ACTIVATIONS
from playground.ui import links
from playground.ui.lessons import depth_network as deep
from playground.ui.lessons.depth_network import INITS, WIDTH, XAVIER, Setting
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart, side_by_side

FEWEST, MOST = 2, 50
BANDS = ((-6.0, "less than a millionth"), (-2.0, "less than a hundredth"), (2.0, "about as large, within 100 times"),
         (6.0, "more than 100 times as large"), (np.inf, "more than a million times as large"))


def formula() -> None:
    """One layer's gain, and what many make of it."""
    lesson.equations(r"z_l = W_l\, a_{l-1}", r"a_l = \varphi(z_l)",
                     r"\operatorname{var}(z_l) = n \operatorname{var}(w)\, \overline{a_{l-1}^2}",
                     r"\overline{\delta_{l-1}^2} = n \operatorname{var}(w)\, "
                     r"\overline{\varphi'(z_l)^2}\; \overline{\delta_l^2}")
    st.caption(f"A stack of dense layers of $n = {WIDTH}$ units on digits of {WIDTH} pixels. Every layer multiplies "
               "the size of what goes through it, forward ($a$) and backward ($\\delta$, the gradient at $a$), by a "
               "factor of its own, and the factors multiply each other.", text_alignment="center")


class Controls:
    """Layers, activation, first weights and their gain, batch norm, shortcuts, seed."""

    def groups(self) -> lesson.Groups:
        return (self._layers, self._gain), (self._activation, self._init), (self._cures, self._seed)

    def setting(self) -> Setting:
        return Setting(self.layers, self.activation, self.init, self.gain, self.batch_norm, self.shortcuts, self.seed)

    def _layers(self) -> None:
        self.layers = st.slider("Layers", FEWEST, MOST, 20, key="layers", bind="query-params", disabled=links.locked())

    def _activation(self) -> None:
        self.activation = st.segmented_control("Activation", list(ACTIVATIONS), default="sigmoid", key="activation",
                                               bind="query-params", required=True,
                                               disabled=links.locked()) or "sigmoid"

    def _init(self) -> None:
        self.init = st.segmented_control(
            "First weights", list(INITS), default=XAVIER, key="init", bind="query-params", required=True,
            disabled=links.locked(), help="Normally distributed with a deviation of 0.01 or of 1; Xavier: n var(w) = "
            "1; Kaiming: n var(w) = 2.") or XAVIER

    def _gain(self) -> None:
        self.gain = st.slider("Gain: the first weights times", 0.25, 4.0, 1.0, 0.05, key="gain", bind="query-params",
                              disabled=links.locked())

    def _cures(self) -> None:
        with st.container(horizontal=True):
            self.batch_norm = st.toggle("Batch norm", key="batch-norm", bind="query-params", disabled=links.locked())
            self.shortcuts = st.toggle("Shortcuts", key="shortcuts", bind="query-params", disabled=links.locked())

    def _seed(self) -> None:
        self.seed = int(st.number_input("Seed", 0, 9999, 0, key="seed", bind="query-params", width=200,
                                        disabled=links.locked()))


def band(ratio: float) -> str:
    """The words for a gradient so many times as large as another.

    >>> band(1e-9), band(0.5), band(1e30)
    ('less than a millionth', 'about as large, within 100 times', 'more than a million times as large')
    """
    power = np.log10(ratio) if ratio > 0 else -np.inf
    return next(words for limit, words in BANDS if power < limit or limit == np.inf)


def predict(setting: Setting) -> None:
    """How much of the gradient comes back to the first layer: measured."""
    found = deep.measured(setting)
    steps, _, _ = deep.foretold(setting, found)
    back = [step.backward for step in steps[1:]]
    each = float(np.exp(np.mean(np.log(back)))) if back else 1.0
    lesson.predict(
        f"{setting.layers} layers, {setting.activation if setting.activation != 'none' else 'no activation'}, weights "
        f"{setting.init} × {number(setting.gain)}{', batch norm' * setting.batch_norm}"
        f"{', shortcuts' * setting.shortcuts}. The gradient that reaches the first layer is, beside the one at the "
        "last,", [words for _, words in BANDS], band(found.ratio),
        f"It is {number(found.ratio, 3)} times as large. On its way back a layer multiplies it by about "
        f"{number(each, 3)}, and {number(each, 3)} to the power of {len(back)} is {number(each ** len(back), 3)}.",
        key=f"guess-{setting}", horizontal=False)


def sizes(setting: Setting) -> None:
    """Measured and foretold, forward and backward."""
    found = deep.measured(setting)
    _, forward, backward = deep.foretold(setting, found)
    side_by_side({
        "Size of the activations at every layer": pictures.over_layers(
            {"measured": found.sizes.tolist(), "by the product of gains": forward}, "activation"),
        "Size of the gradient at every layer": pictures.over_layers(
            {"measured": found.gradients.tolist(), "by the product of gains": backward}, "gradient"),
    }, key="sizes")
    st.caption(f"One mini-batch of {deep.BATCH} digits forward and backward at the first weights, by the engine in "
               f"float64. Activations: {number(found.sizes[0], 3)} behind the first layer, "
               f"{number(found.sizes[-1], 3)} behind the last. Gradient: {number(found.gradients[-1], 3)} behind the "
               f"last, **{number(found.gradients[0], 3)}** behind the first. {_verdict(setting, found.ratio)}")


def _verdict(setting: Setting, ratio: float) -> str:
    if ratio < 1e-2:
        return "It vanishes on its way back: the first layers hardly learn."
    if ratio > 1e2:
        return "It explodes on its way back: a rate that suits the last layers is far too large for the first."
    return "It comes back in about the size in which it set out."


def gains(setting: Setting) -> None:
    """Every layer's factors and where they come from, and the slopes of the activations."""
    st.header("Why: a product of gains", anchor=False)
    found = deep.measured(setting)
    steps, _, _ = deep.foretold(setting, found)
    shown = sorted({0, 1, 2, len(steps) // 2, len(steps) - 2, len(steps) - 1} & set(range(len(steps))))
    st.dataframe([
        {"layer": str(steps[k].layer), "deviation of z": number(steps[k].z, 3), "size of a": number(steps[k].size, 3),
         "measured": number(found.sizes[k], 3), "slope φ' (rms)": number(steps[k].slope, 3),
         "× forward": number(steps[k].forward, 3), "× backward": number(steps[k].backward, 3)} for k in shown],
        hide_index=True)
    last = steps[-1]
    z = np.linspace(-6, 6, 481)
    chart(pictures.slopes(z, {name: slope(z) for name, (_, slope) in ACTIVATIONS.items()}, last.z), key="slopes",
          alt="The slope of every activation")
    factor = setting.fan_in_times_variance
    adds = ", and the shortcut adds 1 to the square of that" * setting.shortcuts
    own = (f"Going back the last layer multiplies the gradient by √{number(factor, 3)} times the slope "
           f"{number(last.slope, 3)}{adds}: {number(last.backward, 3)}.")
    if setting.batch_norm:
        own = ("Batch norm makes the deviation of z 1 again at every layer, whatever the weights. Going back it "
               f"divides by the deviation that it took away{adds}: the last layer multiplies the gradient by "
               f"{number(last.backward, 3)}.")
    st.markdown(
        f"Your weights have n var(w) = {number(factor, 3)}. {own} "
        "The slope of the sigmoid is at most 1/4, so many of them vanish unless the weights are four times as large, "
          "and those saturate it. **Xavier** (n var(w) = 1) keeps sizes where the slope is 1, as tanh's near 0; "
          "**Kaiming** (n var(w) = 2) makes up for the half that a ReLU sets to 0.")
