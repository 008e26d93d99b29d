"""Reads the body of a request: small, in time, JSON, and exactly what the call takes."""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bayd.web.problems import Problem, ProblemError

BODY_LIMIT_BYTES = 16 * 1024  # the largest body is a reason of 200 characters
BODY_WITHIN_S = 10.0  # a body is one packet; who sends it byte by byte holds a connection

B = TypeVar("B", bound=BaseModel)


async def read_body(
    request: web.Request,
    model: type[B],
    *,
    content_types: Collection[str] = ("application/json",),
    within_s: float = BODY_WITHIN_S,
) -> B:
    """Raises ProblemError naming the field."""
    if "Content-Encoding" in request.headers:
        raise _unsupported("Content-Encoding", "A body is sent as it is here, without an encoding.")
    if request.can_read_body and request.content_type not in content_types:
        raise _unsupported("Content-Type", "The body must be JSON, and Content-Type say so.")
    raw = await _read(request, within_s)
    try:
        # An empty body is an empty object: `help` and its like need none.
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        if first["type"] == "json_invalid":
            raise ProblemError(Problem(HTTPStatus.BAD_REQUEST, "not_json", "The body is not JSON.")) from None
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise ProblemError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", first["msg"], where)) from None


async def _read(request: web.Request, within_s: float) -> bytes:
    if (request.content_length or 0) > BODY_LIMIT_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(within_s):
            return await request.read()
    except TimeoutError:
        text = f"The body did not come within {within_s:g} s."
        raise ProblemError(Problem(HTTPStatus.REQUEST_TIMEOUT, "too_slow", text), closes=True) from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except web.RequestPayloadError:
        text = "The body does not arrive as its headers announce it."
        raise ProblemError(Problem(HTTPStatus.BAD_REQUEST, "malformed", text), closes=True) from None


def _unsupported(header: str, text: str) -> ProblemError:
    problem = Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_body", text, header)
    return ProblemError(problem, closes=True)


def _too_large() -> ProblemError:
    text = f"A body has up to {BODY_LIMIT_BYTES} bytes here."
    return ProblemError(Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", text), closes=True)
