"""Kernels that detect features: the known ones on one photo, what each answers to, and kernels a network learnt."""

from playground.ui import kernels

kernels.formula()
picture, kernel = kernels.all_at_once()
kernels.detectors(kernel)
kernels.large(picture, kernel)
kernels.learned(picture)
kernels.in_code(kernel)
