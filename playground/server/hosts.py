"""Under which names the server answers: those it is known to have.

A page elsewhere can have the browser of someone who looks at it speak to a server in his network, by a name of its own
that it has point there (DNS rebinding): to the browser both are then one site. An address of numbers is nobody's to
point anywhere, so all of those are answered; of names, localhost, this computer's, and those in PLAYGROUND_HOSTS.
"""

import ipaddress
import os
import socket
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

CONFIGURED = "PLAYGROUND_HOSTS"
SHOWN = 80


def configured() -> list[str]:
    """The names that PLAYGROUND_HOSTS lists with commas between, in its order and in small letters."""
    listed = (name.strip().lower().rstrip(".") for name in os.environ.get(CONFIGURED, "").split(","))
    return [name for name in listed if name]


def names() -> frozenset[str]:
    """The names that are answered, in small letters: this computer's own, as it is and as neighbours find it (mDNS),
    and those in PLAYGROUND_HOSTS (a proxy's name, say; * for any name)."""
    own = socket.gethostname().lower().rstrip(".")
    return frozenset({"localhost", own, f"{own.partition('.')[0]}.local", *configured()} - {"", ".local"})


def host_of(header: str) -> str:
    """The name or address in a Host header, without the port, in small letters.

    >>> host_of("Class.Local:8501"), host_of("[::1]:8501"), host_of("192.168.0.7")
    ('class.local', '::1', '192.168.0.7')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")


def answered(host: str, known: Collection[str]) -> bool:
    """Whether the server answers under a name or address.

    >>> answered("10.0.0.7", ()), answered("fe80::1", ()), answered("evil.example", ("localhost",))
    (True, True, False)
    """
    if host in known or "*" in known or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class KnownHosts:
    """Refuses whoever asks under another name, pages and websockets alike."""

    def __init__(self, app: ASGIApp, known: Collection[str] | None = None):
        self.app, self.known = app, names() if known is None else known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        host = host_of(Headers(scope=scope).get("host", ""))
        if answered(host, self.known):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            shown = "".join(letter for letter in host if letter.isprintable())[:SHOWN]
            said = (f"This server does not answer under the name {shown!r}. Ask for it by its address of numbers, or "
                    f"start it with {CONFIGURED}={shown or 'NAME'}.\n")
            await PlainTextResponse(said, 400)(scope, receive, send)
