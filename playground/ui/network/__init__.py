"""Designing a network and training it: the designer, its settings, and what is known before training begins."""
