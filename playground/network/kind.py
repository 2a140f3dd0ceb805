"""What a kind of part is: its fields with their ranges, its shape rule, its counts, and how libraries spell it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from playground.errors import PlaygroundError
from playground.numbers import number

Shape = tuple[int, ...]
"""What a part takes or gives for one picture: (C, H, W) for maps, (F,) for numbers in a row."""
Values = Mapping[str, Any]
Layer = tuple[str, dict[str, Any]]
"""A layer by torch.nn's name, which is the engine's, too, and its arguments."""

SAME = -1
"""As padding: as much as keeps the size at stride 1, dilation * (kernel size - 1) // 2."""
LARGEST = 65_536


class MisfitError(Exception):
    """A part that cannot take what it gets. `fault` names how; `faults.py` makes it a sentence and knows cures."""

    def __init__(self, fault: str, **numbers: Any):
        super().__init__(fault)
        self.fault, self.numbers = fault, numbers


@dataclass(frozen=True)
class Field:
    """A number of a kind: torch's name for it, its letter in the short spelling ("" for the main one), its range."""

    name: str
    letter: str
    default: float
    low: float
    high: float
    words: str
    whole: bool = True
    flag: bool = False  # 0 or 1; spelled by its letter alone when it is not the default

    def check(self, value: Any, kind: "Kind") -> None:
        """Refuse a number the field does not allow, saying which it does."""
        sound = isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        if not sound or (self.whole and value != int(value)):
            what = "a whole number" if self.whole else "a number"
            said = number(value) if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)[:40]
            raise PlaygroundError(f"The {self.words} of {kind.article} is {what} from {number(max(self.low, 0))} to "
                                  f"{number(self.high, 9)}, not {said}.")


@dataclass(frozen=True)
class Kind:
    """A kind of part. `shape` raises MisfitError where a part cannot take what it gets."""

    name: str
    code: str  # in the short spelling
    words: str  # "max pooling"
    article: str  # "a max pooling"
    fields: tuple[Field, ...]
    shape: Callable[[Values, Shape], Shape]
    layers: Callable[[Values, Shape], list[Layer]]
    parameters: Callable[[Values, Shape], int]
    multiply_adds: Callable[[Values, Shape, Shape], int]
    window: Callable[[Values], tuple[float, float]]  # how many pixels more it sees, and its stride
    group: str  # how the designer lists it
    container: bool = False
    draws: bool = False  # its layer draws random numbers: first weights or masks

    def field(self, name: str) -> Field:
        """Raises PlaygroundError when there is no such field."""
        for one in self.fields:
            if one.name == name:
                return one
        raise PlaygroundError(f"{self.article[0].upper()}{self.article[1:]} has no {name!r}.")

    @property
    def main(self) -> Field | None:
        """The one number that matters most."""
        return next((one for one in self.fields if not one.letter), None)

    def canonical(self, values: Values) -> tuple[tuple[str, float], ...]:
        """The values that are not defaults, in the fields' order: so that equal parts are equal."""
        return tuple((f.name, int(values[f.name]) if f.whole else float(values[f.name]))
                     for f in self.fields if f.name in values and values[f.name] != f.default)

    def title(self, values: Values) -> str:
        """What a person calls a part of this kind with these values."""
        said = [self.words]
        if "filters" in values:
            said.append(f"{values['filters']} filter{'' if values['filters'] == 1 else 's'}")
        if "units" in values:
            said.append(f"{values['units']} unit{'' if values['units'] == 1 else 's'}")
        if "kernel_size" in values:
            size = f"{values['kernel_size']} × {values['kernel_size']}"
            if len(said) == 2:
                said[1] += f" {size}"
            else:
                said[0] += f" {size}"
        if values.get("stride", 0) not in (0, 1):
            said.append(f"stride {values['stride']}")
        if values.get("dilation", 1) != 1:
            said.append(f"dilation {values['dilation']}")
        if values.get("groups", 1) != 1:
            said.append(f"{values['groups']} groups")
        if "p" in values:
            said.append(f"p = {number(values['p'])}")
        if "scale_factor" in values:
            said[0] += f" × {values['scale_factor']}"
        return ", ".join(said)

    def check_branches(self, count: int) -> None:
        """Raises PlaygroundError when a part of this kind cannot have so many branches."""
        right = {"residual": count in (1, 2), "parallel": count >= 2, "block": count == 1}.get(self.name, count == 0)
        if not right:
            wanted = {"residual": "a way and, at most, a shortcut", "parallel": "two branches or more",
                      "block": "one row of parts"}.get(self.name, "no branches")
            raise PlaygroundError(f"{self.article[0].upper()}{self.article[1:]} has {wanted}, not {count}.")
