"""The routes of the models in OpenAPI 3.1 (spec.openapis.org), for programs that read it."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

MOST_LABELS = 10_000
NAME = "digits-example"
DESCRIPTION = """Ask the models that were trained here about a picture.

Every error is a JSON object `{"error": "one sentence"}`. Pictures are looked at and kept nowhere. A browser names the \
page that asks (`Origin`): only pages of this very server are answered, so that no other site asks with its reader's \
browser; programs that are no browsers (curl, Python, Node) name none and are answered. A server behind a name of its \
own answers under it when PLAYGROUND_HOSTS lists that name.

"""
FOR_ONE = "Nobody has to sign in: whoever can open the pages can ask."
FOR_A_CLASS = """This server is for a class: with the key of a workspace (`Authorization: Bearer KEY`, from “My key”) \
its models are there, too; without one, those that all have in common."""


def document(base: str, most_bytes: int, for_class: bool = False) -> Json:
    """The document of a server whose app lies below the path `base` and that takes pictures of `most_bytes`; where it
    is for a class, with the keys that open workspaces.

    >>> sorted(document("", 100)["paths"])[:2]
    ['/api/models', '/api/models/{name}']
    >>> document("", 100, for_class=True)["security"]
    [{}, {'key': []}]
    """
    paths = _paths(most_bytes)
    components: Json = {"schemas": {"Error": _object({"error": _TEXT}), "Model": _MODEL, "Answer": _ANSWER}}
    if for_class:
        components["securitySchemes"] = {"key": _KEY}
        for one in paths.values():
            for method in one.keys() - {"parameters"}:
                one[method]["responses"] |= _OF_A_CLASS
    return {
        "openapi": "3.1.0",
        "info": {"title": "Models of the CNN autograd playground", "version": "1",
                 "description": DESCRIPTION + (FOR_A_CLASS if for_class else FOR_ONE)},
        **({"servers": [{"url": base}]} if base else {}),
        **({"security": [{}, {"key": []}]} if for_class else {}),  # without a key there is something to ask, too
        "paths": paths,
        "components": components,
    }


def _paths(most_bytes: int) -> dict[str, Json]:
    return {
        "/api/models": {"get": _operation(
            "listModels", "The models, newest first; those that come with the playground last",
            {"200": _json("The models", _object({"models": {"type": "array", "items": _ref("Model")}}))})},
        "/api/models/{name}": {"parameters": [_NAME], "get": _operation(
            "getModel", "One model", {"200": _json("The model", _ref("Model")), "404": _error("No such model")})},
        "/api/models/{name}/model.onnx": {"parameters": [_NAME], "get": _operation(
            "getModelFile", "The model's ONNX file: image uint8 (N, H, W, 3) -> logits, probabilities (N, K)", {
                "200": {"description": "The file",
                        "headers": {"ETag": {"schema": {"type": "string"}},
                                    "Content-Disposition": {"schema": {"type": "string"}}},
                        "content": {"application/octet-stream": {"schema": {}}}},
                "304": {"description": "The file is the one that If-None-Match names"},
                "404": _error("No such model")})},
        "/api/models/{name}/predict": {"parameters": [_NAME], "post": _predict(most_bytes)},
    }


def _predict(most_bytes: int) -> Json:
    picture = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
    return _operation("predict", "What the model says of a picture", {
        "200": _json("The likeliest labels, likeliest first", _ref("Answer")),
        "400": _error("No picture that can be read, or a setting that is none"),
        "403": _error("A page of another site asks"),
        "404": _error("No such model"),
        "408": _error("The picture took too long to arrive"),
        "413": _error(f"More than {most_bytes} bytes"),
        "415": _error("The content type is of no picture"),
        "503": _later("Too many ask at once: ask again in a moment"),
    }, parameters=[
        {"name": "top", "in": "query", "description": "How many labels; all without it, or where there are fewer",
         "schema": {"type": "integer", "minimum": 1, "maximum": MOST_LABELS}, "example": 3},
        {"name": "as_it_is", "in": "query", "schema": {"type": "boolean", "default": False},
         "description": "A model of handwritten digits is shown dark ink on light paper as light strokes on black, "
                        "unless this is true; other models see the picture as it is anyway"},
    ], requestBody={
        "required": True,
        "description": f"The bytes of a JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF file, at most {most_bytes}. It is "
                       "turned upright; the first picture of an animation is taken; resizing is done by the model.",
        "content": dict.fromkeys(("image/jpeg", "image/png", "image/*", "application/octet-stream"), picture),
    })


def _operation(name: str, summary: str, responses: Json, **more: Any) -> Json:
    """An operation with what any of them may come to."""
    others = {"405": _error("The method is none of this address"), "500": _error("A model is damaged, or the server")}
    return {"operationId": name, "summary": summary, **more, "responses": {**responses, **others}}


def _object(properties: Mapping[str, Any]) -> Json:
    return {"type": "object", "properties": dict(properties), "required": list(properties),
            "additionalProperties": False}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _error(description: str) -> Json:
    return _json(description, _ref("Error"))


def _later(description: str) -> Json:
    """An error that says when to ask again."""
    return {**_error(description), "headers": {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}}}


def _or_null(schema: Json) -> Json:
    return {"oneOf": [schema, {"type": "null"}]}


_KEY: Json = {"type": "http", "scheme": "bearer", "description": "The key of a workspace, from “My key” on its pages"}
_OF_A_CLASS: Json = {
    "401": {**_error("The key is none of this server"),
            "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}}},
    "429": _later("Too many questions or pictures at once, or too many wrong keys"),
}
_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
_NAME: Json = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
               "example": NAME}
_MODEL = _object({
    "name": _TEXT,
    "task": _or_null({**_TEXT, "description": "digits (trained from scratch), transfer, ..."}),
    "backbone": _or_null({**_TEXT, "description": "the pretrained network that was retrained"}),
    "input": _or_null(_object({
        "height": _COUNT, "width": _COUNT, "channels": _COUNT,
        "preprocessing": {**_TEXT, "description": "how the file itself makes that of a picture of any size"}})),
    "labels": {"type": "array", "items": _TEXT, "minItems": 1},
    "accuracy": _or_null(_object({"value": {"type": "number"}, "count": _COUNT, "split": _TEXT})),
    "size_bytes": _or_null(_COUNT),
    "sha256": _TEXT,
    "created": {**_TEXT, "description": "ISO 8601"},
    "source": {**_TEXT, "description": "the engine that trained it"},
    "links": _object({name: {**_TEXT, "format": "uri-reference"} for name in ("self", "onnx", "predict", "page")}),
})
_ANSWER = _object({
    "model": _TEXT,
    "seconds": {"type": "number", "minimum": 0, "description": "how long onnxruntime took"},
    "predictions": {"type": "array", "minItems": 1, "items": _object({"label": _TEXT, "probability": _SHARE})},
})
