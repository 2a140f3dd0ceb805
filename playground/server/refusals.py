"""What was refused to readers lately and their pages have yet to say: where a field of a page sends a file, Streamlit
shows its reader the status of the answer alone. A page of a class hears the sentence when it asks for news."""

import time
from collections import OrderedDict
from collections.abc import Callable

SAID_SECONDS = 30.0
"""Longer than a page that is looked at goes without asking."""
MOST_KEPT = 1000


class Refusals:
    """The last sentence for each reader, for a while."""

    def __init__(self, clock: Callable[[], float] = time.time):
        self.clock = clock
        self._said: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def note(self, asker: str, sentence: str) -> None:
        """Something was refused to an asker now."""
        self._said[asker] = self.clock(), sentence
        self._said.move_to_end(asker)
        while len(self._said) > MOST_KEPT:
            self._said.popitem(last=False)

    def of(self, asker: str) -> dict[str, object] | None:
        """What was refused to an asker within `SAID_SECONDS`: when (milliseconds since 1970), and the sentence."""
        when, sentence = self._said.get(asker, (0.0, ""))
        if self.clock() - when > SAID_SECONDS:
            self._said.pop(asker, None)
            return None
        return {"at": round(1000 * when), "sentence": sentence}


LATELY = Refusals()
"""Of this server."""
