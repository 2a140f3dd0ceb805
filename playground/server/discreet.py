"""What the server writes to its log: without where things are kept, whose they are, and what somebody called a photo.

An operator reads the log, or sends it to whoever helps him. A traceback shows values, and those can be paths.
"""

import logging
import re

from playground import home

_SECRETS = (
    (re.compile(r"\b(workspaces)/[0-9a-f]+"), r"\1/…"),
    (re.compile(r"\b(uploads|sets|opened|collect)/[^'\"\n]*"), r"\1/…"),
    (re.compile(r"\b(join|teach)/[^\s'\"]+"), r"\1/…"),
    (re.compile(r"\b[\w-]{22}\.[0-9a-f]{16}\b"), "…"),  # a key
    (re.compile(r"[^'\"/:\n]*\.(?:jpe?g|png|gif|webp|bmp|tiff?|heic)\b", re.IGNORECASE), "…"),
)


def discreet(text: str) -> str:
    """A text for the log.

    >>> discreet("No such file: 'data/uploads/0123456789abcdef/cats/my cat.jpg'")
    "No such file: 'data/uploads/…'"
    >>> discreet("GET /join/126Qlpyoefs0f1entMY6iA.181216b3914a2276")
    'GET /join/…'
    """
    for place in {home.base(), home.REPOSITORY}:
        text = text.replace(f"{place}/", "")
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class Formatter(logging.Formatter):
    """What another formatter makes of a record, discreetly."""

    def __init__(self, inner: logging.Formatter):
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return discreet(self.inner.format(record))


def keep_discreet() -> None:
    """Have every handler of this process write discreetly; what nobody handles is written to the standard error."""
    if not logging.root.handlers:
        unhandled = logging.StreamHandler()
        unhandled.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.root.addHandler(unhandled)
    known = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    for logger in (logging.root, *known):
        for handler in logger.handlers:
            if not isinstance(handler.formatter, Formatter):
                handler.setFormatter(Formatter(handler.formatter or logging.Formatter()))
