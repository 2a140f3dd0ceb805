"""Whether a number is right: a gradient against finite differences, and what is asked of PyTorch."""

import base64
import io
import json
from dataclasses import dataclass

import numpy as np

from engine import Tensor, backward_steps, no_grad
from playground.errors import PlaygroundError
from playground.network.parts import everything, place
from playground.network.spelling import spelled
from playground.view.asks.chosen import Chosen
from playground.view.gradients import Target, loss_of
from playground.view.replay import Change, Now, replayed
from playground.view.sources import Design
from playground.view.trace import PICTURE, Array, Part, Trace, in_order

STEP = float(np.finfo(np.float64).eps ** (1 / 3))
"""Of a central difference, times the number where that is larger than 1: there the error of cutting the series, which
falls with the square of the step, and that of rounding, which grows as it shrinks, are about equal."""
KINK = 1e-2


@dataclass(frozen=True)
class Difference:
    """A gradient by central finite difference in float64.

        value = (f(t + h) - f(t - h)) / (2 h)

    `error` is what is to be expected of it: a third of what half the step changes, and the rounding of f over h. `left`
    and `right` are the slopes on either side.
    """

    value: float
    step: float
    error: float
    left: float
    right: float

    @property
    def kink(self) -> bool:
        """Whether the slopes on both sides differ, as at 0 of a ReLU: then there is no one gradient."""
        return abs(self.right - self.left) > KINK * max(abs(self.left), abs(self.right)) + 3 * self.error


def value_of(trace: Trace, chosen: Chosen) -> float:
    """The number that is pointed at: a weight, else a part's number or a pixel as the network sees it."""
    tensor, index = _where(trace, chosen)
    return float(tensor.data[index])


def gradient(trace: Trace, target: Target, chosen: Chosen, dtype: type[np.floating] = np.float32) -> float:
    """d(target) / d(the number pointed at), by the engine's walk back, in float32 or float64.

    On copies of all leaves, so nobody's `.grad` is touched. Raises PlaygroundError when there is no such number.
    """
    tensor, index = _where(trace, chosen)
    now = replayed(trace, dtype=dtype)
    end, first = _end(trace, target, now)
    mine = now(tensor)
    if mine is end and mine.node is not None:
        return float(first[index]) if first is not None else 1.0
    found: Array | None = None
    for step in backward_steps(end, first):
        if step.output is mine:
            found = step.gradient
    found = mine.grad if mine.node is None else found
    return 0.0 if found is None else float(found[index])


def difference(trace: Trace, target: Target, chosen: Chosen) -> Difference:
    """The same gradient by finite differences: the run computed again in float64 with the number a little larger and
    smaller. Raises PlaygroundError when there is no such number, or the run rounds to whole numbers."""
    tensor, index = _where(trace, chosen)
    if any(one.node is not None and one.node.op.name == "fake_quantize" for one in in_order(trace.logits)):
        raise PlaygroundError("This file rounds to whole numbers on its way, which has slope 0 or none: the gradient "
                              "counts rounding as if it were not there (straight through), so finite differences do "
                              "not measure it.")
    with no_grad():
        plain = replayed(trace, dtype=np.float64)
        at = float(plain(tensor).data[index])
        step = STEP * max(1.0, abs(at))

        def f(moved: float) -> float:
            end, first = _end(trace, target, _with(trace, tensor, index, at + moved))
            return end.item() if first is None else float((end.data * first).sum())

        middle, up, down, up2, down2 = (f(k * step) for k in (0, 1, -1, 2, -2))
    value = (up - down) / (2 * step)
    rounding = float(np.finfo(np.float64).eps) * max(abs(up), abs(down), abs(middle)) / step
    return Difference(value, step, abs((up2 - down2) / (4 * step) - value) / 3 + rounding, (middle - down) / step,
                      (up - middle) / step)


def torch_question(design: Design, trace: Trace, target: Target, chosen: Chosen) -> str:
    """What `torch_number` reads, as JSON: the network, its weights, the picture, which number, of what."""
    arrays = {name: np.asarray(array) for name, array in design.model.state_dict().items()}
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, picture=trace.picture.data[:1], **arrays)
    paths = {place(path): list(path) for path, _ in everything(design.network.parts)}
    part = None if chosen.part is None or chosen.part == PICTURE else trace.parts[chosen.part]
    return json.dumps({
        "network": spelled(design.network), "arrays": base64.b64encode(packed.getvalue()).decode(),
        "target": target.key, "loss": trace.loss, "place": chosen.place,
        "path": None if part is None else paths[part.name],
        "goal": paths[trace.parts[target.part].name] if target.kind == "number" else None, "weight": chosen.weight})


def _where(trace: Trace, chosen: Chosen) -> tuple[Tensor, tuple[int, ...]]:
    """The tensor of the trace that holds the number pointed at, and its index there."""
    if chosen.weight is not None:
        name, index = chosen.weight
        tensor = next((part.weights[name] for part in trace.parts if name in part.weights), None)
        if tensor is None:
            raise PlaygroundError(f"This network has no weights called {name[:40]}.")
        shape: tuple[int, ...] = tensor.shape
    elif chosen.part is None or chosen.place is None:
        raise PlaygroundError("Choose a number or a weight first.")
    else:
        tensor = trace.picture if chosen.part == PICTURE else _part(trace, chosen.part).output
        index, shape = (0, *chosen.place), (1, *tensor.shape[1:])
    if len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=True)):
        raise PlaygroundError(f"There is no number at {', '.join(map(str, index))}.")
    return tensor, index


def _part(trace: Trace, index: int) -> Part:
    if not 0 <= index < len(trace.parts):
        raise PlaygroundError(f"The network has {len(trace.parts)} parts, so there is no part {index}.")
    return trace.parts[index]


def _with(trace: Trace, tensor: Tensor, index: tuple[int, ...], value: float) -> Now:
    """The run in float64 with one number of a tensor set."""
    if tensor.node is None:
        array = tensor.data.astype(np.float64)
        array[index] = value
        return replayed(trace, leaves={id(tensor): array}, dtype=np.float64)

    def put(result: Tensor, now: Now) -> Tensor:
        array = result.data.copy()
        array[index] = value
        return Tensor(array)

    changes: dict[int, Change] = {id(tensor): put}
    return replayed(trace, changes=changes, dtype=np.float64)


def _end(trace: Trace, target: Target, now: Now) -> tuple[Tensor, Array | None]:
    """Where a walk back begins in a new run, and the gradient that arrives there; None for a loss."""
    if target.kind == "loss":
        return loss_of(now(trace.logits), target.label, trace.loss), None
    single, at = trace.logits.shape[1] == 1, (0, *target.place)
    if target.kind == "score":
        end, at = now(trace.logits), (0, 0 if single else target.label)
    else:
        end = now(_part(trace, target.part).output)
    first = np.zeros(end.shape, end.dtype)
    first[at] = -1 if single and target.kind == "score" and target.label == 0 else 1
    return end, first



