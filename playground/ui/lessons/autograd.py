"""The parts of the page on autograd: a formula, its graph stepped both ways, and the gradient checked three times."""

import ast
import json
from dataclasses import dataclass

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.figures.lines import lines
from playground.figures.style import signed_limit
from playground.numbers import number
from playground.steps.autograd import BackStep, Graph, at_a_corner, build, gradients, nudged, walk_back
from playground.steps.expression import FUNCTIONS, parse, spelled, variables
from playground.ui import frame, links
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart
from playground.ui.parts.graph import graph_player
from playground.ui.parts.torch_process import asked_torch

PRESETS: dict[str, tuple[str, dict[str, float]]] = {
    "A neuron and its error": ("(relu(w*x + b) - t)**2", {"w": 1.5, "x": 2.0, "b": -1.0, "t": 3.0}),
    "Logistic regression": ("log(1 + exp(-(w*x + b)))", {"w": 0.5, "x": 2.0, "b": -0.3}),
    "Used twice": ("x*x + 3*x", {"x": 2.0}),
    "A 2-2-1 network": ("(u*tanh(a*x + b*y) + v*tanh(c*x + d*y) - 1)**2",
                        {"u": 0.7, "a": 0.5, "x": 1.5, "b": -0.8, "y": 0.4, "v": -0.6, "c": 1.2, "d": 0.9}),
    "Normalized": ("(x - m)/sqrt(s**2 + 0.1)", {"x": 3.0, "m": 1.0, "s": 0.8}),
}
FIRST = next(iter(PRESETS))
CORNER = ("A relu's input is exactly 0 here, where relu has a corner and no one slope: the engine, as PyTorch does, "
          "takes 0, and a difference takes something between 0 and 1.")
STEPS = tuple(range(-12, 0))
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Setting:
    """A formula as typed and the values of its variables."""

    formula: str
    values: dict[str, float]

    @property
    def graph(self) -> Graph:
        return build(parse(self.formula), self.values)


def controls() -> Setting:
    """Formula and values; a formula that cannot be read says why and the last one stays."""
    st.latex(r"\frac{\partial L}{\partial a} = \sum_{v \text{ made of } a} "
             r"\frac{\partial L}{\partial v} \cdot \frac{\partial v}{\partial a}")
    st.caption("$\\partial L / \\partial a$ says by how much the result $L$ changes for a small change of $a$: for "
               "every $v$ that $a$ goes into, how much $L$ changes with $v$ times how much $v$ changes with $a$.",
               text_alignment="center")
    locked = links.locked()
    left, right = st.columns([1, 2])
    state = st.session_state
    current = state.get("formula", st.query_params.get("formula", PRESETS[FIRST][0]))
    frame.write("preset", next((name for name, (text, _) in PRESETS.items() if text == current), None))
    left.selectbox("Example", list(PRESETS), key="preset", on_change=_take_preset, disabled=locked, index=None,
                   placeholder="own formula")
    text = right.text_input("Formula", PRESETS[FIRST][0], key="formula", bind="query-params", max_chars=300,
                            disabled=locked,
                            help="Numbers, names, + - * / **, parentheses, relu, sigmoid, tanh, exp, log, sqrt.")
    try:
        tree = parse(text)
        state["last_formula"] = text
    except PlaygroundError as error:
        st.error(f"{frame.literal(str(error))} Until then the last formula stays.")
        text = state.get("last_formula", PRESETS[FIRST][0])
        tree = parse(text)
    begin = next((values for formula, values in PRESETS.values() if formula == text), {})
    names = variables(tree)
    with st.container(horizontal=True):
        values = {
            name: float(st.number_input(name, -100.0, 100.0, begin.get(name, 1.0), step=0.1, format="%g", width=160,
                                        key=f"v-{name}", bind="query-params", disabled=locked))
            for name in names
        }
    return Setting(text, values)


def _take_preset() -> None:
    frame.hold_written()
    chosen = st.session_state["preset"]
    if chosen in PRESETS:
        text, values = PRESETS[chosen]
        frame.write("formula", text)
        for name, value in values.items():
            frame.write(f"v-{name}", value)


def predict(setting: Setting) -> None:
    """The sign of a derivative, computed by the engine."""
    tree = parse(setting.formula)
    build(tree, setting.values)
    name = variables(tree)[0]
    slope = gradients(tree, setting.values)[name]
    outcome = ("it falls", "it stays", "it rises")[int(np.sign(round(slope, 12))) + 1]
    why = (f"∂/∂{name} = {number(slope)}: the result changes by about {number(slope)} times the change of {name}."
           if outcome != "it stays" else f"∂/∂{name} = 0: as far as the slope tells, nothing changes.")
    corner = f" {CORNER}" if at_a_corner(setting.graph) else ""
    lesson.predict(f"{name} is made a tiny bit larger. What does the slope say the result does?",
                   ("it rises", "it falls", "it stays"), outcome, why + corner,
                   key=f"guess-{setting.formula}-{setting.values}")


def steps(setting: Setting) -> None:
    """The graph's player and the gradients it ends with."""
    graph = setting.graph
    walked = walk_back(graph)
    limit = largest_gradient(walked)
    graph_player(graph, walked, limit, key="autograd_graph")
    st.caption("Boxes: operations and their results; ∂: the gradient of the result for this box so far, orange above "
               f"0, blue below, full colour at ±{number(limit, 3)}. A box that is used twice adds up what comes "
               "back on both ways. Constants get none.")


def largest_gradient(walked: list[BackStep]) -> float:
    """The largest magnitude any gradient has on the way; at least the 1 the walk begins with."""
    return signed_limit([1.0, *(sent.total for step in walked for sent in step.contributions)])


def check(setting: Setting) -> None:
    """One number nudged: finite difference beside the engine, and PyTorch when asked."""
    st.header("Is it right? Nudge one number", anchor=False)
    st.latex(r"\frac{\partial f}{\partial a} \approx \frac{f(a + h) - f(a - h)}{2h}")
    nudge(setting)
    st.caption("Large nudges miss because the function is curved; tiny ones because a computer keeps 16 digits. The "
               "engine needs no nudge at all, and gets all variables in one walk.")
    torch_too(setting)
    frame.link("loss", "What a network walks back from: The loss")


@st.fragment
@frame.guarded("The gradient check")
def nudge(setting: Setting) -> None:
    """Finite differences beside the engine's derivative, for one nudge and over all of them."""
    tree = parse(setting.formula)
    locked = links.locked()
    left, right = st.columns(2)
    names = variables(tree)
    name = left.selectbox("Variable", names, key="nudge", bind="query-params", disabled=locked)
    power = right.select_slider("Nudge $h$ = 10 to the power of", STEPS, -5, key="power", bind="query-params",
                                disabled=locked)
    name = name if name in names else names[0]
    exact = gradients(tree, setting.values)[name]
    forward, central = difference(setting, name, power)
    with st.container(horizontal=True):
        for title, found in (("forward difference", forward), ("central difference", central)):
            st.metric(title, number(found, 10) if np.isfinite(found) else "none",
                      f"{number(found - exact, 3)} off" if np.isfinite(found) else None, delta_color="off",
                      delta_arrow="off")
        st.metric("our engine", number(exact, 10))
    if not (np.isfinite(forward) and np.isfinite(central)):
        st.caption(f"So large a nudge takes {name} to where the formula has no finite result: choose a smaller one.")
    if at_a_corner(setting.graph):
        st.caption(CORNER)
    errors = differences(setting, name)
    chart(
        lines([10.0**p for p in STEPS],
              {"forward difference": [_floor(f - exact) for f, _ in errors],
               "central difference": [_floor(c - exact) for _, c in errors]},
              titles=("nudge h", "error of the difference"), log_x=True, log_y=True, now=10.0**power),
        key="differences", alt="Error of finite differences over the nudge")


@st.fragment
@frame.guarded("PyTorch's answer")
def torch_too(setting: Setting) -> None:
    """All derivatives by PyTorch beside the engine's, when asked."""
    if not st.button("Ask PyTorch, too", key="torch", icon=":material/calculate:"):
        return
    theirs = torch_says(setting.formula, json.dumps(setting.values))
    ours = gradients(parse(setting.formula), setting.values)
    rows = {"our engine": ours, "PyTorch": theirs, "difference": {n: abs(ours[n] - theirs[n]) for n in ours}}
    st.dataframe([{"variable": n, **{title: number(of[n], 2 if title == "difference" else 9)
                                     for title, of in rows.items()}}
                  for n in ours], hide_index=True,
                 column_config={title: st.column_config.TextColumn(alignment="right") for title in rows})


def _floor(error: float) -> float:
    return max(1e-17, abs(error)) if np.isfinite(error) else float("nan")


def difference(setting: Setting, name: str, power: int) -> tuple[float, float]:
    """Forward and central difference for h = 10 ** power; nan where the nudge leaves what the formula can take."""
    return nudged(parse(setting.formula), setting.values, name, 10.0**power)


@st.cache_data(max_entries=64, show_spinner=False)
def differences(setting: Setting, name: str) -> list[tuple[float, float]]:
    """`difference` for every nudge, kept while the reader moves along them."""
    return [difference(setting, name, power) for power in STEPS]


@st.cache_data(max_entries=64, show_spinner="PyTorch starts in a process of its own …")
def torch_says(formula: str, values: str) -> dict[str, float]:
    """torch's derivatives, computed by playground.steps.torch_gradient in another process."""
    question = json.dumps({"formula": formula, "values": json.loads(values)})
    done = asked_torch("playground.steps.torch_gradient", question, patience=PATIENCE_SECONDS,
                       late="PyTorch did not answer in a minute: try again when the server is less busy.")
    if done.returncode:
        raise PlaygroundError("PyTorch could not compute this formula here.")
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def in_code(setting: Setting) -> None:
    """The reader's own formula in three libraries."""
    lesson.in_code(code(setting))


TAKEN = {"F", "Tensor", "keras", "np", "os", "print", "result", "torch"}
"""What the code of a library calls its own: a variable of that name is written with an underscore."""


def code(setting: Setting) -> dict[str, str]:
    """The formula in our engine, PyTorch and Keras, each printing its derivatives."""
    tree = parse(setting.formula)
    is_bare = isinstance(tree, ast.Name)  # a variable of Keras is no tensor, but it holds one
    names = {name: f"{name}_" if name in TAKEN else name for name in setting.values}
    listed = ", ".join(names.values())

    def given(made: str) -> str:
        return "\n".join(f"{names[name]} = {made.format(repr(value))}" for name, value in setting.values.items())

    def written(library: str, number: str = "{}") -> str:
        return spelled(tree, {function: f"{library}.{function}" for function in FUNCTIONS}, names, number)

    return {
        "Our engine": f"""import numpy as np
from engine import Tensor
from engine import functional as F

{given('Tensor(np.array({}), requires_grad=True)')}
result = {written("F", "np.array({}, dtype=float)")}
result.backward()
print([variable.grad.item() for variable in [{listed}]])
""",
        "PyTorch": f"""import torch

{given('torch.tensor({}, dtype=torch.float64, requires_grad=True)')}
result = {written("torch", "torch.tensor({}, dtype=torch.float64)")}
result.backward()
print([variable.grad.item() for variable in [{listed}]])
""",
        "Keras": f"""import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras leaves gradients to its backend, here to PyTorch
import keras

{given('keras.Variable({}, dtype="float64")')}
result = {written("keras.ops", "keras.ops.array({}, dtype='float64')")}{'.value' if is_bare else ''}
result.backward()
print([variable.value.grad.item() for variable in [{listed}]])
""",
    }
