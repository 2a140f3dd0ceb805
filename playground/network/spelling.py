"""The short text of a network, both ways: c32k3-b-r-p2-[c64-b-r-c64-b]-r-g-d10.

A part is its kind's code, its main number, then a letter and a number for every other field that is not the default;
a flag is its letter alone. Parts are joined by "-". [way] is a residual whose shortcut is the identity, [way:shortcut]
one with parts on the shortcut; (one,other) are parallel branches, joined by channels; {parts} is a block.
"""

import re

from playground.errors import PlaygroundError
from playground.network.kind import Field, Kind
from playground.network.kinds import KINDS
from playground.network.parts import Network, Part, part

LONGEST = 4000
"""Characters of a spelling that is read; twenty layers take about a hundred."""
DEEPEST = 12
"""Containers inside each other."""
_CODES = sorted(KINDS.by_code, key=len, reverse=True)
_OPENING = {"[": "residual", "(": "parallel", "{": "block"}
_CLOSING = {"residual": "]", "parallel": ")", "block": "}"}
_BETWEEN = {"residual": ":", "parallel": ","}
_WORD = re.compile(r"[a-z0-9.]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")


def spelled(network: Network) -> str:
    """The short text.

    >>> from playground.network.parts import part
    >>> spelled(Network((part("conv", filters=8, kernel_size=5, bias=0), part("residual", (part("relu"),)))))
    'c8k5n-[r]'
    """
    return _spelled(network.parts)


def network_of(text: str) -> Network:
    """The network of a short text. Raises PlaygroundError that says what cannot be read, and where.

    >>> [one.title for one in network_of("c8k5s2-[dw-b:c8]-g-d10").parts]
    ['convolution, 8 filters 5 × 5, stride 2', 'residual', 'mean of each map', 'dense layer, 10 units']
    """
    written = text.strip().lower().replace(" ", "")
    if len(written) > LONGEST:
        raise PlaygroundError(f"A network's spelling has at most {LONGEST} characters, this one has {len(written)}.")
    reader = _Reader(written)
    parts = reader.parts(0)
    if reader.place < len(written):
        reader.refuse(f"{written[reader.place]!r} closes nothing")
    return Network(parts)


def _spelled(parts: tuple[Part, ...]) -> str:
    return "-".join(_one(each) for each in parts)


def _one(each: Part) -> str:
    if each.of.container:
        inside = _BETWEEN.get(each.kind, "").join(_spelled(branch) for branch in each.branches)
        return f"{each.of.code}{inside}{_CLOSING[each.kind]}"
    main = each.of.main
    return each.of.code + (_number(each[main.name]) if main else "") + "".join(
        f.letter if f.flag else f.letter + _number(each[f.name])
        for f in each.of.fields if f.letter and each[f.name] != f.default)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12f}".rstrip("0").rstrip(".")


class _Reader:
    """Reads a spelling from left to right."""

    def __init__(self, text: str):
        self.text, self.place = text, 0

    def refuse(self, why: str) -> None:
        around = self.text[max(0, self.place - 12):self.place + 12]
        raise PlaygroundError(f"The spelling of the network cannot be read at character {self.place + 1} "
                              f"(“{around}”): {why}.")

    def ahead(self) -> str:
        return self.text[self.place:self.place + 1]

    def parts(self, depth: int) -> tuple[Part, ...]:
        """Parts up to a character that closes or separates."""
        if depth > DEEPEST:
            self.refuse(f"more than {DEEPEST} brackets stand inside each other")
        found: list[Part] = []
        while self.ahead() and self.ahead() not in "])}:,":
            if found:
                if self.ahead() != "-":
                    self.refuse("parts are joined by “-”")
                self.place += 1
            found.append(self.container(depth) if self.ahead() in _OPENING else self.leaf())
        return tuple(found)

    def container(self, depth: int) -> Part:
        kind = _OPENING[self.ahead()]
        self.place += 1
        branches = [self.parts(depth + 1)]
        while self.ahead() and self.ahead() == _BETWEEN.get(kind):
            self.place += 1
            branches.append(self.parts(depth + 1))
        if self.ahead() != _CLOSING[kind]:
            self.refuse(f"a “{_CLOSING[kind]}” is missing")
        self.place += 1
        KINDS[kind].check_branches(len(branches))
        return Part(kind, (), tuple(branches))

    def leaf(self) -> Part:
        word = _WORD.match(self.text, self.place)
        if word is None:
            self.refuse("a layer's code is expected here")
        assert word is not None
        for code in _CODES:
            values = _values(KINDS.by_code[code], word[0][len(code):]) if word[0].startswith(code) else None
            if values is not None:
                self.place = word.end()
                return part(KINDS.by_code[code].name, **values)
        self.refuse(f"“{word[0][:20]}” is no layer; codes are {', '.join(sorted(_CODES))}")
        raise AssertionError


def _values(kind: Kind, rest: str) -> dict[str, float] | None:
    """The numbers behind a code, or None where they do not belong to this kind."""
    found: dict[str, float] = {}
    place = 0
    if kind.main and (first := _NUMBER.match(rest)):
        found[kind.main.name] = _read(first[0], kind.main)
        place = first.end()
    letters = {f.letter: f for f in kind.fields if f.letter}
    while place < len(rest):
        chosen = letters.get(rest[place])
        if chosen is None or chosen.name in found:
            return None
        place += 1
        if chosen.flag:
            found[chosen.name] = 1 - chosen.default
            continue
        number = _NUMBER.match(rest, place)
        if number is None:
            return None
        found[chosen.name] = _read(number[0], chosen)
        place = number.end()
    return found


def _read(text: str, field: Field) -> float:
    return int(text) if field.whole and text.isdigit() else float(text)
