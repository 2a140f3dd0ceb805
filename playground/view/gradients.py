"""The walk back through a traced network: from the loss, a class's score or any number to every part and weight."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine import BackwardStep, Tensor, backward_steps
from playground.errors import PlaygroundError
from playground.numbers import number
from playground.training.scratch import losses
from playground.training.scratch.losses import CROSS_ENTROPY
from playground.view.trace import PICTURE, Array, Part, Trace

_WALKING = threading.Lock()
"""Two walks over one network would add to the same weights' `.grad`."""


@dataclass(frozen=True)
class Target:
    """Where a walk back begins: the loss against a label, the score of a class before softmax, or one number of a part,
    `place` in what it gives for the picture.

    >>> Target("loss", label=3).key, Target("number", part=2, place=(0, 5, 1)).key
    ('loss:3', 'number:2:0.5.1')
    """

    kind: str
    label: int = 0
    part: int = 0
    place: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        return (f"{self.kind}:{self.label}" if self.kind != "number" else
                f"number:{self.part}:{'.'.join(map(str, self.place))}")

    @staticmethod
    def of(text: str) -> "Target":
        """Back from its key. Raises PlaygroundError when it is none.

        >>> Target.of("score:7")
        Target(kind='score', label=7, part=0, place=())
        """
        kind, *rest = text.split(":")
        try:
            if kind in ("loss", "score") and len(rest) == 1:
                return Target(kind, label=_index(rest[0]))
            if kind == "number" and len(rest) == 2:
                return Target(kind, part=_index(rest[0]), place=tuple(_index(one) for one in rest[1].split(".")))
        except ValueError:
            pass
        raise PlaygroundError(f"A walk back begins at loss:LABEL, score:CLASS or number:PART:PLACE, not at "
                              f"{text[:40]!r}.")


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(text)
    return int(text)


@dataclass(frozen=True, eq=False)
class Step:
    """One op walked back: the part it belongs to, its name, and what it sent to whom (parts by index; weights under
    their names): root mean squares."""

    part: int
    op: str
    sent: tuple[tuple[int | str, float], ...]


@dataclass(eq=False)
class Gradients:
    """All gradients of one number. `value` is the number itself."""

    target: Target
    value: float
    arrived: dict[int, Array] = field(default_factory=dict)  # by id of the tensor
    sent: dict[int, tuple[Array | None, ...]] = field(default_factory=dict)  # by id of the result, to each input
    weights: dict[str, Array] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    walked: list[Tensor] = field(default_factory=list)  # the results that sent something, the last first
    picture: Array | None = None
    top: float | None = None  # the largest magnitude, once it was asked for

    def at(self, part: Part) -> Array | None:
        """What arrived at what a part gives, for the picture looked at; None where the walk does not come by."""
        found = self.arrived.get(id(part.output))
        return None if found is None else part.of(found)

    def of(self, part: Part, weight: Tensor) -> Array | None:
        """The gradient of one of a part's weights, or of what was made of them."""
        name = next((name for name, one in part.weights.items() if one is weight), "")
        return self.weights.get(name, self.arrived.get(id(weight)))

    @property
    def bytes(self) -> int:
        """What it holds in memory, about."""
        return sum(array.nbytes for array in {id(array): array for array in (
            *self.arrived.values(), *self.weights.values(), *(one for sent in self.sent.values() for one in sent))
            if array is not None}.values())


def walk_back(trace: Trace, target: Target) -> Gradients:
    """The gradients of a target. The weights' `.grad` are as before.

    Raises PlaygroundError when there is no such class or number, or when it does not depend on the picture.
    """
    start, gradient, value = _start(trace, target)
    if not start.requires_grad:
        raise PlaygroundError("There is no way back from there: nothing that can change smoothly leads to it.")
    found = Gradients(target, value)
    weights = {id(weight): (name, weight) for part in trace.parts for name, weight in part.weights.items()}
    names = {key: name for key, (name, _) in weights.items()}
    leaves = [trace.picture, *(weight for _, weight in weights.values())]
    with _WALKING:
        before = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        try:
            if gradient is not None:
                found.arrived[id(start)] = gradient
            for step in backward_steps(start, gradient):
                index = trace.part_of(step.output)
                found.walked.append(step.output)
                found.arrived[id(step.output)] = step.gradient
                found.sent[id(step.output)] = step.input_gradients
                if index is not None:
                    found.steps.append(Step(index, step.op.name, _sent(trace, names, step)))
            for name, weight in weights.values():
                if weight.grad is not None:
                    found.weights[name] = weight.grad
            if trace.picture.grad is not None:
                found.arrived[id(trace.picture)] = trace.picture.grad
                found.picture = trace.picture.grad[0]
        finally:
            for leaf, kept in zip(leaves, before, strict=True):
                leaf.grad = kept
    return found


def _sent(trace: Trace, names: Mapping[int, str], step: BackwardStep) -> tuple[tuple[int | str, float], ...]:
    said: list[tuple[int | str, float]] = []
    index = trace.part_of(step.output)
    taker = None if index is None else trace.parts[index]
    for x, g in zip(step.inputs, step.input_gradients, strict=True):
        if x is None or g is None:
            continue
        to: int | str | None = names.get(id(x), trace.part_of(x, taker))
        if to is not None:
            said.append((to, size(g)))
    return tuple(said)


def _start(trace: Trace, target: Target) -> tuple[Tensor, Array | None, float]:
    """The tensor to begin at, the gradient that arrives there, and the number whose gradients are wanted."""
    if target.kind == "number":
        if not 0 <= target.part < len(trace.parts):
            raise PlaygroundError(f"The network has {len(trace.parts)} parts, so there is no part {target.part}.")
        part = trace.parts[target.part]
        if len(target.place) != len(part.shape) or any(not 0 <= i < n for i, n in
                                                       zip(target.place, part.shape, strict=True)):
            sizes = " × ".join(number(n, 9) for n in part.shape)
            raise PlaygroundError(f"The {part.title} gives {sizes} numbers: there is none at "
                                  f"{', '.join(map(str, target.place))}.")
        place = part.at(target.place)
        return part.output, _one(part.output, place), float(part.output.data[place])
    classes = max(trace.logits.shape[1], 2)
    if not 0 <= target.label < classes:
        raise PlaygroundError(f"The network knows {classes} classes: there is no class {target.label}.")
    single = trace.logits.shape[1] == 1
    if target.kind == "score":
        sign = -1.0 if single and target.label == 0 else 1.0  # of one score, class 0 is what speaks against it
        place = (0, 0 if single else target.label)
        return trace.logits, sign * _one(trace.logits, place), sign * float(trace.logits.data[place])
    loss = loss_of(trace.logits, target.label, trace.loss)
    return loss, None, loss.item()


def loss_of(logits: Tensor, label: int, loss: str = CROSS_ENTROPY) -> Tensor:
    """Of a batch of which picture 0 has the label, the loss of that picture alone."""
    return losses.loss_of(logits[:1], np.array([label]), loss=loss)


def size(g: Any) -> float:
    """The root mean square of an array's numbers; nan where they are none.

    >>> size(np.array([3.0, -3.0]))
    3.0
    """
    flat = np.asarray(g).ravel(order="K")
    if not flat.size:
        return 0.0
    with np.errstate(all="ignore"):
        if flat.dtype == np.float32 and flat.size > _BLOCK:  # in short sums, several times as fast as in float64
            rest = flat.size % _BLOCK
            blocks = flat[: flat.size - rest].reshape(-1, _BLOCK)
            total = float(np.einsum("ij,ij->i", blocks, blocks).sum(dtype=np.float64))
            total += float(np.square(flat[flat.size - rest :], dtype=np.float64).sum())
            if _SURE[0] < total / flat.size < _SURE[1]:  # else squares may have been too small or large for float32
                return float(np.sqrt(total / flat.size))
        return float(np.sqrt(np.mean(np.square(flat, dtype=np.float64))))


_BLOCK, _SURE = 1024, (1e-24, 1e24)


def _one(tensor: Tensor, place: tuple[int, ...]) -> Array:
    gradient: Array = np.zeros(tensor.shape, tensor.dtype)
    gradient[place] = 1
    return gradient


__all__ = ["PICTURE", "Gradients", "Step", "Target", "loss_of", "size", "walk_back"]
