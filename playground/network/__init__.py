"""A network as data: one description that shapes, counts, faults, edits, code, builders and pages all read.

>>> from playground.network.spelling import network_of
>>> from playground.network.shapes import walk
>>> walk(network_of("c32k3-b-r-p2-g-d10"), (1, 28, 28)).parameters
714
"""
