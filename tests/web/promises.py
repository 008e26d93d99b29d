"""Holds every answer against the API description: what it does not know is a defect of one of the two."""

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

Json = dict[str, Any]

_ANYWHERE = (204, 401, 403, 404, 405, 421, 429)  # of paths and methods that do not exist


class Promises:
    def __init__(self, document: Json) -> None:
        self.document = document
        self._operations = {
            (re.compile(re.sub(r"{\w+}", "[^/]+", path)), method.upper()): operation
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }
        self._validators: dict[str, Any] = {}

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], text: str) -> None:
        """Raises AssertionError."""
        assert status != 500, f"{method} {path} fails"
        media_type = headers.get("Content-Type", "").partition(";")[0]
        described = self._find("GET" if method == "HEAD" else method, path.partition("?")[0])
        if described is None:
            assert status in (204, 404, 405, 403, 401, 421, 429), (
                f"{method} {path}: {status}, and is not described"
            )
            if status != 204 and method != "HEAD":
                self._conforms({"$ref": "#/components/schemas/ProblemDocument"}, text)
            return
        answers = described["responses"]
        assert str(status) in answers, f"{method} {path}: {status} is not described: {text}"
        content = answers[str(status)].get("content")
        if content is None:
            assert text == ""
            return
        assert media_type in content, f"{method} {path}: {status} as {media_type}"
        if media_type.endswith("json") and method != "HEAD":
            self._conforms(content[media_type]["schema"], text)

    def _find(self, method: str, path: str) -> Json | None:
        return next(
            (
                operation
                for (pattern, of), operation in self._operations.items()
                if of == method and pattern.fullmatch(path)
            ),
            None,
        )

    def _conforms(self, schema: Json, text: str) -> None:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        self._validators[key].validate(json.loads(text))
