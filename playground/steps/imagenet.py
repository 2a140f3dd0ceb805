"""The ImageNet challenge in numbers: what the 1,000 classes are, and whether an answer counts."""

from collections.abc import Sequence

import numpy as np

GROUPS: dict[str, tuple[tuple[int, int], ...]] = {
    "fish": ((0, 6), (389, 397)),
    "birds": ((7, 24), (80, 100), (127, 146)),
    "amphibians and reptiles": ((25, 68),),
    "dogs": ((151, 268),),
    "cats, tame and wild": ((281, 293),),
    "other animals": ((69, 79), (101, 126), (147, 150), (269, 280), (294, 388)),
    "things": ((398, 923), (999, 999)),
    "food and fruit": ((924, 969),),
    "landscapes": ((970, 980),),
    "people": ((981, 983),),
    "flowers and mushrooms": ((984, 998),),
}
"""First and last class number (both included) of each kind of thing, in the order of ILSVRC 2012."""

WINNERS: tuple[tuple[int, str, float], ...] = (
    (2010, "NEC-UIUC", 28.2), (2011, "XRCE", 25.8), (2012, "AlexNet", 16.4), (2013, "Clarifai", 11.7),
    (2014, "GoogLeNet", 6.7), (2015, "ResNet", 3.6), (2016, "Trimps-Soushen", 3.0), (2017, "SENet", 2.3),
)
"""Top-5 error of the challenge's winners in classification, in %, as the organisers published it."""
HUMAN = 5.1
"""Top-5 error in % of one trained person (A. Karpathy) on 1,500 pictures: Russakovsky et al., 2015."""


def members(group: str) -> np.ndarray:
    """The class numbers of a group.

    >>> members("people").tolist()
    [981, 982, 983]
    """
    return np.concatenate([np.arange(first, last + 1) for first, last in GROUPS[group]])


def group_of(number: int) -> str:
    """Which group a class belongs to.

    >>> group_of(285)
    'cats, tame and wild'
    """
    return next(name for name, parts in GROUPS.items() if any(a <= number <= b for a, b in parts))


def rank(probabilities: Sequence[float] | np.ndarray, truth: int) -> int:
    """The place of the true class among the answers, 1 being the likeliest; equal ones count in class order.

    >>> rank([0.2, 0.5, 0.3], 2)
    2
    """
    order = np.argsort(-np.asarray(probabilities), kind="stable")
    return int(np.flatnonzero(order == truth)[0]) + 1
