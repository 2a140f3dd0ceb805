"""Which photographs are trained on and which are kept aside: by class, by a seed, copies together."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from playground.datasets.duplicates import alike

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Candidate:
    """What the division looks at: class, content, look, and the half somebody fixed it in."""

    label: str
    digest: str
    fingerprint: bytes
    fixed: str | None = None


def halves(photos: Sequence[Candidate], seed: int, share: float) -> list[str]:
    """"train" or "validation" for each photograph.

    What is fixed stays. Of every class, about `share` of the rest goes to validation: whole groups of near-duplicates,
    in the order of a hash of seed and content, so that a photograph added later moves few others. A group goes where a
    fixed member is. Where whole groups come to less than half of what is wanted (a single burst is one group), the
    smallest group goes if it is not more than twice of that; otherwise the last shots of the largest group do: that
    division leaks, and `duplicates.examine` says so. One photograph of a class is trained on.
    """
    result = [photo.fixed or TRAIN for photo in photos]
    in_group: dict[int, tuple[int, ...]] = {}
    for group in alike([photo.fingerprint for photo in photos], [photo.label for photo in photos]):
        in_group.update(dict.fromkeys(group, group))
    members: dict[str, list[int]] = defaultdict(list)
    for k, photo in enumerate(photos):
        members[photo.label].append(k)

    for indices in members.values():
        free: list[tuple[int, ...]] = []
        for group in dict.fromkeys(in_group.get(k, (k,)) for k in indices):
            fixed = [photos[k].fixed for k in group if photos[k].fixed]
            if not fixed:
                free.append(group)
            for k in group:
                if fixed and not photos[k].fixed:
                    result[k] = TRAIN if TRAIN in fixed else VALIDATION
        unfixed = sum(map(len, free))
        wanted = max(1, round(share * unfixed)) if len(indices) > 1 and unfixed else 0
        if any(result[k] == VALIDATION for k in indices):
            wanted = min(wanted, round(share * unfixed))
        free.sort(key=lambda group: min(_rank(seed, photos[k].digest) for k in group))
        taken: list[int] = []
        left: list[tuple[int, ...]] = []
        for group in free:
            if len(taken) + len(group) <= wanted:
                taken += group
            else:
                left.append(group)
        if left and 2 * len(taken) < wanted:
            smallest, largest = min(left, key=len), max(left, key=len)
            fits = len(smallest) <= 2 * wanted and len(taken) + len(smallest) < len(indices)
            taken += smallest if fits else largest[len(largest) - (wanted - len(taken)) :]
        for k in taken:
            result[k] = VALIDATION
    return result


def _rank(seed: int, digest: str) -> bytes:
    return hashlib.sha256(f"{seed}:{digest}".encode()).digest()
