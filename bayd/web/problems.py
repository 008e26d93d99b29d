"""Refusals as RFC 9457 problem documents with a stable `code` and, for input, the `field`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from bayd.core.decision import Refusal
from bayd.web.documents import ProblemDocument

CONTENT_TYPE = "application/problem+json"
_FIELD_MAX_CHARS = 100  # whoever sends nonsense gets back enough of it to find it

# What a core refusal is in HTTP; every other code is a conflict with the bay's present state.
_STATUS: Mapping[str, HTTPStatus] = {
    "locked": HTTPStatus.LOCKED,
    "wrong_pin": HTTPStatus.UNAUTHORIZED,
    "pin_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "staff_only": HTTPStatus.FORBIDDEN,
}


@dataclass(frozen=True, slots=True)
class Problem:
    status: HTTPStatus
    code: str
    text: str
    field: str | None = None
    tries_left: int | None = None
    retry_after_s: int | None = None

    def body(self) -> str:
        return ProblemDocument(
            type=f"urn:bayd:problem:{self.code}",
            title=self.status.phrase,
            status=int(self.status),
            code=self.code,
            detail=self.text,
            field=None if self.field is None else self.field[:_FIELD_MAX_CHARS],
            tries_left=self.tries_left,
            retry_after_s=self.retry_after_s,
        ).model_dump_json(exclude_none=True)


class ProblemError(Exception):
    """Raised by handlers; answered by the middleware."""

    def __init__(self, problem: Problem, *, closes: bool = False) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.closes = closes  # the rest of the request is not worth reading


def not_recorded() -> ProblemError:
    text = "The disk refuses or hangs: try again."
    return ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_recorded", text))


def problem_of(refusal: Refusal) -> Problem:
    status = _STATUS.get(refusal.code)
    if status is None:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if refusal.field is not None else HTTPStatus.CONFLICT
    retry_after_s = None if refusal.retry_after_ms is None else -(-refusal.retry_after_ms // 1000)
    return Problem(status, refusal.code, refusal.text, refusal.field, refusal.tries_left, retry_after_s)


def response_of(status: int, body: str) -> web.Response:
    """An answer as it was made or kept."""
    is_problem = status >= HTTPStatus.BAD_REQUEST
    response = web.Response(
        status=status,
        text=body,
        content_type=CONTENT_TYPE if is_problem else "application/json",
        headers={"Cache-Control": "no-store"},
    )
    if is_problem:
        retry_after_s = json.loads(body).get("retry_after_s")
        if retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        if status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
    return response


def problem_response(problem: Problem, *, closes: bool = False) -> web.Response:
    response = response_of(int(problem.status), problem.body())
    if closes:
        response.force_close()
    return response
