"""The graph of a formula with its values, and the walk back over it: one vector-Jacobian product a step."""

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine import Tensor
from engine import functional as F
from engine.tape import BackwardStep, backward_steps
from playground.errors import PlaygroundError
from playground.numbers import number as written
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
    ways: dict[int, float] = field(default_factory=dict)
    """Layer -> row where the line to a later user passes, on each layer between."""


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
    one = np.float64(1)  # whose division by 0 is infinite instead of an error
    with np.errstate(all="ignore"):
        if label == "/":
            return float(one / b if place == 0 else -(a * one) / b / b)
        if label == "^":
            return float(b * (a * one) ** (b - 1)) if b else 0.0
        return float(one / a if label == "log" else one / (2 * y))


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
        node = Node(written(value, 6), value, (), Tensor(np.array(value)), written(value, 6))
        graph.nodes.append(node)
        return node

    def operate(label: str, inputs: list[Node]) -> Node:
        with np.errstate(all="ignore"):
            tensor = _apply(label, [node.tensor for node in inputs])
        value = tensor.item()
        if not math.isfinite(value):
            shown = ", ".join(written(node.value) for node in inputs)
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


WAY_HEIGHT = 0.5
"""Rows taken by a line that passes a layer, where a box takes 1."""


def _lay_out(graph: Graph) -> None:
    """Layers by the longest way from a leaf; a leaf stands right before its first use and has a way to later ones.

    Within a layer the order is that of reading the formula, and each box stands as near as possible to the row of the
    results it is made of.
    """
    for node in graph.nodes:
        node.layer = 1 + max((one.layer for one in node.inputs), default=-1)
    users = {node: [one for one in graph.nodes if node in one.inputs] for node in graph.nodes}
    for node in graph.nodes:
        if not node.inputs:
            node.layer = min((one.layer for one in users[node]), default=1) - 1
    read = _reading_places(graph)
    for layer in range(graph.result.layer + 1):
        boxes = [(read[node], node) for node in graph.nodes if node.layer == layer]
        passing = [(float(np.mean([read[one] for one in later])), node) for node in graph.nodes if node.layer < layer
                   and (later := [one for one in users[node] if one.layer > layer])]
        members = [node for _, node in sorted(boxes + passing, key=lambda pair: pair[0])]
        heights = [1.0 if node.layer == layer else WAY_HEIGHT for node in members]
        rows = _spread([_wish(node, layer) for node in members], heights)
        for node, row in zip(members, rows, strict=True):
            if node.layer == layer:
                node.row = row
            else:
                node.ways[layer] = row


def _reading_places(graph: Graph) -> dict[Node, float]:
    """Where in the formula a node is read: the middle of its leaves' places; of a variable, the mean of its uses."""
    leaves: dict[Node, list[int]] = {}
    spans: dict[Node, tuple[int, int]] = {}
    count = 0

    def visit(node: Node) -> None:
        nonlocal count
        first = count
        for one in node.inputs:
            visit(one)
        if not node.inputs:
            leaves.setdefault(node, []).append(count)
            count += 1
        spans[node] = (first, count - 1)

    visit(graph.result)
    return {node: float(np.mean(leaves.get(node, spans[node]))) for node in graph.nodes}


def _wish(node: Node, layer: int) -> float | None:
    """The row a node (or its line passing by) would like on a layer, from the layer before; None: beside the others."""
    if node.layer < layer:
        return node.ways.get(layer - 1, node.row)
    results = [one for one in node.inputs if one.inputs] or node.inputs
    return float(np.mean([one.ways.get(layer - 1, one.row) for one in results])) if results else None


def _spread(wishes: Sequence[float | None], heights: Sequence[float]) -> list[float]:
    """The rows nearest to the wishes (least squares) at which members of these heights do not overlap, in order.

    >>> _spread([0.0, 0.0, None], [1.0, 1.0, 1.0])
    [-0.5, 0.5, 1.5]
    """
    offsets = [sum(heights[:k]) + heights[k] / 2 for k in range(len(heights))]
    shifts = [None if wish is None else wish - offset for wish, offset in zip(wishes, offsets, strict=True)]
    given = [shift for shift in shifts if shift is not None] or [-sum(heights) / 2]
    blocks: list[tuple[float, int, int]] = []  # sum of the shifts wished for, how many wished, members
    for shift in shifts:
        blocks.append((0.0, 0, 1) if shift is None else (shift, 1, 1))
        while len(blocks) > 1 and (not blocks[-1][1] or not blocks[-2][1]
                                   or blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]):
            last, before = blocks.pop(), blocks.pop()
            blocks.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    moved = [total / wished if wished else given[0] for total, wished, members in blocks for _ in range(members)]
    return [offset + shift for offset, shift in zip(offsets, moved, strict=True)]


def walk_back(graph: Graph) -> list[BackStep]:
    """The engine's own walk from the result to the variables, one op a step, each product written out.

    Gradients come from the engine's `backward_steps`; `local` and `factor` explain them. Raises PlaygroundError naming
    the first operation whose derivative is not finite (sqrt at 0).

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
    for step in _quiet_walk(graph.result.tensor):
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
            factor = local_factor(node.label, place, *numbers)
            if not (math.isfinite(totals[target]) and math.isfinite(factor)):
                shown = ", ".join(written(one.value) for one in node.inputs)
                raise PlaygroundError(f"{_SPOKEN.get(node.label, node.label)} of {shown} has no finite derivative: "
                                      "choose other values.")
            sent.append(Contribution(target, _LOCAL[node.label][place].format(**names), float(step.gradient), factor,
                                     float(gradient), totals[target]))
        steps.append(BackStep(index, tuple(sent)))
    return steps


def _quiet_walk(result: Tensor) -> Iterator[BackwardStep]:
    walk = backward_steps(result)
    while True:
        with np.errstate(all="ignore"):  # what is not finite is said in a sentence
            step = next(walk, None)
        if step is None:
            return
        yield step


def at_a_corner(graph: Graph) -> bool:
    """Whether some relu's input is exactly 0, where relu has a corner and its slope is a convention.

    >>> from playground.steps.expression import parse
    >>> at_a_corner(build(parse("relu(x)"), {"x": 0.0})), at_a_corner(build(parse("relu(x)"), {"x": 1.0}))
    (True, False)
    """
    return any(node.label == "relu" and node.inputs[0].value == 0 for node in graph.nodes if node.inputs)


def gradients(tree: ast.expr, values: Mapping[str, float]) -> dict[str, float]:
    """The engine's derivative of the formula for each of its variables.

    Raises PlaygroundError as `build` and `walk_back` do.

    >>> from playground.steps.expression import parse
    >>> gradients(parse("w*x"), {"w": 2.0, "x": 3.0})
    {'w': 3.0, 'x': 2.0}
    """
    walk_back(build(tree, values))  # which refuses what is not finite, on a graph of its own: it leaves gradients there
    graph = build(tree, values)
    if graph.result.inputs:
        graph.result.tensor.backward()
    found = {node.name: node.tensor.grad for node in graph.nodes if node.label in values}
    return {name: 1.0 if grad is None and not graph.result.inputs else float(grad if grad is not None else 0.0)
            for name, grad in found.items() if name in variables(tree)}


def nudged(tree: ast.expr, values: Mapping[str, float], name: str, h: float) -> tuple[float, float]:
    """Finite differences for one variable: forward (f(x+h) - f(x)) / h, central (f(x+h) - f(x-h)) / 2h.

    nan where x + h or x - h leaves what the formula can take, as log does below 0.

    >>> from playground.steps.expression import parse
    >>> [round(v, 6) for v in nudged(parse("x**2"), {"x": 3.0}, "x", 0.01)]
    [6.01, 6.0]
    """
    def at(step: float) -> float:
        try:
            return build(tree, {**values, name: values[name] + step}).result.value
        except PlaygroundError:
            return math.nan

    here, above, below = at(0.0), at(h), at(-h)
    return (above - here) / h, (above - below) / (2 * h)
