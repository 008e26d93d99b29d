"""Access tokens: fetched once for all who wait, refreshed before they end, never stored.

A token is used until `expires_in - max(60 s, 10 %)` on the monotonic clock: wall time may step. A refusal
is a fault of configuration: it is told to everyone, and the token endpoint is left alone for a growing
pause, for operators lock clients that hammer. One of a scope is told to those who want that scope. Only a
clock that differs from the operator's is put right
and tried once more, at once.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from bayd.clients.qod import breaker
from bayd.clients.qod.answers import token_error_for
from bayd.clients.qod.authorisation import Authorisation
from bayd.clients.qod.errors import CredentialsError, QodError, RetryLaterError
from bayd.clients.qod.operator import Operator
from bayd.clients.qod.wire import parse_json
from bayd.ports import HttpResponse, TransportError

_SCOPE_REFUSED = "invalid_scope"  # RFC 6749, 5.2
_LIFE_UNTOLD_S = 60.0  # without expires_in: short enough to be true anywhere


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    value: str = field(repr=False)
    refresh_at_s: float  # monotonic


class _Flight:
    """One fetch and all who wait for it. No outcome at its end: it was cancelled, somebody else must fly."""

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.outcome: Token | QodError | None = None


@dataclass(slots=True)
class _Door:
    """To the token endpoint: shut for a while after a refusal."""

    circuit: breaker.BreakerState = field(default_factory=breaker.Closed)
    refusal: CredentialsError | None = None


def use_for_s(life_s: float) -> float:
    """How long a token of this life is used. A very short one is used for half of it, or never."""
    return max(life_s - max(60.0, life_s / 10), min(life_s / 2, 30.0))


class TokenCache:
    """The tokens of one client at one token endpoint, one for each scope."""

    def __init__(
        self,
        authorisation: Authorisation,
        operator: Operator,
        *,
        new_uuid: Callable[[], str],
        secrets: frozenset[str],
        timeout_s: float,
        pause_s: float,
    ) -> None:
        self._authorisation = authorisation
        self._operator = operator
        self._new_uuid = new_uuid
        self._secrets = secrets
        self._timeout_s = timeout_s
        self._tokens: dict[str, Token] = {}
        self._flights: dict[str, _Flight] = {}
        self._limits = breaker.BreakerLimits(failures=1, open_s=pause_s, open_max_s=max(pause_s, 3600.0))
        self._doors: dict[str | None, _Door] = {None: _Door()}  # of one scope each; None: of all

    async def get(self, scope: str) -> Token:
        """Raises CredentialsError or RetryLaterError."""
        scope = self._authorisation.token_scope(scope)
        while True:
            token = self._tokens.get(scope)
            if token is not None and self._operator.monotonic() < token.refresh_at_s:
                return token
            flight = self._flights.get(scope)
            if flight is None:
                return await self._fly(scope)
            await flight.landed.wait()
            match flight.outcome:
                case Token() as token:
                    return token
                case QodError() as error:
                    raise error.again() from error
                case None:
                    continue

    def drop(self, token: Token) -> None:
        """Forget this token; a newer one in its place stays."""
        for scope, kept in list(self._tokens.items()):
            if kept is token:
                del self._tokens[scope]

    def refused(self, error: CredentialsError, scope: str) -> CredentialsError:
        """Note that a token fresh from the endpoint was refused: no better one is to be had for a while."""
        return self._shut(self._door(self._authorisation.token_scope(scope)), error)

    def _door(self, scope: str | None) -> _Door:
        return self._doors.setdefault(scope, _Door())

    def _shut(self, door: _Door, error: CredentialsError) -> CredentialsError:
        now_s = self._operator.monotonic()
        door.circuit = breaker.failed(door.circuit, self._limits, now_s)
        door.refusal = error
        _, error.retry_after_s = breaker.admit(door.circuit, now_s)
        return error

    async def _fly(self, scope: str) -> Token:
        flight = self._flights[scope] = _Flight()
        try:
            flight.outcome = token = await self._fetch(scope)
        except QodError as error:
            flight.outcome = error
            raise
        else:
            self._tokens[scope] = token
            return token
        finally:
            del self._flights[scope]
            flight.landed.set()

    async def _fetch(self, scope: str) -> Token:
        doors = (self._door(None), self._door(scope))
        now_s = self._operator.monotonic()
        admitted = [breaker.admit(door.circuit, now_s) for door in doors]
        for door, (_, wait_s) in zip(doors, admitted, strict=True):
            if wait_s is not None:
                told = door.refusal or CredentialsError("the token endpoint refused us")
                error = told.again()
                error.retry_after_s = wait_s
                raise error
        for door, (circuit, _) in zip(doors, admitted, strict=True):
            door.circuit = circuit
        try:
            token = await self._ask(scope)
        except BaseException as error:
            refusing = None
            if isinstance(error, CredentialsError):
                # A scope that is not granted must not keep sessions from being deleted with another one.
                refusing = self._door(scope if error.code == _SCOPE_REFUSED else None)
                self._shut(refusing, error)
            for door in doors:
                if door is not refusing:  # no verdict on it
                    door.circuit = breaker.abandoned(door.circuit, self._operator.monotonic())
            raise
        for door in doors:
            door.circuit = breaker.succeeded(door.circuit)
        return token

    async def _ask(self, scope: str) -> Token:
        asked_at_s = self._operator.monotonic()
        response = await self._post(scope)
        if response.status in (400, 401, 403) and self._operator.correct_clock(response):
            asked_at_s = self._operator.monotonic()
            response = await self._post(scope)
        if response.status != 200:
            raise token_error_for(response, sent=self._secrets, now_s=self._operator.wall_s())
        return _parse_token(response, asked_at_s)

    async def _post(self, scope: str) -> HttpResponse:
        request = self._authorisation.token_request(scope, self._operator.wall_s(), self._new_uuid())
        try:
            return await self._operator.send(
                "POST",
                self._authorisation.token_url,
                headers=request.headers,
                body=request.body,
                timeout_s=self._timeout_s,
            )
        except TransportError as error:
            raise RetryLaterError(f"no answer from the token endpoint: {error}") from error


def _parse_token(response: HttpResponse, asked_at_s: float) -> Token:
    body = parse_json(response.body)
    value = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(value, str) or not _fits_a_header(value):
        raise RetryLaterError("the token endpoint's answer holds no access_token", status=response.status)
    kind = body.get("token_type")
    if isinstance(kind, str) and kind.lower() != "bearer":
        raise CredentialsError("the token endpoint gives no bearer tokens", status=response.status)
    return Token(value, asked_at_s + use_for_s(_life_s(body.get("expires_in"))))


def _fits_a_header(value: str) -> bool:
    return value.isascii() and value.isprintable() and value != "" and " " not in value


def _life_s(value: object) -> float:
    """`expires_in` in seconds; some servers write it as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _LIFE_UNTOLD_S
    try:
        life_s = float(value)
    except (ValueError, OverflowError):
        return _LIFE_UNTOLD_S
    return life_s if math.isfinite(life_s) and life_s > 0 else _LIFE_UNTOLD_S
