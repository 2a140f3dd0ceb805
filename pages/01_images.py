"""Images as arrays: a gray matrix, a colour cube, and what is lost with fewer levels."""

from playground.ui.lessons import images
from playground.ui.parts import lesson

images.formula()
setting = lesson.figure_first(images.Controls(), images.gray_matrix, question=images.predict, beside=2.2)
images.colour_cube(setting)
images.memory(setting)
images.zoom(setting)
images.levels(setting)
