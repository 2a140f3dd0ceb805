"""The Augmentation page: it opens, draws what the pipeline says, answers by counting, compares, and its code runs."""

import pytest

from playground.training import runs
from playground.ui import augmentation
from tests.pages.on_a_page import OpenPage, printed, texts
from tests.waiting import ended


@pytest.mark.parametrize("query", [
    {}, {"steps": "noise", "noise": "0"}, {"mix": "mixup", "picture": "Handwritten digit"},
    {"mix": "cutmix", "alpha": "0.1"}, {"steps": ",".join(augmentation.KNOBS), "rotate": "180", "erase": "0.9"},
], ids=["default", "nothing", "mixup of digits", "cutmix", "everything"])
def test_it_opens_with_any_pipeline(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("augmentation", **query)
    assert not app.exception
    assert not app.error
    said = texts(app)
    assert ("Two pictures, one label" in said) == ("mix" in query)
    if query.get("steps") == "noise":
        assert "0.0 gray levels away" in said


@pytest.mark.parametrize("reach", [0, 8])
def test_the_question_is_answered_by_counting(open_page: OpenPage, reach: int) -> None:
    app = open_page("augmentation", reach=str(reach))
    app.radio(key=f"guess-{reach}").set_value(2 * (2 * reach + 1) ** 2).run()
    assert app.success[0].value.startswith("Yes")


@pytest.mark.slow
def test_both_networks_are_trained_once_with_the_pipeline_of_the_page(open_page: OpenPage) -> None:
    query = {"epochs": "10", "samples": "60", "trial": augmentation.OWN, "steps": "rotate", "rotate": "20"}
    app = open_page("augmentation", **query)
    app.button(key="go-augmentation").click().run()
    assert not app.exception
    (run_id,) = runs.run_ids()
    assert runs.view(run_id).spec.request["augment"] == {"rotate": 20.0}
    ended(run_id)
    app.run()
    assert not app.exception
    assert "points may be chance" in app.success[0].value


def test_the_code_on_the_page_runs_and_the_engine_and_torch_agree() -> None:
    assert printed(augmentation.CODE["Our engine"]) == printed(augmentation.CODE["PyTorch"])
    compile(augmentation.CODE["Keras"], "keras", "exec")
    pipeline = augmentation.PIPELINE.format(arguments="mirror=0.5, rotate=15")
    assert printed(pipeline).strip() == "(300, 451, 3) uint8"
