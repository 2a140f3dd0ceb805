"""What a browser draws of a traced network: maps as bytes, a barcode a part, and the sizes of its numbers.

A frame is a length (uint32, little-endian), so many bytes of JSON, and one run of bytes that the JSON points into. A
byte is a place on a signed scale: 128 is 0, 129 to 255 above it, 127 to 1 below; 0 stands for NaN and infinity.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from playground.errors import PlaygroundError
from playground.training.scratch.losses import CROSS_ENTROPY, WORDS
from playground.view.gradients import Gradients, size
from playground.view.trace import Array, Part, Trace

QUANTILE = 0.995
"""Of the magnitudes: from there on a colour is full."""
DECADES = 6
"""Of the logarithmic scale of gradients: what is smaller by more is drawn as 0 would be."""
SCALES = ("layer", "stage", "network")
MOST_CELLS = 4096
"""Numbers of a row that are drawn; of longer rows every so many are put together."""
ZERO = 128


def frame(trace: Trace, shown: Sequence[int], *, gradients: Gradients | None = None, side: int = 24, most: int = 16,
          scale: str = "layer", held: Mapping[int, float] | None = None, learn: Mapping[str, float] | None = None,
          dead: Mapping[str, float] | None = None) -> bytes:
    """The parts `shown`, forward, or the gradients of what they give; `most` maps each, at most `side` pixels wide.

    Of maps larger than that, squares of pixels are put together by their mean. held: full colours by part, for frames
    that follow each other. learn: sizes of the last step's changes by weight, |Δw| / |w|; dead: shares of units that
    were 0 on all of its pictures, by part. Raises PlaygroundError for parts or a scale that do not exist.
    """
    parts = [_part(trace, index) for index in shown]
    if scale not in SCALES:
        raise PlaygroundError(f"A scale is for a {', a '.join(SCALES[:-1])} or the {SCALES[-1]}, not {scale[:20]!r}.")
    backward = gradients is not None
    values = [_values(part, gradients) for part in parts]
    top = top_gradient(gradients, trace) if gradients is not None else 0.0
    limits = dict(held) if held is not None else (limits_of(trace, scale, parts) if not backward else {})
    rows: list[dict[str, Any]] = []
    body = bytearray()
    for part, array in zip(parts, values, strict=True):
        row: dict[str, Any] = {"i": part.index}
        if array is None:
            rows.append({**row, "none": True})
            continue
        to_bytes = _log_bytes(top) if backward else _bytes(limits.get(part.index, 1.0))
        tiles, bar = tiles_of(array, side, most), _bar(array)
        row |= {"c": int(array.shape[0]), "n": len(tiles), "h": tiles.shape[1], "w": tiles.shape[2], "at": len(body),
                "limit": _short(top if backward else limits.get(part.index, 1.0)), **sizes(array)}
        body += to_bytes(tiles).tobytes()
        row |= {"bar": len(body), "bars": len(bar)}
        body += to_bytes(bar).tobytes()
        rows.append(row)
    header: dict[str, Any] = {"parts": rows, "backward": backward, "logits": _list(trace.logits.data[0])}
    header |= _weights(trace, gradients, learn)
    if dead:
        header["dead"] = {part.index: dead[part.name] for part in trace.parts if part.name in dead}
    if gradients is not None:
        header |= {"value": _short(gradients.value), "top": _short(top), "decades": DECADES}
        if gradients.target.kind == "loss":
            slopes = gradients.arrived[id(trace.logits)][0]
            # One score z is worth what the two scores 0 and z are.
            header |= {"slopes": _list(slopes if slopes.size > 1 else np.array([0 - slopes[0], slopes[0]])),
                       "slope": "p − y" if trace.loss == CROSS_ENTROPY else "∂L/∂z",
                       "of": "the loss" if trace.loss == CROSS_ENTROPY else f"the {WORDS[trace.loss]}"}
    return packed(header, bytes(body))


def packed(header: Mapping[str, Any], body: bytes) -> bytes:
    """JSON and bytes as one."""
    said = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return struct.pack("<I", len(said)) + said + body


def unpacked(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Back.

    >>> unpacked(packed({"a": 1}, b"xyz"))
    ({'a': 1}, b'xyz')
    """
    length = struct.unpack_from("<I", data)[0]
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def limits_of(trace: Trace, scale: str, parts: Sequence[Part] | None = None) -> dict[int, float]:
    """The full colour of every part (or of some `parts`): the 99.5 % quantile of the magnitudes of the part, of the
    parts of its resolution (a stage), or of the whole network."""
    wanted = trace.parts if parts is None else parts
    if scale == "layer":
        return {part.index: _quantile(part.of(part.output.data)) for part in wanted}
    groups: dict[tuple[int, ...], float] = {}
    asked = {_group(part, scale) for part in wanted}
    for part in trace.parts:
        if (key := _group(part, scale)) in asked:
            groups[key] = max(groups.get(key, 0.0), _quantile(part.of(part.output.data)))
    return {part.index: groups[_group(part, scale)] for part in wanted}


def limits_like(other: Trace, trace: Trace, scale: str, shown: Sequence[int]) -> dict[int, float] | None:
    """The full colours of the parts `shown` in another trace, where all its parts are alike; None where they are not,
    so that each network has its own."""
    if [(part.sort, part.shape) for part in other.parts] != [(part.sort, part.shape) for part in trace.parts]:
        return None
    return limits_of(other, scale, [part for part in other.parts if part.index in shown])


def _group(part: Part, scale: str) -> tuple[int, ...]:
    return part.shape[1:] if scale == "stage" else ()


def top_gradient(gradients: Gradients, trace: Trace) -> float:
    """The largest finite magnitude of all gradients of the picture looked at: the one full colour of a walk back."""
    if gradients.top is None:
        tops = [_top(array) for part in trace.parts if (array := gradients.at(part)) is not None]
        gradients.top = max(tops, default=0.0) or 1.0
    return gradients.top


def sizes(array: Array) -> dict[str, Any]:
    """What is said of an array in few numbers: root mean square, smallest, largest, the shares of zeros and of what is
    no number."""
    flat = array.ravel()
    finite = np.isfinite(flat)
    sound = flat if finite.all() else flat[finite]
    bad = 1 - sound.size / max(flat.size, 1)
    said = {"rms": _short(size(sound)), "zeros": _short(1 - np.count_nonzero(flat) / max(flat.size, 1))}
    if sound.size:
        said |= {"min": _short(float(sound.min())), "max": _short(float(sound.max()))}
    return said | ({"bad": _short(bad)} if bad else {})


def quantised(array: Array, limit: float) -> Array:
    """Numbers as bytes of the linear scale.

    >>> quantised(np.array([-2.0, 0.0, 1.0, 9.0, np.nan]), 2.0).tolist()
    [1, 128, 192, 255, 0]
    """
    return np.asarray(_bytes(limit)(np.asarray(array)))


def quantised_log(array: Array, top: float) -> Array:
    """Numbers as bytes of the signed logarithmic scale: `DECADES` below `top` what is left is the faintest colour.

    >>> quantised_log(np.array([1.0, -1.0, 1e-3, 1e-9, 0.0]), 1.0).tolist()
    [255, 1, 192, 129, 128]
    """
    return np.asarray(_log_bytes(top)(np.asarray(array)))


def _bytes(limit: float) -> Any:
    def convert(array: Array) -> Array:
        with np.errstate(all="ignore"):
            places = np.rint(np.clip(array * 127.0 / np.float64(limit or 1.0), -127, 127)) + ZERO
            return np.where(np.isfinite(array), places, 0).astype(np.uint8)

    return convert


def _log_bytes(top: float) -> Any:
    def convert(array: Array) -> Array:
        with np.errstate(all="ignore"):
            magnitude = 1 + np.log10(np.abs(array) / np.float64(top)) / DECADES
            places = ZERO + np.sign(array) * np.clip(np.rint(127 * magnitude), 1, 127)
            return np.where(array == 0, ZERO, np.where(np.isfinite(array), places, 0)).astype(np.uint8)

    return convert


def _part(trace: Trace, index: int) -> Part:
    if not 0 <= index < len(trace.parts):
        raise PlaygroundError(f"The network has {len(trace.parts)} parts, so there is no part {index}.")
    return trace.parts[index]


def _values(part: Part, gradients: Gradients | None) -> Array | None:
    if gradients is None:
        return part.of(part.output.data)
    return gradients.at(part)


def side_for(shape: Sequence[int], most_bytes: int) -> int:
    """How many pixels a side maps of this shape may have at most, so that all of them fit into so many bytes.

    >>> side_for((32, 8, 8), 280_000), side_for((1280, 112, 112), 280_000)
    (64, 12)
    """
    side = 64
    while len(shape) == 3 and side > 4 and math.prod(
            (shape[0], *(n // -(-n // side) for n in shape[1:]))) > most_bytes:
        side -= 4
    return side


def tiles_of(array: Array, side: int, most: int) -> Array:
    """The first maps (n, h, w), each at most about `side` pixels wide; a row of numbers is one tile of one row."""
    if array.ndim == 1 or array.shape[1:] == (1, 1):
        flat = array.reshape(-1)
        step = -(-flat.size // MOST_CELLS)
        return _joined(flat[None, None, :], 1, step)
    if array.ndim != 3:
        return tiles_of(array.reshape(-1, *array.shape[-2:]), side, most)
    factor = -(-max(array.shape[1:]) // side)
    return _joined(array[:most], min(factor, array.shape[1]), min(factor, array.shape[2]))


def _joined(maps: Array, down: int, across: int) -> Array:
    """Rectangles of pixels put together by their mean; a rest at the edge is left out."""
    if down == across == 1:
        return maps
    n, height, width = maps.shape
    rows, columns = height // down, width // across
    return _mean(maps[:, : rows * down, : columns * across].reshape(n, rows, down, columns, across), (2, 4))


def _bar(array: Array) -> Array:
    """One number a channel, its mean; of more than `MOST_CELLS` every so many put together."""
    means = array if array.ndim == 1 else _mean(array.reshape(array.shape[0], -1), (1,))
    return _joined(means[None, None, :], 1, -(-means.size // MOST_CELLS)).ravel()


def _mean(array: Array, axes: tuple[int, ...]) -> Array:
    """The mean as float32: no number only where one of its numbers is none, not where their sum is too large."""
    with np.errstate(all="ignore"):
        means = np.asarray(array.mean(axis=axes, dtype=np.float32))
        if not np.isfinite(means).all():
            means = array.mean(axis=axes, dtype=np.float64).astype(np.float32)
        return np.asarray(means)


def _weights(trace: Trace, gradients: Gradients | None, learn: Mapping[str, float] | None) -> dict[str, Any]:
    """Of every part with weights, by its index: the size of its gradient beside its own, and of its last step."""
    said: dict[str, Any] = {}
    if gradients is not None:
        said["gw"] = {part.index: _short(max(ratios)) for part in trace.parts if (ratios := [
            size(gradients.weights[name]) / own for name, weight in part.weights.items()
            if name in gradients.weights and (own := size(weight.data))])}
    if learn:
        said["dw"] = {part.index: _short(max(moved)) for part in trace.parts
                      if (moved := [learn[name] for name in part.weights if name in learn])}
    return said


def _quantile(array: Array) -> float:
    magnitudes = np.abs(array).ravel()
    if not np.isfinite(magnitudes.max(initial=0)):
        magnitudes = magnitudes[np.isfinite(magnitudes)]
    if not magnitudes.size:
        return 1.0
    place = min(magnitudes.size - 1, math.ceil(QUANTILE * magnitudes.size) - 1)
    return float(np.partition(magnitudes, place)[place]) or float(magnitudes.max()) or 1.0


def _top(array: Array) -> float:
    top = max(float(array.max(initial=0.0)), -float(array.min(initial=0.0)))
    if math.isfinite(top):  # a NaN is the largest and the smallest
        return top
    return float(np.max(np.abs(array[np.isfinite(array)]), initial=0.0))


def _short(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _list(array: Array) -> list[float | None]:
    return [_short(float(value)) for value in array.ravel()]
