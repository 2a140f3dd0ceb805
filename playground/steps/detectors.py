"""Kernels as detectors: test pictures that hold one feature each, and who answers to which."""

import numpy as np

SIDE = 15
DARK, BRIGHT = 40.0, 220.0


def feature_pictures() -> dict[str, np.ndarray]:
    """Small gray pictures (15, 15), levels 40 and 220, that hold one feature each.

    >>> {picture.shape for picture in feature_pictures().values()}
    {(15, 15)}
    """
    row, column = np.indices((SIDE, SIDE))
    middle = SIDE // 2
    shapes = {
        "flat wall": np.ones((SIDE, SIDE), bool),
        "vertical edge": column >= middle,
        "horizontal edge": row >= middle,
        "diagonal edge": row + column >= SIDE - 1,
        "vertical line": column == middle,
        "horizontal line": row == middle,
        "dot": (row == middle) & (column == middle),
        "checkerboard": (row + column) % 2 == 0,
    }
    return {name: np.where(shape, BRIGHT, DARK) for name, shape in shapes.items()}


def strongest(responses: np.ndarray) -> float:
    """The largest magnitude of a response, away from nothing: responses (OH, OW) of windows that lie inside.

    >>> strongest(np.array([[-3.0, 1.0]]))
    3.0
    """
    return float(np.abs(responses).max())
