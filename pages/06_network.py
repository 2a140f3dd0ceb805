"""Network: a whole network at work on one picture, forward and backward, down to one product."""

from playground.ui.network import whole

whole.network()
