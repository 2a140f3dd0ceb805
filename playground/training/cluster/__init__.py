"""Trainings on a Ray cluster: a small process here follows each of them, and writes what happens as a worker would."""
