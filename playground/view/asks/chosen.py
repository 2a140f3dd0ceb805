"""What a reader points at in a network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chosen:
    """A part by its index, one number that it gives by its place for one picture, (C, H, W) or (F,), and one weight by
    its name and index; None for what is not pointed at.

    >>> Chosen(part=2, place=(3, 0, 1)).map
    3
    """

    part: int | None = None
    place: tuple[int, ...] | None = None
    weight: tuple[str, tuple[int, ...]] | None = None

    @property
    def map(self) -> int | None:
        """The map, or the number of a row of numbers, that is pointed at."""
        return self.place[0] if self.place else None
