"""What a request to the network view is answered with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Bytes for a browser. Equal `etag`s of one address mean equal bytes; `lasting` that the address will never answer
    otherwise, so that the browser may keep it."""

    body: bytes
    media_type: str
    etag: str
    lasting: bool
