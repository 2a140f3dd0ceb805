"""What a browser asks for, read with suspicion: sizes have limits, and whatever is malformed is a sentence."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlparse

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from playground.errors import PlaygroundError
from playground.home import strict_json

MOST_KEYS, LONGEST_KEY, LONGEST_VALUE, LONGEST_QUERY = 12, 40, 1000, 4000
MOST_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class RefusedError(PlaygroundError):
    """A sentence for whoever asked, and the status it is said with."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


def name(text: str) -> str:
    """A token or the name of a part: up to 128 letters, digits, dots, dashes, tildes and underscores."""
    if not _NAME.fullmatch(text):
        raise RefusedError(400, "There is no such view: names have letters, digits and -._~ only, at most 128 of them.")
    return text


def query(raw: bytes) -> dict[str, str]:
    """What stands behind the question mark, every name once.

    >>> query(b"epoch=3&picture=a%20cat")
    {'epoch': '3', 'picture': 'a cat'}
    """
    if len(raw) > LONGEST_QUERY:
        raise RefusedError(400, f"The address is too long: at most {LONGEST_QUERY} letters behind the question mark.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw), errors="strict",
                          max_num_fields=MOST_KEYS)
    except ValueError as error:
        raise RefusedError(400, f"The address cannot be read: at most {MOST_KEYS} pairs name=value joined by & are "
                                "wanted behind the question mark.") from error
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RefusedError(400, "The address says something twice: every name may stand once behind the question mark.")
    if any(len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE or not (key + value).isprintable()
           for key, value in pairs):
        raise RefusedError(400, f"The address has something in it that cannot be meant: names have at most "
                                f"{LONGEST_KEY} letters, values {LONGEST_VALUE}, all of them printable.")
    return found


def same_origin(scope: Scope) -> bool:
    """Whether a page of this very server asks: the browser's Origin has the host and port that were asked.

    A browser names the origin with every POST, and no page can have it name another; what names none is not let in.
    (Sec-Fetch-Site would say the same, but browsers send it over https and to localhost only.)
    """
    headers = Headers(scope=scope)
    try:
        origin = urlparse(headers.get("origin", "")).netloc
    except ValueError:  # brackets that don't match
        return False
    return bool(origin) and origin.lower() == headers.get("host", "").lower()


async def json_object(request: Request) -> Mapping[str, Any]:
    """The JSON object that a page of ours posts, at most 64 KB."""
    if not same_origin(request.scope):
        raise RefusedError(403, "Only pages of this playground may change something here.")
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "A JSON object is wanted, with the content type application/json.")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise RefusedError(413, f"That is too much at once: at most {MOST_BYTES // 1024} KB are taken.")
    try:
        found = strict_json(content)
    except ValueError as error:
        raise RefusedError(400, "That is no JSON that can be read.") from error
    if not isinstance(found, dict):
        raise RefusedError(400, "A JSON object is wanted: names and values in curly brackets.")
    return found


def sentence_body(sentence: str) -> bytes:
    """An error as it is sent.

    >>> sentence_body("There is none.")
    b'{"error": "There is none."}'
    """
    return json.dumps({"error": sentence}, ensure_ascii=False).encode()
