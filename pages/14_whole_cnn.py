"""A whole CNN: one digit from pixels to the loss and back, one step, and why an activation stands between."""

from playground.ui.lessons import two_convs, whole_cnn, whole_cnn_step, whole_cnn_view
from playground.ui.parts import lesson

whole_cnn.formula()
controls = whole_cnn.Controls()
setting = lesson.figure_first(controls, whole_cnn.parts, head=controls.passes, question=whole_cnn.predict)
whole_cnn.counts(setting)
whole_cnn.sizes(setting)
whole_cnn_view.around(setting)
whole_cnn_step.step(setting)
two_convs.why_an_activation(setting)
whole_cnn_step.in_code(setting)
