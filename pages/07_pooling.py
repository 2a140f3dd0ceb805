"""Max pooling: of each window the largest number, forward and backward."""

from playground.ui import lesson, pooling

pooling.formula()
setting = lesson.figure_first(pooling.Controls(), pooling.steps, question=pooling.predict, beside=2.7)
pooling.shifts(setting)
pooling.order(setting)
pooling.in_code(setting)
