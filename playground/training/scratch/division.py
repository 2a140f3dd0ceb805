"""Which of a set's pictures are learnt from, and which are kept aside to validate on."""

import numpy as np

from playground.errors import PlaygroundError

VALIDATION_SHARE = 1 / 6


def learnt(pictures: int, most: int = 0) -> int:
    """About how many of a set's training pictures are learnt from, `most` at the most where it is not 0.

    >>> learnt(1200), learnt(1200, 60)
    (1000, 60)
    """
    fitted = round(pictures * (1 - VALIDATION_SHARE))
    return min(fitted, most) if most else fitted


def divided(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices to learn from and to validate on: a sixth of every class, at least one picture where there are two."""
    held_out = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out.append(members[:max(1, round(len(members) * VALIDATION_SHARE)) if len(members) > 1 else 0])
    kept_aside = np.sort(np.concatenate(held_out))
    fitted = np.setdiff1d(np.arange(len(labels)), kept_aside)
    if len(kept_aside) == 0 or len(fitted) < 2:
        raise PlaygroundError(f"{len(labels)} training pictures are too few to learn from and to validate on.")
    return fitted, kept_aside


def few(fitted: np.ndarray, labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the indices to learn from, of every class its share. The few are among the more."""
    place = np.empty(len(fitted))
    for label in np.unique(labels[fitted]):
        members = np.flatnonzero(labels[fitted] == label)
        place[rng.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(fitted[np.argsort(place, kind="stable")[:most]])
