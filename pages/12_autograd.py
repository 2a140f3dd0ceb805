"""Autograd: a formula, its graph, and the chain rule walked back over it."""

from playground.ui.lessons import autograd

setting = autograd.controls()
autograd.predict(setting)
autograd.steps(setting)
autograd.check(setting)
autograd.in_code(setting)
