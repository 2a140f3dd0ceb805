"""Dropout: units left out at random while training, and why that helps."""

from playground.ui import dropout, dropout_overfitting, lesson

dropout.formula()
controls = dropout.Controls()
setting = lesson.figure_first(controls, dropout.steps, head=controls.passes, question=dropout.predict)
dropout.expectation(setting)
dropout.thinner(setting)
dropout_overfitting.few_digits(setting)
dropout.in_code(setting)
