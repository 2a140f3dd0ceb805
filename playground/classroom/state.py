"""What the teacher has set for the whole class: where a guided tour is, which answers are revealed, what is collected.

One small file that every browser of the class asks about every few seconds (`GET /api/class`), so reading it costs a
look at when it was written:

    .class/class.json   {"tour": {"started": 1764500000000, "step": 1764500012345, "url": "pooling", "query": {...}},
                         "revealed": {"<question>": "<page>"}, "changed": {"<page>": <moment>},
                         "collection": {"name": "mugs", "labels": ["mug", "no mug"], "is_open": true}}

Moments are milliseconds since 1970, each later than those before: a browser that knows another one asks for its page.
"""

import fcntl
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playground import home
from playground.errors import PlaygroundError

STATE, LOCK = "class.json", "class.lock"
MOST_QUERY, LONGEST = 40, 1000
MOST_REVEALED = 500
FIRST = "home"
"""The page that has no address of its own: it is at the app's."""
_URL = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True)
class Tour:
    """A guided lesson: when it was started and last moved, and the page and settings at which the class is."""

    started: int
    step: int
    url: str
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The page and its settings, below the app's own address.

        >>> Tour(1, 2, "pooling", {"stride": "3"}).address, Tour(1, 2, FIRST).address
        ('pooling?stride=3', '')
        """
        url = self.url if self.url != FIRST else ""
        return f"{url}?{urlencode(self.query)}" if self.query else url


@dataclass(frozen=True)
class Collection:
    """A set of photographs the class collects: its name, which is a folder's, and its classes."""

    name: str
    labels: tuple[str, ...]
    is_open: bool = True


@dataclass(frozen=True)
class ClassState:
    """All of it. `revealed`: question -> its page; `changed`: page -> when something on it was revealed or opened."""

    tour: Tour | None = None
    revealed: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    collection: Collection | None = None

    def mark(self, page: str) -> str:
        """Another text when a reader of this page should see something new."""
        return f"{self.tour.step if self.tour else 0}.{self.changed.get(page, 0)}"


NOTHING = ClassState()
_known: tuple[tuple[Path, int, int, int], ClassState] | None = None


def read() -> ClassState:
    """What is set now; nothing where there is no file, or it is damaged."""
    global _known
    path = home.shared() / STATE
    try:
        found = path.stat()
    except OSError:
        return NOTHING
    version = (path, found.st_ino, found.st_mtime_ns, found.st_size)
    known = _known
    if known is None or known[0] != version:
        _known = known = (version, _parsed(path))
    return known[1]


def lead(url: str, query: Mapping[str, str]) -> None:
    """Bring the class to a page, with these settings in its address; the first time this begins a tour. Raises
    PlaygroundError where that is no address."""
    if not _URL.fullmatch(url) or len(query) > MOST_QUERY or any(len(value) > LONGEST for value in query.values()):
        raise PlaygroundError("The class cannot be brought there: this is no address of a page.")

    def led(old: ClassState, now: int) -> ClassState:
        return replace(old, tour=Tour(old.tour.started if old.tour else now, now, url, dict(query)))
    _change(led)


def end_tour() -> None:
    """Let everybody go his own way again."""
    _change(lambda old, now: replace(old, tour=None, changed=dict.fromkeys([*old.changed, *_page_of(old)], now)))


def reveal(question: str, page: str, shown: bool = True) -> None:
    """Show the class the answers to a question of a page, or hide them again."""
    def revealed(old: ClassState, now: int) -> ClassState:
        others = {known: at for known, at in old.revealed.items() if known != question}
        kept = dict([*others.items(), *([(question, page)] if shown else [])][-MOST_REVEALED:])
        return replace(old, revealed=kept, changed={**old.changed, page: now})
    _change(revealed)


def collect(chosen: Collection | None, page: str) -> None:
    """Open or close a collection of photographs; a page shows it."""
    _change(lambda old, now: replace(old, collection=chosen, changed={**old.changed, page: now}))


def public(state: ClassState) -> dict[str, Any]:
    """What any browser of the class may know: where it is led, and which pages have something new.

    >>> public(ClassState(tour=Tour(1, 2, "pooling", {"stride": "3"})))
    {'tour': {'started': 1, 'step': 2, 'address': 'pooling?stride=3'}, 'changed': {}}
    """
    tour = state.tour
    return {"tour": {"started": tour.started, "step": tour.step, "address": tour.address} if tour else None,
            "changed": dict(state.changed)}


def _page_of(old: ClassState) -> list[str]:
    return [old.tour.url] if old.tour else []


def _change(edit: Callable[[ClassState, int], ClassState]) -> None:
    with _locked():
        old = read()
        latest = max([0, *old.changed.values(), *([old.tour.step] if old.tour else [])])
        new = edit(old, max(latest + 1, time.time_ns() // 1_000_000))
        with home.whole(home.shared() / STATE) as incoming:
            incoming.write_text(json.dumps(asdict(new), ensure_ascii=False), encoding="utf-8")


@contextmanager
def _locked() -> Iterator[None]:
    try:
        home.shared().mkdir(parents=True, exist_ok=True)
        with open(home.shared() / LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise PlaygroundError(f"The class was not told: {error.strerror}.") from error


def _parsed(path: Path) -> ClassState:
    said: Any = None
    with suppress(OSError, ValueError):
        said = home.read_json(path)
    said = said if isinstance(said, dict) else {}
    return ClassState(_tour(said.get("tour")), _texts(said.get("revealed")), _moments(said.get("changed")),
                      _collection(said.get("collection")))


def _tour(said: Any) -> Tour | None:
    if not isinstance(said, dict) or not isinstance(said.get("url"), str) or not _URL.fullmatch(said["url"]) \
            or not all(isinstance(said.get(name), int) for name in ("started", "step")):
        return None
    return Tour(said["started"], said["step"], said["url"], _texts(said.get("query")))


def _collection(said: Any) -> Collection | None:
    if not isinstance(said, dict) or not isinstance(said.get("name"), str) or not isinstance(said.get("labels"), list):
        return None
    return Collection(said["name"], tuple(one for one in said["labels"] if isinstance(one, str)),
                      said.get("is_open") is True)


def _texts(said: Any) -> dict[str, str]:
    return {name: value for name, value in said.items() if isinstance(value, str)} if isinstance(said, dict) else {}


def _moments(said: Any) -> dict[str, int]:
    return {name: value for name, value in said.items() if isinstance(value, int)} if isinstance(said, dict) else {}
