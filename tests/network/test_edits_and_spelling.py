"""Spelling there and back, edits that never break, undo to the byte, and what-if tables."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.errors import PlaygroundError
from playground.network import presets, report
from playground.network.edits import ACTIONS, Edit, History, edited, label, stepped, what_if
from playground.network.faults import STOP, faults
from playground.network.kinds import KINDS
from playground.network.parts import Network, everything, leaves, part
from playground.network.shapes import walk
from playground.network.spelling import network_of, spelled
from tests.network.designs import SHAPES, random_design, random_edit


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_is_spelled_and_read_back(name):
    network = presets.preset(name).network((1, 28, 28), 10)
    assert network_of(spelled(network)) == network
    assert Network.from_dict(json.loads(json.dumps(network.as_dict()))) == network


@pytest.mark.slow
def test_random_designs_are_spelled_and_read_back():
    rng = np.random.default_rng(3)
    for _ in range(300):
        network = random_design(rng, SHAPES[rng.integers(4)], 10)
        text = spelled(network)
        assert network_of(text) == network
        assert spelled(network_of(text)) == text
        assert Network.from_dict(json.loads(json.dumps(network.as_dict()))) == network


def test_every_field_of_every_kind_is_spelled():
    for kind in KINDS.values():
        for declared in kind.fields:
            for value in stepped(part(kind.name), declared).values():
                one = Network((part(kind.name, **{declared.name: value}),))
                assert network_of(spelled(one)) == one


def test_twenty_layers_take_at_most_300_characters():
    text = "-".join(["c128k5s2p1n-b-r"] * 6 + ["g", "d10"])
    assert sum(1 for _ in everything(network_of(text).parts)) == 20
    assert len(spelled(network_of(text))) <= 300


@given(st.text(alphabet="cdwpagbrlnost0123456789-[](){}:,. k", max_size=60) | st.text(max_size=30))
def test_any_text_is_a_network_or_a_sentence(text):
    try:
        network = network_of(text)
    except PlaygroundError:
        return
    assert network_of(spelled(network)) == network
    faults(network, (1, 28, 28), 10)


def bracketed(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    brackets = st.sampled_from(("{{{}}}", "[{}]", "[:{}]", "({},)"))
    return st.lists(st.builds(str.format, brackets, inside), max_size=3).map("-".join)


@given(st.recursive(st.just(""), bracketed))
def test_brackets_alone_are_no_layer_and_every_cure_of_that_ends_in_scores(text):
    network = network_of(text)
    found = report.report(network, (1, 28, 28), 10)
    assert report.report_text(found)
    if walk(network, (1, 28, 28)).stopped is None:
        first = next(fault for fault in found["faults"] if fault["level"] == STOP)
        assert "There is no layer yet" in first["sentence"]
        assert all(walk(network_of(cure["spelling"]), (1, 28, 28)).gives == (10,) for cure in first["cures"])


@pytest.mark.parametrize("text", ["r", "{r}", "[r]-{}", "[]"])
def test_no_cure_leaves_a_network_without_a_layer(text):
    for fault in report.report(network_of(text), (1, 28, 28), 10)["faults"]:
        assert all(any(leaves(network_of(cure["spelling"]).parts)) for cure in fault["cures"])


@pytest.mark.parametrize("text", ["-".join(["c1k1s64"] * 180), "-".join(["u16"] * 300 + ["g"]),
                                  "-".join(["c1k1s64"] * 180 + ["c1", "u16", "c1", "g"])])
def test_however_many_strides_what_is_seen_is_a_number(text):
    walked = walk(network_of(text), (1, 28, 28))
    assert all(row.field >= 1 for row in walked.rows)
    assert report.report_text(report.report(network_of(text), (1, 28, 28), 10))


def test_a_network_sees_what_the_widest_way_through_its_last_part_sees():
    assert walk(network_of("[c8-c8:c8k1]"), (1, 28, 28)).field == walk(network_of("c8-c8"), (1, 28, 28)).field == 5


@pytest.mark.parametrize("text", ["[" * 2000, "c8-" * 1300, "c8" + "9" * 3000, "c8k99999999999", "o1e9", "c8--r", "-",
                                  "[]]"])
def test_nonsense_is_a_sentence(text):
    with pytest.raises(PlaygroundError):
        network_of(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["version", "parts", "kind", "branches", "filters", "x"]), inner, max_size=4),
                    max_leaves=8))
def test_any_json_is_a_network_or_a_sentence(data):
    for read in (Network.from_dict, History.from_dict, Edit.from_dict):
        with contextlib.suppress(PlaygroundError):
            read(data)


@pytest.mark.slow
def test_ten_thousand_random_edits_give_a_network_or_a_sentence():
    rng = np.random.default_rng(4)
    network, made, refused = presets.preset("resnet8").network((1, 28, 28), 10), 0, 0
    for _ in range(10_000):
        edit = random_edit(rng, network)
        try:
            label(network, edit)
            after = edited(network, edit)
        except PlaygroundError:
            refused += 1
            continue
        made += 1
        walk(after, (1, 28, 28))
        if made % 25 == 0:
            faults(after, (1, 28, 28), 10)
        network = after if len(spelled(after)) < 300 else presets.preset("vgg6").network((1, 28, 28), 10)
    assert made > 2000
    assert refused > 500


@pytest.mark.slow
def test_five_hundred_edits_are_undone_and_redone_to_the_byte():
    rng = np.random.default_rng(5)
    history = History.of(presets.preset("resnet8").network((1, 28, 28), 10))
    texts = [history.texts[0]]
    while len(texts) <= 500:
        try:
            after = history.after(random_edit(rng, history.network))
        except PlaygroundError:
            continue
        if after is history or len(after.texts[-1]) > 400:
            continue
        history = after
        texts.append(history.texts[history.at])
    history = History.from_dict(json.loads(json.dumps(history.as_dict())))  # as after a reload
    for text in reversed(texts):
        assert spelled(history.network).encode() == text.encode()
        history = history.undone()
    assert history.can_undo == ""
    for text in texts:
        assert spelled(history.network).encode() == text.encode()
        history = history.redone()
    assert history.can_redo == ""


@pytest.mark.parametrize(("before", "edit", "after", "words"), [
    ("c8-r", Edit("insert", (1,), text="b"), "c8-b-r", "Insert batch norm as part 2"),
    ("c8-r", Edit("remove", (1,)), "c8", "Remove ReLU (part 2)"),
    ("c8-r-p2", Edit("move", (2,), to=(1,)), "c8-p2-r", "Move max pooling from part 3 to part 2"),
    ("c8-r-p2", Edit("move", (0,), to=(3,)), "r-p2-c8", "Move convolution from part 1 to part 4"),
    ("c8-[r]-p2", Edit("move", (2,), to=(1, 0, 1)), "c8-[r-p2]",
     "Move max pooling from part 3 to part 2, branch 1, part 2"),
    ("c8-[r-p2]", Edit("move", (1, 0, 1), to=(0,)), "p2-c8-[r]",
     "Move max pooling from part 2, branch 1, part 2 to part 1"),
    ("c8-r", Edit("set", (0,), name="bias", value=0), "c8n-r", "Bias of part 1: yes → no"),
    ("c8-b-r", Edit("wrap", (0,), count=2), "[c8-b]-r", "Put a shortcut round 2 from part 1"),
    ("[c8-b]-r", Edit("unwrap", (0,)), "c8-b-r", "Take the brackets of part 1 away"),
    ("[c8-b]-r", Edit("shortcut", (0,), text="c8k1"), "[c8-b:c8k1]-r", "Shortcut of part 1: convolution"),
    ("c8-r", Edit("replace", (1,), text="ge"), "c8-ge", "ReLU (part 2) → GELU"),
    ("c8-r-c6k5-th-a2", Edit("again", (5,)), "c8-r-c6k5-th-a2-c6k5-th-a2", "Insert 3 parts again as part 6"),
    ("[c8-b]-r", Edit("again", (2,)), "[c8-b]-r-[c8-b]-r", "Insert 2 parts again as part 3"),
    ("[c8-b]-r", Edit("again", (0, 0, 1)), "[c8-c8-b]-r", "Insert convolution again as part 1, branch 1, part 2"),
])
def test_an_edit_does_what_its_label_says(before, edit, after, words):
    assert spelled(edited(network_of(before), edit)) == after
    assert label(network_of(before), edit) == words
    assert edit.action in ACTIONS


@pytest.mark.parametrize(("text", "path"), [("r-p2", (2,)), ("c8-f-r", (3,)), ("c8-g", (2,)), ("c8", (0,))])
def test_what_is_no_run_of_layers_is_not_put_there_again(text, path):
    with pytest.raises(PlaygroundError, match="there is nothing to insert again"):
        edited(network_of(text), Edit("again", path))


@pytest.mark.parametrize(("path", "count", "words"), [
    ((1,), 9, "From part 2 on there are 2 parts, not 9."), ((2,), 2, "From part 3 on there is 1 part, not 2."),
    ((2, 0, 0), 3, "From part 3, branch 1, part 1 on there are 2 parts, not 3."),
    ((7,), 1, "There is no part 8 to change."), ((2, 1, 0), 1, "There is no part 3, branch 2, part 1 to change."),
])
def test_brackets_round_more_parts_than_follow_are_refused_with_their_number(path, count, words):
    with pytest.raises(PlaygroundError) as refused:
        edited(network_of("c8-r-[c8-r]"), Edit("wrap", path, text="[", count=count))
    assert str(refused.value) == words


def test_what_if_tells_each_neighbours_counts_and_what_breaks():
    network = network_of("c8-r-p2-f-d10")
    table = what_if(network, (1, 8, 8))
    for neighbour in table:
        after = walk(edited(network, neighbour.edit), (1, 8, 8))
        assert neighbour.parameters == after.parameters
        assert neighbour.fault == (after.stopped.path if after.stopped else None)
    doubled = next(n for n in table if n.step == "double" and n.edit.name == "filters")
    assert doubled.parameters == 16 * 10 + 16 * 16 * 10 + 10
    assert next(n for n in table if n.step == "out" and n.edit.path == (3,)).fault == (3,)
