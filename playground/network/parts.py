"""A network as a small frozen tree of parts: what every other module here reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from playground.errors import PlaygroundError
from playground.network.kind import Kind
from playground.network.kinds import KINDS
from playground.numbers import number

VERSION = 1
"""Of the tree as JSON: `Network.as_dict` writes it and `Network.from_dict` refuses others."""

Path = tuple[int, ...]
"""Where a part stands: its place in the network, then, by turns, a branch and a place in it. (4, 1, 0) is the first
part of the second branch of the fifth part."""


@dataclass(frozen=True)
class Part:
    """One part: its kind, the fields that are not the kind's defaults, and, of a container, its branches."""

    kind: str
    values: tuple[tuple[str, float], ...] = ()
    branches: tuple[tuple["Part", ...], ...] = ()

    @property
    def of(self) -> Kind:
        return KINDS[self.kind]

    def __getitem__(self, name: str) -> Any:
        """The value of a field, a whole number where the field is one."""
        if name not in self.numbers:
            self.of.field(name)  # raises, naming the kind
        return self.numbers[name]

    @property
    def numbers(self) -> Mapping[str, Any]:
        """Every field's value, whole numbers where the field is one."""
        return _numbers(self.kind, self.values)

    def with_value(self, name: str, value: float) -> "Part":
        """The same part with another number in one field. Raises PlaygroundError when the field does not allow it."""
        declared = self.of.field(name)
        declared.check(value, self.of)
        kept = {**dict(self.values), name: value}
        return replace(self, values=self.of.canonical(kept))

    @property
    def title(self) -> str:
        """What a person calls it: "convolution, 32 filters 3 × 3"."""
        return self.of.title(self.numbers)


@lru_cache(maxsize=4096)
def _numbers(kind: str, values: tuple[tuple[str, float], ...]) -> Mapping[str, Any]:
    given = dict(values)
    return MappingProxyType({f.name: int(given.get(f.name, f.default)) if f.whole else float(given.get(
        f.name, f.default)) for f in KINDS[kind].fields})


def part(kind: str, *branches: tuple[Part, ...], **values: float) -> Part:
    """A part with some of its fields set. Raises PlaygroundError for an unknown kind or field or a forbidden number.

    >>> part("conv", filters=8, stride=2).title
    'convolution, 8 filters 3 × 3, stride 2'
    """
    declared = KINDS.find(kind)
    for name, value in values.items():
        declared.field(name).check(value, declared)
    return Part(kind, declared.canonical(values), branches)


@dataclass(frozen=True)
class Network:
    """The parts a picture goes through, one after the other."""

    parts: tuple[Part, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.parts)

    def at(self, path: Path) -> Part:
        """The part at a place. Raises IndexError where there is none."""
        found: Part = _in(self.parts, path[0])
        for branch, place in zip(path[1::2], path[2::2], strict=True):
            found = _in(_in(found.branches, branch), place)
        return found

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"version": VERSION, "parts": [_plain(one) for one in self.parts]}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Network":
        """Back from JSON. Raises PlaygroundError where it is none of ours."""
        if not isinstance(data, Mapping) or data.get("version") != VERSION or not isinstance(data.get("parts"), list):
            raise PlaygroundError(f"This is no description of a network of version {VERSION}.")
        try:
            return Network(tuple(_unplain(one) for one in data["parts"]))
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise PlaygroundError("The description of the network is damaged.") from error


def everything(parts: tuple[Part, ...], before: Path = ()) -> Iterator[tuple[Path, Part]]:
    """Every part with its place, a container before what it holds."""
    for place, one in enumerate(parts):
        path = (*before, place)
        yield path, one
        for branch, inside in enumerate(one.branches):
            yield from everything(inside, (*path, branch))


def leaves(parts: tuple[Part, ...]) -> Iterator[Part]:
    """Every part that is no container, in the order numbers go through them."""
    return (one for _, one in everything(parts) if not one.of.container)


def place(path: Path) -> str:
    """A place as a person counts: "part 5", "part 5, branch 2, part 1".

    >>> place((4, 1, 0))
    'part 5, branch 2, part 1'
    """
    words = [f"part {path[0] + 1}"]
    for branch, inner in zip(path[1::2], path[2::2], strict=True):
        words += [f"branch {branch + 1}", f"part {inner + 1}"]
    return ", ".join(words)


def shape_words(shape: tuple[int, ...]) -> str:
    """A shape as a person says it: "32 maps of 14 × 14", "128 numbers".

    >>> shape_words((1, 28, 28)), shape_words((10,))
    ('1 map of 28 × 28', '10 numbers')
    """
    if len(shape) == 3:
        channels, height, width = (number(n, 9) for n in shape)
        return f"{channels} map{'' if shape[0] == 1 else 's'} of {height} × {width}"
    return f"{number(shape[0], 9)} number{'' if shape[0] == 1 else 's'}"


def _in(items: tuple[Any, ...], index: int) -> Any:
    if index < 0:
        raise IndexError(index)
    return items[index]


def _plain(one: Part) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": one.kind, **dict(one.values)}
    if one.of.container:
        data["branches"] = [[_plain(inner) for inner in branch] for branch in one.branches]
    return data


def _unplain(data: Mapping[str, Any]) -> Part:
    values = {name: value for name, value in data.items() if name not in ("kind", "branches")}
    branches = tuple(tuple(_unplain(inner) for inner in branch) for branch in data.get("branches", ()))
    declared = KINDS.find(data["kind"])
    declared.check_branches(len(branches))
    return part(data["kind"], *branches, **values)
