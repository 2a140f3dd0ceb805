"""Normalization: numbers with mean 0 and variance 1, why, and what it does to gradient descent."""

from playground.ui import normalization

numbers = normalization.own_numbers()
normalization.proofs(numbers)
normalization.race(normalization.bowls())
normalization.in_code()
