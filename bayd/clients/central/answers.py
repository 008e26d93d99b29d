"""What an HTTP answer of the central server means. Pure.

The envelope is `{"success": bool, "data": …}` (Session component, 3). Only an answer in the envelope is
the central server's own word; whatever else arrives under its address (a proxy's page, a portal's, half
a document) says nothing about our request, whatever its status. The label `Content-Type` is not asked:
the body tells.

- 2xx in the envelope with `success` not false: done. `success` may be missing beside `data`. A 2xx outside
  the envelope, an empty one too, is no answer: nobody knows whether the request was carried out.
- `success` false with 2xx or 4xx: a refusal. 401 and 403 are about us and 408 and 429 about the moment,
  never about the item. But in the envelope, and to a request that carries a person's password, 401 and 403
  may be about that: whoever made the request tells (`Unauthorised.message`).
- 404 and 405 outside the envelope, or a 404 with Express's own "Cannot POST /…": the route is missing. Any
  other 404 in the envelope is about the object.
- Redirects are never followed: they are no answer.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bayd.clients.redaction import redact
from bayd.ports import HttpResponse

from .model import Cause
from .reading import as_flag

_NO_SUCH_ROUTE = re.compile(r"cannot (get|post|patch|put|delete) /", re.IGNORECASE)
_RETRY_AFTER_LIMIT_S = 3600


@dataclass(frozen=True, slots=True)
class Done:
    data: object


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    message: str  # redacted


@dataclass(frozen=True, slots=True)
class Unauthorised:
    status: int
    message: str | None = None  # redacted; None: outside the envelope
    left: bool = True  # False: for want of a token the request never went out

    @property
    def reason(self) -> str:
        return f"the central server does not accept our credentials ({self.status})"


@dataclass(frozen=True, slots=True)
class NoRoute:
    status: int

    @property
    def reason(self) -> str:
        return f"the server does not have this call ({self.status})"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    cause: Cause
    reason: str
    sent: bool
    status: int | None = None
    retry_after_s: int | None = None
    turned_away: bool = False  # it went out before that, and its token was not taken


Verdict = Done | Refusal | Unauthorised | NoRoute | NoAnswer


@dataclass(frozen=True, slots=True)
class _Envelope:
    success: bool
    data: object
    message: str


def judge(response: HttpResponse, sent_texts: Iterable[str] = ()) -> Verdict:
    """`sent_texts`: what we sent and must not read again in the server's message."""
    status = response.status
    envelope = _open_envelope(response.body)
    if 200 <= status < 300:
        if envelope is None:
            return _not_understood(status)
        if envelope.success:
            return Done(envelope.data)
        return Refusal(status, redact(envelope.message, sent_texts))
    if status in (401, 403):
        if envelope is None or envelope.success:
            return Unauthorised(status)
        return Unauthorised(status, redact(envelope.message, sent_texts))
    if status in (408, 429):
        return _no_answer(response, Cause.BUSY, f"the server is busy ({status})")
    if status >= 500:
        return _no_answer(response, Cause.SERVER_ERROR, f"the server failed ({status})")
    if status >= 400 and envelope is not None and not envelope.success:
        if status == 404 and _NO_SUCH_ROUTE.match(envelope.message):
            return NoRoute(status)
        return Refusal(status, redact(envelope.message, sent_texts))
    if status in (404, 405):
        return NoRoute(status)
    return _not_understood(status)


def _open_envelope(body: bytes) -> _Envelope | None:
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError too
        return None
    if not isinstance(document, dict):
        return None
    assumed = True if "data" in document else None
    success = as_flag(document.get("success", assumed))
    if success is None:
        return None
    return _Envelope(success, document.get("data"), _find_message(document))


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _find_message(document: dict[str, object]) -> str:
    """Refusals are not documented; these are the usual places."""
    for key in ("message", "error", "msg", "data"):
        value = document.get(key)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, str) and value:
            return value
    return ""


def _not_understood(status: int) -> NoAnswer:
    reason = f"the answer ({status}) is not in the envelope of the central server"
    return NoAnswer(Cause.NOT_UNDERSTOOD, reason, sent=True, status=status)


def _no_answer(response: HttpResponse, cause: Cause, reason: str) -> NoAnswer:
    wished = response.headers.get("retry-after", "").strip()
    wait_s = min(int(wished), _RETRY_AFTER_LIMIT_S) if re.fullmatch(r"[0-9]{1,9}", wished) else None
    return NoAnswer(cause, reason, sent=True, status=response.status, retry_after_s=wait_s)
