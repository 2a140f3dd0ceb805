"""What a command says: progress to stderr, the answer to stdout."""

import json
import sys
from typing import Any

from playground.home import strict
from playground.numbers import count, number, percent


def print_json(answer: Any) -> None:
    """One JSON object on stdout that every reader of JSON can read: what is no number there is null."""
    print(json.dumps(strict(answer), ensure_ascii=True, allow_nan=False), flush=True)


class Telling:
    """A run's progress on stderr: one line an epoch, and on a terminal a last line that is written over."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.total = 0
        self.stage = ""

    def line(self, text: str) -> None:
        print(f"\r\033[K{text}" if self.terminal else text, file=sys.stderr, flush=True)

    def passing(self, text: str) -> None:
        if self.terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        self.passing("")

    def event(self, event: Any) -> None:
        """Tell of one event, whatever it is (`training.runs.events`; its class's name decides)."""
        match type(event).__name__:
            case "Queued" if event.place:
                from playground.training.runs.events import ordinal

                self.line(f"{ordinal(event.place)} in the queue (PLAYGROUND_RUNS says how many train at once)")
            case "Started":
                self.total = event.total_epochs
                counts = ", ".join(f"{count(number)} {split}" for split, number in event.samples.items())
                self.line(f"pictures of {len(event.classes)} classes: {counts}; {count(event.parameters)} parameters "
                          f"to train on {event.device}")
            case "Stage":
                if event.text != self.stage:
                    self.line(f"{event.text} ({count(event.total)})" if event.total > 1 else event.text)
                    self.stage = event.text
                if event.total > 1:
                    self.passing(f"{event.text}: {count(event.done)} of {count(event.total)}")
            case "Batch":
                self.passing(f"epoch {event.epoch}/{self.total}  batch {event.batch}/{event.batches}  "
                             f"loss {event.loss:.3f}")
            case "RateChanged":
                self.line(f"the learning rate was changed: epoch {event.epoch} begins with {number(event.rate, 3)}")
            case "Epoch":
                self.line(f"epoch {event.epoch}/{self.total}  loss {event.train_loss:.3f}  accuracy "
                          f"{percent(event.train_accuracy)}  held out: loss {event.validation_loss:.3f}  accuracy "
                          f"{percent(event.validation_accuracy)}  ({event.seconds:.1f} s)")


def printable(text: str) -> str:
    """Text that somebody else wrote, for a terminal: without what would move its cursor or change its colours.

    >>> printable("cat\\x1b[2J")
    'cat?[2J'
    """
    return "".join(c if c.isprintable() else "?" for c in text)
