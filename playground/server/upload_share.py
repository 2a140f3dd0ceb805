"""How much of what readers send to the pages the server holds in memory.

Streamlit keeps a file that was sent to a page until the page lets go of it, or its session ends (two minutes after the
browser has gone). A limit for each file bounds none of that, so in a class each workspace has a share, and there is one
for all together.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground import home
from playground.server.asked import RefusedError
from playground.server.inbox import declared, pass_over
from playground.server.rates import asker
from playground.server.refusals import LATELY
from playground.server.views import refused

MOST_OF_ONE, MOST_TOGETHER = 300 * 2**20, 1000 * 2**20
"""Bytes of files that are held or on their way: of one workspace (three of the largest size in a class), of all."""
_ADDRESS = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+/?$")


class UploadShare:
    """In a class, refuses a file that is more than the sender's share, or than there is room for.

    `held` says how many bytes each session holds. A session is that of the workspace that first sent something to it.
    """

    def __init__(self, app: ASGIApp, held: Callable[[], Mapping[str, int]], most_of_one: int = MOST_OF_ONE,
                 most_together: int = MOST_TOGETHER):
        self.app, self.held, self.most_of_one, self.most_together = app, held, most_of_one, most_together
        self._owners: dict[str, str] = {}
        self._arriving: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_upload = scope["type"] == "http" and scope["method"] == "PUT" and home.is_class()
        found = _ADDRESS.search(scope["path"]) if is_upload else None
        if found is None:
            await self.app(scope, receive, send)
        else:
            await self._let_in(found[1], scope, receive, send)

    async def _let_in(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a file on whose bytes are counted as arriving until the answer is given."""
        who, counted, came, has_begun = asker(scope), 0, 0, False

        def count(more: int) -> None:
            nonlocal counted
            self._demand_room(self._owners.setdefault(session, who), more)
            self._arriving[session] += more
            counted += more

        async def received() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > counted:
                count(came - counted)
            return message

        async def begun(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        self._forget_ended()
        try:
            count(declared(Headers(scope=scope)))
            await self.app(scope, received, begun)
        except RefusedError as error:
            if home.home() != home.shared():  # who has no workspace shares an address with others
                LATELY.note(who, str(error))
            if not has_begun:
                await _answer(refused(error.status, str(error)), scope, receive, send)
        finally:
            self._arriving[session] -= counted

    def _demand_room(self, owner: str, more: int) -> None:
        taken = Counter(self.held()) + self._arriving
        if sum(count for one, count in taken.items() if self._owners.get(one) == owner) + more > self.most_of_one:
            raise RefusedError(413, f"Your pages hold as many files as they may, {self.most_of_one // 2**20} MB: "
                                    "reload them, and send this one again in two minutes.")
        if taken.total() + more > self.most_together:
            raise RefusedError(429, "The pages of the class hold as many files as there is room for: send this one "
                                    "again in a few minutes.")

    def _forget_ended(self) -> None:
        """Forget the sessions that hold nothing (any more)."""
        self._arriving = +self._arriving
        there = self.held().keys() | self._arriving.keys()
        self._owners = {session: owner for session, owner in self._owners.items() if session in there}


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    with suppress(ClientDisconnect):
        await pass_over(Request(scope, receive))
        await response(scope, receive, send)
