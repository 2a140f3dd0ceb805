"""What every answer says to the browser, whoever gave it: our routes, Streamlit's pages, downloads."""

import base64
import hashlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.datastructures import Headers as Said
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.browser import runtime

ALWAYS = {
    "X-Content-Type-Options": "nosniff",  # a file is what we say it is: a text somebody uploaded is no script
    "Referrer-Policy": "same-origin",  # addresses, which hold settings, are not told to other sites
    "X-Frame-Options": "DENY",  # no page elsewhere shows ours in a frame and has a reader press what he does not see
}
_INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
_HOST = re.compile(r"[\w.\-\[\]:]{1,255}", re.ASCII)


@cache
def page_scripts() -> tuple[str, ...]:
    """The scripts that stand in Streamlit's page itself, as a policy names them: by what they are.

    Nothing else that stands in a page as a script is run, so a name or label that were written into one unescaped would
    do no harm.
    """
    found = find_spec("streamlit")  # where it lies; nothing of it is needed here
    assert found is not None
    page = (Path(str(found.origin)).parent / "static" / "index.html").read_bytes()
    return tuple(f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
                 for script in _INLINE.findall(page))


def policy(host: str, others: str = "") -> str:
    """The Content-Security-Policy for a page at this host: only this server's scripts, pictures and answers, and the
    answers of `others`.

    Components of ours are modules that Streamlit makes blobs of; styles stand in elements. Browsers differ in whether
    'self' holds for websockets, so they are named.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return "; ".join((
        "default-src 'none'", " ".join(("script-src 'self' blob: 'wasm-unsafe-eval'", *page_scripts())),
        "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "font-src 'self' data:",
        f"connect-src 'self'{sockets}{others}", "media-src 'self' blob:", "worker-src 'self' blob:",
        "manifest-src 'self'",
        "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"))


class Headers:
    """Adds `ALWAYS` and the policy to every answer that does not say them itself."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                # Where the runtime of models is not on this server, a reader may say that it comes from elsewhere.
                others = "" if runtime.folder() else f" https://{runtime.CDN_HOST}"
                headers.setdefault("Content-Security-Policy", policy(Said(scope=scope).get("host", ""), others))
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)
