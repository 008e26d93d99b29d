"""What an operator's refusal means for the caller: one table from status and code to the next step. Pure.

Bodies come as CAMARA's `{status, code, message}`, as an older gateway's `{reasonCode, systemMessage,
userMessage}`, as OAuth's `{error, error_description}`, or as anything else: the status alone must do.

A lost answer, and a 500, 502 or 504, leave a create or an extend in doubt: a gateway that lost its back end
cannot know what that did. 503 and 429 say that the request was not taken. Source: CAMARA Quality-On-Demand
1.1.0, responses, and RFC 9110, 15.6.
"""

from dataclasses import dataclass

from bayd.clients.qod.backoff import parse_retry_after_s
from bayd.clients.qod.dialects import Operation
from bayd.clients.qod.errors import (
    AmbiguousError,
    ConflictError,
    CredentialsError,
    NotFoundError,
    QodError,
    RefusedError,
    RetryLaterError,
)
from bayd.clients.qod.wire import parse_json
from bayd.clients.redaction import find_code, redact
from bayd.ports import HttpResponse

_CODE_FIELDS = ("code", "reasonCode", "error")
_TEXT_FIELDS = ("message", "userMessage", "systemMessage", "error_description")
_NOT_TAKEN = frozenset({408, 425, 429, 503})
_NOT_A_FAULT_OF_THE_CLIENT = frozenset(
    {"temporarily_unavailable", "server_error"}
)  # RFC 6749, 4.1.2.1; seen as 400


@dataclass(frozen=True, slots=True)
class Said:
    """What the body of a refusal says, redacted."""

    code: str | None
    text: str

    def __str__(self) -> str:
        return f": {self.text}" if self.text else ""


def read_refusal(response: HttpResponse, sent: frozenset[str]) -> Said:
    body = parse_json(response.body)
    if not isinstance(body, dict):
        return Said(None, "")
    codes = (find_code(body.get(name), sent) for name in _CODE_FIELDS)
    texts = (redact(text, sent) for name in _TEXT_FIELDS if isinstance(text := body.get(name), str))
    return Said(next((code for code in codes if code), None), next((text for text in texts if text), ""))


def is_operator_failure(status: int) -> bool:
    """Counts against the operator's health. 501 is an answer like any other."""
    return status >= 500 and status != 501


def error_for(
    operation: Operation, response: HttpResponse, *, x_correlator: str, sent: frozenset[str], now_s: float
) -> QodError:
    """The error for an answer that is not the one asked for; `now_s` is wall time, for a Retry-After date."""
    status = response.status
    said = read_refusal(response, sent)
    retry_after_s = parse_retry_after_s(response.headers.get("retry-after"), now_s)

    def error(kind: type[QodError], message: str, *, wait: bool = False) -> QodError:
        return kind(
            f"{message}{said}",
            status=status,
            code=said.code,
            x_correlator=x_correlator,
            retry_after_s=retry_after_s if wait else None,
        )

    if status == 401:
        return error(
            CredentialsError, "the operator does not accept our token: check the credentials", wait=True
        )
    if status in (404, 410) and operation in (Operation.GET, Operation.DELETE, Operation.EXTEND):
        return error(NotFoundError, "the operator does not know this session")
    if status == 409:
        return error(ConflictError, "it conflicts with a session at the operator")
    if status == 429 and said.code is not None and said.code.endswith("QUOTA_EXCEEDED"):
        return error(RefusedError, "the quota is used up")
    if status in _NOT_TAKEN:
        return error(RetryLaterError, "the operator does not take it now", wait=True)
    if is_operator_failure(status):
        if operation.doubtful_when_lost:
            return error(AmbiguousError, "the operator failed: it may or may not have happened", wait=True)
        return error(RetryLaterError, "the operator failed", wait=True)
    if 300 <= status < 400:
        return error(RefusedError, "the operator points elsewhere: check base_url")
    if 200 <= status < 300:
        return unreadable(operation, status, x_correlator)
    return error(RefusedError, "the operator refuses it")


def unreadable(operation: Operation, status: int, x_correlator: str) -> QodError:
    """A success that does not say what succeeded."""
    if operation.doubtful_when_lost:
        return AmbiguousError(
            "done, it seems, but the answer cannot be read: find the session at the operator",
            status=status,
            x_correlator=x_correlator,
        )
    return RetryLaterError("the operator's answer cannot be read", status=status, x_correlator=x_correlator)


def token_error_for(response: HttpResponse, *, sent: frozenset[str], now_s: float) -> QodError:
    """The error for a token endpoint that gave none. Any refusal of ours is one of configuration."""
    status = response.status
    said = read_refusal(response, sent)
    if (
        status in _NOT_TAKEN
        or status < 400
        or is_operator_failure(status)
        or said.code in _NOT_A_FAULT_OF_THE_CLIENT
    ):
        return RetryLaterError(
            f"the token endpoint gives no token now{said}",
            status=status,
            code=said.code,
            retry_after_s=parse_retry_after_s(response.headers.get("retry-after"), now_s),
        )
    return CredentialsError(
        f"the token endpoint refuses us: check client id, secret, key and scopes{said}",
        status=status,
        code=said.code,
    )
