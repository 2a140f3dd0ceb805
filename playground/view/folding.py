"""A traced network folded so that it fits on a screen: units, blocks round a join, stages of one resolution.

A fold is a run of parts next to each other, read off the graph alone (who feeds whom), so designs and files of any
origin fold alike. Parts that fit no fold stay columns of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playground.numbers import counted, number
from playground.view.trace import PICTURE, Part, Trace
from playground.view.words import ACTIVATION, BATCH_NORM, CONCAT, CONV, DROPOUT, LOSS, NORM, SUM, WEIGHTED

MOST_COLUMNS = 12
"""More than so many columns are folded into stages."""


@dataclass(frozen=True)
class Fold:
    """Parts `first` to `last`, drawn as one column until opened: what it is called, and what lies in it (parts by
    index, and further folds)."""

    kind: str  # "unit", "block", "run", "stage"
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
    blocks = _blocks(parts, fed)
    items = _nested(parts, fed, 0, len(parts) - 1, [*blocks, *_inverted(parts, fed, blocks)])
    for gathered in (_of_one_shape, _equal_runs, _of_one_resolution):
        if len(items) > MOST_COLUMNS:
            items = gathered(parts, items)
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


def _inverted(parts: Sequence[Part], fed: dict[int, list[int]], blocks: list[tuple[int, int, str]]
              ) -> list[tuple[int, int, str]]:
    """Inverted residual blocks that have no shortcut: a depthwise convolution, widened before or not, narrowed by a
    1 × 1 convolution without activation (Sandler et al., 2018)."""
    found: list[tuple[int, int, str]] = []
    before: tuple[int, int] | None = None  # the unit in front
    at = 0
    while at < len(parts):
        end = _unit(parts, fed, at, len(parts) - 1)
        if before is not None and _depthwise(parts[at]) and fed[end] == [end + 1] and _narrows(parts, fed, end + 1):
            last = _unit(parts, fed, end + 1, len(parts) - 1)
            first = before[0] if _one_by_one(parts[before[0]]) and fed[before[1]] == [at] else at
            if not any(a <= last and first <= b for a, b, _ in blocks):
                found.append((first, last, "inverted residual block"))
        before, at = (at, end), end + 1
    return found


def _kernel(part: Part) -> tuple[int, ...]:
    """The shape of a convolution's filters; empty for other parts."""
    node = part.op.node if part.sort.key == CONV and part.op is not None else None
    w = node.inputs[1] if node is not None and len(node.inputs) > 1 else None
    return () if w is None or w.ndim != 4 else w.shape


def _depthwise(part: Part) -> bool:
    kernel = _kernel(part)
    return bool(kernel) and kernel[1] == 1 and kernel[0] == part.shape[0] > 1 and kernel[2:] != (1, 1)


def _one_by_one(part: Part) -> bool:
    return _kernel(part)[2:] == (1, 1)


def _narrows(parts: Sequence[Part], fed: dict[int, list[int]], at: int) -> bool:
    end = _unit(parts, fed, at, len(parts) - 1)
    return _one_by_one(parts[at]) and all(parts[k].sort.key != ACTIVATION for k in range(at, end + 1)) \
        and len(parts[end].shape) == 3


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


def _of_one_shape(parts: Sequence[Part], items: list[Fold | int]) -> list[Fold | int]:
    """Neighbours that give as many maps of one size as one."""
    return _stages(parts, items, lambda shape: shape, lambda shape, group:
                   f"stage of {number(shape[1])} × {number(shape[2])}, {counted(shape[0], 'map')}")


def _of_one_resolution(parts: Sequence[Part], items: list[Fold | int]) -> list[Fold | int]:
    """Neighbours that give maps of one size as one."""
    return _stages(parts, items, lambda shape: shape[1:], lambda shape, group:
                   f"stage of {number(shape[1])} × {number(shape[2])}, {counted(len(group), 'block')}")


def _stages(parts: Sequence[Part], items: list[Fold | int], alike: Callable[[tuple[int, ...]], tuple[int, ...]],
            title: Callable[[tuple[int, ...], list[Fold | int]], str]) -> list[Fold | int]:
    groups: list[tuple[tuple[int, ...], list[Fold | int]]] = []
    for item in items:
        shape = parts[_ends(parts, item)[1]].shape
        if groups and len(shape) == len(groups[-1][0]) == 3 and shape[1:] != (1, 1) \
                and alike(groups[-1][0]) == alike(shape):
            groups[-1][1].append(item)
        else:
            groups.append((shape, [item]))
    folds: list[Fold | int] = []
    for shape, group in groups:
        if len(group) < 2:
            folds += group
            continue
        first, last = _ends(parts, group[0])[0], _ends(parts, group[-1])[1]
        folds.append(Fold("stage", title(shape, group), first, last, tuple(group)))
    return folds
