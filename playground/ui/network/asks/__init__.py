"""What can be asked of a network at work, each question behind one line: nothing is computed before it is opened."""

from pathlib import Path

from playground.datasets.named import ImageSet
from playground.ui.network.asks import checking, editing, looking, moving, switching
from playground.ui.network.asks.asked import Asked
from playground.ui.parts.image_input import Picture
from playground.view.asks import Chosen
from playground.view.sources import Design, File


def draw(source: Design | File, picture: Picture, chosen: Chosen, data: ImageSet | None, run: Path | None) -> None:
    """Draw the questions about a network and what is chosen in it.

    `chosen` counts parts as `source.run` in evaluation mode gives them. `data` are labelled pictures to measure on;
    `run` is the folder of the training that the network comes from. Either may be missing: the questions that need it
    say so.
    """
    asked = Asked(source, picture, chosen, data, run)
    looking.windows(asked)
    moving.why(asked)
    editing.edit(asked)
    switching.switch_off(asked)
    checking.check(asked)


__all__ = ["draw"]
