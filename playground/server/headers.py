"""What every answer says to the browser, whoever gave it: our routes, Streamlit's pages, downloads."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "X-Content-Type-Options": "nosniff",  # a file is what we say it is: a text somebody uploaded is no script
    "Referrer-Policy": "same-origin",  # addresses, which hold settings, are not told to other sites
    "X-Frame-Options": "DENY",  # no page elsewhere shows ours in a frame and has a reader press what he does not see
}


class Headers:
    """Adds `ALWAYS` to every answer that does not say them itself."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)
