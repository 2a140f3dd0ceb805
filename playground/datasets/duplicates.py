"""Photographs that are copies of each other, and copies on both sides of a division: what is learnt is asked again."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

Key = TypeVar("Key", bound=Hashable)

NEAR = 16
"""Of the 128 signs of a fingerprint, at most so many differ in near-duplicates. Measured: a copy made half as large or
packed worse differs in 0-4, brighter in 6, turned by 2 degrees in 12, its edges cut by 3 % in 15 (nine of ten copies);
two different photographs of cats and dogs in no fewer than 29, two aligned faces in no fewer than 20. A mirrored
copy differs in 0-13 from what `mirrored` makes of the original, the mirror of another photograph in 27 and more."""
NEAR_COLOUR = 64
"""Mean difference of the 4 x 4 colours, of 255: pictures of nothing (a wall, a covered lens) have signs by chance."""
_SIGNS, _COLOURS = 16, 48  # bytes
_ROWS = 128  # compared with all others at once


def fingerprint(pixels: np.ndarray) -> bytes:
    """What a picture looks like, in 64 bytes: uint8 (H, W, 3) -> 128 signs and 4 x 4 colours.

    Made gray and 9 x 9, is each place brighter than its left neighbour (64 signs), than the one above (64)? Neither
    size, nor packing, nor brightness changes many of them (dHash; N. Krawetz, "Kind of like that", 2013).

    >>> ramp = np.repeat(np.arange(0, 250, 5, dtype=np.uint8)[None, :, None], 50, axis=0).repeat(3, axis=2)
    >>> len(fingerprint(ramp)), differing_signs(fingerprint(ramp), fingerprint(ramp[::2, ::2]))
    (64, 0)
    """
    image = Image.fromarray(pixels)
    levels = np.asarray(image.convert("L").resize((9, 9), Image.Resampling.LANCZOS), dtype=np.int16)
    signs = np.concatenate([(levels[:8, 1:] > levels[:8, :-1]).ravel(), (levels[1:, :8] > levels[:-1, :8]).ravel()])
    return np.packbits(signs).tobytes() + np.asarray(image.resize((4, 4), Image.Resampling.BOX)).tobytes()


def differing_signs(a: bytes, b: bytes) -> int:
    """In how many of their 128 signs two fingerprints differ."""
    return (int.from_bytes(a[:_SIGNS]) ^ int.from_bytes(b[:_SIGNS])).bit_count()


def mirrored(prints: np.ndarray) -> np.ndarray:
    """The fingerprints (M, 64) of the same pictures mirrored left to right, but for one column of signs.

    Left and right change places, so "brighter than the left neighbour" turns round. The signs against the neighbour
    above stand for the first eight of nine columns; of the mirrored eight the first one is not known and takes the
    next one's.

    >>> ramp = np.repeat(np.arange(0, 250, 5, dtype=np.uint8)[None, :, None], 50, axis=0).repeat(3, axis=2)
    >>> turned = mirrored(np.frombuffer(fingerprint(ramp), np.uint8)[None])[0].tobytes()
    >>> differing_signs(turned, fingerprint(ramp[:, ::-1]))
    0
    """
    signs = np.unpackbits(prints[:, :_SIGNS], axis=1).reshape(-1, 2, 8, 8)
    across = 1 - signs[:, 0, :, ::-1]
    down = signs[:, 1, :, [7, 7, 6, 5, 4, 3, 2, 1]].transpose(1, 2, 0)
    turned = np.packbits(np.stack([across, down], axis=1).reshape(len(prints), -1), axis=1)
    colours = prints[:, _SIGNS:].reshape(-1, 4, 4, 3)[:, :, ::-1].reshape(len(prints), -1)
    return np.concatenate([turned, colours], axis=1)


def alike(prints: Sequence[bytes], kinds: Sequence[Hashable]) -> tuple[tuple[int, ...], ...]:
    """Groups of near-duplicates by index, two or more in each, in order; only pictures of one kind are compared.

    A mirrored copy is a near-duplicate too, and near-duplicates of near-duplicates are one group: a burst of shots is,
    from its first to its last.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for k, kind in enumerate(kinds):
        members[kind].append(k)
    found: list[tuple[int, ...]] = []
    for indices in members.values():
        raw = np.frombuffer(b"".join(prints[k] for k in indices), np.uint8).reshape(len(indices), _SIGNS + _COLOURS)
        parent = list(range(len(indices)))
        for other in (raw, mirrored(raw)):
            for a, b in _pairs(raw, other):
                parent[_root(parent, b)] = _root(parent, a)
        groups: dict[int, list[int]] = defaultdict(list)
        for k in range(len(indices)):
            groups[_root(parent, k)].append(indices[k])
        found += [tuple(group) for group in groups.values() if len(group) > 1]
    return tuple(sorted(found))


def _pairs(raw: np.ndarray, other: np.ndarray) -> Iterator[tuple[int, int]]:
    """The places a < b where raw[a] and other[b] look the same."""
    left, right = (np.ascontiguousarray(prints[:, :_SIGNS]).view(np.uint64) for prints in (raw, other))  # (M, 2)
    for start in range(0, len(raw), _ROWS):
        differing = np.bitwise_count(left[start : start + _ROWS, None] ^ right[None, start:]).sum(-1)
        rows, columns = np.nonzero(np.triu(differing <= NEAR, 1))
        rows, columns = rows + start, columns + start
        colours = raw[rows, _SIGNS:].astype(np.int16) - other[columns, _SIGNS:].astype(np.int16)
        close = np.abs(colours).mean(1) <= NEAR_COLOUR
        yield from zip(rows[close].tolist(), columns[close].tolist(), strict=True)


def _root(parent: list[int], k: int) -> int:
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@dataclass(frozen=True)
class Seen:
    """What is compared of one photograph: its class, its half ("train", "validation"), its content, its look."""

    label: str
    half: str
    digest: str
    fingerprint: bytes


@dataclass(frozen=True)
class Findings:
    """Groups of indices: the very same file, near-duplicates (same files too), those in both halves, in two classes."""

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, ...], ...]
    leaking: tuple[tuple[int, ...], ...]
    conflicting: tuple[tuple[int, ...], ...]


def examine(photos: Sequence[Seen]) -> Findings:
    """Find the copies among photographs. Near-duplicates are looked for within a class, the very same file everywhere.

    Two classes before one background are nearly the same picture on purpose; the same file in two is a mistake.
    """
    same: dict[str, list[int]] = defaultdict(list)
    for k, photo in enumerate(photos):
        same[photo.digest].append(k)
    exact = tuple(tuple(group) for group in same.values() if len(group) > 1)
    near = alike([photo.fingerprint for photo in photos], [photo.label for photo in photos])
    conflicting = tuple(group for group in exact if len({photos[k].label for k in group}) > 1)
    suspects = sorted({*near, *conflicting})
    leaking = tuple(group for group in suspects if len({photos[k].half for k in group}) > 1)
    return Findings(exact, near, leaking, conflicting)


def copies_to_leave_out(photos: Sequence[Seen], groups: Sequence[tuple[int, ...]], across: bool) -> list[int]:
    """What to leave out of groups of copies: with `across` those in validation that training has too, else all but one.

    The one that stays is the first in training, or the first of all.

    >>> photos = [Seen("a", half, "", b"") for half in ("validation", "train", "train")]
    >>> copies_to_leave_out(photos, [(0, 1, 2)], across=True), copies_to_leave_out(photos, [(0, 1, 2)], across=False)
    ([0], [0, 2])
    """
    out: set[int] = set()
    for group in groups:
        trained = [k for k in group if photos[k].half == "train"]
        if across:
            out.update(k for k in group if trained and photos[k].half != "train")
        else:
            out.update(set(group) - {(trained or group)[0]})
    return sorted(out)
