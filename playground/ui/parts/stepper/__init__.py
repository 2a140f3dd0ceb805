"""One player for every step-through demo: it receives all the records once and plays them in the browser.

A demo is a `Story`: a few grids of numbers, and for every step which cell of each grid takes part, what is written
where, and which group (window) the step belongs to. Everything the reader does afterwards - play, step, scrub, hover -
happens without asking the server. The player knows nothing of convolution: pooling, batch norm or a backward pass are
other grids and other marks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import streamlit as st

from playground.browser import NUMBERS
from playground.figures import style

_HERE = Path(__file__).parent
COLOURS_JS = NUMBERS + (_HERE / "colours.js").read_text()
"""Put before the script of any component that writes numbers and colours them as pages and figures do."""

_player = st.components.v2.component(
    "stepper",
    html=(_HERE / "stepper.html").read_text(),
    css=(_HERE / "stepper.css").read_text(),
    js=COLOURS_JS + "".join((_HERE / name).read_text() for name in ("cells.js", "telling.js", "stepper.js")),
)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A matrix on the screen.

    `values` are drawn from the beginning, row by row; without them the grid starts empty and the steps fill it.
    """

    name: str
    symbol: str
    """What the formula calls it; cells are spoken of as x[2,3]."""
    title: str
    note: str = ""
    rows: int
    columns: int
    values: Sequence[float] | None = None
    texts: Sequence[str] | None = None
    """Drawn instead of the rounded numbers: 1/9 rather than 0.11."""
    scale: Literal["signed", "gray"] = "signed"
    limit: float = 255.0
    """The scale ends here: at ±limit when signed, at 0 and limit when gray."""
    digits: int = 0
    border: int = 0
    """How many rows and columns on each side are padding: drawn as such, and counted with negative indices."""
    side: bool = False
    """A small grid that stands between the large ones."""
    whole_group: bool = False
    """Pointing at a cell shows all steps of its group (an output: its window) rather than only the cell's own steps."""
    framed_as: str | None = None
    """The symbol whose colour outlines cells of this grid, when not its own: the kernel's, for its window on x."""
    emptied: bool = False
    """Cleared whenever a new group begins."""


@dataclass(frozen=True, kw_only=True)
class Equation:
    """How the steps of one group are written out: start + a·b + a·b ... = value of `result`.

    With other signs it is another formula: `opening="max(", joint=", ", closing=")"` is a maximum, `opening="("` and
    `closing=") / 4"` a mean.
    """

    result: str
    """The grid whose cell the group computes."""
    operands: Sequence[str]
    """The grids whose marked cells are multiplied, in the order they are written."""
    start: float | None = None
    start_symbol: str = ""
    start_name: str = ""
    digits: int = 0
    opening: str = ""
    joint: str = " + "
    closing: str = ""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What every step adds to a cell of `target`: the product of the marked cells of `operands`, unless `signs` say
    otherwise.

    Where the target's mark is -1 the step adds nothing: `nowhere` says why, or is empty when that needs no words.
    """

    target: str
    operands: Sequence[str]
    digits: int = 0
    replaces: bool = False
    """The step leaves just the product, instead of adding it to what was there."""
    nowhere: str = "nothing is added"
    signs: tuple[str, str, str] = ("", "·", "")
    """What is written before, between and after the operands: ("exp(", "", ")"), or ("", " − ", "")."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the player is given: columns of equal length, one entry a step."""

    label: str
    """What a screen reader calls the player."""
    grids: Sequence[Grid]
    marks: Mapping[str, Sequence[int]]
    """Grid name -> the cell (row-major index, padding included) that takes part in each step."""
    writes: Mapping[str, Sequence[float]]
    """Grid name -> the number that the step leaves in its marked cell."""
    groups: Sequence[int]
    """The group of each step: 0, 0, ..., 1, 1, ...; steps of a group are neighbours."""
    equation: Equation | None = None
    """How a group comes to one number: a forward pass. Without it, `updates` say what each step adds to which cell."""
    updates: Sequence[Update] = ()
    leader: str = ""
    """With updates: the grid whose marked cell names the group, where it has one."""
    step_name: str = "multiply-add"
    group_name: str = "window"
    ties: Sequence[tuple[str, str]] = ()
    """Pairs of grids joined by lines: from the window in the first to the second."""
    start: int = 0
    """How many steps are done when the page opens, unless its address says `step=`."""
    footnotes: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        if (self.equation is None) == (not self.updates):
            raise ValueError("a story has either an equation or updates")
        count = len(self.groups)
        cells = {g.name: g.rows * g.columns for g in self.grids}
        for what, columns in (("marks", self.marks), ("writes", self.writes)):
            for name, column in columns.items():
                if name not in cells:
                    raise ValueError(f"{what} speak of a grid {name!r} that is not in the story")
                if len(column) != count:
                    raise ValueError(f"{what} of {name!r} have {len(column)} entries for {count} steps")
        for name, column in self.marks.items():
            if count and not (min(column) >= -1 and max(column) < cells[name]):
                raise ValueError(f"marks of {name!r} leave its {cells[name]} cells")
        for grid in self.grids:
            if grid.values is not None and len(grid.values) != cells[grid.name]:
                raise ValueError(f"{grid.name!r} has {cells[grid.name]} cells and {len(grid.values)} values")


def payload(story: Story) -> dict[str, object]:
    """The story as what travels: dicts and lists, nothing copied (`asdict` would copy every number)."""
    return {**vars(story), "grids": [vars(grid) for grid in story.grids],
            "equation": vars(story.equation) if story.equation else None,
            "updates": [vars(update) for update in story.updates]}


def stepper(story: Story, *, key: str) -> None:
    """Show the story's player."""
    told = {**payload(story), "scales": {"signed": style.SIGNED, "gray": style.GRAY}, "colours": {
        symbol: style.by_theme(light, style.SYMBOLS_DARK[symbol]) for symbol, light in style.SYMBOLS.items()}}
    # As bytes: Streamlit would spell a dictionary twice, 1.5 ms each time for 1,300 steps
    _player(key=key, data=json.dumps(told, separators=(",", ":")).encode())
