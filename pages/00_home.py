"""Home: a picture that answers at once, three ways in, every chapter, the three engines."""

from playground.ui.lessons import home

home.glance()
home.doors()
home.chapters()
home.engines()
home.facts()
