"""Whose workspace a request is about: the middleware that gives every browser of a class one, and the links that open
the same one on another device, or make a browser the teacher's.

    GET  /join/{key}     a page that asks whether this browser is to open that workspace
    POST /join/{key}     opens it
    GET, POST /teach/{key}   the same for the teacher's link

Asked first, because a link alone must change nothing: whoever follows one unknowingly would put his photos into
somebody else's workspace.
"""

import asyncio
import html
import importlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground import home
from playground.classroom import keys
from playground.classroom.keys import COOKIE, TEACHER
from playground.server import asked
from playground.server.inbox import pass_over
from playground.server.rates import address_of
from playground.server.views import refused

KEPT_SECONDS = 400 * 86400
"""How long a browser keeps a cookie: the longest it may."""
MOST_WRONG, WRONG_SECONDS = 10, 60.0
"""Wrong keys from one address within so long, before no other one is looked at."""
TOO_MANY = "Too many wrong keys came from here: wait a minute, then show the right one."
MOST_ADDRESSES = 10_000
EXPIRE_FIRST_SECONDS, EXPIRE_EVERY_SECONDS = 60.0, 6 * 3600.0
log = logging.getLogger(__name__)


def cookies(header: str) -> dict[str, str]:
    """The cookies a browser sends, whatever it sends.

    >>> cookies("a=1; b=2"), cookies("=;;\\x00")
    ({'a': '1', 'b': '2'}, {})
    """
    with suppress(CookieError):
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    return {}


def cookie(name: str, value: str, secure: bool) -> str:
    """A Set-Cookie header: no script reads it, no other site sends it along."""
    end = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={KEPT_SECONDS}; HttpOnly; SameSite=Lax{end}"


def is_secure(scope: Scope) -> bool:
    """Whether the browser asked over TLS, be it that a proxy ended it."""
    return bool(scope.get("scheme") in ("https", "wss")
                or Headers(scope=scope).get("x-forwarded-proto", "").lower() == "https")


def bearer(scope: Scope) -> str | None:
    """What a program shows as `Authorization: Bearer KEY`, be it a key or not; None where it shows nothing so."""
    kind, _, given = Headers(scope=scope).get("authorization", "").strip().partition(" ")
    return given.strip() if kind.lower() == "bearer" else None


def place_of(scope: Scope) -> Path | None:
    """The workspace of the key a program shows, or else of a browser's cookie; None where neither is a key."""
    shown = (bearer(scope) or "", cookies(Headers(scope=scope).get("cookie", "")).get(COOKIE, ""))
    return next((place for key in shown if (place := keys.workspace_of(key)) is not None), None)


class Workspaces:
    """In a class: every request is done for the workspace of its key. A browser that shows none gets a new one with the
    page it asks for; who shows none otherwise sees what all have in common, and a program that shows a wrong one hears
    that it is none."""

    def __init__(self, app: ASGIApp, wrong: "WrongKeys | None" = None):
        self.app, self.wrong = app, wrong or WrongKeys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not home.is_class():
            await self.app(scope, receive, send)
            return
        place, fresh = place_of(scope), ""
        if place is None and (scope["type"] == "websocket" or is_page(scope)):
            fresh = keys.new()
            place = keys.workspace_of(fresh)
            shown(scope, fresh)
        elif place is None and bearer(scope) is not None:
            await self._refuse(scope, receive, send)
            return

        async def with_key(message: Message) -> None:
            if fresh and message["type"] in ("http.response.start", "websocket.accept"):
                MutableHeaders(scope=message).append("set-cookie", cookie(COOKIE, fresh, is_secure(scope)))
            await send(message)

        with home.entered(place or home.shared()):
            await self.app(scope, receive, with_key)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = refused(401, "This is no key of this server, or not whole: copy it again from “My key”.")
        response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        if not self.wrong.may_try(address_of(scope)):
            response = refused(429, TOO_MANY)
            response.headers["Retry-After"] = f"{WRONG_SECONDS:g}"
        with suppress(ClientDisconnect):
            await pass_over(Request(scope, receive))
            await response(scope, receive, send)


async def expiring(first: float = EXPIRE_FIRST_SECONDS, every: float = EXPIRE_EVERY_SECONDS) -> None:
    """As long as the server runs, some time after its start and then every so often: remove the workspaces nobody has
    used for long, and what killed processes have left (`leaving.clear_up`)."""
    wait = first
    while home.is_class():
        await asyncio.sleep(wait)
        wait = every
        try:
            await run_in_threadpool(_clear_up)
        except Exception:
            log.exception("expiring workspaces failed")


def _clear_up() -> None:
    importlib.import_module("playground.ui.preload")  # first, as in `views.the_looks`
    importlib.import_module("playground.classroom.leaving").clear_up()


def is_page(scope: Scope) -> bool:
    """Whether a browser asks for a page (and not for a file or an answer)."""
    return scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")


def shown(scope: Scope, key: str) -> None:
    """Have a request show a key, in place of whatever it showed."""
    headers = MutableHeaders(scope=scope)
    others = {name: value for name, value in cookies(headers.get("cookie", "")).items() if name != COOKIE}
    headers["cookie"] = "; ".join(f"{name}={value}" for name, value in {**others, COOKIE: key}.items())


class WrongKeys:
    """How often wrong keys came from an address lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def may_try(self, address: str) -> bool:
        """One more wrong key came from an address; whether it is told so, because not too many came before. A right
        one is never asked about: others may be behind the same address."""
        lately = self._lately(address)
        if len(lately) >= MOST_WRONG:
            return False
        self._wrong[address] = [*lately, self.clock()]
        self._wrong.move_to_end(address)
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        return True

    def _lately(self, address: str) -> list[float]:
        return [when for when in self._wrong.get(address, []) if self.clock() - when < WRONG_SECONDS]


class Links:
    """The pages behind a key's link and the teacher's."""

    def __init__(self, base: str = "", wrong: WrongKeys | None = None):
        self.base, self.wrong = base, wrong or WrongKeys()

    def routes(self) -> list[BaseRoute]:
        """In the order in which they are to be tried."""
        return [Route(f"{self.base}/join/{{key}}", self.join, methods=["GET", "POST"]),
                Route(f"{self.base}/teach/{{key}}", self.teach, methods=["GET", "POST"])]

    async def join(self, request: Request) -> Response:
        """Open the workspace of a key in this browser."""
        key = request.path_params["key"]
        return self._opened(
            request, keys.workspace_of(key) is not None, cookie(COOKIE, key, is_secure(request.scope)), f"{self.base}/",
            "Open your workspace in this browser?",
            "What you made with the browser this link is from will be here, too. What this browser has made so far "
            "stays in its own workspace: keep that one’s link first, if you want to come back to it.")

    async def teach(self, request: Request) -> Response:
        """Make this browser the teacher's."""
        key = request.path_params["key"]
        said = cookie(TEACHER, keys.teacher_cookie() if home.is_class() else "", is_secure(request.scope))
        return self._opened(
            request, keys.is_teacher_key(key), said, f"{self.base}/class", "Lead this class from this browser?",
            "This browser will see who is here and what is trained, and may stop and remove it.")

    def _opened(self, request: Request, right: bool, set_cookie: str, after: str, title: str, text: str) -> Response:
        if not home.is_class():
            return page(404, "There is no class on this server", "It was started for one person: make class starts it "
                                                                 "for many.")
        if not right and not self.wrong.may_try(address_of(request.scope)):
            return page(429, "Too many wrong links", "Wait a minute, then open the right one.",
                        headers={"Retry-After": f"{WRONG_SECONDS:g}"})
        if not right:
            return page(404, "This link opens nothing", "It is not of this server, or not whole: copy it again, or "
                                                        "scan its code.")
        if request.method == "GET":
            return page(200, title, text, asks=True)
        if not asked.same_origin(request.scope):
            return page(403, "Not from here", "Open the link in this browser and press the button on its page.")
        return RedirectResponse(after, 303, {"Set-Cookie": set_cookie, "Cache-Control": "no-store"})


def page(status: int, title: str, text: str, asks: bool = False, headers: dict[str, str] | None = None) -> Response:
    """A small page with nothing in it that runs."""
    button = '<form method="post"><button>Yes, open it</button></form>' if asks else ""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; "
        f"margin: 12vh auto; padding: 0 1.2rem; color-scheme: light dark }} button {{ font: inherit; padding: .5rem "
        f"1.2rem }}</style><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>{button}</html>",
        status, {"Cache-Control": "no-store", **(headers or {})})
