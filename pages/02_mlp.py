"""How an MLP sees an image: one long row of numbers without neighbours."""

from playground.ui.lessons import mlp
from playground.ui.parts import lesson

mlp.formula()
setting = lesson.figure_first(mlp.Controls(), mlp.parameters)
mlp.predict()
mlp.shuffled_pixels()
mlp.in_code(setting)
