"""Kernels that detect features: the known ones on one photo, what each answers to, and kernels a network learnt."""

from playground.ui.lessons import kernels
from playground.ui.parts import lesson

kernels.formula()
picture, kernel = lesson.figure_first(kernels.all_at_once)
kernels.detectors(kernel)
kernels.large(picture, kernel)
kernels.learned(picture)
kernels.in_code(kernel)
