"""Keys: who has one opens the workspace that belongs to it, and nobody else does.

A key is 128 random bits and a signature by the server's secret, so that a made-up one is known to be that without
looking anything up. On the disk a workspace is called by a digest of its key: who can list the folder cannot open it.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from playground import home

COOKIE, TEACHER = "playground-workspace", "playground-teacher"
"""What the cookies are called that hold a reader's key, and show that a browser is the teacher's."""
WORKSPACES, SECRET = "workspaces", "secret"
_RANDOM_BYTES, _SIGNED, _NAMED = 16, 16, 24
LONGEST = 64
"""Characters of a text that could be a key."""


def new() -> str:
    """A key nobody had before."""
    random = secrets.token_urlsafe(_RANDOM_BYTES)
    return f"{random}.{_signature(random)}"


def workspace_of(key: str) -> Path | None:
    """The home of the workspace a key opens, be it there yet or not; None where the text is no key of this server."""
    if len(key) > LONGEST or not key.isascii():
        return None
    random, _, signature = key.partition(".")
    if not random or not hmac.compare_digest(signature, _signature(random)):
        return None
    return home.shared() / WORKSPACES / hashlib.sha256(key.encode()).hexdigest()[:_NAMED]


def teacher_key() -> str:
    """What makes the browser of whoever has it the teacher's. The same as long as the secret stays."""
    return _signature("the teacher's link", 24)


def is_teacher_key(key: str) -> bool:
    """Whether a text is the teacher's key."""
    return key.isascii() and hmac.compare_digest(key, teacher_key())


def teacher_cookie() -> str:
    """What a browser that opened the teacher's link shows from then on."""
    return _signature("the teacher's browser", 32)


def is_teacher_cookie(value: str) -> bool:
    """Whether a browser shows the teacher's cookie."""
    return value.isascii() and hmac.compare_digest(value, teacher_cookie())


def _signature(text: str, characters: int = _SIGNED) -> str:
    return hmac.new(_secret(), text.encode(), hashlib.sha256).hexdigest()[:characters]


def _secret() -> bytes:
    """The server's secret, made when it is needed first. Of two processes that make one, both take the first's."""
    path = home.shared() / SECRET
    with suppress(FileNotFoundError):
        return path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    incoming = path.with_name(f"{SECRET}.{secrets.token_hex(4)}")
    descriptor = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(32).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with suppress(FileExistsError):
        os.link(incoming, path)
    incoming.unlink()
    return path.read_bytes()
