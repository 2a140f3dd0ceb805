"""How an MLP sees an image: one long row of numbers without neighbours."""

from playground.ui import mlp

setting = mlp.counting()
mlp.predict()
mlp.shuffled_pixels()
mlp.in_code(setting)
