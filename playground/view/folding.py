"""A traced network folded so that it fits on a screen: units, blocks round a join, stages of one resolution.

A fold is a run of parts next to each other, read off the graph alone (who feeds whom), so designs and files of any
origin fold alike. Parts that fit no fold stay columns of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from playground.numbers import counted, number
from playground.view.trace import PICTURE, Part, Trace
from playground.view.words import ACTIVATION, BATCH_NORM, CONCAT, DROPOUT, FLATTEN, LOSS, NORM, SUM, WEIGHTED

MOST_COLUMNS = 13
"""More than so many columns are folded into stages."""


@dataclass(frozen=True)
class Fold:
    """Parts `first` to `last`, drawn as one column until opened: what it is called, and what lies in it (parts by
    index, and further folds)."""

    kind: str  # "unit", "block", "stage"
    title: str
    first: int
    last: int
    inside: tuple["Fold | int", ...]

    @property
    def key(self) -> str:
        """Its place in the network: two folds of one network have different ones."""
        return f"{self.kind[0]}{self.first}-{self.last}"


def folded(trace: Trace) -> tuple[Fold | int, ...]:
    """The network as at most about a dozen columns, each a part or a fold."""
    parts = trace.parts
    fed = consumers(parts)
    intervals = _blocks(parts, fed)
    items = _nested(parts, fed, 0, len(parts) - 1, intervals)
    if len(items) > MOST_COLUMNS:
        items = _equal_runs(parts, items)
    if len(items) > MOST_COLUMNS:
        items = _stages(parts, items)
    return tuple(items)


def consumers(parts: Sequence[Part]) -> dict[int, list[int]]:
    """Who takes what a part gives."""
    fed: dict[int, list[int]] = {part.index: [] for part in parts}
    fed[PICTURE] = []
    for part in parts:
        for source in part.sources:
            fed[source].append(part.index)
    return fed


def _dominators(parts: Sequence[Part]) -> dict[int, int]:
    """Of every part, the nearest one before it that all ways from the picture come through."""
    above: dict[int, int] = {}
    depth = {PICTURE: 0}
    for part in parts:
        common = part.sources[0] if part.sources else PICTURE
        for source in part.sources[1:]:
            other = source
            while common != other:
                if depth[common] >= depth[other]:
                    common = above.get(common, PICTURE)
                else:
                    other = above.get(other, PICTURE)
        above[part.index], depth[part.index] = common, depth[common] + 1
    return above


def _blocks(parts: Sequence[Part], fed: dict[int, list[int]]) -> list[tuple[int, int, str]]:
    """Runs of parts between where ways part and where they meet again, with the activation behind."""
    above = _dominators(parts)
    found: list[tuple[int, int, str]] = []
    for part in parts:
        if len(part.sources) < 2:
            continue
        first, last = above[part.index] + 1, part.index
        inside = range(first, last)
        if first >= last or any(not first <= taker <= last for one in inside for taker in fed[one]):
            continue
        after = fed[last]
        if part.sort.key == SUM and len(after) == 1 and parts[after[0]].sort.key == ACTIVATION \
                and parts[after[0]].sources == (last,) and after[0] == last + 1:
            last += 1
        words = {SUM: "residual block", CONCAT: "parallel branches"}.get(part.sort.key, "gate")
        found.append((first, last, words))
    # Of blocks that overlap without one lying in the other the earlier stays; of nested equal ones the outer.
    kept: list[tuple[int, int, str]] = []
    for first, last, words in sorted(found, key=lambda one: (one[0], -one[1])):
        if all(last < a or first > b or (a <= first and last <= b) for a, b, _ in kept):
            kept.append((first, last, words))
    return kept


def _nested(parts: Sequence[Part], fed: dict[int, list[int]], first: int, last: int,
            intervals: list[tuple[int, int, str]]) -> list[Fold | int]:
    """The parts `first` to `last` with the blocks among them folded, and what is left in units."""
    items: list[Fold | int] = []
    at = first
    while at <= last:
        block = next(((a, b, words) for a, b, words in intervals if a == at and b <= last), None)
        if block is not None:
            a, b, words = block
            within = [one for one in intervals if one != block and a <= one[0] and one[1] <= b]
            inside = _nested(parts, fed, a, b, within)
            items.append(Fold("block", words, a, b, tuple(inside)) if len(inside) > 1 else inside[0])
            at = b + 1
            continue
        stop = min([last, *(a - 1 for a, _, _ in intervals if a > at)])
        end = _unit(parts, fed, at, stop)
        items.append(at if end == at else Fold("unit", parts[at].title, at, end, tuple(range(at, end + 1))))
        at = end + 1
    return items


def _unit(parts: Sequence[Part], fed: dict[int, list[int]], at: int, last: int) -> int:
    """The last part of the unit that begins at a part with weights: norm, activation and dropout right behind it."""
    if parts[at].sort.key not in WEIGHTED:
        return at
    end = at
    while (end < last and fed[end] == [end + 1] and parts[end + 1].sources == (end,)
           and (parts[end + 1].sort.key in (BATCH_NORM, NORM, ACTIVATION, DROPOUT) or parts[end + 1].sort.pointwise)
           and parts[end + 1].sort.key != LOSS):
        end += 1
    return end


def _ends(parts: Sequence[Part], item: Fold | int) -> tuple[int, int]:
    return (item, item) if isinstance(item, int) else (item.first, item.last)


def _form(parts: Sequence[Part], item: Fold | int) -> tuple[object, ...]:
    """What two items have in common that are alike: their sorts of parts and shapes."""
    first, last = _ends(parts, item)
    return tuple((parts[k].sort.key, parts[k].shape, tuple(k - s for s in parts[k].sources))
                 for k in range(first, last + 1))


def _equal_runs(parts: Sequence[Part], items: list[Fold | int]) -> list[Fold | int]:
    """Alike blocks next to each other as one: "3 × residual block"."""
    runs: list[list[Fold | int]] = []
    for item in items:
        alike = runs and isinstance(item, Fold) and isinstance(runs[-1][0], Fold) \
            and _form(parts, runs[-1][-1]) == _form(parts, item)
        if alike:
            runs[-1].append(item)
        else:
            runs.append([item])
    folds: list[Fold | int] = []
    for run in runs:
        head = run[0]
        if len(run) == 1 or not isinstance(head, Fold):
            folds += run
        else:
            folds.append(Fold("run", f"{number(len(run))} × {head.title}", head.first, _ends(parts, run[-1])[1],
                              tuple(run)))
    return folds


def _stages(parts: Sequence[Part], items: list[Fold | int]) -> list[Fold | int]:
    """Neighbours that give maps of one resolution as one; what follows the maps as one, where it is much."""
    groups: list[tuple[tuple[int, ...], list[Fold | int]]] = []
    for item in items:
        shape = parts[_ends(parts, item)[1]].shape
        size: tuple[int, ...] = ()
        if len(shape) == 3 and parts[_ends(parts, item)[1]].sort.key != FLATTEN:
            size = shape[1:]
        if groups and size and groups[-1][0] == size:
            groups[-1][1].append(item)
        else:
            groups.append((size, [item]))
    folds: list[Fold | int] = []
    for size, group in groups:
        if len(group) < 2:
            folds += group
            continue
        first, last = _ends(parts, group[0])[0], _ends(parts, group[-1])[1]
        title = f"stage of {number(size[0])} × {number(size[1])}, {counted(len(group), 'block')}"
        folds.append(Fold("stage", title, first, last, tuple(group)))
    return folds
