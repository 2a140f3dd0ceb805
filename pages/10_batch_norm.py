"""Batch norm: every channel of every mini-batch gets mean 0 and variance 1, then what the network likes."""

from playground.ui.lessons import batch_norm, batch_norm_network, batch_norm_steps
from playground.ui.parts import lesson

batch_norm.formula()
setting = lesson.figure_first(batch_norm.Controls(), batch_norm.before_and_after, head=batch_norm.heading,
                              question=batch_norm.predict)
batch_norm.statistics(setting)
batch_norm_steps.steps(setting)
batch_norm.running(setting)
batch_norm_network.order(setting)
batch_norm_network.race()
batch_norm_network.slides_model(setting)
batch_norm_network.in_code()
