"""The graph of a formula with its values, and the walk back over it: one vector-Jacobian product a step."""

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine import Tensor
from engine import functional as F
from engine.tape import backward_steps
from playground.errors import PlaygroundError
from playground.steps.expression import fold, variables


@dataclass(eq=False)
class Node:
    """A variable, a number or an operation of the graph. `layer` counts from the leaves, `row` within a layer."""

    label: str
    value: float
    inputs: tuple["Node", ...]
    tensor: Tensor
    name: str = ""
    """How formulas speak of it: a variable's own name, v1, v2, ... for results, a number's spelling."""
    layer: int = 0
    row: float = 0.0


@dataclass(frozen=True)
class Contribution:
    """What one step sends to one input: upstream · local = gradient; `total` is the input's sum so far."""

    node: int
    local: str
    upstream: float
    factor: float
    gradient: float
    total: float


@dataclass(frozen=True)
class BackStep:
    """One op walked back, with what it sends to each of its inputs that want a gradient."""

    node: int
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True)
class Graph:
    """All nodes, inputs before what is made of them; the last one is the result."""

    nodes: list[Node] = field(default_factory=list)

    @property
    def result(self) -> Node:
        return self.nodes[-1]

    def index(self, node: Node) -> int:
        return next(k for k, one in enumerate(self.nodes) if one is node)


_LOCAL = {
    "+": ("1", "1"), "−": ("1", "−1"), "·": ("{b}", "{a}"), "/": ("1/{b}", "−{a}/{b}²"), "^": ("{b}·{a}^({b}−1)",),
    "neg": ("−1",), "relu": ("[{a} > 0]",), "sigmoid": ("{y}·(1−{y})",), "tanh": ("1−{y}²",), "exp": ("{y}",),
    "log": ("1/{a}",), "sqrt": ("1/(2·{y})",),
}
"""The derivative of each op for each of its inputs, in the names of its inputs a, b and its result y."""


def local_factor(label: str, place: int, a: float, b: float, y: float) -> float:
    """The number behind a formula of _LOCAL.

    >>> local_factor("·", 0, 2.0, 3.0, 6.0), local_factor("sigmoid", 0, 0.0, 0.0, 0.5)
    (3.0, 0.25)
    """
    table: dict[tuple[str, int], float] = {
        ("+", 0): 1.0, ("+", 1): 1.0, ("−", 0): 1.0, ("−", 1): -1.0, ("·", 0): b, ("·", 1): a, ("neg", 0): -1.0,
        ("relu", 0): float(a > 0), ("sigmoid", 0): y * (1 - y), ("tanh", 0): 1 - y * y, ("exp", 0): y,
    }
    if (label, place) in table:
        return table[label, place]
    if label == "/":
        return 1 / b if place == 0 else -a / (b * b)
    if label == "^":
        return float(b * np.float64(a) ** (b - 1))
    return 1 / a if label == "log" else 1 / (2 * y)


def build(tree: ast.expr, values: Mapping[str, float]) -> Graph:
    """The graph of a parsed formula, computed by the engine in float64.

    Raises PlaygroundError where a value is missing or an operation has no finite result (log of 0, division by 0).

    >>> from playground.steps.expression import parse
    >>> build(parse("w*x + 1"), {"w": 2.0, "x": 3.0}).result.value
    7.0
    """
    graph = Graph()
    known: dict[str, Node] = {}

    def variable(name: str) -> Node:
        if name not in values:
            raise PlaygroundError(f"The variable {name} has no value.")
        if name not in known:
            tensor = Tensor(np.array(float(values[name])), requires_grad=True)
            known[name] = Node(name, float(values[name]), (), tensor, name)
            graph.nodes.append(known[name])
        return known[name]

    def number(value: float) -> Node:
        node = Node(f"{value:g}", value, (), Tensor(np.array(value)), f"{value:g}".replace("-", "−"))
        graph.nodes.append(node)
        return node

    def operate(label: str, inputs: list[Node]) -> Node:
        with np.errstate(all="ignore"):
            tensor = _apply(label, [node.tensor for node in inputs])
        value = tensor.item()
        if not math.isfinite(value):
            shown = ", ".join(f"{node.value:.4g}" for node in inputs)
            raise PlaygroundError(f"{_SPOKEN.get(label, label)} of {shown} has no finite result: choose other values.")
        node = Node(label, value, tuple(inputs), tensor)
        graph.nodes.append(node)
        return node

    fold(tree, variable, number, operate)
    made = 0
    for node in graph.nodes:
        if node.inputs:
            made += 1
            node.name = f"v{made}"
            while node.name in values:
                made += 1
                node.name = f"v{made}"
    _lay_out(graph)
    return graph


_SPOKEN = {"/": "The quotient", "·": "The product", "+": "The sum", "−": "The difference", "^": "The power"}


def _apply(label: str, tensors: list[Tensor]) -> Tensor:
    match label:
        case "+":
            return tensors[0] + tensors[1]
        case "−":
            return tensors[0] - tensors[1]
        case "·":
            return tensors[0] * tensors[1]
        case "/":
            return tensors[0] / tensors[1]
        case "^":
            return tensors[0] ** tensors[1]
        case "neg":
            return -tensors[0]
        case "relu":
            return F.relu(tensors[0])
        case "sigmoid":
            return F.sigmoid(tensors[0])
        case "tanh":
            return F.tanh(tensors[0])
        case "exp":
            return tensors[0].exp()
        case "log":
            return tensors[0].log()
    return tensors[0].sqrt()


def _lay_out(graph: Graph) -> None:
    """Layers by the longest way from a leaf; a leaf stands right before its first use; rows by the mean of inputs."""
    for node in graph.nodes:
        node.layer = 1 + max((one.layer for one in node.inputs), default=-1)
    for node in graph.nodes:
        if not node.inputs:
            node.layer = min((one.layer for one in graph.nodes if node in one.inputs), default=1) - 1
    depth = graph.result.layer
    for layer in range(depth + 1):
        members = [node for node in graph.nodes if node.layer == layer]
        wish = {id(node): (float(np.mean([one.row for one in node.inputs])) if node.inputs else float(k))
                for k, node in enumerate(members)}
        for k, node in enumerate(sorted(members, key=lambda node: wish[id(node)])):
            node.row = k - (len(members) - 1) / 2


def walk_back(graph: Graph) -> list[BackStep]:
    """The engine's own walk from the result to the variables, one op a step, each product written out.

    Gradients come from the engine's `backward_steps`; `local` and `factor` explain them.

    >>> from playground.steps.expression import parse
    >>> steps = walk_back(build(parse("x*x"), {"x": 3.0}))
    >>> [(c.local, c.gradient, c.total) for c in steps[0].contributions]
    [('x', 3.0, 3.0), ('x', 3.0, 6.0)]
    """
    places = {id(node.tensor): k for k, node in enumerate(graph.nodes)}
    totals: dict[int, float] = {len(graph.nodes) - 1: 1.0}
    steps: list[BackStep] = []
    if not graph.result.inputs:
        return steps
    for step in backward_steps(graph.result.tensor):
        index = places[id(step.output)]
        node = graph.nodes[index]
        names = {"a": node.inputs[0].name, "b": node.inputs[-1].name, "y": node.name}
        numbers = (node.inputs[0].value, node.inputs[-1].value, node.value)
        sent = []
        for place, (given, gradient) in enumerate(zip(node.inputs, step.input_gradients, strict=True)):
            if gradient is None:
                continue
            target = places[id(given.tensor)]
            totals[target] = totals.get(target, 0.0) + float(gradient)
            sent.append(Contribution(target, _LOCAL[node.label][place].format(**names), float(step.gradient),
                                     local_factor(node.label, place, *numbers), float(gradient), totals[target]))
        steps.append(BackStep(index, tuple(sent)))
    return steps


def gradients(tree: ast.expr, values: Mapping[str, float]) -> dict[str, float]:
    """The engine's derivative of the formula for each of its variables."""
    graph = build(tree, values)
    if graph.result.inputs:
        graph.result.tensor.backward()
    found = {node.name: node.tensor.grad for node in graph.nodes if node.label in values}
    return {name: 1.0 if grad is None and not graph.result.inputs else float(grad if grad is not None else 0.0)
            for name, grad in found.items() if name in variables(tree)}


def nudged(tree: ast.expr, values: Mapping[str, float], name: str, h: float) -> tuple[float, float]:
    """Finite differences for one variable: forward (f(x+h) - f(x)) / h, central (f(x+h) - f(x-h)) / 2h.

    >>> from playground.steps.expression import parse
    >>> [round(v, 6) for v in nudged(parse("x**2"), {"x": 3.0}, "x", 0.01)]
    [6.01, 6.0]
    """
    here, above, below = (build(tree, {**values, name: values[name] + step}).result.value for step in (0.0, h, -h))
    return (above - here) / h, (above - below) / (2 * h)
