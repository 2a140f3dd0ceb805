"""What is wrong with a network, or doubtful: sentences that name both layers and both sizes, and cures that are edits.

Three levels: `stop` (it cannot be built or trained), `warn` (it can, and will disappoint), `note` (worth knowing). A
cure is offered only where applying it takes the fault away.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import gcd, prod

from playground.network import suspicions
from playground.network.cures import Cure, aligned, projected
from playground.network.edits import Edit, edited
from playground.network.kind import SAME, Shape
from playground.network.parts import Network, Part, Path, leaves, place, shape_words
from playground.network.shapes import Stopped, Walk, walk
from playground.network.spelling import spelled
from playground.numbers import number

STOP, WARN, NOTE = "stop", "warn", "note"


@dataclass(frozen=True)
class Fault:
    """One fault: how bad, where (the path of the card it is shown at), the sentence, and what would cure it."""

    level: str
    path: Path
    sentence: str
    cures: tuple[Cure, ...] = ()


def faults(network: Network, takes: Shape, classes: int, *, batch: int = 32, memory: int | None = None,
           from_scores: bool = True, margin: bool = False) -> tuple[Fault, ...]:
    """All faults of a network for pictures of shape (C, H, W) and so many classes, the worst first.

    `memory` is how many bytes training may take; `from_scores` says that the loss has the softmax in it, `margin` that
    it wants the scores themselves to lie apart. The walk ends at the first part that cannot take what it gets, so at
    most one such fault is among them.

    >>> from playground.network.spelling import network_of
    >>> [(f.level, f.sentence) for f in faults(network_of("c8-r-p32"), (1, 28, 28), 10)][0]
    ... # doctest: +NORMALIZE_WHITESPACE
    ('stop', 'Part 3 (max pooling 32 × 32) takes windows of 32 × 32 pixels, but part 2 (ReLU) gives 8 maps of 28 × 28:
    nothing would be left.')
    """
    walked = walk(network, takes)
    if walked.stopped:
        stopping = [_misfit(network, walked, walked.stopped)]
    else:
        stopping = list(_ends(network, walked, classes)) + list(_size(network, walked, batch, memory))
    doubtful = [Fault(s.level, s.path, s.sentence, _harmless(network, walked, s.cures))
                for s in suspicions.suspicions(walked, from_scores, margin)]
    order = {STOP: 0, WARN: 1, NOTE: 2}
    return tuple(sorted([*stopping, *doubtful], key=lambda fault: order[fault.level]))


def named(path: Path, one: Part, start: bool = False) -> str:
    """A part in a sentence: "part 3 (max pooling 2 × 2)"."""
    words = f"{place(path)} ({one.title})"
    return words[0].upper() + words[1:] if start else words


def _subject(stopped: Stopped) -> str:
    return named(stopped.path, stopped.part, start=True)


def _before(network: Network, stopped: Stopped) -> str:
    return _source(network, stopped.source)


def _source(network: Network, path: Path | None) -> str:
    return "the picture" if path is None else named(path, network.at(path))


# --- what cannot take what it gets ---


def _misfit(network: Network, walked: Walk, stopped: Stopped) -> Fault:
    sentence, cures = _MISFITS[stopped.fault](network, stopped)
    return Fault(STOP, stopped.path, sentence, _good(network, walked, cures))


def _good(network: Network, walked: Walk, cures: Sequence[Cure]) -> tuple[Cure, ...]:
    """The cures that take away what stopped the walk, first those after which it gets to the end."""
    whole, further = [], []
    for cure in cures:
        after = walk(edited(network, cure.edit), walked.takes)
        if after.stopped is None and after.rows:
            whole.append(cure)
        elif after.stopped and walked.stopped and (after.stopped.part, after.stopped.fault) != (
                walked.stopped.part, walked.stopped.fault):
            further.append(cure)
    return (*whole, *further)


def _harmless(network: Network, walked: Walk, cures: Sequence[Cure]) -> tuple[Cure, ...]:
    """The cures of a doubt that leave a network which can be walked through one that can, and some layer in it."""
    def harmless(after: Network) -> bool:
        return any(leaves(after.parts)) and (walked.stopped is not None or not walk(after, walked.takes).stopped)

    return tuple(cure for cure in cures if harmless(edited(network, cure.edit)))


Misfitting = tuple[str, list[Cure]]


def _window(network: Network, s: Stopped) -> Misfitting:
    one, span, side = s.part, int(str(s.numbers["span"])), min(s.takes[1:])
    wide = f"{span} × {span}"
    padded = f" with {s.numbers['padding']} pixels around them" if s.numbers["padding"] else ""
    sentence = (f"{_subject(s)} takes windows of {wide} pixels, but {_before(network, s)} gives "
                f"{shape_words(s.takes)}{padded}: nothing would be left.")
    cures = []
    if one.kind in ("conv", "depthwise"):
        if one["padding"] != SAME:
            cures.append(Cure("Pad it so that the size stays", Edit("set", s.path, name="padding", value=SAME)))
        if one["dilation"] > 1:
            cures.append(Cure("Dilation 1", Edit("set", s.path, name="dilation", value=1)))
        cures.append(Cure(f"A kernel of {side - (side + 1) % 2} × {side - (side + 1) % 2}",
                          Edit("set", s.path, name="kernel_size", value=max(1, side - (side + 1) % 2))))
    elif side > 1:
        cures.append(Cure(f"Windows of {side} × {side}", Edit("set", s.path, name="kernel_size", value=side)))
    return sentence, [*cures, Cure(f"Take the {one.of.words} out", Edit("remove", s.path))]


def _flat(network: Network, s: Stopped) -> Misfitting:
    sentence = (f"{_subject(s)} takes maps with rows and columns, but {_before(network, s)} gives "
                f"{shape_words(s.takes)} in a row.")
    cures = []
    if s.source is not None and network.at(s.source).kind in ("flatten", "global_pool"):
        words = network.at(s.source).of.words
        if len(s.source) == len(s.path) and s.source[:-1] == s.path[:-1]:
            cures.append(Cure(f"Move the {words} behind it",
                              Edit("move", s.source, to=(*s.path[:-1], s.path[-1] + 1))))
        cures.append(Cure(f"Take the {words} out", Edit("remove", s.source)))
    return sentence, [*cures, Cure(f"Take the {s.part.of.words} out", Edit("remove", s.path))]


def _maps(network: Network, s: Stopped) -> Misfitting:
    flat = s.takes[0] * s.takes[1] * s.takes[2]
    sentence = (f"{_subject(s)} takes one row of numbers, but {_before(network, s)} gives "
                f"{shape_words(s.takes)}.")
    return sentence, [
        Cure(f"Flatten them: {number(flat, 9)} numbers", Edit("insert", s.path, text="f")),
        Cure(f"The mean of each map: {number(s.takes[0], 9)} numbers", Edit("insert", s.path, text="g"))]


def _groups(network: Network, s: Stopped) -> Misfitting:
    groups, channels = int(str(s.numbers["groups"])), int(str(s.numbers["channels"]))
    filters = s.numbers["filters"]
    gives = f"{_before(network, s)} gives {shape_words(s.takes)}"
    name = "num_groups" if filters is None else "groups"
    if filters is None or channels % groups:
        sentence = f"{_subject(s)} splits channels into {groups} groups, but {gives}: {channels} is no multiple of it."
    else:
        sentence = (f"{_subject(s)} splits its {filters} filters into {groups} groups, which do not come "
                    f"out even; {gives}.")
    common = gcd(channels, channels if filters is None else int(str(filters)))
    fitting = max(n for n in range(1, min(groups, common) + 1) if common % n == 0)
    cures = [Cure(f"{fitting} group{'s' if fitting > 1 else ''}", Edit("set", s.path, name=name, value=fitting))]
    if filters is not None and channels % groups == 0:
        near = max(groups, round(int(str(filters)) / groups) * groups)
        cures.append(Cure(f"{near} filters", Edit("set", s.path, name="filters", value=near)))
    return sentence, cures


def _cut(network: Network, s: Stopped) -> Misfitting:
    sentence = (f"{_subject(s)} cuts {s.numbers['padding']} pixels off every side, but "
                f"{_before(network, s)} gives {shape_words(s.takes)}: nothing would be left.")
    return sentence, [Cure("Padding 0", Edit("set", s.path, name="padding", value=0)),
                      Cure(f"Take the {s.part.of.words} out", Edit("remove", s.path))]


def _pool_padding(network: Network, s: Stopped) -> Misfitting:
    size, half = int(str(s.numbers["kernel_size"])), int(str(s.numbers["kernel_size"])) // 2
    sentence = (f"{_subject(s)} adds {s.numbers['padding']} pixels around the {shape_words(s.takes)} that "
                f"{_before(network, s)} gives, but windows of {size} × {size} may have at most {half}.")
    return sentence, [Cure(f"Padding {half}", Edit("set", s.path, name="padding", value=half))]


def _sum(network: Network, s: Stopped) -> Misfitting:
    way, short = s.numbers["way"], s.numbers["short"]
    assert isinstance(way, tuple)
    assert isinstance(short, tuple)
    last = s.part.branches[0][-1].title if s.part.branches[0] else "nothing"
    other = s.part.branches[1][-1].title if len(s.part.branches) > 1 and s.part.branches[1] else "its start"
    sentence = (f"{_subject(s)} adds {shape_words(way)} from its way ({last}) to {shape_words(short)} from "
                f"its shortcut ({other}).")
    cures = []
    if (text := projected(s.part, way, short)) is not None:
        cures.append(Cure(f"A 1 × 1 convolution on the shortcut, to {shape_words(way)}",
                          Edit("shortcut", s.path, text=text)))
    if (same := aligned(s.part)) is not None:
        cures.append(Cure("Keep the size on its way (padding, stride 1)",
                          Edit("replace", s.path, text=spelled(Network((same,))))))
    return sentence, [*cures, Cure("Take the shortcut away", Edit("unwrap", s.path))]


def _join(network: Network, s: Stopped) -> Misfitting:
    shapes = s.numbers["shapes"]
    assert isinstance(shapes, list)
    ends = "; ".join(f"branch {k} ({branch[-1].title if branch else 'nothing'}) gives {shape_words(shape)}"
                     for k, (branch, shape) in enumerate(zip(s.part.branches, shapes, strict=True), 1))
    sentence = f"{_subject(s)} lays maps side by side, which takes maps of one size, but {ends}."
    cures = []
    if (same := aligned(s.part)) is not None:
        cures.append(Cure("Keep the size in every branch (padding, stride 1)",
                          Edit("replace", s.path, text=spelled(Network((same,))))))
    return sentence, [*cures, Cure("Keep the first branch alone", Edit("unwrap", s.path))]


_MISFITS: dict[str, Callable[[Network, Stopped], Misfitting]] = {
    "window": _window, "flat": _flat, "maps": _maps, "groups": _groups, "cut": _cut, "pool padding": _pool_padding,
    "sum": _sum, "join": _join,
}


# --- what does not come out as scores, or is too large ---


def _ends(network: Network, walked: Walk, classes: int) -> Iterator[Fault]:
    end = (len(network.parts),)
    if not any(leaves(network.parts)):  # brackets alone are none
        yield Fault(STOP, (0,), f"There is no layer yet between the picture ({shape_words(walked.takes)}) and "
                                f"{classes} scores.",
                    (Cure("Start with a linear classifier", Edit("insert", end, text=f"f-d{classes}")),
                     Cure("Start with a convolution", Edit("insert", end, text=f"c16-r-g-d{classes}"))))
        return
    last = walked.rows[-1]
    if len(walked.gives) == 3:
        yield Fault(STOP, last.path, f"The network ends with {shape_words(walked.gives)} from "
                                     f"{_source(network, last.path)}, but {classes} classes need {classes} scores.",
                    (Cure(f"The mean of each map, and a dense layer of {classes}",
                          Edit("insert", end, text=f"g-d{classes}")),
                     Cure(f"Flatten, and a dense layer of {classes}", Edit("insert", end, text=f"f-d{classes}"))))
        return
    scores = walked.gives[0]
    if scores == classes or (scores == 1 and classes == 2):
        return
    dense = next((row for row in reversed(walked.rows) if row.part.kind == "dense"), None)
    cures = []
    if dense is not None and dense.gives == walked.gives:
        cures.append(Cure(f"{classes} units", Edit("set", dense.path, name="units", value=classes)))
    cures.append(Cure(f"A dense layer of {classes} at the end", Edit("insert", end, text=f"d{classes}")))
    yield Fault(STOP, last.path, f"{_source(network, last.path)} gives {shape_words(walked.gives)}, but there are "
                                 f"{classes} classes, and each needs a score.".replace("part", "Part", 1), tuple(cures))


def _size(network: Network, walked: Walk, batch: int, memory: int | None) -> Iterator[Fault]:
    leaves = [row for row in walked.rows if not row.part.of.container]
    if memory is None or walked.memory(batch) <= memory or not leaves:
        return
    needed, allowed = (f"{number(n / 2**20, 3)} MB" for n in (walked.memory(batch), memory))
    said = f"Training this in batches of {batch} takes at least {needed}, and {allowed} may be used here; "
    by_pictures = walked.memory(batch) > 2 * walked.memory(0)
    if by_pictures:  # the weights are not what takes it
        heavy = max(leaves, key=lambda row: (prod(row.gives), row.parameters))
    else:
        heavy = max(leaves, key=lambda row: row.parameters)
    cures = []
    if heavy.part.kind == "dense":
        flattening = next((row for row in walked.rows if row.part.kind == "flatten" and row.gives == heavy.takes), None)
        if flattening is not None:
            cures.append(Cure("The mean of each map instead of flattening", Edit("replace", flattening.path, text="g")))
    main = heavy.part.of.main
    if main is not None and heavy.part[main.name] > main.low and heavy.path != walked.rows[-1].path:
        half = max(int(main.low), heavy.part[main.name] // 2)
        cures.append(Cure(f"{half} instead of {heavy.part[main.name]} in {place(heavy.path)}",
                          Edit("set", heavy.path, name=main.name, value=half)))
    if by_pictures:
        said += (f"smaller batches take less: of every picture {number(walked.activations, 9)} numbers are kept, "
                 f"{number(prod(heavy.gives), 9)} of them from {named(heavy.path, heavy.part)}.")
    else:
        said += (f"most of its weights, {number(heavy.parameters, 9)}, are in {named(heavy.path, heavy.part)}, which "
                 f"takes {shape_words(heavy.takes)} from {_source(network, heavy.source)}.")
    yield Fault(STOP, heavy.path, said, tuple(cures))
