"""One number of a network taken apart: what it was made of on the way forward, and what its gradient is a sum of.

An op that is linear in its input is a sum of products, y = sum of J x + rest, whatever op it is: J comes from the tape.
So convolutions, dense layers, means, sums, resizing and what a file may bring are taken apart alike.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine import Tensor
from playground.errors import PlaygroundError
from playground.training.scratch.losses import CROSS_ENTROPY, HINGE
from playground.view.gradients import Gradients
from playground.view.trace import Array, Part, Trace
from playground.view.windows import Windows

LINEAR = ("conv2d", "conv_transpose2d", "linear", "matmul", "avg_pool2d", "adaptive_avg_pool2d", "mean", "sum",
          "interpolate", "add", "sub", "neg", "concat", "stack", "pad", "reshape", "flatten", "transpose", "squeeze",
          "unsqueeze", "contiguous", "broadcast_to", "getitem", "cast", "batch_norm_inference", "dropout")
"""Ops that are linear, but for something added, in what comes from the picture."""
PRODUCTS = ("conv2d", "conv_transpose2d", "linear", "matmul")
"""Linear in each factor while the other stays: where both come from the picture, the first is taken."""
ADDED = ("conv_transpose2d", "add", "sub", "pad", "batch_norm_inference")
"""Linear ops that may add what does not come from the picture, besides those that have a bias."""
SCALED = ("batch_norm_training", "batch_norm_inference", "layer_norm", "group_norm", "instance_norm")
"""Ops that are linear in their scale and shift, the inputs named in `_SCALES`."""
_SCALES = {"batch_norm_inference": (3, 4)}
POINTWISE = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "silu", "hardswish", "hardsigmoid", "softplus", "gelu",
             "clip", "erf", "sin", "cos", "exp", "log", "sqrt", "abs", "pow", "maximum", "minimum", "where", "mul",
             "div")
MOST_TERMS = 36


@dataclass(frozen=True)
class Term:
    """One product: what `owner` (a part, the picture as -1, or a weight's name) has at `place`, and what it counts."""

    owner: int | str
    place: tuple[int, ...]
    x: float
    factor: float
    index: tuple[int, ...] = ()  # in the tensor, all pictures counted

    @property
    def product(self) -> float:
        return self.x * self.factor


@dataclass(frozen=True)
class Account:
    """A number as a sum: `value` = sum of `terms` (the largest products first) + `others` + `rest`.

    `count` is how many products there are, `others` the sum of those not listed, `rest` what is added (a bias, a
    shift; None where nothing is). `kind`: "linear", "pointwise" (one number in, `slope` out), "largest" (the window's
    winner counts 1, the others 0), "coupled" (depends on numbers that are not taken apart one by one).
    """

    op: str
    kind: str
    value: float
    terms: tuple[Term, ...] = ()
    count: int = 0
    others: float = 0.0
    rest: float | None = None
    window: tuple[int, ...] | None = None
    strength: float = 0.0
    """The sizes of all products, listed or not, added up."""

    @property
    def total(self) -> float:
        """What the terms add up to."""
        return added_up([*(term.product for term in self.terms), self.others, self.rest or 0.0])


def added_up(numbers: Iterable[float]) -> float:
    """Their sum, rounded once; nan or infinity where it is none.

    >>> added_up([1e300, 1.0, -1e300]), added_up([math.inf, -math.inf])
    (1.0, nan)
    """
    listed = list(numbers)
    try:
        return math.fsum(listed)
    except (ValueError, OverflowError):
        with np.errstate(all="ignore"):
            return float(np.sum(listed))


def forward(trace: Trace, part: Part, place: Sequence[int]) -> list[Account]:
    """What a number of a part was made of: the account of each of its ops, the last first, until one takes several
    numbers. Raises PlaygroundError when the part gives no number there."""
    check_place(part, place)
    found: list[Account] = []
    tensor, at = part.output, part.at(place)
    inside = {id(result) for result in part.made}
    while tensor.node is not None and id(tensor) in inside:
        account = _made(trace, part, tensor, at)
        found.append(account)
        moving = [x for x in tensor.node.inputs if x is not None and id(x) in inside]
        if not moving or account.count != 1:
            break
        tensor, at = moving[0], (*trace.head(moving[0]), *account.terms[0].place)[: moving[0].ndim]
    return found


def backward(trace: Trace, gradients: Gradients, part: Part, place: Sequence[int]) -> list[Account]:
    """What the gradient at a number of a part is a sum of: an account for every op that takes the number.

    Raises PlaygroundError when the part gives no number there or the walk back does not come by.
    """
    check_place(part, place)
    if gradients.at(part) is None:
        raise PlaygroundError(f"What the gradients are of does not depend on the {part.title}.")
    first = [_of_target(trace, gradients, tuple(place))] if part.output is _begin(trace, gradients) else []
    return [*first, *_shares(trace, gradients, part.output, part.at(place))]


def _begin(trace: Trace, gradients: Gradients) -> Tensor:
    """Where a walk back begins, behind the loss."""
    target = gradients.target
    return trace.parts[target.part].output if target.kind == "number" else trace.logits


def _of_target(trace: Trace, gradients: Gradients, place: tuple[int, ...]) -> Account:
    """The gradient that a walk back begins with, at a number: 1 at the chosen one; of the loss, `_of_loss`."""
    target = gradients.target
    if target.kind == "number":
        return Account("itself", "pointwise", float(place == target.place))
    if target.kind == "score":
        single = trace.logits.shape[1] == 1
        chosen = single or place == (target.label,)
        return Account("itself", "pointwise", (-1.0 if single and target.label == 0 else 1.0) if chosen else 0.0)
    value = float(gradients.arrived[id(trace.logits)][0, place[0]])
    op, terms = _of_loss(trace.logits.data[0], target.label, place[0], trace.loss)
    if trace.loss == CROSS_ENTROPY:
        return Account(op, "linear", value, tuple(terms), len(terms))
    return _account(op, "linear", value, terms, None)


def _of_loss(scores: Array, label: int, k: int, loss: str) -> tuple[str, list[Term]]:
    """The gradient of one picture's loss at score k, as a sum: of the cross-entropy p - y; of the squared error over
    all probabilities, 2 (p - y) / K times how each follows the score; of the hinge over the margins that are short."""
    p = probabilities(scores)
    single, classes = scores.size == 1, p.size
    own, begins = (1, "sigmoid and ") if single else (k, "softmax and ")  # one score is the second of two
    if loss == HINGE:
        z = np.array([0.0, scores[0]]) if single else np.asarray(scores, np.float64)
        short = [j for j in range(classes) if j != label and 1 - z[label] + z[j] > 0]
        return "margins that are short", [Term("margin to class", (j,), 1 / classes, -1.0 if own == label else 1.0)
                                          for j in short if own in (label, j)]
    if loss == CROSS_ENTROPY:
        return f"{begins}loss", [Term("probability", (k,), float(p[own]), 1.0),
                                 Term("label", (k,), float(own == label), -1.0)]
    return f"{begins}squared error", [
        Term("probability", (j,), 2 * float(p[j] - (j == label)) / classes, float(p[j] * ((j == own) - p[own])))
        for j in range(classes)]


def probabilities(logits: Array) -> Array:
    """Softmax of scores (K,), in float64; of one score those of both classes, by the sigmoid.

    >>> probabilities(np.array([0.0, 0.0])).tolist(), probabilities(np.array([0.0])).tolist()
    ([0.5, 0.5], [0.5, 0.5])
    """
    scores = np.asarray(logits, np.float64)
    if scores.size == 1:
        scores = np.array([0.0, scores.item()])
    with np.errstate(all="ignore"):
        powers = np.exp(scores - scores.max())
        return np.asarray(powers / powers.sum())


def of_weight(trace: Trace, gradients: Gradients, name: str, place: Sequence[int]) -> list[Account]:
    """What the gradient of a weight is a sum of: over all places (and pictures) where it was used.

    Raises PlaygroundError when there is no such weight.
    """
    weight = next((part.weights[name] for part in trace.parts if name in part.weights), None)
    if weight is None or len(place) != weight.ndim or any(not 0 <= i < n for i, n in zip(place, weight.shape,
                                                                                         strict=False)):
        raise PlaygroundError(f"There is no weight {name[:60]} at {', '.join(map(str, place))}.")
    return list(_of_constant(trace, gradients, weight, tuple(place)))


def _of_constant(trace: Trace, gradients: Gradients, tensor: Tensor, at: tuple[int, ...], share: float = 1.0
                 ) -> Iterator[Account]:
    """The accounts of a weight, through what the file makes of it (turned, scaled) before it meets the picture."""
    for result, account in _uses(trace, gradients, tensor, at):
        if trace.part_of(result) is None and account.kind == "linear" and account.count == 1:
            term = account.terms[0]
            yield from _of_constant(trace, gradients, result, term.index, share * term.factor)
        elif share != 1:
            yield replace(account, value=account.value * share, others=account.others * share,
                          terms=tuple(replace(term, factor=term.factor * share) for term in account.terms))
        else:
            yield account


def check_place(part: Part, place: Sequence[int]) -> None:
    """Raises PlaygroundError when a part gives no number at a place."""
    if len(place) != len(part.shape) or any(not 0 <= i < n for i, n in zip(place, part.shape, strict=False)):
        raise PlaygroundError(f"The {part.title} gives {' × '.join(map(str, part.shape))} numbers: there is none at "
                              f"{', '.join(map(str, place))}.")


def _made(trace: Trace, part: Part, result: Tensor, at: tuple[int, ...]) -> Account:
    """How an op made a number: through the derivative of that number by the op's input from the picture."""
    node = result.node
    assert node is not None
    moving = [k for k, x in enumerate(node.inputs) if x is not None and trace.part_of(x) is not None]
    name, value = node.op.name, float(result.data[at])
    if name in LINEAR and name in PRODUCTS:
        moving = moving[:1]
    terms: list[Term] = []
    for k, factors in zip(moving, _row(result, moving, at), strict=True):
        x = node.inputs[k]
        assert x is not None
        owner = trace.part_of(x, part)
        assert owner is not None
        terms += [Term(owner, trace.place(x, index), float(x.data[index]), factor, index) for index, factor in factors]
    if name not in LINEAR:
        kind = "largest" if name in ("max_pool2d", "adaptive_max_pool2d", "max") else \
            "pointwise" if name in POINTWISE and len(terms) <= 2 else "coupled"
        return _account(name, kind, value, terms, None)
    return _account(name, "linear", value, terms, _added(result, moving, at))


def _added(result: Tensor, moving: Sequence[int], at: tuple[int, ...]) -> float | None:
    """What a linear op adds to a number; None where it adds nothing."""
    node = result.node
    assert node is not None
    name = node.op.name
    if name in ("conv2d", "linear"):
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        return None if bias is None else float(bias.data[at[1 if name == "conv2d" else -1]])
    if name not in ADDED:
        return None
    rest = float(_applied(result, moving, None)[at])
    return rest or None


Factors = list[tuple[tuple[int, ...], float]]
"""How much a number counts, by its index."""


def _row(result: Tensor, moving: Sequence[int], at: tuple[int, ...]) -> list[Factors]:
    """The derivatives of one number of a result by each of some inputs."""
    node = result.node
    assert node is not None
    name = node.op.name
    if name == "conv2d" and list(moving) == [0]:
        w = node.inputs[1]
        assert w is not None
        return [[(one.x, float(w.data[one.w])) for one in Windows(result).of_output(at)]]
    one: Array = np.zeros(result.shape, result.dtype)
    one[at] = 1
    with np.errstate(all="ignore"):
        sent = node.vjp(one, tuple(k in moving for k in range(len(node.inputs)))) if node.op.selective \
            else node.vjp(one)
    rows: list[Factors] = []
    for k in moving:
        x, factors = node.inputs[k], sent[k]
        assert x is not None
        if factors is None:
            rows.append([])
            continue
        if name == "max_pool2d":
            where = [(*at[:2], r, s) for _, _, r, s in Windows(result).places(*at[2:])]
        elif name in POINTWISE and x.shape == result.shape:  # with a slope of 0, too, a number goes in
            where = [at]
        else:
            where = [tuple(map(int, index)) for index in np.argwhere(factors)]
        rows.append([(index, float(factors[index])) for index in where])
    return rows


def _account(name: str, kind: str, value: float, terms: list[Term], rest: float | None) -> Account:
    order = sorted(terms, key=lambda term: -abs(term.product))
    listed, left = order[:MOST_TERMS], order[MOST_TERMS:]
    return Account(name, kind, value, tuple(listed), len(terms), added_up(term.product for term in left), rest,
                   strength=added_up(abs(term.product) for term in terms))


def _shares(trace: Trace, gradients: Gradients, tensor: Tensor, at: tuple[int, ...]) -> Iterator[Account]:
    """For every op of a part that took a tensor: what it sent back to the number at `at`."""
    return (account for result, account in _uses(trace, gradients, tensor, at) if trace.part_of(result) is not None)


def _uses(trace: Trace, gradients: Gradients, tensor: Tensor, at: tuple[int, ...]) -> Iterator[tuple[Tensor, Account]]:
    """The results that a tensor went into, each with what it sent back to the number at `at`."""
    for result in takers(gradients, tensor):
        node = result.node
        assert node is not None
        arrived, name = gradients.arrived[id(result)], node.op.name
        for k, x in enumerate(node.inputs):
            sent = gradients.sent[id(result)][k]
            if x is not tensor or sent is None:
                continue
            counts = _column(result, k, at)
            if counts is None:
                yield result, Account(name, "coupled", float(sent[at]))
                continue
            owner = trace.part_of(result)
            terms = [Term(-2 if owner is None else owner, trace.place(result, index), float(arrived[index]), factor,
                          index) for index, factor in counts if factor != 0 and arrived[index] != 0]
            kind = "pointwise" if name in POINTWISE and x.shape == result.shape else "linear"
            yield result, _account(name, kind, float(sent[at]), terms, None)


def takers(gradients: Gradients, tensor: Tensor) -> Iterator[Tensor]:
    """The results that a tensor went into and a walk back came by, in the order in which they were made."""
    return (result for result in reversed(gradients.walked)
            if result.node is not None and any(x is tensor for x in result.node.inputs))


def _column(result: Tensor, k: int, at: tuple[int, ...]) -> Factors | None:
    """How much each number of a result changes with number `at` of input k; None where that is not known at once."""
    node = result.node
    assert node is not None
    name, x = node.op.name, node.inputs[k]
    assert x is not None
    if name == "conv2d":
        return _of_conv(result, k, at)
    if name == "max_pool2d":
        return _of_largest(result, at)
    if name in POINTWISE and x.shape == result.shape:
        ones: Array = np.ones(result.shape, result.dtype)
        with np.errstate(all="ignore"):
            slope = (node.vjp(ones, tuple(j == k for j in range(len(node.inputs)))) if node.op.selective
                     else node.vjp(ones))[k]
        return [] if slope is None else [(at, float(slope[at]))]
    scale = name in SCALED and k in _SCALES.get(name, (1, 2))
    if scale or (name in LINEAR and (name != "batch_norm_inference" or k == 0)) or name == "mul" or (
            name == "div" and k == 0):
        return _linear(result, k, at)
    return None


def _linear(result: Tensor, k: int, at: tuple[int, ...]) -> Factors:
    """The result with the input that is 1 at `at` and 0 elsewhere, less that with none: what is added goes away."""
    counts = _applied(result, (k,), at) - _applied(result, (k,), None)
    return [(index, float(counts[index])) for index in (tuple(map(int, found)) for found in np.argwhere(counts))]


def _applied(result: Tensor, inputs: Sequence[int], at: tuple[int, ...] | None) -> Array:
    """An op applied again, in float64 so that nothing is lost: some of its inputs are 0 but for a 1 at `at`."""
    node = result.node
    assert node is not None
    arrays: list[Array | None] = []
    for k, x in enumerate(node.inputs):
        if x is None:
            arrays.append(None)
            continue
        array = x.data.astype(np.float64) if x.dtype.kind == "f" else x.data
        if k in inputs:
            array = np.zeros_like(array)
            if at is not None:
                array[at] = 1
        arrays.append(array)
    options = {**node.options, **({"dtype": np.float64} if node.op.name == "cast" else {})}
    with np.errstate(all="ignore"):
        return np.asarray(node.op.rule(*arrays, **options)[0])


def _of_conv(result: Tensor, k: int, at: tuple[int, ...]) -> Factors:
    """Of a convolution by its input, filters or biases."""
    node = result.node
    assert node is not None
    x, w = node.inputs[0], node.inputs[1]
    assert x is not None
    assert w is not None
    if k == 0:
        return [(one.y, float(w.data[one.w])) for one in Windows(result).of_input(at)]
    if k == 1:
        return [(one.y, float(x.data[one.x])) for one in Windows(result).of_weight(at)]
    n, _, height, width = result.shape
    return [((picture, at[0], p, q), 1.0) for picture in range(n) for p in range(height) for q in range(width)]


def _of_largest(result: Tensor, at: tuple[int, ...]) -> Factors:
    """Which windows of a max pooling chose the number at `at`: 1 there, 0 elsewhere."""
    node = result.node
    assert node is not None
    counts: Factors = []
    for _, _, p, q in Windows(result).around(*at[2:]):
        index = (*at[:2], p, q)
        one: Array = np.zeros(result.shape, result.dtype)
        one[index] = 1
        sent = node.vjp(one)[0]
        counts.append((index, 0.0 if sent is None else float(sent[at])))
    return counts
