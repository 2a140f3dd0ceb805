"""What can be trained and will disappoint, or is worth knowing: rules over a network that has been walked through."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from playground.network.cures import Cure
from playground.network.edits import Edit
from playground.network.kinds import ACTIVATIONS, NORMS, WEIGHTED
from playground.network.parts import Path, place, shape_words
from playground.network.shapes import Row, Walk
from playground.numbers import count, percent

HEAVY_SHARE, HEAVY_LEAST = 0.8, 50_000
"""A dense layer with more than this share of a network's weights, where they are so many, is worth a word."""
SATURATING = ("sigmoid", "tanh")
DEEP = 8


@dataclass(frozen=True)
class Suspicion:
    """One doubt: its level, where it is shown, the sentence and what may be done about it."""

    level: str
    path: Path
    sentence: str
    cures: tuple[Cure, ...] = ()


def suspicions(walked: Walk, from_scores: bool, margin: bool = False) -> Iterator[Suspicion]:
    """Every doubt about the part of a network that was walked through."""
    chains = _chains(walked.rows)
    for chain in chains:
        yield from _linear_twice(chain)
        yield from _bias_before_norm(chain)
        yield from _saturating(chain)
        for row in chain:
            yield from _row(row)
    if walked.stopped is None and walked.rows:
        yield from _ending(walked, from_scores, margin)
        yield from _heavy(walked)
        yield from _sees_little(walked)


def _chains(rows: tuple[Row, ...]) -> list[list[Row]]:
    """The parts that follow each other in one row, a list for the network and one for every branch."""
    chains: dict[Path, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.path):
        chains.setdefault(row.path[:-1], []).append(row)
    return list(chains.values())


def _say(row: Row, start: bool = False) -> str:
    words = f"{place(row.path)} ({row.part.title})"
    return words[0].upper() + words[1:] if start else words


def _linear_twice(chain: list[Row]) -> Iterator[Suspicion]:
    before: Row | None = None
    for row in chain:
        if row.part.kind in WEIGHTED:
            if before is not None:
                yield Suspicion(
                    "warn", row.path,
                    f"{_say(before, True)} gives {shape_words(before.gives)} and {_say(row)} takes "
                    f"{shape_words(row.takes)}"
                    " with no activation between: two linear layers in a row are one linear layer.",
                    (Cure("A ReLU between", Edit("insert", (*before.path[:-1], before.path[-1] + 1), text="r")),))
            before = row
        elif row.part.kind in ACTIVATIONS or row.part.of.container or row.part.kind in ("max_pool", "softmax"):
            before = None


def _bias_before_norm(chain: list[Row]) -> Iterator[Suspicion]:
    for row, after in pairwise(chain):
        if row.part.kind in WEIGHTED and row.part["bias"] and after.part.kind == "batch_norm":
            yield Suspicion(
                "note", row.path,
                f"{_say(row, True)} adds {count(row.gives[0])} biases, and {_say(after)}, which takes its "
                f"{shape_words(after.takes)}, subtracts the mean and so takes them out again.",
                (Cure("No bias", Edit("set", row.path, name="bias", value=0)),))


def _saturating(chain: list[Row]) -> Iterator[Suspicion]:
    found = [row for row in chain if row.part.kind in SATURATING]
    if len(found) >= DEEP and not any(row.part.kind in NORMS or row.part.of.container for row in chain):
        first, last = found[0], found[-1]
        yield Suspicion(
            "warn", first.path,
            f"{len(found)} saturating activations stand between {_say(first)} with {shape_words(first.gives)} and "
            f"{_say(last)} with {shape_words(last.gives)}, with neither batch norm nor shortcuts: gradients get "
            "smaller at each of them.",
            (Cure(f"ReLU instead of the first {first.part.of.words}", Edit("replace", first.path, text="r")),))


def _row(row: Row) -> Iterator[Suspicion]:
    one = row.part
    if len(row.takes) == 3 and one.kind in ("conv", "depthwise", "max_pool", "avg_pool"):
        side, kernel = min(row.takes[1:]), one["kernel_size"]
        if one.kind in ("conv", "depthwise") and kernel > 1 and side == 1:
            yield Suspicion("warn", row.path,
                            f"{_say(row, True)} gets {shape_words(row.takes)}: of its {kernel} × {kernel} kernel "
                            f"only one "
                            "number ever meets anything but padding.",
                            (Cure("A kernel of 1 × 1", Edit("set", row.path, name="kernel_size", value=1)),))
        projection = kernel == 1 and len(row.path) > 1  # the 1 × 1 convolution of a shortcut: meant to skip
        if one["stride"] > kernel and not projection:
            yield Suspicion("warn", row.path,
                            f"{_say(row, True)} goes {one['stride']} pixels at a time over {shape_words(row.takes)} "
                            f"and "
                            f"looks at {kernel}: pixels between are never seen.",
                            (Cure(f"Stride {kernel}", Edit("set", row.path, name="stride", value=kernel)),))
    if one.kind == "flatten" and len(row.takes) == 1:
        yield Suspicion("note", row.path, f"{_say(row, True)} gets {shape_words(row.takes)}, which are in a row "
                                          f"already.",
                        (Cure("Take it out", Edit("remove", row.path)),))
    if one.of.container and not any(one.branches):
        yield Suspicion("note", row.path, f"{_say(row, True)} gives {shape_words(row.gives)} and holds no layer.",
                        (Cure("Take it out", Edit("remove", row.path)),))
    if one.kind == "batch_norm" and len(row.takes) == 3 and row.takes[1:] == (1, 1):
        yield Suspicion("note", row.path, f"{_say(row, True)} gets {shape_words(row.takes)}: mean and variance come "
                                          f"from "
                                          "one number a picture.")


def _ending(walked: Walk, from_scores: bool, margin: bool) -> Iterator[Suspicion]:
    leaves = [row for row in walked.rows if not row.part.of.container]
    if not leaves:
        return
    last = leaves[-1]
    softs = [row for row in leaves if row.part.kind == "softmax"]
    remove = (Cure(f"Take the {last.part.of.words} out", Edit("remove", last.path)),)
    dense = next((row for row in reversed(leaves) if row.part.kind in WEIGHTED), None)
    if dense is None:  # nothing gives scores: that is a fault, and the first to mend
        return
    if len(softs) > 1:
        yield Suspicion("warn", softs[-1].path,
                        f"{_say(softs[-1], True)} takes {shape_words(softs[-1].takes)} that went through "
                        f"{_say(softs[0])} with {shape_words(softs[0].takes)} already: softmax twice flattens every "
                        f"answer.",
                        (Cure("Take one out", Edit("remove", softs[-1].path)),))
    elif softs and from_scores:
        yield Suspicion("warn", softs[0].path,
                        f"{_say(softs[0], True)} turns the {shape_words(softs[0].takes)} of {_say(dense)} into "
                        "probabilities, " + ("which no margin of 1 can part." if margin else
                                             "and the loss does so once more: gradients become tiny."),
                        (Cure("Take the softmax out", Edit("remove", softs[0].path)),))
    if last.part.kind in ACTIVATIONS and not (last.part.kind == "sigmoid" and last.gives == (1,)):
        yield Suspicion("warn", last.path,
                        f"{_say(last, True)} bends the {shape_words(last.takes)} of {_say(dense)}, which are the "
                        f"scores: "
                        + ("a class can never get a score below 0." if last.part.kind == "relu"
                           else "they cannot grow as a score has to."), remove)
    if last.part.kind in ("dropout", "dropout2d"):
        yield Suspicion("warn", last.path, f"{_say(last, True)} leaves out {shape_words(last.takes)} of {_say(dense)}, "
                                           "which are the scores themselves, at random.", remove)
    if last.part.kind in NORMS:
        yield Suspicion("note", last.path, f"{_say(last, True)} normalizes the {shape_words(last.takes)} of "
                                           f"{_say(dense)}, "
                                           "which are the scores themselves.", remove)


def _heavy(walked: Walk) -> Iterator[Suspicion]:
    total = walked.parameters
    for row in walked.rows:
        if row.part.kind == "dense" and row.parameters >= max(HEAVY_LEAST, HEAVY_SHARE * total):
            flattening = next((r for r in walked.rows if r.part.kind == "flatten" and r.gives == row.takes), None)
            if flattening is None or len(flattening.takes) != 3:
                continue
            yield Suspicion(
                "note", row.path,
                f"{_say(row, True)} has {count(row.parameters)} of the {count(total)} weights "
                f"({percent(row.parameters / total, 0)}), since {_say(flattening)} hands it {shape_words(row.takes)}.",
                (Cure("The mean of each map instead of flattening", Edit("replace", flattening.path, text="g")),))


def _sees_little(walked: Walk) -> Iterator[Suspicion]:
    for row in walked.rows:
        if row.part.kind != "global_pool" or len(walked.takes) != 3:
            continue
        before = next((r for r in walked.rows if r.path == row.source), None)
        side = min(walked.takes[1:])
        if before is not None and before.field < side / 2 and before.field != inf:
            yield Suspicion(
                "note", row.path,
                f"{_say(row, True)} averages numbers of {_say(before)} that see {count(int(before.field))} of "
                f"{count(side)} pixels a side each: shapes larger than that are never seen whole.",
                (Cure("A max pooling before it", Edit("insert", row.path, text="p2")),))
