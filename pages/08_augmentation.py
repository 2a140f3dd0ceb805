"""Data augmentation: other pictures of the same thing, so that a network learns what must not matter."""

from playground.ui import augmentation

augmentation.formula()
picture, pipeline, seed = augmentation.pipeline()
augmentation.gallery(picture, pipeline, seed)
augmentation.mixing(picture, pipeline, seed)
augmentation.predict()
augmentation.ablation(pipeline)
augmentation.in_code(pipeline)
