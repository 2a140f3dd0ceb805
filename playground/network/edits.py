"""Named edits of a network, their undo and redo, and what each neighbouring design would cost.

An edit is plain data, so that a browser sends one, a fault offers one as its cure, and a history keeps them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from playground.errors import PlaygroundError
from playground.network.kind import SAME, Field, Shape
from playground.network.kinds import WEIGHTED
from playground.network.parts import Network, Part, Path, everything, part, place
from playground.network.shapes import walk
from playground.network.spelling import network_of, spelled

ACTIONS = ("insert", "again", "remove", "replace", "move", "set", "wrap", "unwrap", "shortcut")
KEPT = 500
"""States that a history keeps."""
MOST_PARTS = 400
"""Of a network that is edited, containers and what they hold counted alike."""


@dataclass(frozen=True)
class Edit:
    """One change.

    `insert` puts the parts of `text` (a spelling) at `path`, moving what is there along; `again` puts there once more
    what `repeated` finds right before it; `remove` takes out the part at `path`; `replace` puts the parts of `text` in
    its place; `move` puts it at `to`, counted before it was taken out; `set` gives its field `name` the `value`; `wrap`
    makes the `count` parts from `path` on the way of a residual (or of what `text` says: "[", "(" or "{"); `unwrap`
    replaces a container by its first branch; `shortcut` gives a residual the parts of `text` as its shortcut, none for
    the identity.
    """

    action: str
    path: Path
    text: str = ""
    to: Path = ()
    name: str = ""
    value: float = 0.0
    count: int = 1

    @staticmethod
    def from_dict(data: Any) -> "Edit":
        """From JSON of a browser. Raises PlaygroundError where it is none."""
        try:
            edit = Edit(str(data["action"]), _path(data["path"]), str(data.get("text", "")), _path(data.get("to", ())),
                        str(data.get("name", "")), float(data.get("value", 0)), int(data.get("count", 1)))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise PlaygroundError("This is no change of a network.") from error
        if edit.action not in ACTIONS:
            raise PlaygroundError(f"A change of a network is one of {', '.join(ACTIONS)}.")
        return edit


def edited(network: Network, edit: Edit) -> Network:
    """The network after one edit.

    Raises PlaygroundError where the edit does not fit: no such part, a number that is not allowed, a part that is moved
    into itself.

    >>> spelled(edited(network_of("c8-r"), Edit("insert", (1,), text="b")))
    'c8-b-r'
    """
    try:
        after = _ACTING[edit.action](network, edit)
    except (IndexError, KeyError, ValueError) as error:
        raise PlaygroundError(f"There is no {place(edit.path) if edit.path else 'such part'} to change.") from error
    if _size(after.parts) > MOST_PARTS:
        raise PlaygroundError(f"A network here has at most {MOST_PARTS} parts.")
    return after


def label(network: Network, edit: Edit) -> str:
    """What an edit does, for a list of what can be undone.

    >>> label(network_of("c8-r"), Edit("set", (0,), name="filters", value=16))
    'Number of filters of part 1: 8 → 16'
    """
    where = place(edit.path)
    if edit.action == "insert":
        return f"Insert {_titles(edit.text)} as {where}"
    try:
        if edit.action == "again":
            return f"Insert {_titles(spelled(Network(repeated(network, edit.path))))} again as {where}"
        one = network.at(edit.path)
    except (IndexError, ValueError):
        return f"Change {where}"
    if edit.action == "set":
        words = one.of.field(edit.name).words
        return f"{words[0].upper()}{words[1:]} of {where}: {said(one, edit.name)} → " \
               f"{said(one.with_value(edit.name, edit.value), edit.name)}"
    return {
        "remove": f"Remove {one.of.words} ({where})",
        "replace": f"{one.of.words[0].upper()}{one.of.words[1:]} ({where}) → {_titles(edit.text)}",
        "move": f"Move {one.of.words} from {where} to {place(edit.to) if edit.to else 'elsewhere'}",
        "wrap": f"Put {'a shortcut' if edit.text in ('', '[') else 'brackets'} round {edit.count} from {where}",
        "unwrap": f"Take the brackets of {where} away",
        "shortcut": f"Shortcut of {where}: {_titles(edit.text) if edit.text else 'the identity'}",
    }[edit.action]


def repeated(network: Network, path: Path) -> tuple[Part, ...]:
    """What can be put at a place once more: the parts right before it, from the last layer with weights or the last
    container on. None where there is no such part, or where maps become numbers in a row on the way.

    >>> spelled(Network(repeated(network_of("c6k5-th-a2-f-d9"), (3,))))
    'c6k5-th-a2'
    >>> repeated(network_of("c6k5-th-a2-f-d9"), (4,))
    ()
    """
    before = _row(network, path)[:path[-1]]
    first = next((k for k in reversed(range(len(before))) if before[k].of.container or before[k].kind in WEIGHTED),
                 len(before))
    found = before[first:]
    return () if any(one.kind in ("flatten", "global_pool") for one in found) else found


def said(one: Part, name: str) -> str:
    """The value of a field as a person reads it."""
    value, declared = one[name], one.of.field(name)
    if declared.flag:
        return "yes" if value else "no"
    if name == "padding" and value == SAME:
        return "same"
    if name == "stride" and value == 0:
        return "as the window"
    return f"{value:g}"


# --- undo and redo ---


@dataclass(frozen=True)
class History:
    """Networks, each with what led to it, and which of them is shown. `texts` are spellings, so it is plain data."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    at: int = 0

    @staticmethod
    def of(network: Network, name: str = "Start") -> "History":
        return History((spelled(network),), (name,))

    @property
    def network(self) -> Network:
        return network_of(self.texts[self.at])

    @property
    def can_undo(self) -> str:
        """What undo would take back; "" where there is nothing."""
        return self.labels[self.at] if self.at else ""

    @property
    def can_redo(self) -> str:
        """What redo would do again; "" where there is nothing."""
        return self.labels[self.at + 1] if self.at + 1 < len(self.texts) else ""

    def after(self, edit: Edit) -> "History":
        """With one more edit; what had been undone is gone. Raises PlaygroundError as `edited` does."""
        network = self.network
        return self.to(edited(network, edit), label(network, edit))

    def to(self, network: Network, name: str, *, always: bool = False) -> "History":
        """With one more state, however it came about; `always` even where the network stays as it is."""
        text = spelled(network)
        if text == self.texts[self.at] and not always:
            return self
        texts, labels = (*self.texts[:self.at + 1], text), (*self.labels[:self.at + 1], name)
        return History(texts[-KEPT - 1:], labels[-KEPT - 1:], min(len(texts), KEPT + 1) - 1)

    def undone(self) -> "History":
        return replace(self, at=max(0, self.at - 1))

    def redone(self) -> "History":
        return replace(self, at=min(len(self.texts) - 1, self.at + 1))

    def as_dict(self) -> dict[str, Any]:
        return {"texts": list(self.texts), "labels": list(self.labels), "at": self.at}

    @staticmethod
    def from_dict(data: Any) -> "History":
        """Back from JSON. Raises PlaygroundError where it is no history or one of its networks cannot be read."""
        try:
            found = History(tuple(map(str, data["texts"])), tuple(map(str, data["labels"])), int(data["at"]))
            sound = len(found.texts) == len(found.labels) <= KEPT + 1 and 0 <= found.at < len(found.texts)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise PlaygroundError("This is no history of a network.") from error
        if not sound:
            raise PlaygroundError("This is no history of a network.")
        network_of(found.texts[found.at])
        return found


# --- what if ---


@dataclass(frozen=True)
class Neighbour:
    """What one step away from a network is, and what it costs. `fault` is the first part that then fits no longer."""

    edit: Edit
    step: str  # "half", "less", "more", "double" or "out"
    parameters: int
    multiply_adds: int
    memory: int
    field: float
    fault: Path | None


def what_if(network: Network, takes: Shape, batch: int = 32) -> tuple[Neighbour, ...]:
    """Every neighbour of a network: each number of each part halved, one less, one more, doubled, and each part out.

    Numbers that a field does not allow are left out. Counts of a neighbour with a fault go up to the fault.
    """
    found = []
    for edit, step in _neighbours(network):
        after = walk(edited(network, edit), takes)
        found.append(Neighbour(edit, step, after.parameters, after.multiply_adds, after.memory(batch), after.field,
                               after.stopped.path if after.stopped else None))
    return tuple(found)


def stepped(one: Part, declared: Field) -> dict[str, float]:
    """The numbers one step away from a field's: half, less, more, double, those that are allowed and another number.

    >>> eight = part("conv", filters=8)
    >>> stepped(eight, eight.of.field("filters"))
    {'half': 4, 'less': 7, 'more': 9, 'double': 16}
    """
    value = one[declared.name]
    if declared.flag:
        return {"more": 1 - value} if value == 0 else {"less": 0}
    if declared.whole:
        steps: dict[str, float] = {"half": value // 2, "less": value - 1, "more": value + 1, "double": value * 2}
    else:
        steps = {"half": value / 2, "less": round(value - 0.1, 6), "more": round(value + 0.1, 6), "double": value * 2}
    return {step: new for step, new in steps.items() if declared.low <= new <= declared.high and new != value}


def _neighbours(network: Network) -> Iterator[tuple[Edit, str]]:
    for path, one in everything(network.parts):
        for declared in one.of.fields:
            for step, value in stepped(one, declared).items():
                yield Edit("set", path, name=declared.name, value=value), step
        yield Edit("remove", path), "out"


# --- how each edit is done ---


def _path(given: Any) -> Path:
    found = tuple(int(n) for n in given)
    if any(n < 0 for n in found):
        raise ValueError(given)
    return found


def _size(parts: tuple[Part, ...]) -> int:
    return sum(1 + sum(map(_size, one.branches)) for one in parts)


def _titles(text: str) -> str:
    parts = network_of(text).parts
    return parts[0].of.words if len(parts) == 1 else f"{len(parts)} parts"


def _spliced(parts: tuple[Part, ...], path: Path, new: tuple[Part, ...], gone: int) -> tuple[Part, ...]:
    """The parts with `gone` parts from `path` on replaced by `new`. Raises IndexError where there are not so many."""
    index = path[0]
    if len(path) == 1:
        if index + gone > len(parts):
            raise IndexError(path)
        return (*parts[:index], *new, *parts[index + gone:])
    holder, branch = parts[index], path[1]
    inside = _spliced(holder.branches[branch], path[2:], new, gone)
    branches = (*holder.branches[:branch], inside, *holder.branches[branch + 1:])
    return (*parts[:index], replace(holder, branches=branches), *parts[index + 1:])


def _row(network: Network, path: Path) -> tuple[Part, ...]:
    """The parts that stand in one row with the one at a place."""
    return network.at(path[:-2]).branches[path[-2]] if len(path) > 1 else network.parts


def _insert(network: Network, edit: Edit) -> Network:
    return Network(_spliced(network.parts, edit.path, network_of(edit.text).parts, 0))


def _again(network: Network, edit: Edit) -> Network:
    found = repeated(network, edit.path)
    if not found:
        raise PlaygroundError(f"Before {place(edit.path)} there is nothing to insert again: that is a layer with "
                              "weights and what follows it.")
    return Network(_spliced(network.parts, edit.path, found, 0))


def _remove(network: Network, edit: Edit) -> Network:
    return Network(_spliced(network.parts, edit.path, (), 1))


def _replace(network: Network, edit: Edit) -> Network:
    return Network(_spliced(network.parts, edit.path, network_of(edit.text).parts, 1))


def _move(network: Network, edit: Edit) -> Network:
    source, target = edit.path, edit.to
    moved = network.at(source)
    if not target:
        raise PlaygroundError("A part is moved to a place.")
    if target[:len(source)] == source and len(target) > len(source):
        raise PlaygroundError(f"{place(source)} cannot be moved into itself.".capitalize())
    with_both = _spliced(network.parts, target, (moved,), 0)
    depth = len(target) - 1
    behind = len(source) > depth and source[:depth] == target[:depth] and source[depth] >= target[depth]
    old = (*source[:depth], source[depth] + 1, *source[depth + 1:]) if behind else source
    return Network(_spliced(with_both, old, (), 1))


def _set(network: Network, edit: Edit) -> Network:
    one = network.at(edit.path)
    declared = one.of.field(edit.name)
    value = int(edit.value) if declared.whole and float(edit.value).is_integer() else edit.value
    return Network(_spliced(network.parts, edit.path, (one.with_value(edit.name, value),), 1))


def _wrap(network: Network, edit: Edit) -> Network:
    kind = {"": "residual", "[": "residual", "(": "parallel", "{": "block"}.get(edit.text)
    if kind is None or edit.count < 1:
        raise PlaygroundError("Brackets are “[”, “(” or “{”, round one part or more.")
    network.at(edit.path)
    from_here = _row(network, edit.path)[edit.path[-1]:]
    if edit.count > len(from_here):
        many = "is 1 part" if len(from_here) == 1 else f"are {len(from_here)} parts"
        raise PlaygroundError(f"From {place(edit.path)} on there {many}, not {edit.count}.")
    inside = from_here[:edit.count]
    branches = (inside, ()) if kind == "parallel" else (inside,)
    return Network(_spliced(network.parts, edit.path, (part(kind, *branches),), edit.count))


def _unwrap(network: Network, edit: Edit) -> Network:
    one = network.at(edit.path)
    if not one.of.container:
        raise PlaygroundError(f"{one.of.article[0].upper()}{one.of.article[1:]} has no brackets to take away.")
    return Network(_spliced(network.parts, edit.path, one.branches[0], 1))


def _shortcut(network: Network, edit: Edit) -> Network:
    one = network.at(edit.path)
    if one.kind != "residual":
        raise PlaygroundError(f"{one.of.article[0].upper()}{one.of.article[1:]} has no shortcut.")
    short = network_of(edit.text).parts
    new = part("residual", one.branches[0], *((short,) if short else ()))
    return Network(_spliced(network.parts, edit.path, (new,), 1))


_ACTING = {"insert": _insert, "again": _again, "remove": _remove, "replace": _replace, "move": _move, "set": _set,
           "wrap": _wrap, "unwrap": _unwrap, "shortcut": _shortcut}
