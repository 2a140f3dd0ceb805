"""The loss: scores, softmax and cross-entropy, stepped forward and back to p - y."""

from playground.ui.lessons import loss, loss_batch, loss_forms, loss_steps
from playground.ui.parts import lesson

loss.formula()
controls = loss.Controls()
setting = lesson.figure_first(controls, loss.overview, loss_steps.steps, head=controls.passes, question=loss.predict)
loss_forms.overflow(setting)
loss.smoothing_and_temperature(setting)
loss_forms.two_classes()
loss_forms.squared(setting)
loss_batch.batch()
loss_batch.check(setting)
loss_batch.in_code(setting)
