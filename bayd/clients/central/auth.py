"""Who we are to the central server: nobody, the holder of a token, or a member of staff who logs in.

The documents show staff tokens (Auth component) and not which calls want one, so each way is a setting.
A staff token is renewed when the server answers 401: first with the refresh token, else by logging in
again. One renewal serves all that wait for it. A login that is refused is not repeated for a while, with
each refusal longer: staff accounts get locked (`isLocked`), and people use them too.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeGuard, assert_never

from bayd.ports import Log

from . import requests
from .answers import Done, NoAnswer, NoRoute, Refusal, Unauthorised, Verdict
from .model import Cause
from .secret import Secret

_TOKEN = re.compile(r"[!-~]+")
_FIRST_HOLD_S = 60.0
_LONGEST_HOLD_S = 3600.0


@dataclass(frozen=True, slots=True)
class NoAuth:
    """No Authorization header."""


@dataclass(frozen=True, slots=True)
class BearerAuth:
    """A token that somebody else issued and renews."""

    token: Secret


@dataclass(frozen=True, slots=True)
class StaffLogin:
    """A staff account of its own for the daemon."""

    phone_number: Secret
    pin: Secret


CentralAuth = NoAuth | BearerAuth | StaffLogin

# Sends one request with that token, until the deadline on the loop's clock.
SendOnce = Callable[[requests.Request, Secret | None, float], Awaitable[Verdict]]


class StaffTokens:
    """The tokens of one staff account, got and renewed as they are needed."""

    def __init__(self, account: StaffLogin, send: SendOnce, log: Log) -> None:
        self._account = account
        self._send = send
        self._log = log
        self._lock = asyncio.Lock()
        self._access: Secret | None = None
        self._refresh: Secret | None = None
        self._refusals = 0
        self._held_until = 0.0  # on the loop's clock

    async def get(self, deadline: float) -> Secret | Unauthorised | NoAnswer:
        """The token at hand, else a new one."""
        return self._access or await self.renew(None, deadline)

    async def renew(self, stale: Secret | None, deadline: float) -> Secret | Unauthorised | NoAnswer:
        """Another token than `stale`; nothing of the request that wants it has been carried out."""
        try:
            async with asyncio.timeout_at(deadline), self._lock:
                if self._access is not None and self._access != stale:
                    return self._access  # somebody else was first
                return await self._renew(deadline)
        except TimeoutError:
            return _in_vain("no token within the time for the request")

    async def _renew(self, deadline: float) -> Secret | Unauthorised | NoAnswer:
        self._access = None
        if self._refresh is not None:
            verdict = await self._send(requests.refresh_token(), self._refresh, deadline)
            if isinstance(verdict, NoAnswer):
                return _in_vain(f"the token could not be renewed: {verdict.reason}")
            self._refresh = None
            if isinstance(verdict, Done) and (token := self._keep(verdict.data)) is not None:
                return token
        loop = asyncio.get_running_loop()
        if loop.time() < self._held_until:
            return Unauthorised(401, left=False)
        login = requests.login(self._account.phone_number, self._account.pin)
        verdict = await self._send(login, None, deadline)
        match verdict:
            case Done(data=data):
                token = self._keep(data)
                if token is None:
                    return _in_vain("the answer to the login holds no token")
                self._refusals = 0
                self._log.info("central_logged_in")
                return token
            case NoAnswer(reason=reason):
                return _in_vain(f"no login: {reason}")
            case Refusal(status=status) | Unauthorised(status=status) | NoRoute(status=status):
                hold_s = min(_FIRST_HOLD_S * 2.0 ** min(self._refusals, 16), _LONGEST_HOLD_S)
                self._refusals += 1
                self._held_until = loop.time() + hold_s
                self._log.warning("central_login_refused", status=status, next_try_in_s=hold_s)
                return Unauthorised(status, left=False)
            case _:
                assert_never(verdict)

    def _keep(self, data: object) -> Secret | None:
        """Auth component, 1: accessToken and refreshToken. The answer of login is taken to be the same."""
        fields = data if isinstance(data, dict) else {}
        access, refresh = fields.get("accessToken", fields.get("token")), fields.get("refreshToken")
        if not is_token(access):
            return None
        self._access = Secret(access)
        self._refresh = Secret(refresh) if is_token(refresh) else None
        return self._access


def is_token(value: object) -> TypeGuard[str]:
    """What may stand in an Authorization header; anything else would break or split it."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _in_vain(reason: str) -> NoAnswer:
    return NoAnswer(Cause.NOT_REACHED, reason, sent=False)
