"""What a view answers: bytes and what a browser has to know of them.

The routes (`playground.server`) ask a module with two functions, `playground.view.looks`:

    answer(token, what, query) -> Answer     what GET /api/view/{token}/{what}?... gives; changes nothing
    change(token, what, body) -> Answer      what POST /api/view/{token}/{what} with a JSON object does

`token` says which view, `what` which part of it; `query` has every name once, its values are text. Both are called in
threads, two at a time, so what they share has to be guarded. `answer` is called once for all who ask for the same while
it is computed: what changes other than by `change` has to be told apart by the query (a version, say).

A PlaygroundError is a sentence that the reader gets with the status 422, a NotThereError one with 404.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from playground.errors import PlaygroundError


@dataclass(frozen=True)
class Answer:
    """`body` as it is sent, `media_type` what it is, such as application/octet-stream.

    `etag`: visible ASCII without quotation marks, another for another body: who still has the body of this one is told
    so instead of sent it again. `lasting`: the same question will have this answer for ever, so that a browser may
    keep it and not ask; otherwise it asks each time. Raises ValueError where the etag is none.
    """

    body: bytes
    media_type: str
    etag: str
    lasting: bool

    def __post_init__(self) -> None:
        if not self.etag or any(not "!" <= letter <= "~" or letter == '"' for letter in self.etag):
            raise ValueError(f"{self.etag!r} is no ETag: visible ASCII without quotation marks is wanted")


class NotThereError(PlaygroundError):
    """One sentence for a person: what was asked for does not exist, or does no more."""


class Looks(Protocol):
    """What the routes ask."""

    def answer(self, token: str, what: str, query: Mapping[str, str]) -> Answer:
        """What is to be seen. Raises PlaygroundError."""
        ...

    def change(self, token: str, what: str, body: Mapping[str, Any]) -> Answer:
        """Change something, and say what it has come to. Raises PlaygroundError."""
        ...
