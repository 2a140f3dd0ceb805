"""Data augmentation: other pictures of the same thing, so that a network learns what must not matter."""

from playground.ui.lessons import augmentation
from playground.ui.parts import lesson

augmentation.formula()
picture, pipeline, seed = lesson.figure_first(augmentation.Controls(), augmentation.gallery,
                                              head=augmentation.heading)
augmentation.mixing(picture, pipeline, seed)
augmentation.predict()
augmentation.ablation(pipeline)
augmentation.in_code(pipeline)
