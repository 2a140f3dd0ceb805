"""What Streamlit serves and nobody here asks for."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

CLOSED = ("/_stcore/metrics",)
"""How many readers there are, and what their sessions hold: told to anybody who asks."""


class Closed:
    """Answers as if `CLOSED` did not exist, below whatever path the app is served."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith(CLOSED):
            await PlainTextResponse("There is nothing at this address.\n", 404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
