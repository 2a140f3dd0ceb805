"""Errors below /api that are not ours: Streamlit refuses some addresses before our routes see them."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.server.views import nothing_there


class Sentences:
    """Says every error below /api as our routes say theirs: as JSON with one sentence."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "/api/" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        is_theirs = False

        async def ours(message: Message) -> None:
            nonlocal is_theirs
            if message["type"] == "http.response.start" and message["status"] >= 400 \
                    and not Headers(raw=message["headers"]).get("content-type", "").startswith("application/json"):
                is_theirs = True
            elif not is_theirs:
                await send(message)

        await self.app(scope, receive, ours)
        if is_theirs:
            await nothing_there(scope, receive, send)
