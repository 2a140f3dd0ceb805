"""The designer: a network as a list of cards, edited by steppers, palettes and cures, with every edit undone by name.

The network is `History` in the reader's session, and its spelling in the address, so that a link restores it; the
browser keeps the history of this tab for a reload. The browser sends edits as data and numbers them: each is done
once, in order, however fast they come.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from playground.errors import PlaygroundError
from playground.network import presets
from playground.network.edits import Edit, History, repeated, said, stepped, what_if
from playground.network.faults import Fault, faults
from playground.network.kind import Shape
from playground.network.kinds import KINDS
from playground.network.parts import Network, Part, everything, shape_words
from playground.network.parts import Path as Place
from playground.network.shapes import Row, Walk, walk
from playground.network.spelling import network_of, spelled
from playground.ui import frame, links
from playground.ui.network import settings
from playground.ui.parts.stepper import COLOURS_JS

KEY, ADDRESS = "designer", "network"
FIRST = "usual"
EMPTY = "empty"
"""In the address, a design without any part: an empty value would be none."""
FOLLOWED = "{} for these pictures"
PICKED = "Preset {}"
MOST_SENT = 120
"""States of the history that the browser keeps for a reload."""
MOST_FORETOLD = 90
"""Parts up to which every step is foretold: the table grows with their square."""
BATCH = 32

_STATE, _SAID, _APPLIED, _FOR = "design", "design-said", "design-applied", "design-for"
_HERE = Path(__file__).parent
_designer = st.components.v2.component(
    KEY,
    html='<div class="designer"></div>\n',
    css=(_HERE / "designer.css").read_text(),
    js=COLOURS_JS + (_HERE / "edits.js").read_text() + (_HERE / "designer.js").read_text(),
)

BLOCKS = (
    ("convolution, batch norm, ReLU", "c32n-b-r"),
    ("the same as one card", "{c32n-b-r}"),
    ("residual block", "[c32n-b-r-c32n-b]-r"),
    ("inverted residual", "[c64k1n-b-r-dw1n-b-r-c32k1n-b]"),
    ("two branches side by side", "(c16k1-r,c16-r)"),
)
"""What a palette offers besides single parts: words, and the spelling that is inserted."""
GROUPS = ("convolution", "activation", "size", "normalization", "dense", "regularization")
ROLES = {"residual": ("the way", "the shortcut"), "block": ("",)}


def history() -> History:
    """The reader's design with all that can be undone."""
    found: History = st.session_state[_STATE]
    return found


def begin(takes: Shape, classes: int, first: str = FIRST) -> None:
    """Have a design: the address's, the reader's own so far, or the `first` network, by its name or spelling.

    A preset that nobody has changed follows the data: it is spelled anew for their shape and classes.
    """
    state = st.session_state
    if _STATE not in state:
        asked = st.query_params.get(ADDRESS, first)
        try:
            network = presets.network_named("" if asked == EMPTY else asked, takes, classes)
        except PlaygroundError as error:
            state[_SAID] = f"The address names no network: {error}"
            asked, network = FIRST, presets.preset(FIRST).network(takes, classes)
        state[_STATE] = History.of(network, presets.preset(asked).title if asked in presets.PRESETS else "The address")
    elif state[_FOR] != (takes, classes) and (name := unchanged()) is not None:
        network, title = presets.preset(name).network(takes, classes), presets.preset(name).title
        state[_STATE] = (history().to(network, FOLLOWED.format(title)) if len(history().texts) > 1 else
                         History.of(network, title))
    state[_FOR] = (takes, classes)


def unchanged() -> str | None:
    """The preset that the design still is, if it is one."""
    name = made_from()
    try:
        return name if name and history().network == presets.preset(name).network(*st.session_state[_FOR]) else None
    except PlaygroundError:  # there is none of it for so small pictures
        return None


def address() -> str:
    """The design in few words: the name of the preset that it still is, or its spelling."""
    return unchanged() or history().texts[history().at]


def made_from() -> str | None:
    """The preset that the design was last taken from, whatever was changed since; None for an own one from the start.

    Undo leads back to what was there before a preset, so it is read off what led to the design.
    """
    design = history()
    return next((name for said_of in reversed(design.labels[:design.at + 1]) for name, one in presets.PRESETS.items()
                 if said_of in (one.title, PICKED.format(one.title), FOLLOWED.format(one.title))), None)


def origin() -> tuple[str | None, str | None]:
    """The preset that the design was made from, and the one that it still is."""
    return made_from(), unchanged()


def start_from(name: str, takes: Shape, classes: int) -> None:
    """Go on with a preset; the design before can be had back by undo."""
    one = presets.preset(name)
    st.session_state[_STATE] = history().to(one.network(takes, classes), PICKED.format(one.title), always=True)


def take_text(text: str, takes: Shape, classes: int) -> None:
    """Go on with the network of a spelling. Raises PlaygroundError where it is none."""
    st.session_state[_STATE] = history().to(presets.network_named(text, takes, classes), "Written as text")


def designer(takes: Shape, classes: int, *, batch: int = BATCH, memory: int | None = None,
             seconds: float | None = None, marks: Sequence[Fault] = (), margin: bool = False) -> Network:
    """Draw the cards; the design as it stands. `memory` is how many bytes its training may take, `seconds` what an
    epoch of it takes, where that is known; `marks` are what a training of it has shown, at their cards. `margin` says
    that the loss wants scores that lie apart, no probabilities."""
    state = st.session_state
    if complaint := state.pop(_SAID, ""):
        st.error(frame.literal(complaint), icon=":material/error:")
    design = history()
    text = design.texts[design.at]
    if st.query_params.get(ADDRESS, FIRST) != (now := address() or EMPTY) and not links.locked():
        st.query_params[ADDRESS] = now
    data = {**view(design.network, takes, classes, batch, memory, marks, margin), "applied": state.get(_APPLIED, 0),
            "seconds": seconds, "undo": design.can_undo, "redo": design.can_redo, "locked": links.locked(),
            "text": text, "history": {
                "texts": design.texts[-MOST_SENT:], "labels": design.labels[-MOST_SENT:],
                "at": max(0, design.at - max(0, len(design.texts) - MOST_SENT))}}
    _designer(key=KEY, data=data, on_edits_change=_take, on_restored_change=_restore, on_rested_change=_rest)
    return design.network


# --- what the browser draws ---


def view(network: Network, takes: Shape, classes: int, batch: int, memory: int | None = None,
         marks: Sequence[Fault] = (), margin: bool = False) -> dict[str, Any]:
    """Everything a browser needs to draw a network and to say what any step away from it would cost, as plain data."""
    walked = walk(network, takes)
    found = (*faults(network, takes, classes, batch=batch, memory=memory, margin=margin), *marks)
    at: dict[Place, list[Fault]] = {}
    for fault in found:
        at.setdefault(fault.path, []).append(fault)
    rows = {row.path: row for row in walked.rows}
    return {
        "takes": shape_words(takes), "classes": classes, "batch": batch,
        "cards": [_card(network, (index,), one, rows, at) for index, one in enumerate(network.parts)],
        "faults": [_fault(fault) for fault in found if not _shown(network, fault.path)],
        "totals": _totals(walked, batch), "whatif": _what_if(network, takes, batch), "palette": PALETTE,
    }


def _shown(network: Network, path: Place) -> bool:
    """Whether there is a card to show a fault at."""
    try:
        network.at(path)
    except (IndexError, ValueError):
        return False
    return True


def _card(network: Network, path: Place, one: Part, rows: Mapping[Place, Row], at: Mapping[Place, Sequence[Fault]],
          ) -> dict[str, Any]:
    row, kind, main = rows.get(path), one.of, one.of.main
    roles = ROLES.get(one.kind, tuple(f"branch {number + 1}" for number in range(len(one.branches))))
    return {
        "path": list(path), "kind": one.kind, "words": kind.words, "detail": _detail(one), "container": kind.container,
        "main": main.name if main else None,
        "fields": [{"name": f.name, "words": f.words, "value": one[f.name], "said": said(one, f.name), "flag": f.flag,
                    "whole": f.whole, "low": f.low, "high": f.high, "steps": stepped(one, f)} for f in kind.fields],
        "gives": list(row.gives) if row else None,
        "parameters": row.parameters if row else None, "multiply_adds": row.multiply_adds if row else None,
        "field": _number(row.field) if row else None,
        "faults": [_fault(fault) for fault in at.get(path, ())],
        "again": [part.of.words for part in repeated(network, (*path[:-1], path[-1] + 1))],
        "branches": [{"role": role, "cards": [_card(network, (*path, number, index), inner, rows, at)
                                              for index, inner in enumerate(branch)]}
                     for number, (role, branch) in enumerate(zip(roles, one.branches, strict=False))],
    }


def _detail(one: Part) -> str:
    """What of a part its line says besides its main number: the kernel, and what is not as usual."""
    said_of = []
    for f in one.of.fields:
        if f is one.of.main:
            continue
        if f.name == "kernel_size":
            said_of.append(f"{one[f.name]} × {one[f.name]}")
        elif one[f.name] != f.default and f.flag:
            said_of.append(f.words if one[f.name] else f"no {f.words}")
        elif one[f.name] != f.default:
            said_of.append(f"{f.words} {said(one, f.name)}")
    return ", ".join(said_of)


def _fault(fault: Fault) -> dict[str, Any]:
    return {"level": fault.level, "sentence": fault.sentence,
            "cures": [{"label": cure.label, "edit": _as_dict(cure.edit)} for cure in fault.cures]}


def _as_dict(edit: Edit) -> dict[str, Any]:
    return {"action": edit.action, "path": list(edit.path), "text": edit.text, "to": list(edit.to), "name": edit.name,
            "value": edit.value, "count": edit.count}


def _totals(walked: Walk, batch: int) -> dict[str, Any]:
    return {"parameters": walked.parameters, "multiply_adds": walked.multiply_adds, "memory": walked.memory(batch),
            "field": _number(walked.field)}


def _what_if(network: Network, takes: Shape, batch: int) -> dict[str, list[Any]]:
    """"path:field:step" -> parameters, multiply-adds, memory, receptive field, first part that no longer fits; nothing
    of a network of so many parts that it would take seconds."""
    if sum(1 for _ in everything(network.parts)) > MOST_FORETOLD:
        return {}
    return {f"{'.'.join(map(str, one.edit.path))}:{one.edit.name}:{one.step}": [
        one.parameters, one.multiply_adds, one.memory, _number(one.field),
        None if one.fault is None else one.fault[0] + 1]
        for one in what_if(network, takes, batch)}


def _number(value: float) -> float | None:
    """JSON has no infinity: None says that the whole picture is seen."""
    return value if value != float("inf") else None


def _offered(words: str, network: Network) -> dict[str, Any]:
    return {"words": words, "text": spelled(network), "parts": len(network)}


PALETTE = [
    {"group": "blocks", "kinds": [_offered(words, network_of(text)) for words, text in BLOCKS]},
    *({"group": group, "kinds": [_offered(kind.words, Network((Part(kind.name),))) for kind in KINDS.values()
                                 if kind.group == group and not kind.container]}
      for group in dict.fromkeys((*GROUPS, *(kind.group for kind in KINDS.values())))
      if any(kind.group == group and not kind.container for kind in KINDS.values())),
]


# --- what the browser sends ---


def _take() -> None:
    """Do the edits that have not been done yet, in the order of their numbers."""
    sent = frame.sent(KEY, "edits")
    state = st.session_state
    if links.locked() or not isinstance(sent, list):
        return
    for one in sent[:200]:
        number = one.get("number") if isinstance(one, dict) else None
        if not isinstance(number, int) or number <= state.get(_APPLIED, 0):
            continue
        state[_APPLIED] = number
        try:
            state[_STATE] = done(history(), one)
        except PlaygroundError as error:  # those behind it name the parts that they would have named with it
            state.setdefault(_SAID, str(error))


def done(design: History, said_by_browser: Mapping[str, Any]) -> History:
    """A history after "undo", "redo" or an edit. Raises PlaygroundError where it is none of them or does not fit."""
    match said_by_browser.get("action"):
        case "undo":
            return design.undone()
        case "redo":
            return design.redone()
        case _:
            return design.after(Edit.from_dict(said_by_browser))


def _restore() -> None:
    """Take the history that this tab kept, if it ends in the very network that the address names."""
    sent, state = frame.sent(KEY, "restored"), st.session_state
    if links.locked() or _STATE not in state or len(history().texts) > 1:
        return
    try:
        found = History.from_dict(sent)
    except PlaygroundError:
        return
    if found.texts[found.at] == history().texts[history().at]:
        state[_STATE] = found
        settings.stay(made_from())  # the address says what they are


def _rest() -> None:
    """The reader has paused: what is measured may be measured now."""
    rested = frame.sent(KEY, "rested")
    if isinstance(rested, str):
        st.session_state["design-rested"] = rested


def rested() -> str:
    """The spelling at which the reader has paused, "" before."""
    return str(st.session_state.get("design-rested", ""))
