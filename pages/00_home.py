"""Home: what this is, the three engines, where to start."""

from playground.ui import home

home.ways_in()
home.glance()
home.engines()
home.facts()
