"""`/openapi.json`: the description of the API (OpenAPI 3.1), made from the same rows as the API itself."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bayd.web.access import Caller
from bayd.web.browsers import COOKIE
from bayd.web.documents import AliveDocument, BaysDocument, EventDocument, ProblemDocument
from bayd.web.problems import CONTENT_TYPE
from bayd.web.routes import JSON, Answer, Parameter, Route

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
# Documents that no answer names, because they stand in the messages of a stream.
_IN_STREAMS: tuple[type[BaseModel], ...] = (EventDocument, BaysDocument, AliveDocument)

# What every call may answer, whoever asks.
_ALWAYS = {
    HTTPStatus.BAD_REQUEST: "Malformed",
    HTTPStatus.UNAUTHORIZED: "The token is not known, or one is missing",
    HTTPStatus.FORBIDDEN: "The role may not do this, another bay's token, or a page of another site",
    HTTPStatus.MISDIRECTED_REQUEST: "This host name is not ours",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests; see `Retry-After`",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A defect of ours, and logged",
}
_RETRY_AFTER = {"Retry-After": "Seconds to wait, where that is known."}
_ABOUT = (
    "The bay controller's own service. Changes carry an `Idempotency-Key` and are done once; refusals are"
    " problem documents (RFC 9457) with a stable `code`. Refused before they reach the bay (400, 401, 403,"
    " 404, 413, 415, 429, and 422 for the form), requests leave no trace under their key."
)


def describe(routes: Sequence[Route], version: str) -> Json:
    """The whole document."""
    described = [route for route in routes if route.described]
    schemas = _schemas(described)
    paths: dict[str, Json] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "bayd", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "browser": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def description_route(routes: Sequence[Route], version: str) -> Route:
    """The call that gives the description of `routes` and of itself, made when somebody first asks."""
    made: list[str] = []

    async def show(_request: web.Request, _caller: Caller) -> web.StreamResponse:
        if not made:
            made.append(json.dumps(describe([*routes, route], version)))
        return web.Response(
            text=made[0], content_type="application/json", headers={"Cache-Control": "no-cache"}
        )

    answers = {HTTPStatus.OK: Answer("An OpenAPI 3.1 document")}
    route = Route("GET", "/openapi.json", show, "This description", answers)
    return route


def _schemas(routes: Sequence[Route]) -> Json:
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ProblemDocument, "validation"): None}
    for route in routes:
        if route.body is not None:
            models[route.body, "validation"] = None
        for answer in route.answers.values():
            if answer.model is not None:
                models[answer.model, _mode(answer.model)] = None
    for model in _IN_STREAMS:
        models[model, "serialization"] = None
    _, document = models_json_schema(list(models), ref_template=_REFERENCE)
    schemas: Json = document["$defs"]
    return schemas


def _mode(model: type[BaseModel]) -> JsonSchemaMode:
    """An answer leaves out what is null where there is a default, and says everything else."""
    has_defaults = any(not field.is_required() for field in model.model_fields.values())
    return "validation" if has_defaults else "serialization"


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": _responses(route),
    }
    parameters = [_path_parameter(name) for name in re.findall(r"{(\w+)}", route.path)]
    parameters += [_parameter(parameter) for parameter in route.parameters]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        has_required = any(field.is_required() for field in route.body.model_fields.values())
        operation["requestBody"] = {
            "required": has_required,
            "content": {JSON: {"schema": _schema(route.body)}},
        }
    if route.roles is not None:
        roles = ", ".join(sorted(role.value for role in route.roles))
        operation["description"] = f"For the roles {roles}."
        operation["security"] = [{"token": []}, {"browser": []}]
    return operation


def _operation_id(route: Route) -> str:
    path = route.path.removeprefix("/api/v1").replace("/bays/{bay}", "/bay")
    words = re.findall("[A-Za-z]+", path)
    return "_".join([route.method.lower(), *words])


def _responses(route: Route) -> Json:
    responses = {
        str(int(status)): {"description": meaning, **_problem(status)}
        for status, meaning in {**_ALWAYS, **route.refusals}.items()
    }
    for status, answer in route.answers.items():
        described: Json = {"description": answer.meaning}
        if answer.media_types:
            described["content"] = {
                kind: {"schema": _answer_schema(answer, kind)} for kind in answer.media_types
            }
        if answer.headers:
            described["headers"] = _headers(answer.headers)
        responses[str(int(status))] = described
    return dict(sorted(responses.items()))


def _problem(status: HTTPStatus) -> Json:
    problem: Json = {"content": {CONTENT_TYPE: {"schema": _schema(ProblemDocument)}}}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.LOCKED):
        problem["headers"] = _headers(_RETRY_AFTER)
    return problem


def _answer_schema(answer: Answer, media_type: str) -> Json:
    if answer.model is not None and media_type == JSON:
        return _schema(answer.model)
    return {"type": "object"} if media_type == JSON else {"type": "string"}


def _schema(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _headers(headers: Mapping[str, str]) -> Json:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}


_IN_PATHS = {
    "bay": "The bay's number.",
    "reader": "As the configuration calls it.",
    "dispenser": "As the configuration calls it.",
}


def _path_parameter(name: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _IN_PATHS.get(name, name),
        "schema": {"type": "string", "pattern": "^[^/]+$"},
    }


def _parameter(parameter: Parameter) -> Json:
    schema: Json = {"type": "string"}
    if parameter.pattern is not None:
        schema["pattern"] = parameter.pattern
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    }
