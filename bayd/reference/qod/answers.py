"""What leaves the operator: answers, refusals in their documented shape, and the headers of every one."""

import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from bayd.reference.qod.errors import ApiError, TokenError, invalid_argument, older_body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("bayd.reference.qod")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call comes to, before faults get at it."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        return web.Response(status=self.status, body=self.body or None, headers=self.headers)


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, body, {hdrs.CONTENT_TYPE: "application/json", **(headers or {})})


def refusal(error: ApiError, *, older: bool = False) -> Answer:
    body = older_body(error.status, error.code) if older else error.body()
    return json_answer(error.status, body, _challenge(error.status, "Bearer"))


def token_refusal(error: TokenError) -> Answer:
    headers = {hdrs.CACHE_CONTROL: "no-store", **_challenge(error.status, "Basic")}
    return json_answer(error.status, error.body(), headers)


def _challenge(status: int, scheme: str) -> dict[str, str]:
    return {hdrs.WWW_AUTHENTICATE: scheme} if status == HTTPStatus.UNAUTHORIZED else {}


@web.middleware
async def documented_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever else goes wrong has the documented shape too."""
    try:
        return await handler(request)
    except ApiError as error:
        return refusal(error).response()
    except web.HTTPRequestEntityTooLarge:
        return refusal(invalid_argument("The request body is too large")).response()
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        return refusal(ApiError(status, status.name, status.phrase)).response()
    except ConnectionError:
        raise  # the caller has left: nobody is there to be answered
    except Exception as error:  # noqa: BLE001 - the one guard: a defect here is a 500, not a lost service
        # Neither its text nor its locals: both may hold what the caller sent.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        _log.error("qod_call_failed", error=type(error).__name__, where=f"{frame.name}:{frame.lineno}")
        return refusal(ApiError(500, "INTERNAL", "Internal server error")).response()
