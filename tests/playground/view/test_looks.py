"""What a browser may ask of a look: answers hold, a bad question is answered with a sentence, nothing is changed."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.view import frames, looks
from playground.view.looks import LIVE, Look, answer, opened
from tests.playground.view.networks import TAKES, design, pictures

EPOCHS = (0, 1, 4)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    """Every test has looks of its own."""
    for name in ("_LOOKS", "_SOURCES", "_SEEN", "_BUSY"):
        monkeypatch.setattr(looks, name, type(getattr(looks, name))())


class Training:
    """A design with other weights after every epoch."""

    def __init__(self, text="usual"):
        self.designs = {str(epoch): design(text, seed=epoch) for epoch in EPOCHS}
        self.designs[""] = self.designs["4"]
        self.live, self.asked = design(text, seed=9), []
        self.version = "live 1"

    def __call__(self, epoch):
        self.asked.append(epoch)
        return (self.live, self.version) if epoch == LIVE else (self.designs[epoch], f"epoch {epoch}")


def look(source=None, x=None, key="run", **more):
    return Look(key, source or Training(), pictures() if x is None else x, np.zeros((12, 12, 3), np.uint8), label=2,
                crowd=pictures(count=5, seed=7), epochs=EPOCHS,
                changes={"1": {"0.weight": 0.01}}, **more)


def asked(token, what, **query):
    return answer(token, what, query)


def read(token, what, **query):
    return json.loads(asked(token, what, **query).body)


def test_a_network_is_described_before_it_is_drawn():
    token = opened(look())
    said = read(token, "structure")
    trace = design("usual", seed=4).run(pictures())
    assert [(row["i"], row["sort"], tuple(row["shape"]), tuple(row["sources"])) for row in said["parts"]] == [
        (part.index, part.sort.key, part.shape, part.sources) for part in trace.parts]
    assert said["takes"] == list(TAKES)
    assert said["epochs"] == list(EPOCHS)
    assert said["modes"] is True
    assert said["labels"] == ["class 0", "class 1", "class 2", "class 3"]
    assert said["scores"] == 4
    assert said["picture"] == {"h": 12, "w": 12}
    assert said["parts"][0]["weights"] == [["0.weight", [32, 1, 3, 3]]]


def test_a_frame_is_that_of_the_epoch_asked_for():
    token = opened(look())
    for epoch in ("", "0", "1", "4", LIVE):
        header, _ = frames.unpacked(asked(token, "frame", parts="0,1", epoch=epoch).body)
        source = design("usual", seed={"": 4, LIVE: 9}.get(epoch, int(epoch) if epoch.isdigit() else 0))
        assert header["logits"] == pytest.approx(source.scores(pictures())[0].tolist(), rel=1e-5)
    header, _ = frames.unpacked(asked(token, "frame", parts="0", epoch="1").body)
    assert header["dw"]["0"] == 0.01


def test_in_training_mode_the_crowd_goes_through_beside_the_picture():
    token = opened(look())
    header, _ = frames.unpacked(asked(token, "frame", parts="0", mode="train").body)
    rest, _ = frames.unpacked(asked(token, "frame", parts="0").body)
    assert header["logits"] != rest["logits"]
    assert len(header["logits"]) == 4


def test_a_held_scale_is_that_of_another_epoch():
    token = opened(look())
    held, _ = frames.unpacked(asked(token, "frame", parts="0.3", epoch="0").body)
    now, _ = frames.unpacked(asked(token, "frame", parts="0.3", epoch="1", hold="0").body)
    own, _ = frames.unpacked(asked(token, "frame", parts="0.3", epoch="1").body)
    assert [row["limit"] for row in now["parts"]] == [row["limit"] for row in held["parts"]]
    assert [row["limit"] for row in own["parts"]] != [row["limit"] for row in held["parts"]]


def test_a_layer_alone_is_held_as_in_the_network():
    token = opened(look())
    (whole,), (alone,) = (frames.unpacked(asked(token, what, **{name: "3"}, epoch="1", hold="0").body)[0]["parts"]
                          for what, name in (("frame", "parts"), ("layer", "part")))
    assert alone["limit"] == whole["limit"]


def limits(one, what="frame", **query):
    """The full colours of parts 0 and 3."""
    return [row["limit"] for row in frames.unpacked(asked(opened(one), what, parts="0.3", **query).body)[0]["parts"]]


@pytest.mark.parametrize("more", [{}, {"scale": "network"}, {"mode": "train"}])
def test_what_stands_beside_is_drawn_in_the_same_full_colours(more):
    training = Training()
    first = look(training)
    alone = Look("run at 0", lambda _: training("0"), first.x, first.shown, 2, first.crowd)
    beside = replace(alone, like=first)
    assert limits(beside, **more) == limits(first, epoch="0", hold="4", **more)
    assert limits(beside, **more) != limits(alone, **more)
    other = replace(alone, key="other", source=Training("lenet5"))
    assert limits(replace(other, like=first), **more) == limits(other, **more)  # it has other parts


@pytest.mark.parametrize("back", ["", "loss:2", "score:0", "number:4:1.2.3"])
def test_every_question_about_every_part_is_answered(back):
    token = opened(look())
    query = {"back": back} if back else {}
    parts = read(token, "structure")["parts"]
    last = int(back.split(":")[1]) if back.startswith("number") else len(parts) - 1
    asked(token, "picture", **query)
    for row in parts:
        i = str(row["i"])
        assert len(asked(token, "layer", part=i, **query).body) <= 300_000
        asked(token, "map", part=i, channel=str(row["shape"][0] - 1), **query)
        place = ".".join(str(n - 1) for n in row["shape"])
        said = asked(token, "number", part=i, place=place, **query)
        assert len(said.body) <= 8 * 2**10
        told = json.loads(said.body)
        if back and row["i"] <= last:
            assert told["gradient"] is not None
        about = read(token, "about", part=i)
        assert about["what"]
        if row["sort"] in ("conv", "dense"):
            told = read(token, "weight", part=i, channel="1", at="2", **query)
            assert told["name"] == row["weights"][0][0]
            assert ("shares" in told) == bool(back)
            assert bool(told.get("shares")) == bool(back and row["i"] <= last)
    if back:
        assert [step["part"] for step in read(token, "steps", **query)][-1] == 0


def test_the_picture_is_what_the_network_sees_and_its_gradient():
    token = opened(look())
    assert asked(token, "picture").body == bytes(12 * 12 * 3)
    header, body = frames.unpacked(asked(token, "picture", back="loss:2").body)
    assert (header["h"], header["w"], len(body)) == (12, 12, 144)


BAD = [
    ("structure", {"epoch": "2"}), ("structure", {"epoch": "-1"}), ("structure", {"epoch": "²"}),
    ("structure", {"epoch": "9" * 5000}), ("structure", {"epoch": "01"}), ("structure", {"epoch": "live2"}),
    ("frame", {}), ("frame", {"parts": ""}), ("frame", {"parts": "a"}), ("frame", {"parts": "-1"}),
    ("frame", {"parts": "99"}), ("frame", {"parts": "99999999"}), ("frame", {"parts": ",".join(["0"] * 121)}),
    ("frame", {"parts": "0,"}), ("frame", {"parts": "٣"}), ("frame", {"parts": "0", "scale": "x"}),
    ("frame", {"parts": "0", "side": "0"}), ("frame", {"parts": "0", "side": "65"}),
    ("frame", {"parts": "0", "most": "0"}), ("frame", {"parts": "0", "most": "1e9"}),
    ("frame", {"parts": "0", "most": "9" * 5000}), ("frame", {"parts": "0", "hold": "7"}),
    ("frame", {"parts": "0", "hold": "²"}), ("frame", {"parts": "0", "back": "loss"}),
    ("frame", {"parts": "0", "back": "loss:4"}), ("frame", {"parts": "0", "back": "score:-1"}),
    ("frame", {"parts": "0", "back": "number:99:0"}), ("frame", {"parts": "0", "back": "number:0:0.0.99"}),
    ("frame", {"parts": "0", "back": "number:0:"}), ("frame", {"parts": "0", "back": "\udcff"}),
    ("picture", {"back": "nothing"}), ("layer", {"part": "99"}), ("layer", {"part": "-1"}), ("layer", {"part": ""}),
    ("layer", {"part": "0", "scale": "x"}), ("layer", {"part": "1.5"}), ("map", {"part": "0", "channel": "32"}),
    ("map", {"part": "0", "channel": "-1"}), ("map", {"part": "nan"}), ("number", {}), ("number", {"part": "0"}),
    ("number", {"part": "0", "place": "0"}), ("number", {"part": "0", "place": "0.0.99"}),
    ("number", {"part": "0", "place": "0.0.0.0.0"}), ("number", {"part": "0", "place": "x.y.z"}),
    ("number", {"part": "99", "place": "0"}), ("weight", {"part": "0", "at": "999"}), ("weight", {"part": "1"}),
    ("weight", {"part": "0", "channel": "32"}), ("weight", {"part": "0", "at": "-1"}),
    ("weight", {"part": "0", "back": "loss:9"}), ("about", {"part": "99"}), ("steps", {}),
    ("nonsense", {}), ("", {}), ("__class__", {}), ("structure" * 50, {}),
]


@pytest.fixture(scope="module")
def source():
    return Training("lenet5")


@pytest.mark.parametrize(("what", "query"), BAD)
def test_a_bad_question_is_answered_with_a_sentence(what, query, source):
    token = opened(look(source))
    with pytest.raises(PlaygroundError) as refused:
        answer(token, what, query)
    said = str(refused.value)
    assert said.endswith(".")
    assert len(said) < 300


@pytest.mark.parametrize("token", ["", "0" * 32, "../etc", "²", "\udcff"])
def test_an_unknown_name_is_answered_with_a_sentence(token):
    with pytest.raises(PlaygroundError, match="put away"):
        answer(token, "structure", {})


def test_equal_looks_have_one_name_and_other_pictures_others():
    training, x = Training("lenet5"), pictures()
    same = opened(look(training, x))
    assert opened(look(training, x.copy())) == same
    others = [look(training, x + 1e-6), look(training, x, key="another"), replace(look(training, x), label=1),
              replace(look(training, x), crowd=None), replace(look(training, x), crowd=pictures(count=2)),
              replace(look(training, x), like=look(training, x)),
              look(training, np.ascontiguousarray(x.reshape(1, 1, 6, 24)))]
    names = [same, *(opened(one) for one in others)]
    assert len(set(names)) == len(names)
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


def test_what_is_kept_of_a_look_is_what_was_said_last():
    """A training goes on: the same look has more epochs now."""
    training = Training("lenet5")
    token = opened(replace(look(training), epochs=(0,)))
    with pytest.raises(PlaygroundError, match="Nothing is kept"):
        asked(token, "structure", epoch="1")
    assert opened(look(training)) == token
    assert read(token, "structure", epoch="1")["epochs"] == list(EPOCHS)


def test_looks_opened_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(looks, "MOST_LOOKS", 3)
    training = Training("linear")
    tokens = [opened(look(training, pictures(seed=k))) for k in range(3)]
    opened(look(training, pictures(seed=0)))  # used again
    opened(look(training, pictures(seed=3)))
    asked(tokens[0], "structure")
    with pytest.raises(PlaygroundError, match="put away"):
        asked(tokens[1], "structure")
    asked(tokens[2], "structure")


def test_large_pictures_are_forgotten_sooner(monkeypatch):
    training = Training("linear")
    monkeypatch.setattr(looks, "LOOK_BYTES", int(2.5 * look(training).bytes))
    tokens = [opened(look(training, pictures(seed=k))) for k in range(3)]
    with pytest.raises(PlaygroundError, match="put away"):
        asked(tokens[0], "structure")
    for token in tokens[1:]:
        asked(token, "structure")


def test_many_pictures_do_not_fill_the_memory(monkeypatch):
    training = Training("lenet5")
    one = training.live.run(pictures())
    monkeypatch.setattr(looks, "TRACE_BYTES", int(2.5 * one.bytes))
    tokens = [opened(look(training, pictures(seed=k))) for k in range(5)]
    for token in tokens:
        asked(token, "frame", parts="0")
        asked(token, "frame", parts="0", back="loss:0")
        assert sum(seen.bytes for seen in looks._SEEN.values()) <= looks.TRACE_BYTES or len(looks._SEEN) == 1
    assert len(looks._SEEN) < 5
    asked(tokens[0], "frame", parts="0")  # computed anew
    for label in range(4):
        for place in range(5):
            asked(tokens[0], "frame", parts="0", back=f"number:0:{label}.{place}.0")
    assert len(next(reversed(looks._SEEN.values())).gradients) <= looks.MOST_GRADIENTS


def test_an_epoch_is_loaded_once_and_the_live_weights_every_time():
    training = Training("linear")
    token = opened(look(training))
    for _ in range(3):
        asked(token, "frame", parts="0", epoch="1")
        asked(token, "frame", parts="0", epoch=LIVE)
    assert training.asked.count("1") == 1
    assert training.asked.count(LIVE) >= 3  # for the version, which is read quickly, and for the weights


def test_what_a_training_has_gone_past_takes_no_memory():
    training = Training("linear")
    token = opened(look(training))
    asked(token, "frame", parts="0", epoch="1")
    for number in range(5):
        training.live, training.version = design("linear", seed=number), f"live {number}"
        asked(token, "frame", parts="0", epoch=LIVE)
        asked(token, "frame", parts="0", epoch=LIVE, mode="train")
    assert sorted(version for known, version, _ in looks._SEEN if known == token) == ["epoch 1", "live 4"]


def test_live_answers_change_with_the_weights_and_are_not_kept_by_the_browser():
    training = Training("linear")
    token = opened(look(training))
    first = asked(token, "frame", parts="0,1", epoch=LIVE)
    again = asked(token, "frame", parts="0,1", epoch=LIVE)
    training.live, training.version = design("linear", seed=33), "live 2"
    later = asked(token, "frame", parts="0,1", epoch=LIVE)
    assert (first.body, first.etag) == (again.body, again.etag)
    assert later.body != first.body
    assert later.etag != first.etag
    assert not first.lasting
    kept = asked(token, "frame", parts="0,1", epoch="1")
    assert kept.lasting
    held = asked(token, "frame", parts="0,1", epoch="1", hold=LIVE)
    assert not held.lasting
    training.live, training.version = design("linear", seed=34), "live 3"
    assert asked(token, "frame", parts="0,1", epoch="1", hold=LIVE).etag != held.etag


def test_answers_to_other_questions_have_other_tags():
    token = opened(look())
    questions = [("frame", {"parts": "0"}), ("frame", {"parts": "1"}), ("frame", {"parts": "0", "epoch": "0"}),
                 ("frame", {"parts": "0", "mode": "train"}), ("frame", {"parts": "0", "back": "loss:1"}),
                 ("layer", {"part": "0"}), ("structure", {})]
    tags = [answer(token, what, query).etag for what, query in questions]
    assert len(set(tags)) == len(tags)


QUESTIONS = [("structure", {}), ("frame", {"parts": "0,1,2,3", "back": "loss:1"}), ("frame", {"parts": "0,3"}),
             ("layer", {"part": "0", "back": "score:2"}), ("number", {"part": "3", "place": "1.2.3", "back": "loss:1"}),
             ("frame", {"parts": "0,3", "mode": "train"}), ("map", {"part": "0", "channel": "3", "back": "loss:1"})]


def test_threads_that_ask_at_once_get_the_same_bytes():
    training = Training("usual")
    first, second = (opened(look(training, pictures(seed=k))) for k in (1, 2))
    alone = {(token, what, str(query)): answer(token, what, query).body
             for token in (first, second) for what, query in QUESTIONS}
    looks._SEEN.clear()
    looks._SOURCES.clear()
    ready = threading.Barrier(4)

    def ask(k):
        ready.wait()
        order = QUESTIONS[k % len(QUESTIONS):] + QUESTIONS[: k % len(QUESTIONS)]
        return [((token, what, str(query)), answer(token, what, query).body)
                for token in ((first, second) if k % 2 else (second, first)) for what, query in order]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(ask, range(4)):
            for key, body in found:
                assert body == alone[key], key


def test_looking_changes_no_weight_no_gradient_and_no_statistic():
    training = Training("usual")
    token = opened(look(training))
    source = training.designs["1"]
    for weight in source.weights().values():
        weight.grad = np.full(weight.shape, 3, np.float32)
    before = {name: array.copy() for name, array in source.model.state_dict().items()}
    for what, query in QUESTIONS:
        answer(token, what, {**query, "epoch": "1"})
        answer(token, what, {**query, "epoch": "1", "mode": "train"})
    for name, array in source.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert all(np.all(weight.grad == 3) for weight in source.weights().values())


def test_a_network_without_modes_is_asked_for_training_in_vain():
    token = opened(look(Training("lenet5")))
    assert read(token, "structure")["modes"] is False
    assert asked(token, "frame", parts="0", mode="train").body == asked(token, "frame", parts="0").body


def test_a_source_that_cannot_be_read_says_so():
    def broken(epoch):
        raise PlaygroundError("The run has been deleted.")

    token = opened(look(broken))
    with pytest.raises(PlaygroundError, match="has been deleted"):
        asked(token, "frame", parts="0")
