"""What the server writes to its log: without where things are kept, whose they are, and what somebody called a photo.

An operator reads the log, or sends it to whoever helps him. A traceback shows values, and those can be paths.
"""

import logging
import re

from playground import home
from playground.datasets.photos import SUFFIXES

_ENDS = "|".join(re.escape(suffix) for suffix in (*SUFFIXES, ".heic", ".heif"))  # phones send those, too
_PHOTO = re.compile(rf"(?:{_ENDS})\b", re.IGNORECASE)
"""How the name of a photograph ends."""
_KEPT = r"uploads|sets|opened|collect"
_SECRETS = (
    (re.compile(r"\b(workspaces)/[0-9a-f]+"), r"\1/…"),
    (re.compile(rf'("[^"\n]*\b(?:{_KEPT})/)[^"\n]*"'), r'\1…"'),  # with an apostrophe in it
    (re.compile(rf"\b({_KEPT})/[^'\"\n]*"), r"\1/…"),
    (re.compile(r"\b(join|teach)/[^\s'\"]+"), r"\1/…"),
    (re.compile(r"\b[\w-]{22}\.[0-9a-f]{16}\b"), "…"),  # a key
)
_QUOTED = (re.compile(r"(?<!\w)'(?:\\.|[^'\\\n]|'(?=\w))*'"), re.compile(r'"(?:\\.|[^"\\\n])*"'),
           re.compile(r"“[^”\n]*”"))
"""What stands in quotes of each kind: the others may be in it, its own behind a backslash, apostrophes in words."""
_UNQUOTED = re.compile(rf"(^|[/:])([ \t]*)(?![ \t])[^/:\n]*(?:{_ENDS})\b", re.IGNORECASE | re.MULTILINE)
"""Where such a name begins nobody knows: what stands before it goes, too."""


def _without_name(quoted: re.Match[str]) -> str:
    """What stands in quotes, of a path to a photograph the folder alone."""
    text = quoted[0]
    ends = _PHOTO.search(text)
    return text if ends is None else f"{text[:max(1, text.rfind('/', 0, ends.start()) + 1)]}…{text[-1]}"


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
    for pattern in _QUOTED:
        text = pattern.sub(_without_name, text)
    return _UNQUOTED.sub(r"\1\2…", text)


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
