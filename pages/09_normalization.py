"""Normalization: numbers with mean 0 and variance 1, why, and what it does to gradient descent."""

from playground.ui.lessons import normalization, normalization_inputs

numbers = normalization.own_numbers()
normalization.proofs(numbers)
normalization.race(normalization.bowls())
normalization_inputs.two_inputs()
normalization_inputs.training_statistics()
normalization.in_code(numbers)
