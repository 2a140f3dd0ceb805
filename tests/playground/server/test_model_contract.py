"""What the routes of the models answer is what their OpenAPI document says, whatever is asked (schemathesis)."""

import io
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from PIL import Image
from schemathesis import GenerationMode, checks
from starlette.applications import Starlette
from starlette.routing import Mount

from playground import home
from playground.server import inference, middleware, openapi
from playground.server.models import ModelRoutes
from playground.server.single_flight import SingleFlight
from playground.server.views import nothing_there
from playground.server.workspaces import WrongKeys

OPERATIONS = [(path, method) for path, said in openapi.document("", 1)["paths"].items()
              for method in said if method != "parameters"]
TAKES_SETTINGS = ("/api/models/{name}/predict", "post")


def png(level: int, width: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((3, width, 3), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module", params=["for one", "for a class"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document as it is served, and the app that serves it, over the model that comes with the playground."""
    pictures = st.one_of(st.builds(png, st.integers(0, 255), st.integers(1, 9)), st.binary(min_size=1, max_size=100))
    for kind in ("image/png", "image/jpeg", "image/*", "application/octet-stream"):
        schemathesis.openapi.media_type(kind, pictures)
    routes = ModelRoutes(SingleFlight(), SingleFlight(), models=lambda: inference).routes()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PLAYGROUND_HOME", str(tmp_path_factory.mktemp("home")))
        patched.setenv("PLAYGROUND_HOSTS", "*")
        patched.setenv(home.CLASS, "1" if request.param == "for a class" else "")
        app = Starlette(routes=[*routes, Mount("/api", nothing_there)], middleware=middleware(wrong=WrongKeys()))
        yield schemathesis.openapi.from_asgi("/api/openapi.json", app)


def test_the_document_is_valid(api: Any) -> None:
    api.validate()
    assert api.statistic.operations.total == len(OPERATIONS) == 4


def test_a_class_says_how_a_key_is_shown(api: Any) -> None:
    said = api.raw_schema
    schemes = said["components"].get("securitySchemes", {})
    assert [(one["type"], one["scheme"]) for one in schemes.values()] == [("http", "bearer")] * home.is_class()
    for path, method in OPERATIONS:
        assert ({"401", "429"} <= said["paths"][path][method]["responses"].keys()) == home.is_class()


def asked(api: Any, path: str, method: str, mode: GenerationMode) -> set[int]:
    """The statuses of what was answered to twenty questions, of which all that the document says was checked."""
    strategy, seen = api[path][method].as_strategy, set()
    cases = strategy(generation_mode=mode)
    if "{name}" in path:  # of a model that is there, too
        cases |= strategy(generation_mode=mode, path_parameters={"name": openapi.NAME})

    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def holds(case: Any) -> None:
        response = case.call()
        seen.add(response.status_code)
        case.validate_response(response, checks=[
            checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
            checks.response_headers_conformance, checks.response_schema_conformance, checks.negative_data_rejection,
            checks.unsupported_method, checks.allow_header_conformance])

    holds()
    return seen


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_the_document_says(api: Any, path: str, method: str) -> None:
    seen = asked(api, path, method, GenerationMode.POSITIVE)
    assert 200 in seen
    assert (404 in seen) == ("{name}" in path)


def test_settings_that_are_none_are_refused(api: Any) -> None:
    seen = asked(api, *TAKES_SETTINGS, GenerationMode.NEGATIVE)
    assert 400 in seen
