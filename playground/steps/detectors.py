"""Kernels as detectors: test pictures that hold one feature each, who answers to which, and where an edge points."""

from collections.abc import Mapping

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


def favourites(answers: Mapping[str, float]) -> list[str]:
    """Who is answered most strongly: one name, or all that are alike but for rounding (a billionth of the largest).

    answers: the strongest magnitude for each picture, none negative. Raises ValueError when there are none.

    >>> favourites({"dot": 0.1 + 0.2, "line": 0.3, "wall": 0.0})
    ['dot', 'line']
    """
    most = max(answers.values())
    return [name for name, value in answers.items() if value >= most * (1 - 1e-9)]


def edge_strength(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """How steep the brightness is, whatever its direction: sqrt(gx² + gy²), in the units of the responses.

    across, down: the responses gx, gy (H, W) of Sobel x and Sobel y.

    >>> edge_strength(np.array([3.0]), np.array([-4.0])).tolist()
    [5.0]
    """
    return np.asarray(np.hypot(across, down))


def edge_direction(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Where it gets brighter, in degrees -180..180: atan2(gy, gx). 0 is to the right, 90 downwards, as rows count.

    Where both are 0 there is no direction; 0 is given.

    >>> edge_direction(np.array([1.0, 0.0, -1.0, 1.0]), np.array([0.0, 1.0, 0.0, -1.0])).tolist()
    [0.0, 90.0, 180.0, -45.0]
    """
    # + 0.0 turns -0.0 into 0.0: no change at all is not "to the left"
    return np.asarray(np.degrees(np.arctan2(down + 0.0, across + 0.0)))


def main_direction(across: np.ndarray, down: np.ndarray) -> float:
    """The direction, in degrees, at the place where the edge is strongest (the first of them).

    >>> main_direction(np.array([[0.0, 2.0]]), np.array([[0.0, 2.0]]))
    45.0
    """
    place = int(np.argmax(edge_strength(across, down)))
    return float(edge_direction(across, down).flat[place])
