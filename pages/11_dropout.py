"""Dropout: units left out at random while training, and why that helps."""

from playground.ui import dropout

setting = dropout.controls()
dropout.predict(setting)
dropout.steps(setting)
dropout.expectation(setting)
dropout.thinner(setting)
dropout.overfitting(setting)
dropout.in_code(setting)
