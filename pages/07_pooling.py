"""Max pooling: of each window the largest number, forward and backward."""

from playground.ui.lessons import pooling
from playground.ui.parts import lesson

pooling.formula()
controls = pooling.Controls()
setting = lesson.figure_first(controls, pooling.steps, head=controls.passes, question=pooling.predict, beside=2.7)
pooling.shifts(setting)
pooling.order(setting)
pooling.in_code(setting)
