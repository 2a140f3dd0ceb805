"""One number of a network taken apart: what it was made of on the way forward, and what its gradient is a sum of.

An op that is linear in its input is a sum of products, y = sum of J x + rest, whatever op it is: J comes from the tape.
So convolutions, dense layers, means, sums, resizing and what a file may bring are taken apart alike.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import Tensor
from playground.errors import PlaygroundError
from playground.view.gradients import Gradients
from playground.view.trace import Array, Part, Trace

LINEAR = ("conv2d", "conv_transpose2d", "linear", "matmul", "avg_pool2d", "adaptive_avg_pool2d", "mean", "sum",
          "interpolate", "add", "sub", "neg", "concat", "pad", "reshape", "flatten", "transpose", "squeeze",
          "unsqueeze", "contiguous", "broadcast_to", "getitem", "cast", "batch_norm_inference", "dropout")
"""Ops that are linear, but for something added, in each input when the others stay."""
POINTWISE = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "silu", "hardswish", "hardsigmoid", "softplus", "gelu",
             "erf", "exp", "log", "sqrt", "abs", "pow", "maximum", "minimum", "where", "mul", "div")
MOST_TERMS = 36


@dataclass(frozen=True)
class Term:
    """One product: what `owner` (a part, the picture as -1, or a weight's name) has at `place`, and what it counts."""

    owner: int | str
    place: tuple[int, ...]
    x: float
    factor: float

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

    @property
    def total(self) -> float:
        """What the terms add up to."""
        return math.fsum([*(term.product for term in self.terms), self.others, self.rest or 0.0])


def forward(trace: Trace, part: Part, place: Sequence[int]) -> list[Account]:
    """What a number of a part was made of: the account of each of its ops, the last first, until one takes several
    numbers. Raises PlaygroundError when the part gives no number there."""
    check_place(part, place)
    found: list[Account] = []
    tensor, at = part.output, (0, *place)
    inside = {id(result) for result in part.made}
    while tensor.node is not None and id(tensor) in inside:
        account = _made(trace, tensor, at)
        found.append(account)
        moving = [x for x in tensor.node.inputs if x is not None and id(x) in inside]
        if not moving or len(account.terms) != 1 or account.count != 1:
            break
        tensor, at = moving[0], (0, *account.terms[0].place) if moving[0].ndim == len(account.terms[0].place) + 1 \
            else account.terms[0].place
    return found


def backward(trace: Trace, gradients: Gradients, part: Part, place: Sequence[int]) -> list[Account]:
    """What the gradient at a number of a part is a sum of: an account for every op that takes the number.

    Raises PlaygroundError when the part gives no number there or the walk back does not come by.
    """
    check_place(part, place)
    if gradients.at(part) is None:
        raise PlaygroundError(f"What the gradients are of does not depend on the {part.title}.")
    first = [_of_target(trace, gradients, tuple(place))] if part.output is _begin(trace, gradients) else []
    return [*first, *_shares(trace, gradients, part.output, (0, *place))]


def _begin(trace: Trace, gradients: Gradients) -> Tensor:
    """Where a walk back begins, behind the loss."""
    target = gradients.target
    return trace.parts[target.part].output if target.kind == "number" else trace.logits


def _of_target(trace: Trace, gradients: Gradients, place: tuple[int, ...]) -> Account:
    """The gradient that a walk back begins with, at a number: 1 at the chosen one; of the loss, p - y."""
    target = gradients.target
    if target.kind == "number":
        return Account("itself", "pointwise", float(place == target.place))
    if target.kind == "score":
        single = trace.logits.shape[1] == 1
        chosen = single or place == (target.label,)
        return Account("itself", "pointwise", (-1.0 if single and target.label == 0 else 1.0) if chosen else 0.0)
    p = probabilities(trace.logits.data[0])
    single = trace.logits.shape[1] == 1
    own = float(p[-1] if single else p[place[0]])
    y = float(target.label) if single else float(place[0] == target.label)
    value = float(gradients.arrived[id(trace.logits)][(0, *place)])
    return Account("sigmoid and loss" if single else "softmax and loss", "linear", value,
                   (Term("probability", place, own, 1.0), Term("label", place, y, -1.0)), 2)


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
    return list(_shares(trace, gradients, weight, tuple(place)))


def check_place(part: Part, place: Sequence[int]) -> None:
    """Raises PlaygroundError when a part gives no number at a place."""
    if len(place) != len(part.shape) or any(not 0 <= i < n for i, n in zip(place, part.shape, strict=False)):
        raise PlaygroundError(f"The {part.title} gives {' × '.join(map(str, part.shape))} numbers: there is none at "
                              f"{', '.join(map(str, place))}.")


def _made(trace: Trace, result: Tensor, at: tuple[int, ...]) -> Account:
    """How an op made a number: through the derivative of that number by the op's input from the picture."""
    node = result.node
    assert node is not None
    moving = [k for k, x in enumerate(node.inputs) if x is not None and trace.part_of(x) is not None]
    value = float(result.data[at])
    name = node.op.name
    one = np.zeros(result.shape, result.dtype)
    one[at] = 1
    needs = tuple(k in moving for k in range(len(node.inputs)))
    sent = node.vjp(one, needs) if node.op.selective else node.vjp(one)
    terms: list[Term] = []
    for k in moving:
        x, factors = node.inputs[k], sent[k]
        assert x is not None
        if factors is None:
            continue
        owner = trace.part_of(x)
        assert owner is not None
        where = np.array([at]) if name in POINTWISE and x.shape == result.shape else np.argwhere(factors)
        window = _window(node.options, x, at) if name == "max_pool2d" else None
        if window is not None:
            where = window
        terms += [Term(owner, tuple(map(int, p[1:] if x.ndim > 1 and x.shape[0] == trace.picture.shape[0] else p)),
                       float(x.data[tuple(p)]), float(factors[tuple(p)])) for p in where]
    if name in LINEAR:
        exact = math.fsum(term.product for term in terms)
        return _account(name, "linear", value, terms, value - exact)
    kind = "largest" if name in ("max_pool2d", "adaptive_max_pool2d", "max") else \
        "pointwise" if name in POINTWISE and len(terms) <= 2 else "coupled"
    return _account(name, kind, value, terms, None)


def _account(name: str, kind: str, value: float, terms: list[Term], rest: float | None) -> Account:
    order = sorted(terms, key=lambda term: -abs(term.product))
    listed, left = order[:MOST_TERMS], order[MOST_TERMS:]
    if rest is not None and abs(rest) <= 1e-6 * max(1e-30, math.fsum(abs(term.product) for term in terms)):
        rest = None
    return Account(name, kind, value, tuple(listed), len(terms), math.fsum(term.product for term in left), rest)


def _shares(trace: Trace, gradients: Gradients, tensor: Tensor, at: tuple[int, ...]) -> Iterator[Account]:
    """For every op that took a tensor: what it sent back to the number at `at`."""
    for result in _takers(trace, gradients, tensor):
        node = result.node
        assert node is not None
        arrived = gradients.arrived[id(result)]
        for k, x in enumerate(node.inputs):
            sent = gradients.sent[id(result)][k]
            if x is not tensor or sent is None:
                continue
            value, name = float(sent[at]), node.op.name
            counts = _column(result, k, at)
            if counts is None:
                yield Account(name, "coupled", value)
                continue
            owner = trace.part_of(result)
            batch = result.shape[0] == trace.picture.shape[0]
            terms = [Term(-2 if owner is None else owner, tuple(map(int, p[1:] if batch else p)),
                          float(arrived[tuple(p)]), float(counts[tuple(p)])) for p in np.argwhere(counts * arrived)]
            yield _account(name, "pointwise" if name in POINTWISE else "linear", value, terms, None)


def _takers(trace: Trace, gradients: Gradients, tensor: Tensor) -> Iterator[Tensor]:
    for part in trace.parts:
        for result in part.made:
            if id(result) in gradients.sent and result.node is not None and any(x is tensor
                                                                               for x in result.node.inputs):
                yield result


def _column(result: Tensor, k: int, at: tuple[int, ...]) -> Array | None:
    """How much each number of a result changes with number `at` of input k; None where that is not known at once."""
    node = result.node
    assert node is not None
    name = node.op.name
    x = node.inputs[k]
    assert x is not None
    if name in LINEAR:
        one = np.zeros(x.shape, x.dtype)
        one[at] = 1
        arrays = [None if y is None else y.data for y in node.inputs]
        return _linear(node.op.rule, arrays, k, one, dict(node.options))
    if name in POINTWISE and x.shape == result.shape:
        slopes = node.vjp(np.ones(result.shape, result.dtype), tuple(j == k for j in range(len(node.inputs)))) \
            if node.op.selective else node.vjp(np.ones(result.shape, result.dtype))
        counts: Array = np.zeros(result.shape, result.dtype)
        slope = slopes[k]
        counts[at] = 0 if slope is None else slope[at]
        return counts
    if name == "max_pool2d":
        return _pooled(result, at)
    return None


def _linear(rule: Any, arrays: list[Array | None], k: int, one: Array, options: dict[str, Any]) -> Array:
    """The result with the one-hot input less that with none: what is added goes away."""
    with_one = rule(*[one if j == k else a for j, a in enumerate(arrays)], **options)[0]
    with_none = rule(*[np.zeros_like(one) if j == k else a for j, a in enumerate(arrays)], **options)[0]
    return np.asarray(with_one - with_none)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int | np.integer) else (int(value[0]), int(value[-1]))


def _window(options: Any, x: Tensor, at: tuple[int, ...]) -> Array:
    """The places of a pooling window inside its input."""
    kernel = _pair(options["kernel_size"])
    stride = _pair(options.get("stride") or kernel)
    padding, dilation = _pair(_before(options.get("padding", 0))), _pair(options.get("dilation", 1))
    rows, columns = ([p * s - b + i * d for i in range(n)] for p, s, b, d, n in
                     zip(at[-2:], stride, padding, dilation, kernel, strict=True))
    return np.array([(*at[:-2], r, c) for r in rows for c in columns
                     if 0 <= r < x.shape[-2] and 0 <= c < x.shape[-1]])


def _before(padding: Any) -> Any:
    """Of a padding that names both ends of each axis ((top, bottom), (left, right)), the beginnings."""
    if isinstance(padding, Sequence) and padding and isinstance(padding[0], Sequence):
        return [ends[0] for ends in padding]
    return padding


def _pooled(result: Tensor, at: tuple[int, ...]) -> Array:
    """Which windows of a max pooling chose the number at `at`: 1 there, 0 elsewhere."""
    node = result.node
    assert node is not None
    x = node.inputs[0]
    assert x is not None
    kernel = _pair(node.options["kernel_size"])
    stride = _pair(node.options.get("stride") or kernel)
    reach = [(n - 1) * d for n, d in zip(kernel, _pair(node.options.get("dilation", 1)), strict=True)]
    padding = _pair(_before(node.options.get("padding", 0)))
    counts: Array = np.zeros(result.shape, result.dtype)
    spans = [range(max(0, -(-(place + b - far) // s)), min(n - 1, (place + b) // s) + 1)
             for place, b, far, s, n in zip(at[-2:], padding, reach, stride, result.shape[-2:], strict=True)]
    for row in spans[0]:
        for column in spans[1]:
            one = np.zeros(result.shape, result.dtype)
            one[(*at[:-2], row, column)] = 1
            sent = node.vjp(one)[0]
            counts[(*at[:-2], row, column)] = 0 if sent is None else sent[at]
    return counts
