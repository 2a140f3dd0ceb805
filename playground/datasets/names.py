"""Names that people type or files come with: made fit to be kept, and compared as they look."""

import re
import unicodedata

from playground.datasets.unzip import is_junk
from playground.errors import PlaygroundError

LONGEST_NAME, LONGEST_CLASS, LONGEST_NOTE = 80, 60, 2_000
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_BLACK_FLAG, _TAGS = "\U0001f3f4", "".join(map(chr, range(0xE0020, 0xE0080)))
_JOINING_SCRIPTS = ("ARABIC", "SYRIAC", "NKO", "MANDAIC", "MONGOLIAN", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI",
                    "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "KHMER", "MYANMAR", "TIBETAN")


def one_line(text: str, longest: int) -> str:
    """Text without line breaks and what cannot be written to a file, cut at a length; composed (Unicode NFC), so that
    ä is one character wherever it was typed."""
    known = composed(text.encode("utf-8", "replace").decode().replace("\0", ""))
    return " ".join(known.split())[:longest].strip()


def composed(text: str) -> str:
    """The text in Unicode NFC: macOS writes ä as a and a diaeresis, and shows the same.

    >>> composed("Ka\\u0308se") == "K\\u00e4se"
    True
    """
    return unicodedata.normalize("NFC", text)


def look(text: str) -> str:
    """What names have in common that are one to a reader: composed, and without the difference of capitals, of one
    space from several, and of characters nobody sees.

    >>> look("KA\\u0308SE") == look("k\\u00e4se"), look("my\\xa0cat ") == look("My  c\\u200bat")
    (True, True)
    """
    return composed(_seen(" ".join(composed(text).split())).casefold())


def class_name(text: str, mend: bool = False) -> str:
    """A class's name, which is a folder's name too. Raises PlaygroundError for what cannot be one, or mends it.

    Invisible characters are taken out, but for joiners where they shape what is seen: in emoji and in Persian, say.
    """
    line = one_line(text, LONGEST_CLASS)
    name = _seen(line).strip(". ")
    if mend:
        name = re.sub(r"[/\\]", "-", name) or "class"
        return f"{name} photos" if is_junk(name) else name
    if not name or re.search(r"[/\\]", name) or is_junk(name):
        raise PlaygroundError(f"A class cannot be called {text[:LONGEST_CLASS]!r}: letters and digits are safe.")
    return name


def _seen(line: str) -> str:
    """A line without the characters that nobody sees and that change nothing that is seen."""
    if line.isascii() and line.isprintable():
        return line
    seen = "".join(c for k, c in enumerate(line) if c.isprintable() or _joins(line, k))
    return " ".join(seen.split())


def _joins(line: str, k: int) -> bool:
    """Whether the character there is a joiner between two characters that it makes look different, or one of the tags
    that make a flag of the black one."""
    if line[k] in _TAGS:
        return line[:k].rstrip(_TAGS).endswith(_BLACK_FLAG)
    if line[k] not in (_NON_JOINER, _JOINER) or not 0 < k < len(line) - 1:
        return False
    before, after = line[k - 1], line[k + 1]
    if all(unicodedata.name(c, "").startswith(_JOINING_SCRIPTS) for c in (before, after)):
        return True
    pictures = ("So", "Sk", "Mn")  # an emoji, its skin tone, the mark that says it is to be coloured
    return line[k] == _JOINER and unicodedata.category(before) in pictures and unicodedata.category(after) == "So"
