"""Which of several processes of the app answers: PLAYGROUND_NODE, told to the browser in a cookie.

A page lives in the process that drew it. A proxy before several (docs/deploy/nginx.conf) sends a browser back to the
one its cookie names.
"""

import os
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE, VARIABLE = "playground_node", "PLAYGROUND_NODE"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Node:
    """Names this process in the answers to pages and websockets, where it has a name."""

    def __init__(self, app: ASGIApp, name: str | None = None):
        given = os.environ.get(VARIABLE, "") if name is None else name
        self.app, self.name = app, given if _NAME.fullmatch(given) else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                MutableHeaders(scope=message).append(
                    "set-cookie", f"{COOKIE}={self.name}; Path=/; HttpOnly; SameSite=Lax")
            await send(message)

        is_page = scope["type"] == "websocket" or (
            scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""))
        await self.app(scope, receive, named if self.name and is_page else send)
