"""A network whose training takes minutes an epoch: how long, where its products are, and what would make it shorter."""

from collections.abc import Iterator

from playground.network.cures import Cure
from playground.network.edits import Edit, edited
from playground.network.faults import WARN, Fault, named
from playground.network.kind import Shape
from playground.network.parts import Network, place
from playground.network.shapes import Row, Walk, walk
from playground.numbers import count, number

SLOW_SECONDS = 180.0
"""An epoch that takes longer is told of."""
LARGE_SIDE = 32
"""Pixels a side of pictures that could well be smaller."""


def slow(network: Network, takes: Shape, seconds: float | None) -> tuple[Fault, ...]:
    """The fault of a network of which an epoch takes minutes, at the part with the most products; none where it takes
    less, or nobody knows. Every cure leaves fewer products.

    >>> from playground.network.spelling import network_of
    >>> slow(network_of("c64k7-r-c64k7-r-g-d10"), (3, 32, 32), 754.0)[0].sentence  # doctest: +ELLIPSIS
    'An epoch takes about 13 min on this machine: ... are in part 3 (convolution, 64 filters 7 × 7).'
    """
    walked = walk(network, takes)
    if seconds is None or seconds <= SLOW_SECONDS or walked.stopped or not walked.rows:
        return ()
    heavy = max(walked.rows, key=lambda row: row.multiply_adds)
    lasts = f"{number(seconds / 60, 2)} min" if seconds < 3600 else f"{number(seconds / 3600, 2)} h"
    if heavy.part.kind == "dense":
        shorter = "fewer units make it shorter"
    elif min(takes[1:]) > LARGE_SIDE:
        shorter = "fewer filters, a stride or smaller pictures make it shorter"
    else:
        shorter = "fewer filters, a stride or a pooling before it make it shorter"
    sentence = (f"An epoch takes about {lasts} on this machine: {shorter}. Most products, "
                f"{count(heavy.multiply_adds)} of {count(walked.multiply_adds)} a picture, are in "
                f"{named(heavy.path, heavy.part)}.")
    return (Fault(WARN, heavy.path, sentence, tuple(_lighter(network, walked, heavy))),)


def _lighter(network: Network, walked: Walk, heavy: Row) -> Iterator[Cure]:
    main, cures = heavy.part.of.main, []
    if main is not None and heavy.part[main.name] > main.low and heavy.path != walked.rows[-1].path:
        half = max(int(main.low), heavy.part[main.name] // 2)
        cures.append(Cure(f"{half} instead of {heavy.part[main.name]} in {place(heavy.path)}",
                          Edit("set", heavy.path, name=main.name, value=half)))
    if heavy.part.kind == "conv" and heavy.part["stride"] == 1:
        cures.append(Cure(f"Stride 2 in {place(heavy.path)}", Edit("set", heavy.path, name="stride", value=2)))
    for cure in cures:
        after = walk(edited(network, cure.edit), walked.takes)
        if not after.stopped and after.gives == walked.gives and after.multiply_adds < walked.multiply_adds:
            yield cure
