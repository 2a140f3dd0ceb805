"""What was measured of a training, put so that a doctor can ask for it: medians over a time, what stands before a part.
"""

import math
from collections.abc import Callable
from statistics import median

from playground.network.kind import Shape
from playground.network.kinds import WEIGHTED
from playground.network.parts import Network, Path, place
from playground.network.shapes import Row, walk
from playground.training.runs.events import Epoch, Measures, PartMeasures
from playground.training.scratch.settings import Settings


class Patient:
    """What is known of a training, in the order and the words that the looks below need."""

    def __init__(self, network: Network, takes: Shape, measures: list[Measures], epochs: list[Epoch],
                 settings: Settings):
        self.network, self.measures, self.epochs, self.settings = network, measures, epochs, settings
        walked = walk(network, takes)
        self.rows, self.classes = walked.by_path, max(2, math.prod(walked.gives))
        self.first = {part.path: part for part in measures[0].parts if part.path in self.rows} if measures else {}
        self.weighted = [path for path, part in self.first.items() if part.kind in WEIGHTED]

    def title(self, path: Path, start: bool = True) -> str:
        words = f"{place(path)} ({self.rows[path].part.title})"
        return words[0].upper() + words[1:] if start else words

    def over(self, path: Path, what: Callable[[PartMeasures], float | None],
             share: tuple[float, float]) -> float | None:
        """The median of a measure of one part, over the measures between two shares of the training."""
        at = self.measures[int(share[0] * len(self.measures)):max(1, math.ceil(share[1] * len(self.measures)))]
        values = [value for one in at for part in one.parts if part.path == path and (value := what(part)) is not None]
        return median(values) if values else None

    def source(self, path: Path) -> tuple[Path, float] | None:
        """The measured part that made what a part takes, and how much longer a gradient is behind the means between
        them than before; None where there is none, or several."""
        source, spread = self.rows[path].source, 1.0
        while source is not None and source not in self.first:
            row = self.rows[source]
            source, spread = (None if row.part.of.container else row.source), spread * spread_of(row)
        return None if source is None else (source, spread)

    def before(self, path: Path) -> float | None:
        """The size of what a part took, at the first weights."""
        source = self.rows[path].source
        if source is None:
            return self.measures[0].pictures
        if source in self.first:
            return self.first[source].activation
        inside = [part.activation for inner, part in self.first.items()
                  if inner[:len(source)] == source and part.activation is not None]
        return max(inside) if inside else self.before(source)

    def behind(self, path: Path) -> float:
        """The size of what a part gave, at the first weights, once it went through the norm or activation behind it: a
        sigmoid bounds it, a batch norm brings it back to 1."""
        behind = next((one for one in self.first if self.rows[one].source == path and one not in self.weighted), path)
        return self.first[behind].activation or 0.0

    def norm(self, path: Path, rms: float | None) -> float | None:
        """The length of one picture's gradient at what a part gives."""
        return None if rms is None else rms * math.sqrt(math.prod(self.rows[path].gives))

    def moved(self, share: tuple[float, float]) -> dict[Path, float]:
        """|Δw| / |w| of the parts with weights, the median over a time."""
        found = {path: self.over(path, lambda part: part.step, share) for path in self.weighted}
        return {path: value for path, value in found.items() if value is not None}

    def norms(self) -> dict[Path, float]:
        """The length of the gradient at what each part with weights gives, over the first half of the training; empty
        where it is not known of all."""
        found = {path: self.norm(path, self.over(path, lambda part: part.gradient, (0.0, 0.5)))
                 for path in self.weighted}
        known = {path: value for path, value in found.items() if value is not None}
        return known if len(known) == len(found) else {}


def spread_of(row: Row) -> float:
    """A mean of n numbers sends each a n-th of its gradient, together 1/√n of its length: what is divided up is not
    lost, a kernel that goes over all n places gathers it again. This √n; 1 for all other parts."""
    averages = row.part.kind in ("global_pool", "avg_pool")
    return math.sqrt(math.prod(row.takes) / math.prod(row.gives)) if averages else 1.0
