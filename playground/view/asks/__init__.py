"""What can be asked of a network at work: why a weight changed, what an edit or a part switched off does, whether a
number is right, and which pictures drive a filter."""

from playground.view.asks.chosen import Chosen

__all__ = ["Chosen"]
