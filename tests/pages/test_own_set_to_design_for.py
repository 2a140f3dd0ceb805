"""A set of one's own as data of the designer: offered where its address is, its pictures shown to nobody else."""

from streamlit.testing.v1 import AppTest

from playground import jobs
from playground.datasets import collection, intake, named, small_photos
from playground.training.runs import runs
from playground.training.runs.log import EventLog
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.ui.network import building
from playground.ui.studio import own_set
from tests.pages.on_a_page import OpenPage, errors, texts
from tests.playground.test_workspaces import photo

LABEL = "pets (your photos)"
HIDDEN = "shown only to whoever has their set"


def made() -> str:
    """A set with three photographs in each of two classes, and a third class with too few."""
    found = collection.create("pets", ["cats", "dogs", "fish"])
    for label, grays in (("cats", (10, 30, 50)), ("dogs", (200, 220, 240)), ("fish", (100,))):
        intake.add(found.set_id, label, [(f"{gray}.png", photo(gray)) for gray in grays])
    return found.set_id


def test_an_own_set_is_offered_where_its_address_is(open_page: OpenPage) -> None:
    set_id = made()
    assert LABEL not in open_page("train").selectbox(key="data").options
    app = open_page("train", set=set_id, data=LABEL, network="f-d2")
    assert errors(app) == []
    assert app.selectbox(key="data").value == LABEL
    data = app.session_state[building.REQUEST]["data"]
    training, test = named.load(data)
    assert training.classes == ("cats", "dogs")
    assert (len(training), len(test), training.images.shape[1:]) == (4, 2, (32, 32, 3))
    assert jobs.public_name(data) == "an own set"


def said(app: AppTest) -> str:
    """The words as a reader sees them."""
    return texts(app).replace("\\", "")


def test_what_is_wrong_with_its_photographs_is_said_where_it_is_chosen(open_page: OpenPage) -> None:
    set_id = made()
    app = open_page("train", set=set_id, data=LABEL, network="f-d2")
    assert "the very same file" not in said(app)
    intake.add(set_id, "dogs", [("again.png", photo(10))])
    app = open_page("train", set=set_id, data=LABEL, network="f-d2")
    assert errors(app) == []
    assert "1 photo is in two classes, the very same file (cats and dogs): one of them is wrong." in said(app)


def test_the_pictures_of_a_run_on_an_own_set_are_shown_with_its_address_alone(open_page: OpenPage) -> None:
    set_id = made()
    data = small_photos.named_photos(own_set.folder_of(set_id), 32)
    spec = RunSpec("digits", {"data": data, "network": "f-d2", "epochs": 1, "batch_size": 2}, 0, "pets")
    run = runs.new_folder()
    runs.write_spec(run, spec, "cpu")
    log = EventLog(run / "events.jsonl")
    for event in numpy_fit.fit(spec, run, lambda: False):
        log.append(event)
    log.close()
    assert str(own_set.folder_of(set_id)) in own_set.in_use()
    for address, hidden in (({}, True), ({"set": "0" * 32}, True), ({"set": set_id}, False)):
        app = open_page("network", model="training pets", **address)
        assert not app.exception
        assert "training pets" in app.selectbox(key="model").options
        page = open_page("train", run=run.name, **address)
        assert (HIDDEN in "\n".join((texts(page), *errors(page)))) == hidden, address
