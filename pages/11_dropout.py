"""Dropout: units left out at random while training, and why that helps."""

from playground.ui.lessons import dropout, dropout_overfitting
from playground.ui.parts import lesson

dropout.formula()
controls = dropout.Controls()
setting = lesson.figure_first(controls, dropout.steps, head=controls.passes, question=dropout.predict)
dropout.expectation(setting)
dropout.thinner(setting)
dropout_overfitting.few_digits(setting)
dropout.in_code(setting)
