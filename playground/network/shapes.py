"""What a network does to a picture before any number is known: shapes and counts at every part, up to the first fault.

*Multiply-adds* are the products that are added up for one picture: of a convolution (output numbers) * (input
channels / groups) * kernel size², of a transposed one (input numbers) * filters * kernel size², of a dense layer
inputs * units. Biases, norms, activations and pooling are not counted; the sums of shortcuts are counted apart, as
`additions`. That is what torch's own counter of floating-point operations counts, halved.
"""

from dataclasses import dataclass, field
from math import inf, prod

from playground.network.kind import MisfitError, Shape
from playground.network.parts import Network, Part, Path

BYTES = 4
"""Of a number: float32."""
MOMENTS = 2
"""Numbers an optimizer keeps beside each weight, at most (Adam)."""


@dataclass(frozen=True)
class Row:
    """One part on a picture's way: what it takes, what it gives, and its own counts.

    A container's counts are its sum's alone (`additions`): what it holds has rows of its own. `field` is how many
    pixels of the picture a number of the result sees along one side (inf: all), `step` how far apart two neighbours'
    windows are. `source` is the place of the last part before it that made what it takes; None for the picture itself.
    """

    path: Path
    part: Part
    takes: Shape
    gives: Shape
    parameters: int
    multiply_adds: int
    additions: int
    field: float
    step: float
    source: Path | None


@dataclass(frozen=True)
class Stopped:
    """Where a walk ended: a part that cannot take what it gets. `row` is the last one before it, None at the start."""

    path: Path
    part: Part
    takes: Shape
    source: Path | None
    fault: str
    numbers: dict[str, object]


@dataclass(frozen=True)
class Walk:
    """A network walked through with one picture's shape."""

    takes: Shape
    rows: tuple[Row, ...]
    gives: Shape
    stopped: Stopped | None = None
    by_path: dict[Path, Row] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.by_path.update({row.path: row for row in self.rows})

    @property
    def parameters(self) -> int:
        """Numbers that are learnt."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """For one picture, forward."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def additions(self) -> int:
        """Of shortcuts, for one picture."""
        return sum(row.additions for row in self.rows)

    @property
    def activations(self) -> int:
        """Numbers that one picture leaves behind for the way back: what every part gives."""
        return sum(prod(row.gives) for row in self.rows if not row.part.of.container or row.additions)

    def memory(self, batch: int) -> int:
        """Bytes that a training keeps at once, at least: weights, gradients, moments, and a batch on its way."""
        return BYTES * (self.parameters * (2 + MOMENTS) + batch * (2 * self.activations + prod(self.takes)))

    @property
    def field(self) -> float:
        """How many pixels of the picture, along a side, one number of the result depends on, at most (inf: all)."""
        whole = [row for row in self.rows if len(row.path) == 1]  # behind a shortcut that sees less: both together
        rows = self.rows if self.stopped or not whole else whole
        return rows[-1].field if rows else 1


@dataclass
class _At:
    """Where a walk is."""

    shape: Shape
    field: float = 1.0
    step: float = 1.0
    source: Path | None = None


def walk(network: Network, takes: Shape) -> Walk:
    """Every part's shapes and counts for a picture of shape (C, H, W), up to the first that cannot take what it gets.

    >>> from playground.network.parts import part
    >>> found = walk(Network((part("conv", filters=8), part("global_pool"))), (3, 32, 32))
    >>> [row.gives for row in found.rows], found.parameters, found.multiply_adds
    ([(8, 32, 32), (8,)], 224, 221184)
    """
    rows: list[Row] = []
    at = _At(takes)
    try:
        _through(network.parts, (), at, rows)
    except _HaltError as halt:
        return Walk(takes, tuple(rows), at.shape, halt.stopped)
    return Walk(takes, tuple(rows), at.shape)


class _HaltError(Exception):
    def __init__(self, stopped: Stopped):
        super().__init__(stopped.fault)
        self.stopped = stopped


def _through(parts: tuple[Part, ...], before: Path, at: _At, rows: list[Row]) -> None:
    """Move `at` through the parts, and write down a row for each; `at` stays where the walk halts."""
    for index, one in enumerate(parts):
        path = (*before, index)
        try:
            if one.of.container:
                _container(one, path, at, rows)
            else:
                _leaf(one, path, at, rows)
        except MisfitError as misfit:
            raise _HaltError(Stopped(path, one, at.shape, at.source, misfit.fault, misfit.numbers)) from misfit


def _leaf(one: Part, path: Path, at: _At, rows: list[Row]) -> None:
    kind, values = one.of, one.numbers
    takes = at.shape
    gives = kind.shape(values, takes)
    more, stride = kind.window(values)
    if more:  # windows without end see everything, and one number sees no more however large the step
        at.field += more if more == inf else more * at.step
    at.step *= stride
    rows.append(Row(path, one, takes, gives, kind.parameters(values, takes), kind.multiply_adds(values, takes, gives),
                    0, at.field, at.step, at.source))
    at.shape, at.source = gives, path


def _container(one: Part, path: Path, at: _At, rows: list[Row]) -> None:
    place = len(rows)
    ends = []
    for number, branch in enumerate(one.branches):
        end = _At(at.shape, at.field, at.step, at.source)
        try:
            _through(branch, (*path, number), end, rows)
        except _HaltError:
            at.shape, at.source = end.shape, end.source
            raise
        ends.append(end)
    if one.kind == "residual":
        ends += [_At(at.shape, at.field, at.step, at.source)] if len(ends) == 1 else []
        gives = _summed(ends)
    elif one.kind == "parallel":
        gives = _joined(ends)
    else:
        gives = ends[0].shape
    widest = max(ends, key=lambda end: end.field)
    rows.insert(place, Row(path, one, at.shape, gives, 0, 0, prod(gives) if one.kind == "residual" else 0, widest.field,
                           widest.step, at.source))
    at.shape, at.field, at.step = gives, widest.field, widest.step
    at.source = path if one.kind != "block" or not one.branches[0] else ends[0].source


def _summed(ends: list[_At]) -> Shape:
    way, short = ends[0].shape, ends[1].shape
    if way != short:
        raise MisfitError("sum", way=way, short=short)
    return way


def _joined(ends: list[_At]) -> Shape:
    shapes = [end.shape for end in ends]
    if len({(len(shape), *shape[1:]) for shape in shapes}) != 1:
        raise MisfitError("join", shapes=shapes)
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])
