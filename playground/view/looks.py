"""Looks at networks: a network and a picture under a name nobody can guess, and what a browser may ask of them.

A page opens a look for its reader and hands the name to the browser, which asks for frames by it. Equal networks and
pictures have one name, so a class that looks at one thing has it computed once. Names are forgotten when many newer
ones have come, and with the process.
"""

import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from playground.errors import PlaygroundError
from playground.home import home, is_class
from playground.view import describe, edges, frames
from playground.view.answer import Answer, NotThereError
from playground.view.folding import Fold, folded
from playground.view.gradients import Gradients, Target, walk_back
from playground.view.sources import Source
from playground.view.trace import Array, Trace

MOST_LOOKS, MOST_SOURCES, MOST_GRADIENTS, MOST_ANSWERS = 512, 12, 4, 64
LOOK_BYTES = 128 * 2**20
"""What the pictures of all looks may take in memory."""
TRACE_BYTES = 400 * 2**20
"""What the traces kept for the next request may take in memory, about."""
LAYER_BYTES = 280_000
LIVE = "live"
"""As an epoch: the weights that a training has now."""
_SECRET = secrets.token_bytes(32)


@dataclass(frozen=True, eq=False)
class Look:
    """A network and the picture it looks at.

    source: the network after an epoch ("" for a network that has none, "live" for a training's present weights), with
    a version that differs where its weights do. x (1, C, H, W) is the picture as the network takes it, `crowd`
    (N, C, H, W) the pictures beside it in training mode; `shown` uint8 (H, W, 3) what of the picture it sees. Beside
    another look, which it is `like`, it is drawn in that one's full colours where their parts are alike.
    """

    key: str
    source: Callable[[str], tuple[Source, str]]
    x: Array
    shown: Array
    label: int = 0
    crowd: Array | None = None
    epochs: tuple[int, ...] = ()
    changes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # |Δw| / |w| by epoch, by weight
    dead: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # share of dead units by epoch, by part
    like: "Look | None" = None

    @property
    def bytes(self) -> int:
        """What its pictures hold in memory."""
        return self.x.nbytes + self.shown.nbytes + (0 if self.crowd is None else self.crowd.nbytes)

    @cached_property
    def token(self) -> str:
        """The name under which a browser asks for it."""
        text = hashlib.blake2s(self.key.encode(), key=_SECRET, digest_size=16)
        for array in (self.x, self.crowd):
            text.update(f"|{None if array is None else array.shape}|".encode())
            text.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        text.update(f"|{self.label}|{self.like and (self.like.token, self.like.epochs[-1:])}".encode())
        return text.hexdigest()


@dataclass(eq=False)
class _Seen:
    trace: Trace
    source: Source
    gradients: "OrderedDict[str, Gradients]" = field(default_factory=OrderedDict)

    @property
    def bytes(self) -> int:
        return self.trace.bytes + sum(one.bytes for one in self.gradients.values())


_LOCK = threading.RLock()
_LOOKS: "OrderedDict[str, Look]" = OrderedDict()
_SOURCES: "OrderedDict[tuple[str, str], tuple[Source, str]]" = OrderedDict()
_SEEN: "OrderedDict[tuple[str, str, bool], _Seen]" = OrderedDict()
_BUSY: "OrderedDict[str, threading.RLock]" = OrderedDict()
_ANSWERS: "OrderedDict[str, Answer]" = OrderedDict()
_OPENED: "dict[str, set[Path]]" = {}
"""In a class: the homes of the workspaces that opened each look."""


def opened(look: Look) -> str:
    """Keep a look; the name under which it is asked for."""
    token = look.token
    with _LOCK:
        _LOOKS[token] = look
        _LOOKS.move_to_end(token)
        _BUSY.setdefault(token, threading.RLock())
        if is_class():
            _OPENED.setdefault(token, set()).add(home())
        while len(_LOOKS) > MOST_LOOKS or (len(_LOOKS) > 1 and sum(one.bytes for one in _LOOKS.values()) > LOOK_BYTES):
            gone, _ = _LOOKS.popitem(last=False)
            _BUSY.pop(gone, None)
            _OPENED.pop(gone, None)
    return token


def forget(place: Path) -> None:
    """Put away what was opened for one workspace of a class alone: its pictures, and what was computed from them."""
    with _LOCK:
        for token, homes in list(_OPENED.items()):
            homes.discard(place)
            if homes:
                continue
            look = _LOOKS.pop(token, None)
            for key in [key for key in _SEEN if key[0] == token]:
                del _SEEN[key]
            if look is not None:
                for known in [known for known in _SOURCES if known[0] == look.key]:
                    del _SOURCES[known]
            _BUSY.pop(token, None)
            del _OPENED[token]
        _ANSWERS.clear()


def answer(token: str, what: str, query: Mapping[str, str]) -> Answer:
    """What a browser asked. Raises PlaygroundError where that cannot be answered, with the sentence that says why."""
    with _LOCK:
        look = _LOOKS.get(token)
        busy = _BUSY.get(token)
    if look is None or busy is None:
        raise NotThereError("This view has been put away. Reload the page to open it again.")
    handler = _HANDLERS.get(what)
    if handler is None:
        raise PlaygroundError(f"A view is asked for {', '.join(_HANDLERS)}, not for {what[:20]!r}.")
    asked = _Asked(look, token, query)
    with busy:  # one computation a look at a time: its requests share what was computed
        if asked.epoch == LIVE and (known := _ANSWERS.get(asked.etag_now(what))) is not None:
            return known  # a class watches: to all of it the same is said until the training shows something newer
        body, media_type = handler(asked)
        found = Answer(body, media_type, asked.etag(what), asked.lasting)
        if asked.epoch == LIVE:
            with _LOCK:
                _ANSWERS[found.etag] = found
                while len(_ANSWERS) > MOST_ANSWERS:
                    _ANSWERS.popitem(last=False)
    return found


def _put_away() -> None:
    """Forget the traces asked for longest ago, but for the last one, where they take too much memory."""
    while len(_SEEN) > 1 and sum(one.bytes for one in _SEEN.values()) > TRACE_BYTES:
        _SEEN.popitem(last=False)


def traced(look: Look, epoch: str = "", train: bool = False) -> Trace:
    """The trace that a look's frames are drawn from. Raises PlaygroundError as `answer`."""
    token = opened(look)
    with _BUSY[token]:
        return _Asked(look, token, {"epoch": epoch, "mode": "train" if train else ""}).seen().trace


def source_of(look: Look, epoch: str = "") -> Source:
    """The network a look shows, as long as it is kept the same object. Raises PlaygroundError as `answer`."""
    return _Asked(look, opened(look), {})._source(epoch)[0]


def change(token: str, what: str, body: Mapping[str, Any]) -> Answer:
    """Looks do not change: who changes a network opens another look at it. Raises PlaygroundError."""
    raise NotThereError("A view shows and changes nothing.")


class _Asked:
    """A request's parameters, read when they are needed, and the trace and gradients it is about."""

    def __init__(self, look: Look, token: str, query: Mapping[str, str]):
        self.look, self.token, self.query = look, token, query
        self.version = self.other = ""
        self.epoch = query.get("epoch", "")
        self.lasting = self.epoch != LIVE
        self.train = query.get("mode") == "train"

    def etag(self, what: str) -> str:
        """Another one for another answer: by what was asked, and of which weights it turned out to be."""
        about = f"{self.token}{what}{sorted(self.query.items())}{self.version}|{self.other}"
        return hashlib.blake2s(about.encode(errors="replace"), digest_size=12).hexdigest()

    def etag_now(self, what: str) -> str:
        """The one of the answer by the weights there are now, without looking closer."""
        self.version = self._source(self.epoch)[1]
        if (hold := self.query.get("hold", self.epoch)) != self.epoch and "back" not in self.query:
            self.other = self._source(hold)[1]
        found = self.etag(what)
        self.version = self.other = ""
        return found

    def number(self, name: str, default: int, low: int, high: int) -> int:
        text = self.query.get(name, str(default))
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not (low <= value <= high and len(text) <= 9):
            raise PlaygroundError(f"“{name}” is a whole number from {low} to {high}, not {text[:20]!r}.")
        return value

    def numbers(self, name: str, most: int) -> tuple[int, ...]:
        words = self.query.get(name, "").replace(".", ",").split(",")
        if not all(word.isascii() and word.isdigit() and len(word) <= 7 for word in words) or len(words) > most:
            raise PlaygroundError(f"“{name}” lists at most {most} whole numbers.")
        return tuple(map(int, words))

    def seen(self, epoch: str | None = None) -> _Seen:
        """The trace of the epoch asked for (or of another)."""
        at = self.epoch if epoch is None else epoch
        source, version = self._source(at)
        key = (self.token, version, self.train and source.has_modes)
        if epoch is None:
            self.version = version
        elif epoch != self.epoch:  # what is answered depends on it, too
            self.other, self.lasting = version, self.lasting and epoch != LIVE
        with _LOCK:
            if key in _SEEN:
                _SEEN.move_to_end(key)
                return _SEEN[key]
        x = self.look.x
        if key[2] and self.look.crowd is not None:
            x = np.concatenate([x, self.look.crowd])
        seen = _Seen(source.run(x, key[2]), source)
        with _LOCK:
            if at == LIVE:  # what a training has gone past is not asked for again
                for gone in [one for one in _SEEN if one[0] == self.token and one[1] != version and
                             one[1].startswith(LIVE)]:
                    del _SEEN[gone]
            _SEEN[key] = seen
            _put_away()
        return seen

    def _source(self, epoch: str) -> tuple[Source, str]:
        if epoch not in ("", LIVE) and epoch not in map(str, self.look.epochs):
            raise PlaygroundError(f"Nothing is kept of epoch {epoch[:12]}.")
        key = (self.look.key, epoch)
        if epoch != LIVE:
            with _LOCK:
                if key in _SOURCES:
                    _SOURCES.move_to_end(key)
                    return _SOURCES[key]
        found = self.look.source(epoch)
        with _LOCK:
            _SOURCES[key] = found
            while len(_SOURCES) > MOST_SOURCES:
                _SOURCES.popitem(last=False)
        return found

    def gradients(self) -> Gradients | None:
        """The gradients asked for; None where the way forward is."""
        text = self.query.get("back", "")
        if not text:
            return None
        target = Target.of(text)
        seen = self.seen()
        with _LOCK:
            found = seen.gradients.get(target.key)
        if found is None:
            found = walk_back(seen.trace, target)
            with _LOCK:
                seen.gradients[target.key] = found
                while len(seen.gradients) > MOST_GRADIENTS:
                    seen.gradients.popitem(last=False)
                _put_away()
        return found

    def held(self, shown: Sequence[int]) -> dict[int, float] | None:
        """Full colours by part: of the last epoch of the look that this one is like, or of the epoch to `hold`."""
        like, hold = self.look.like, self.query.get("hold")
        if "back" in self.query or (like is None and hold is None):
            return None
        other = self.seen(hold) if like is None else _Asked(like, like.token, self.query).seen(str(*like.epochs[-1:]))
        return frames.limits_like(other.trace, self.seen().trace, self.query.get("scale", "layer"), shown)

    def part(self) -> Any:
        trace = self.seen().trace
        return trace.parts[self.number("part", 0, 0, len(trace.parts) - 1)]


def _json(said: Any) -> tuple[bytes, str]:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(), "application/json"


BINARY = "application/octet-stream"


def _structure(asked: _Asked) -> tuple[bytes, str]:
    seen = asked.seen()
    trace, look = seen.trace, asked.look

    def tree(item: Fold | int) -> Any:
        if isinstance(item, int):
            return item
        return {"key": item.key, "kind": item.kind, "title": item.title, "first": item.first, "last": item.last,
                "inside": [tree(one) for one in item.inside]}

    parts = [{"i": part.index, "name": part.name, "sort": part.sort.key, "words": part.sort.words, "more": part.more,
              "shape": list(part.shape), "sources": list(part.sources), "parameters": part.parameters,
              "weights": [[name, list(weight.shape)] for name, weight in part.weights.items()]}
             for part in trace.parts]
    return _json({"parts": parts, "tree": [tree(item) for item in folded(trace)], "labels": list(seen.source.labels),
                  "takes": list(look.x.shape[1:]), "modes": seen.source.has_modes and look.crowd is not None,
                  "epochs": list(look.epochs), "label": look.label, "scores": int(trace.logits.shape[1]),
                  "picture": {"h": int(look.shown.shape[0]), "w": int(look.shown.shape[1])}})


def _picture(asked: _Asked) -> tuple[bytes, str]:
    """What the network sees, RGB bytes row by row; with `back` the gradient at every pixel, channels put together by
    the largest magnitude, as bytes of the logarithmic scale."""
    gradients = asked.gradients()
    if gradients is None:
        return asked.look.shown.tobytes(), BINARY
    picture = gradients.picture
    top = frames.top_gradient(gradients, asked.seen().trace)
    flat = np.zeros(asked.look.x.shape[2:], np.float32)
    if picture is not None:
        strongest = np.abs(picture).argmax(axis=0)[None]
        flat = np.take_along_axis(picture, strongest, axis=0)[0]
    return frames.packed({"h": flat.shape[0], "w": flat.shape[1], "top": top},
                         frames.quantised_log(flat, top).tobytes()), BINARY


def _frame(asked: _Asked) -> tuple[bytes, str]:
    shown = asked.numbers("parts", 120)
    scale = asked.query.get("scale", "layer")
    side, most = asked.number("side", 24, 4, 64), asked.number("most", 16, 1, 64)
    look, epoch = asked.look, asked.epoch
    return frames.frame(asked.seen().trace, shown, gradients=asked.gradients(), side=side, most=most, scale=scale,
                        held=asked.held(shown), learn=look.changes.get(epoch), dead=look.dead.get(epoch)), BINARY


def _layer(asked: _Asked) -> tuple[bytes, str]:
    """All maps of a part, as large as there is room for."""
    part = asked.part()
    return frames.frame(asked.seen().trace, [part.index], gradients=asked.gradients(),
                        side=frames.side_for(part.shape, LAYER_BYTES), most=10**6,
                        scale=asked.query.get("scale", "layer"), held=asked.held([part.index])), BINARY


def _map(asked: _Asked) -> tuple[bytes, str]:
    """One map with its numbers, and the maps and kernels it is the sum of."""
    part, trace = asked.part(), asked.seen().trace
    channel = asked.number("channel", 0, 0, max(0, part.shape[0] - 1))
    gradients = asked.gradients()
    return describe.one_map(trace, part, channel, gradients), BINARY


def _number(asked: _Asked) -> tuple[bytes, str]:
    part, trace = asked.part(), asked.seen().trace
    place = asked.numbers("place", 4)
    return _json(describe.one_number(trace, part, place, asked.gradients()))


def _edges(asked: _Asked) -> tuple[bytes, str]:
    """The strongest inputs of one map or number, or on the way back what its gradient comes from: rows of owner,
    channel, share."""
    part, trace, gradients = asked.part(), asked.seen().trace, asked.gradients()
    channel = asked.number("channel", 0, 0, max(0, part.shape[0] - 1))
    found = edges.strongest(trace, part, channel, asked.number("first", part.index, 0, part.index)) \
        if gradients is None else edges.receivers(trace, gradients, part, channel)
    return _json([[edge.owner, edge.channel, round(edge.share, 4)] for edge in found])


def _weight(asked: _Asked) -> tuple[bytes, str]:
    """One number of the kernels of a map."""
    part, trace = asked.part(), asked.seen().trace
    channel = asked.number("channel", 0, 0, max(0, part.shape[0] - 1))
    return _json(describe.one_weight(trace, part, channel, asked.number("at", 0, 0, 10**8), asked.gradients()))


def _about(asked: _Asked) -> tuple[bytes, str]:
    return _json(describe.about(asked.seen().trace, asked.part()))


def _steps(asked: _Asked) -> tuple[bytes, str]:
    """The walk back, op by op."""
    gradients = asked.gradients()
    if gradients is None:
        raise PlaygroundError("Steps are of a walk back: say from where.")
    return _json(describe.steps(asked.seen().trace, gradients))


_HANDLERS: dict[str, Callable[[_Asked], tuple[bytes, str]]] = {
    "structure": _structure, "picture": _picture, "frame": _frame, "layer": _layer, "map": _map, "number": _number,
    "edges": _edges, "weight": _weight, "about": _about, "steps": _steps,
}
__all__ = ["LIVE", "Look", "answer", "change", "forget", "opened", "source_of", "traced"]
