"""The API description (OpenAPI 3.1), generated from the table of routes and the types of the answers."""

import re
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from bayd.reference.central import faults, replay
from bayd.reference.central.requests import AUTHORIZATION
from bayd.reference.central.routes import NOTHING, ROUTES, Route
from bayd.reference.central.settings import CentralSettings

Json = dict[str, Any]

_REFUSED = {
    "type": "object",
    "required": ["success", "message"],
    "additionalProperties": False,
    "properties": {
        "success": {"const": False},
        "message": {"type": "string"},
        "field": {"type": "string", "description": "The field, parameter or header that is wrong."},
    },
}
_MEANINGS = {
    400: "Malformed: the message names the field",
    401: "No token, or not a valid one",
    403: "Sent by a page of another site",
    404: "Something named in the request does not exist",
    409: "Not possible in the state of the session or bay",
    413: "The body is too large",
    422: "Well formed, but refused: a wrong PIN or password, or a key that belongs to another request",
    503: "The database failed; whether the request was done is not known",
}
_KEY: Json = {
    "name": replay.HEADER,
    "in": "header",
    "required": False,
    "description": "Extension: the same key gives the same answer, and nothing is done twice.",
    "schema": {"type": "string", "pattern": replay.KEY_PATTERN},
}
_PAGE = {"text/html": {"schema": {"type": "string"}}}
_SEE_OTHER: Json = {
    "description": "Done; see the page",
    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
}


def describe(settings: CentralSettings, *, with_faults: bool) -> Json:
    """The whole document; `settings` decide whether a token is wanted."""
    adapters: dict[str, tuple[JsonSchemaMode, TypeAdapter[Any]]] = {}
    for route in ROUTES:
        adapters[f"{_name(route)} params"] = ("validation", route.params)
        adapters[f"{_name(route)} body"] = ("validation", route.body)
        adapters[f"{_name(route)} answer"] = ("serialization", route.answer)
    adapters["faults body"] = ("validation", faults.RULES)
    schemas, definitions = TypeAdapter.json_schemas(
        [(key, mode, adapter) for key, (mode, adapter) in adapters.items()],
        ref_template="#/components/schemas/{model}",
    )
    parts = {key: schema for (key, _), schema in schemas.items()}
    components = {**definitions.get("$defs", {}), "Refused": _REFUSED}
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, parts, components, settings
        )
    paths["/events"] = {"get": _events(settings)}
    paths["/openapi.json"] = {"get": _api_description()}
    paths.update(_desk_paths())
    if with_faults:
        paths[faults.PATH] = _fault_paths(parts["faults body"])
    if settings.auth == "bearer":
        security: Json = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    else:
        security = {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reference central server",
            "version": "1",
            "description": (
                "The Session component of the documented central server, and the siblings that a bay"
                " controller uses. What is not in its documents is marked as an extension."
            ),
        },
        "paths": paths,
        "components": {"schemas": components, **security},
    }


def _name(route: Route[Any, Any]) -> str:
    return getattr(route.run, "__name__", route.path)


def _operation(
    route: Route[Any, Any], parts: dict[str, Json], components: dict[str, Json], settings: CentralSettings
) -> Json:
    statuses = {503, *route.refusals}
    parameters = _parameters(route, parts, components)
    if parameters:
        statuses.add(400)
    operation: Json = {
        "operationId": _name(route),
        "summary": f"Extension: {route.summary}" if route.extension else route.summary,
    }
    if route.writes:
        statuses |= {400, 403, 413, 422}
        parameters.append(_KEY)
    if route.body is not NOTHING:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": parts[f"{_name(route)} body"]}},
        }
    if settings.auth == "bearer" and not route.public:
        statuses.add(401)
        operation["security"] = [{"token": []}]
    if parameters:
        operation["parameters"] = parameters
    operation["responses"] = {"200": _granted(parts[f"{_name(route)} answer"]), **_refusals(statuses)}
    return operation


def _granted(data: Json) -> Json:
    schema = {
        "type": "object",
        "required": ["success", "data"],
        "additionalProperties": False,
        "properties": {"success": {"const": True}, "data": data},
    }
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _refusals(statuses: set[int]) -> Json:
    schema = {"$ref": "#/components/schemas/Refused"}
    return {
        str(status): {"description": _MEANINGS[status], "content": {"application/json": {"schema": schema}}}
        for status in sorted(statuses)
    }


def _parameters(route: Route[Any, Any], parts: dict[str, Json], components: dict[str, Json]) -> list[Json]:
    if route.params is NOTHING:
        return []
    schema = parts[f"{_name(route)} params"]
    if "$ref" in schema:
        schema = components[schema["$ref"].rsplit("/", 1)[1]]
    in_path = set(re.findall(r"{(\w+)}", route.path))
    parameters = []
    for name, described in schema["properties"].items():
        if name == AUTHORIZATION:
            continue
        parameter: Json = {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path,
            "schema": _without_null(described),
        }
        if name not in in_path:
            parameter["allowEmptyValue"] = False
        parameters.append(parameter)
    return parameters


def _without_null(schema: Json) -> Json:
    """A parameter is left out, never null."""
    kept = {key: value for key, value in schema.items() if key not in ("default", "title")}
    if "anyOf" in kept:
        options = [option for option in kept["anyOf"] if option != {"type": "null"}]
        if len(options) == 1:
            only: Json = options[0]
            return only
        kept["anyOf"] = options
    return kept


# --- What is not in the table ---


def _events(settings: CentralSettings) -> Json:
    operation: Json = {
        "operationId": "events",
        "summary": "Extension: what changed, as server-sent events without end",
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
            }
        ],
        "responses": {
            "200": {
                "description": "The stream",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **_refusals({400, 503} | ({401} if settings.auth == "bearer" else set())),
        },
    }
    if settings.auth == "bearer":
        operation["security"] = [{"token": []}]
    return operation


def _api_description() -> Json:
    return {
        "operationId": "api_description",
        "summary": "Extension: this document",
        "responses": {
            "200": {
                "description": "OpenAPI 3.1",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    }


def _desk_paths() -> dict[str, Json]:
    page = {"description": "The page", "content": _PAGE}
    wrong = {
        str(status): {"description": _MEANINGS[status], "content": _PAGE}
        for status in (400, 401, 404, 409, 422)
    }
    wrong["404"]["content"] = {**_PAGE, "text/plain": {"schema": {"type": "string"}}}  # no such form
    json_wrong = _refusals({403, 413, 503})
    form = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}
    return {
        "/": {
            "get": {
                "operationId": "reception",
                "summary": "Extension: the page of the reception",
                "responses": {"200": page, **_refusals({503})},
            }
        },
        "/desk/{act}": {
            "post": {
                "operationId": "desk",
                "summary": "Extension: a form of the reception's page",
                "parameters": [
                    {
                        "name": "act",
                        "in": "path",
                        "required": True,
                        "schema": {"enum": ["book", "extend", "end", "move", "login"]},
                    }
                ],
                "requestBody": form,
                "responses": {"303": _SEE_OTHER, **wrong, **json_wrong},
            }
        },
    }


def _fault_paths(rules: Json) -> Json:
    report = _granted({"type": "array", "items": {"type": "object"}})
    return {
        "get": {"operationId": "show_faults", "summary": "Ordered faults", "responses": {"200": report}},
        "post": {
            "operationId": "order_faults",
            "summary": "Order faults; from then on any call may answer otherwise than described here",
            "requestBody": {"required": True, "content": {"application/json": {"schema": rules}}},
            "responses": {"200": report, **_refusals({400, 403, 413})},
        },
        "delete": {
            "operationId": "clear_faults",
            "summary": "Take all faults away",
            "responses": {"200": report, **_refusals({403})},
        },
    }
