"""What is said of one part, one map, one number: as a browser is sent it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from playground.numbers import TIMES, count
from playground.view import frames, maps, numbers
from playground.view.field import receptive_field
from playground.view.gradients import Gradients, size
from playground.view.layer_code import code_of
from playground.view.numbers import Account
from playground.view.trace import PICTURE, Array, Part, Trace
from playground.view.wording import formula_of, what_it_does, what_it_is
from playground.view.words import CONV, DENSE

MOST_NUMBERS = 4096
"""Of a map that are sent as they are; larger ones are sent as colours, and each number when it is asked for."""
MOST_KERNEL = 1200
SUMMAND_SIDE = 48


def about(trace: Trace, part: Part) -> dict[str, Any]:
    """A part in words: what it is, its formula, its sizes line by line, its code in three libraries."""
    def sizes_of(shape: Sequence[int]) -> str:
        return f" {TIMES} ".join(map(str, shape))

    rows = [("gives", sizes_of(part.shape)),
            ("takes from", "; ".join("picture" if k == PICTURE else trace.parts[k].title for k in part.sources))]
    if part.weights:
        rows.append(("weights", ", ".join(f"{name} ({sizes_of(one.shape)})" for name, one in part.weights.items())))
    if products := multiply_adds(part):
        rows.append(("multiply-adds", count(products)))
    return {"what": what_it_is(part), "formula": formula_of(part), "code": code_of(trace, part), "rows": rows}


def multiply_adds(part: Part) -> int | None:
    """Of a convolution or dense layer for one picture: how many products are added up; None for other parts."""
    weight = next((one for one in part.weights.values() if one.ndim >= 2), None)
    if weight is None or part.op is None or part.op.node is None:
        return None
    if part.sort.key == CONV:
        return math.prod(part.shape) * math.prod(weight.shape[1:])
    return math.prod(part.shape[:-1]) * weight.size if part.sort.key == DENSE else None


def one_number(trace: Trace, part: Part, place: Sequence[int], gradients: Gradients | None) -> dict[str, Any]:
    """A number of a part: how it was made, which rows and columns of the picture can reach it, and, where a walk back
    is asked for, what its gradient is a sum of."""
    numbers.check_place(part, place)
    field = receptive_field(trace, part, tuple(place))
    said: dict[str, Any] = {"value": _exact(part.output.data[part.at(place)]),
                            "made": accounts(numbers.forward(trace, part, place)),
                            "field": list(field), "sees": _sees(trace, field)}
    if gradients is not None:
        arrived = gradients.at(part)
        said["gradient"] = None if arrived is None else _exact(arrived[tuple(place)])
        said["shares"] = [] if arrived is None else accounts(numbers.backward(trace, gradients, part, place))
    return said


def _sees(trace: Trace, field: Sequence[int]) -> str:
    top, bottom, left, right = field
    height, width = trace.picture.shape[2:]
    return (f"It can see rows {top} to {bottom} and columns {left} to {right} of the picture: {bottom - top + 1} "
            f"{TIMES} {right - left + 1} of {height} {TIMES} {width} pixels.")


def one_weight(trace: Trace, part: Part, channel: int, at: int, gradients: Gradients | None) -> dict[str, Any]:
    """A weight of the kernels of a map: its name, index and value, and, where a walk back is asked for, what its
    gradient is a sum of."""
    name, place = maps.weight_at(part, channel, at)
    said: dict[str, Any] = {"name": name, "place": list(place), "value": _exact(part.weights[name].data[place])}
    if gradients is not None:
        arrived = gradients.weights.get(name)
        said["gradient"] = None if arrived is None else _exact(arrived[place])
        said["shares"] = [] if arrived is None else accounts(numbers.of_weight(trace, gradients, name, place))
    return said


def accounts(found: Sequence[Account]) -> list[dict[str, Any]]:
    """Accounts as JSON, at most as many terms in all as go into some kilobytes."""
    room = numbers.MOST_TERMS
    said = []
    for account in found:
        listed = account.terms[:room]
        room -= len(listed)
        others = account.others + math.fsum(term.product for term in account.terms[len(listed):])
        said.append({"op": account.op, "words": what_it_does(account.op), "kind": account.kind,
                     "value": _exact(account.value), "count": account.count,
                     "terms": [[term.owner, list(term.place), _exact(term.x), _exact(term.factor)] for term in listed],
                     "others": _exact(others), "rest": None if account.rest is None else _exact(account.rest)})
    return said


def one_map(trace: Trace, part: Part, channel: int, gradients: Gradients | None) -> bytes:
    """A map: its numbers where they are few, else its colours; what it is the sum of; its kernel and that's gradient.

    Number arrays follow the JSON as float32, little-endian, each at its place; colours as bytes.
    """
    body = bytearray()

    def put(array: Array) -> dict[str, Any]:
        while len(body) % 4:
            body.append(0)
        at = len(body)
        body.extend(np.ascontiguousarray(array, "<f4").tobytes())
        return {"at": at, "shape": list(array.shape)}

    found = part.of(part.output.data) if gradients is None else gradients.at(part)
    header: dict[str, Any] = {"part": part.index, "channel": channel, "none": found is None}
    kernels = maps.kernels(part, channel, gradients) if part.shape and part.weights else None
    if kernels is not None:
        own, gradient, size_of_all = kernels
        header["kernel"] = {**put(own.reshape(-1)[:MOST_KERNEL]), "of": list(own.shape), "size": size_of_all}
        if gradient is not None:
            header["kernel"]["gradient"] = put(gradient.reshape(-1)[:MOST_KERNEL])
    if found is None:
        return frames.packed(header, bytes(body))
    values = found[channel] if found.ndim > 1 else found
    values = values.reshape(1, -1) if values.ndim < 2 else values.reshape(-1, values.shape[-1])
    header |= {"h": values.shape[0], "w": values.shape[1], **frames.sizes(values)}
    summed = None
    if found.ndim == 3:
        summed = (maps.forward_sum(trace, part, channel) if gradients is None
                  else maps.backward_sum(trace, gradients, part, channel))
    limit = _largest(values)
    header["limit"] = limit
    if values.size <= MOST_NUMBERS:
        header["values"] = put(values)
    else:
        header["bytes"] = len(body)
        body.extend(frames.quantised(values, limit).tobytes())
    if summed is not None:
        header["sum"] = {"bias": _exact(summed.bias), "left": summed.left, "turned": summed.turned,
                         "of": [_summand(one, body, put) | {"at": one.inside * one.kernel.size}
                                for one in summed.summands]}
        if summed.left:
            others = frames.tiles_of(np.asarray(summed.others[None], np.float32), SUMMAND_SIDE, 1)[0]
            header["sum"]["others"] = _picture(others, body)
    else:
        header["sources"] = _sources(trace, part, channel, gradients, body)
        if gradients is None and header["sources"] and max(trace.parts[part.sources[0]].shape[1:]) <= SUMMAND_SIDE:
            header["winners"] = maps.winners(part, channel)
    return frames.packed(header, bytes(body))


def _sources(trace: Trace, part: Part, channel: int, gradients: Gradients | None, body: bytearray
             ) -> list[dict[str, Any]]:
    """The same map of the parts that feed a part, or on the way back what each that takes the map sends to it."""
    if len(part.shape) != 3:
        return []
    near: list[tuple[Part, Array]]
    if gradients is None:
        near = [(one, one.of(one.output.data)) for one in (trace.parts[k] for k in part.sources if k >= 0)]
    else:
        near = [(trace.parts[owner], maps.sent(gradients, part, taker))
                for taker in numbers.takers(gradients, part.output) if (owner := trace.part_of(taker)) is not None]
    found = []
    for one, values in near[:4]:
        if values.ndim == 3 and len(values) == part.shape[0]:
            own = values[channel : channel + 1]
            found.append({"owner": one.index, "channel": channel if one.shape[0] == part.shape[0] else None,
                          "size": _exact(size(own)), **_picture(frames.tiles_of(own, SUMMAND_SIDE, 1)[0], body)})
    return found


def steps(trace: Trace, gradients: Gradients) -> list[dict[str, Any]]:
    """A walk back, op by op: the part, the op, and what it sent to whom (root mean squares)."""
    return [{"part": step.part, "op": step.op, "sent": [[to, _exact(size)] for to, size in step.sent]}
            for step in gradients.steps]


def _summand(one: maps.Summand, body: bytearray, put: Any) -> dict[str, Any]:
    said = {"owner": one.owner, "channel": one.channel, "weight": _exact(one.weight), "kernel": put(one.kernel)}
    for name, array in (("source", one.source), ("values", one.values)):
        said[name] = _picture(frames.tiles_of(np.asarray(array[None], np.float32), SUMMAND_SIDE, 1)[0], body)
    return said


def _picture(array: Array, body: bytearray) -> dict[str, Any]:
    limit = _largest(array)
    at = len(body)
    body.extend(frames.quantised(array, limit).tobytes())
    return {"at": at, "h": array.shape[0], "w": array.shape[1], "limit": limit}


def _largest(array: Array) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(f"{float(finite.max(initial=0.0)) or 1.0:.6g}")


def _exact(value: Any) -> float | str | None:
    """A number with the digits of a float32; what is none as a word."""
    value = float(value)
    if math.isnan(value):
        return "NaN"
    return ("∞" if value > 0 else "−∞") if math.isinf(value) else float(f"{value:.9g}")


__all__ = ["about", "accounts", "multiply_adds", "one_map", "one_number", "one_weight", "steps"]
