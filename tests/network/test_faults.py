"""Forty wrong designs: a sentence each that names both layers and both sizes, and cures after which it trains."""

import re

import numpy as np
import pytest

from engine import Tensor
from engine.optim import SGD
from playground.network.build import build
from playground.network.edits import edited
from playground.network.faults import NOTE, STOP, WARN, faults
from playground.network.shapes import walk
from playground.network.spelling import network_of, spelled
from playground.training.scratch.losses import loss_of, scoring

GRAY, COLOUR, TINY = (1, 28, 28), (3, 32, 32), (1, 8, 8)
STOPS = [
    ("p32-f-d10", GRAY), ("c8-r-p2-c8-r-p2-c8-r-p2-c8-r-p2-f-d10", TINY), ("c8k9p0-r-f-d10", TINY),
    ("c8k5d3p0-r-f-d10", TINY), ("c8-r-a40-g-d10", COLOUR), ("c16s2-r-c16s2-r-c16s2-r-c16k3p0-g-d10", TINY),
    ("f-c8-r-d10", GRAY), ("f-p2-d10", GRAY), ("c8-r-g-c8-r-d10", GRAY), ("c8-r-g-b-u2-d10", GRAY),
    ("f-d32-r-dw-d10", GRAY), ("f-d32-gn4-d10", GRAY), ("f-oc0.2-d10", GRAY), ("c8-f-g-d10", GRAY),
    ("d10", GRAY), ("c8-r-d10", GRAY), ("c8-r-p2-d64-r-d10", COLOUR), ("c8-b-r-[d8]-g-d10", GRAY),
    ("c8-r-c9g3-g-d10", GRAY), ("c8-r-c9g4-g-d10", GRAY), ("c6-gn4-r-g-d10", GRAY), ("c10g2-g-d10", COLOUR),
    ("ct4k2p8-g-d10", TINY), ("c8-r-ct4k3s1p20-g-d10", GRAY), ("p3p2-g-d10", GRAY), ("c8-r-a2p2-g-d10", GRAY),
    ("c32-r-[c64s2-b]-r-g-d10", COLOUR), ("c32-r-[c32s2-b-r-c32-b]-r-g-d10", COLOUR), ("c8-[c8p0-r]-g-d10", GRAY),
    ("c8-r-[c16-b]-g-d10", GRAY), ("c8-[p2]-g-d10", GRAY), ("c8-r-[f]-d10", GRAY),
    ("(c8,c8s2)-g-d10", COLOUR), ("(c8,c8k5p0)-r-g-d10", GRAY), ("c8-r-(c8,p3)-g-d10", GRAY),
    ("c8-r-g-d7", GRAY), ("c8-r-g", GRAY), ("c8-r", GRAY), ("f-d64-r", COLOUR), ("c8-r-p2-c16-r-p2", TINY),
]
"""Designs that cannot be trained, for ten classes."""


def trains(network, takes, classes=6):
    """One step down the gradient from a batch of noise: whether everything in it is a number."""
    model = build(network, takes, np.random.default_rng(0))
    optimizer = SGD(model.parameters(), lr=0.01)
    x = np.random.default_rng(1).standard_normal((6, *takes)).astype(np.float32)
    loss = loss_of(model(Tensor(x)), np.arange(6) % classes)
    loss.backward()
    optimizer.step()
    return np.isfinite(loss.item()) and all(np.isfinite(p.data).all() for p in model.parameters())


@pytest.mark.parametrize(("text", "takes"), STOPS)
def test_a_wrong_design_gets_a_sentence_with_both_layers_and_both_sizes(text, takes):
    found = [f for f in faults(network_of(text), takes, 10) if f.level == STOP]
    assert len(found) == 1
    sentence = found[0].sentence
    layers = re.findall(r"[Pp]art \d+(?:, branch \d+, part \d+)* \(|the picture|branch \d+ \(|its way|its shortcut|"
                        r"classes", sentence)
    sizes = re.findall(r"\d+ × \d+|\d+ numbers?|\d+ groups|\d+ pixels|\d+ classes|\d+ maps?|one row of numbers|"
                       r"rows and columns", sentence)
    assert len(layers) >= 2, sentence
    assert len(sizes) >= 2, sentence
    assert sentence.endswith(".")


def test_of_forty_wrong_designs_at_least_32_train_after_their_first_cures():
    assert len(STOPS) == 40
    cured = 0
    for text, takes in STOPS:
        network = network_of(text)
        for _ in range(4):  # a cure may bring the next fault to light
            stops = [f for f in faults(network, takes, 10) if f.level == STOP]
            if not stops or not stops[0].cures:
                break
            network = edited(network, stops[0].cures[0].edit)
        cured += not any(f.level == STOP for f in faults(network, takes, 10)) and trains(network, takes)
    assert cured >= 36


@pytest.mark.parametrize(("text", "level", "words", "cured"), [
    ("c8-c8-r-g-d10", WARN, "one linear layer", "c8-r-c8-r-g-d10"),
    ("f-d32-d10", WARN, "one linear layer", "f-d32-r-d10"),
    ("c8-b-r-g-d10", NOTE, "biases", "c8n-b-r-g-d10"),
    ("c8-r-g-d10-sm", WARN, "once more", "c8-r-g-d10"),
    ("c8-r-g-d10-sm-sm", WARN, "softmax twice", "c8-r-g-d10-sm"),
    ("c8-r-g-d10-r", WARN, "below 0", "c8-r-g-d10"),
    ("c8-r-g-d10-o0.5", WARN, "at random", "c8-r-g-d10"),
    ("c8-r-f-d128-r-d10", NOTE, "weights", "c8-r-g-d128-r-d10"),
    ("c8-r-p7-c8-r-p4-c8-r-g-d10", WARN, "padding", "c8-r-p7-c8-r-p4-c8k1-r-g-d10"),
    ("c8k2s4-r-g-d10", WARN, "never seen", "c8k2s2-r-g-d10"),
    ("f-f-d10", NOTE, "in a row already", "f-d10"),
    ("c8-r-[]-g-d10", NOTE, "holds no layer", "c8-r-g-d10"),
    ("c8-r-g-d10", NOTE, "never seen whole", "c8-r-p2-g-d10"),
    ("f-" + "d16-sg-" * 9 + "d10", WARN, "smaller at each", "f-d16-r-" + "d16-sg-" * 8 + "d10"),
])
def test_a_doubtful_design_gets_a_sentence_and_its_cure(text, level, words, cured):
    found = [f for f in faults(network_of(text), GRAY, 10) if words in f.sentence]
    assert [f.level for f in found[:1]] == [level]
    assert edited(network_of(text), found[0].cures[0].edit) == network_of(cured)
    assert not any(f.level == STOP for f in faults(network_of(text), GRAY, 10))


@pytest.mark.parametrize("text", ["c16n-b-r-p2-c32n-b-r-p2-c32n-b-r-g-d10", "f-d10",
                                  "c32k5n-b-r-p2-[c32n-b-r-c32n-b]-r-p2-g-d10",
                                  "c16n-b-r-[c32s2n-b-r-c32n-b:c32k1s2n-b]-r-p2-g-d10"])
def test_a_sound_design_has_no_fault(text):
    assert [f for f in faults(network_of(text), GRAY, 10) if f.level != NOTE] == []


def test_where_a_batch_and_not_the_weights_takes_the_memory_it_is_said_so():
    network = network_of("{c64-r-c64}-r-g-d10")
    assert STOP not in {one.level for one in faults(network, GRAY, 10, batch=32, memory=200 * 2**20)}
    found = faults(network, GRAY, 10, batch=256, memory=200 * 2**20)
    assert "smaller batches take less" in found[0].sentence
    assert found[0].path == (0, 0, 2)
    assert walk(edited(network, found[0].cures[0].edit), GRAY).memory(256) < walk(network, GRAY).memory(256)


def test_a_network_too_large_for_the_memory_is_refused_with_the_number_and_a_cure():
    found = faults(network_of("c64-r-f-d2048-r-d10"), GRAY, 10, memory=200 * 2**20)
    assert found[0].level == STOP
    assert "MB" in found[0].sentence
    cured = edited(network_of("c64-r-f-d2048-r-d10"), found[0].cures[0].edit)
    assert faults(cured, GRAY, 10, memory=200 * 2**20)[:1] != found[:1]


@pytest.mark.parametrize(("text", "scores"), [
    ("g-d1-{}", "g-d1-{}"), ("g-d1-sg-{}", "g-d1-{}"), ("g-d1-{sg}-{{}-{}}", "g-d1-{{}-{}}"),
    ("g-{d1-sg-{}}", "g-{d1-{}}"),
    ("g-d1-sg-[]", "g-d1-sg-[]"),  # that doubles what comes: the sigmoid is not the last
])
def test_brackets_round_nothing_at_the_end_do_not_hide_the_last_sigmoid(text, scores):
    found = scoring(network_of(text), GRAY)
    assert spelled(found) == scores
    assert trains(found, GRAY, classes=2)


def test_one_score_is_enough_for_two_classes():
    assert not [f for f in faults(network_of("c8-r-g-d1-sg"), GRAY, 2, from_scores=False) if f.level == STOP]
