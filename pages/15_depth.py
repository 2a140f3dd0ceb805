"""Depth: what many layers multiply, forward and backward, what cures it, and why a shortcut adds."""

from playground.ui.lessons import depth, depth_training
from playground.ui.parts import lesson

depth.formula()
setting = lesson.figure_first(depth.Controls(), depth.sizes, question=depth.predict)
depth.gains(setting)
depth_training.training(setting)
depth_training.shortcuts(setting)
depth_training.all_ways(setting)
depth_training.in_code(setting)
