"""From a request to a verdict: address, token, time limit, and what a broken exchange means.

A request has one deadline for all that it needs, a login included: a customer waits two seconds at the
PIN pad, not three times two.
"""

import asyncio
from dataclasses import replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from bayd.ports import HttpTransport, Log, TransportError

from .answers import NoAnswer, Unauthorised, Verdict, judge
from .auth import BearerAuth, CentralAuth, NoAuth, StaffLogin, StaffTokens, is_token
from .model import Cause
from .requests import Request
from .secret import Secret


class CentralConnection:
    """One central server at one address."""

    def __init__(self, transport: HttpTransport, base_url: str, auth: CentralAuth, log: Log) -> None:
        self._transport = transport
        self._base_url = _checked(base_url)
        if isinstance(auth, BearerAuth) and not is_token(auth.token.reveal()):
            raise ValueError("central token: visible ASCII without blanks is wanted")
        self._auth = auth
        self._tokens = StaffTokens(auth, self._send, log) if isinstance(auth, StaffLogin) else None
        self.server_wall_ms: int | None = None  # by the last answer that said it

    async def call(self, request: Request, timeout_s: float) -> Verdict:
        deadline = asyncio.get_running_loop().time() + timeout_s
        match self._auth:
            case NoAuth():
                return await self._send(request, None, deadline)
            case BearerAuth(token=token):
                return await self._send(request, token, deadline)
            case StaffLogin():
                assert self._tokens is not None
                return await self._call_as_staff(self._tokens, request, deadline)

    async def _call_as_staff(self, tokens: StaffTokens, request: Request, deadline: float) -> Verdict:
        token = await tokens.get(deadline)
        if not isinstance(token, Secret):
            return token
        verdict = await self._send(request, token, deadline)
        if not (isinstance(verdict, Unauthorised) and verdict.status == 401):
            return verdict
        token = await tokens.renew(token, deadline)  # turned away at the door: safe to ask again
        again = token if not isinstance(token, Secret) else await self._send(request, token, deadline)
        match again:
            case Unauthorised():
                return replace(again, left=True)
            case NoAnswer():
                return replace(again, turned_away=True)
            case _:
                return again

    async def _send(self, request: Request, token: Secret | None, deadline: float) -> Verdict:
        headers = {"Accept": "application/json"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        if token is not None:
            headers["Authorization"] = f"Bearer {token.reveal()}"
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            return NoAnswer(Cause.NOT_REACHED, "no time left for the request", sent=False)
        try:
            response = await self._transport.request(
                request.method,
                f"{self._base_url}{request.path}",
                headers=headers,
                body=request.body,
                timeout_s=left_s,
            )
        except TransportError as error:
            cause = Cause.NO_ANSWER if error.sent else Cause.NOT_REACHED
            return NoAnswer(cause, str(error), sent=error.sent)
        self.server_wall_ms = _wall_ms(response.headers.get("date", "")) or self.server_wall_ms
        return judge(response, [secret.reveal() for secret in request.secrets])


def _wall_ms(date: str) -> int | None:
    """RFC 9110, 6.6.1."""
    try:
        return round(parsedate_to_datetime(date).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _checked(base_url: str) -> str:
    wanted = "central url: http://HOST:PORT or https://… is wanted"
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise ValueError(wanted) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(wanted)
    if parts.username is not None or parts.password is not None:
        raise ValueError("central url: credentials do not belong into the address")
    if parts.query or parts.fragment:
        raise ValueError("central url: neither a query nor a fragment is wanted")
    return base_url.rstrip("/")
