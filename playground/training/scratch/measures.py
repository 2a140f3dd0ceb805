"""What the parts of a network are like while it trains: sizes of numbers and of gradients, steps, zeros, NaN.

`Look` measures one step of training without changing it: it reads what the step computes anyway. `Meter` says which
steps are measured.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import Tensor, backward_steps, layers
from playground.network.build import placed
from playground.network.kinds import KINDS
from playground.network.parts import Network, Path, everything
from playground.training.runs.events import Measures, NotFinite, PartMeasures

SHARE = 0.04
"""Of the time that training takes, at most so much is spent on measuring; writing it down takes less than as much."""
MOST = 120
"""Steps of a run that are measured, at most, so that its log stays short."""
SLOPE = 0.04
"""A sigmoid or tanh with less than this share of its largest slope is called saturated."""
_EDGE = {"sigmoid": (0.5, 0.5 * math.sqrt(1 - SLOPE)), "tanh": (0.0, math.sqrt(1 - SLOPE))}
"""Around which value, and how far from it, an answer is saturated: y (1 - y) and 1 - y² are the slopes."""
RECTIFIERS = ("relu",)
_SMALL = 1e-30


class Meter:
    """Which steps are measured: the first, and then one whenever all measuring together, the next included, will have
    taken at most `SHARE` of the time since training began, and `steps / MOST` steps have gone by since the last.
    """

    def __init__(self, steps: int):
        self.between = max(1, -(-steps // MOST))
        self.began, self.spent, self.cost, self.last = time.perf_counter(), 0.0, 0.0, -math.inf

    def due(self, step: int) -> bool:
        """Whether the step, counted from 1, is to be measured."""
        if self.last < 0:
            return True
        if step - self.last < self.between:
            return False
        return self.spent + self.cost <= SHARE * (time.perf_counter() - self.began)

    def took(self, step: int, seconds: float) -> None:
        """A step was measured, and it took so long."""
        self.last, self.cost = step, seconds
        self.spent += seconds


class Parts:
    """The parts of a built network that are measured: those with parameters, and activations."""

    def __init__(self, network: Network, model: layers.Sequential):
        modules = placed(network, model)
        self.rows: list[tuple[Path, str, layers.Module, Tensor | None]] = []
        self.every: dict[int, Path] = {}
        for path, one in everything(network.parts):
            if one.of.container:
                continue
            module = modules[path]
            self.every[id(module)] = path
            if KINDS[one.kind].group == "activation" or any(True for _ in module.parameters()):
                self.rows.append((path, one.kind, module, getattr(module, "weight", None)))


class Look:
    """A look at one step: made after the loss was computed, `backward` walks back, `stepped` is told of the step.

    `calls` are those that `engine.module.watched` listed while the model ran on `x`.
    """

    def __init__(self, parts: Parts, calls: Sequence[tuple[Any, Any]], x: np.ndarray, loss: Tensor):
        began = time.perf_counter()
        self.parts, self.loss, self.value, self.pictures = parts, loss, loss.item(), _size(x)[0]
        self.outputs = {id(module): result for module, result in calls}
        self.given = {path: _given(kind, self.outputs[id(module)].data) for path, kind, module, _ in parts.rows}
        self.gradients: dict[Path, float | None] = {}
        self.steps: dict[Path, float | None] = {}
        self.first: NotFinite | None = None
        broken = not math.isfinite(self.value) or any(given["not_finite"] for given in self.given.values())
        if broken:
            self.first = _first_forward(parts, self.outputs, loss)
        self.weights: dict[Path, np.ndarray] = {}
        self.seconds = time.perf_counter() - began

    def backward(self) -> None:
        """`loss.backward()`, with the sizes of the gradients that arrive at what each part gave."""
        wanted = {id(self.outputs[id(module)]): path for path, _, module, _ in self.parts.rows}
        for step in backward_steps(self.loss):
            path = wanted.get(id(step.output))
            if path is not None:
                began = time.perf_counter()
                self.gradients[path] = _size(step.gradient)[0]
                self.seconds += time.perf_counter() - began
        began = time.perf_counter()
        if self.first is None and not all(_size(weight.grad)[1] == 0 for *_, weight in self.parts.rows
                                          if weight is not None and weight.grad is not None):
            self.first = _first_backward(self.parts, self.outputs, self.loss)
        self.weights = {path: weight.data.copy() for path, _, _, weight in self.parts.rows if weight is not None}
        self.seconds += time.perf_counter() - began

    def stepped(self) -> None:
        """The optimizer has taken its step: how far each weight went. What is of no more use is forgotten."""
        began = time.perf_counter()
        for path, _, _, weight in self.parts.rows:
            if path in self.weights and weight is not None:
                before = self.weights[path]
                with np.errstate(all="ignore"):
                    moved, size = _size(weight.data - before)[0], _size(before)[0]
                self.steps[path] = _short(moved / size) if moved is not None and size else None
        del self.loss, self.outputs, self.weights  # else the tape would live as long as what was measured
        self.seconds += time.perf_counter() - began

    def measures(self, epoch: int, step: int, moment: float) -> Measures:
        """What was seen, as an event."""
        loss = _short(self.value) if math.isfinite(self.value) else None
        return Measures(epoch, step, self.pictures, loss, tuple(
            PartMeasures(path, kind, gradient=self.gradients.get(path), step=self.steps.get(path), **self.given[path])
            for path, kind, _, _ in self.parts.rows), self.first, moment)


def _given(kind: str, y: np.ndarray) -> dict[str, Any]:
    """What is said of the numbers that a part gives, the batch along axis 0."""
    size, not_finite = _size(y)
    others = np.count_nonzero(y.ravel(order="K"))  # in the order of memory: several times as fast
    found: dict[str, Any] = {"activation": size, "zeros": _short(1 - others / max(y.size, 1)),
                             "not_finite": _short(not_finite / max(y.size, 1))}
    if kind in _EDGE:
        middle, far = _EDGE[kind]
        found["saturated"] = _short(float(np.mean(np.abs(y - middle) > far)))
    if kind in RECTIFIERS:
        found["dead"] = _short(float(1 - np.mean(np.any(y != 0, axis=(0, *range(2, y.ndim))))))
    return found


def _size(a: np.ndarray) -> tuple[float | None, int]:
    """The root mean square of an array's finite numbers, and how many are not."""
    flat = a.ravel(order="K")
    with np.errstate(all="ignore"):
        total = float(np.dot(flat, flat))
    if math.isfinite(total) and (total > _SMALL or not flat.any()):
        return _short(math.sqrt(total / max(a.size, 1))), 0
    finite = flat[np.isfinite(flat)].astype(np.float64)  # squares that float32 does not hold, or NaN and Inf
    size = math.sqrt(float(np.dot(finite, finite)) / finite.size) if finite.size else None
    return (None if size is None else _short(size)), int(flat.size - finite.size)


def _short(value: float) -> float:
    """Four digits: all that a page shows, and a log of half the length."""
    return float(f"{value:.4g}")


# --- where the first NaN or Inf came up ---


def _first_forward(parts: Parts, outputs: Mapping[int, Tensor], loss: Tensor) -> NotFinite | None:
    """The first op on the way forward that made a NaN or Inf of numbers that were none."""
    learned = {id(weight) for *_, module, _ in parts.rows for weight in module.parameters()}
    made: dict[int, Tensor] = {}
    waiting = [loss]
    while waiting:
        result = waiting.pop()
        if result.node is None or result.node.place in made:
            continue
        made[result.node.place] = result
        waiting += [x for x in result.node.inputs if isinstance(x, Tensor)]
    for at in sorted(made):
        node = made[at].node
        assert node is not None
        arrays = [(x, x.data if isinstance(x, Tensor) else np.asarray(x)) for x in node.inputs if x is not None]
        worn = [x for x, array in arrays if not np.isfinite(array).all()]
        if any(id(x) in learned for x in worn):
            return NotFinite(_part_at(parts, outputs, at), node.op.name, "step")
        if worn or not np.isfinite(made[at].data).all():
            return NotFinite(() if worn else _part_at(parts, outputs, at), node.op.name, "forward")
    return None


def _first_backward(parts: Parts, outputs: Mapping[int, Tensor], loss: Tensor) -> NotFinite | None:
    """The first op on the way back that made a NaN or Inf of a gradient that was none. The walk is left there, so no
    gradient is added up twice."""
    for step in backward_steps(loss):
        sent = [gradient for gradient in step.input_gradients if gradient is not None]
        if not all(np.isfinite(gradient).all() for gradient in sent):
            node = step.output.node
            assert node is not None
            return NotFinite(_part_at(parts, outputs, node.place), step.op.name, "backward")
    return None


def _part_at(parts: Parts, outputs: Mapping[int, Tensor], place: int) -> Path:
    """The part that was at work when the tape was at a place; () after the last, where the loss is computed."""
    ends = [(result.node.place, parts.every[key]) for key, result in outputs.items()
            if key in parts.every and result.node is not None and result.node.place >= place]
    return min(ends)[1] if ends else ()
