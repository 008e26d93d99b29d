"""One call from its first attempt to its answer or error: token, proof, replay after a 401, retries.

Every attempt signs anew what it sends: a proof of possession is good for one request. A POST goes out once,
but for a refusal that says it was not even looked at (401, or a proof made with a wrong clock). GET and
DELETE are tried again with growing pauses, for as long as the deadline allows.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bayd.clients.qod.answers import error_for
from bayd.clients.qod.authorisation import Authorisation
from bayd.clients.qod.backoff import full_jitter_s
from bayd.clients.qod.dialects import Operation
from bayd.clients.qod.errors import (
    AmbiguousError,
    CircuitOpenError,
    CredentialsError,
    QodError,
    RetryLaterError,
)
from bayd.clients.qod.operator import Operator
from bayd.clients.qod.tokens import Token, TokenCache
from bayd.ports import HttpResponse, TransportError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    operation: Operation
    path: str  # of the URL, base path included: also what a proof of possession signs
    x_correlator: str  # one for the transaction, the same in all its attempts
    body: bytes | None = field(default=None, repr=False)
    sent: frozenset[str] = field(default=frozenset(), repr=False)  # what no error may show


@dataclass(frozen=True, slots=True)
class Patience:
    timeout_s: float  # for one request
    deadline_s: float  # for a GET or DELETE with all its attempts


class Caller:
    """Makes calls of one client at one operator."""

    def __init__(
        self,
        origin: str,
        authorisation: Authorisation,
        operator: Operator,
        tokens: TokenCache,
        patience: Patience,
        *,
        new_uuid: Callable[[], str],
        jitter: Callable[[], float],
    ) -> None:
        self._origin = origin
        self._authorisation = authorisation
        self._operator = operator
        self._tokens = tokens
        self._patience = patience
        self._new_uuid = new_uuid
        self._jitter = jitter

    async def run(self, call: Call, read: Callable[[HttpResponse], T | None]) -> T:
        """What `read` makes of the answer. Raises a QodError for an answer that it makes nothing of."""
        deadline_s = self._operator.monotonic() + self._patience.deadline_s
        attempt = 0
        failure: RetryLaterError | None = None
        while True:
            try:
                return await self._attempt(call, read, deadline_s)
            except CircuitOpenError as error:
                if failure is None:
                    raise
                failure.retry_after_s = error.retry_after_s
                raise failure from error
            except RetryLaterError as error:
                failure = error
            if not call.operation.repeated_here:
                raise failure
            # After a Retry-After as well spread out: it was told to everybody.
            pause_s = (failure.retry_after_s or 0.0) + full_jitter_s(attempt, self._jitter())
            if self._operator.monotonic() + pause_s >= deadline_s:
                raise failure
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _attempt(self, call: Call, read: Callable[[HttpResponse], T | None], deadline_s: float) -> T:
        token = await self._token(call)
        response = await self._send(call, token, deadline_s)
        if self._not_looked_at(response):
            if response.status == 401:
                self._tokens.drop(token)
                token = await self._token(call)
            response = await self._send(call, token, deadline_s)
        result = read(response)
        if result is not None:
            return result
        error = self._error(call, response)
        if isinstance(error, CredentialsError):
            self._tokens.drop(token)
            raise self._tokens.refused(error, call.operation.scope)
        raise error

    def _not_looked_at(self, response: HttpResponse) -> bool:
        """The proof or the token was refused, not the request: the same one may go out again, signed anew."""
        if response.status not in (400, 401, 403) or not (
            self._authorisation.signs_with_clock or response.status == 401
        ):
            return False
        return self._operator.correct_clock(response) or response.status == 401

    def _error(self, call: Call, response: HttpResponse) -> QodError:
        return error_for(
            call.operation,
            response,
            x_correlator=call.x_correlator,
            sent=call.sent,
            now_s=self._operator.wall_s(),
        )

    async def _token(self, call: Call) -> Token:
        """Whatever goes wrong here, the call itself was not sent: never ambiguous."""
        try:
            return await self._tokens.get(call.operation.scope)
        except QodError as error:
            raise error.again(x_correlator=call.x_correlator) from error

    async def _send(self, call: Call, token: Token, deadline_s: float) -> HttpResponse:
        operation = call.operation
        signed = self._authorisation.call(
            token.value, operation.method, call.path, call.body, self._operator.wall_s(), self._new_uuid()
        )
        timeout_s = self._patience.timeout_s
        if operation.repeated_here:
            timeout_s = min(timeout_s, max(deadline_s - self._operator.monotonic(), 0.1))
        try:
            return await self._operator.send(
                operation.method,
                self._origin + call.path,
                headers={**signed.headers, "x-correlator": call.x_correlator},
                body=signed.body,
                timeout_s=timeout_s,
            )
        except TransportError as error:
            if error.sent and operation.doubtful_when_lost:
                raise AmbiguousError(
                    f"no answer, it may or may not have happened: {error}", x_correlator=call.x_correlator
                ) from error
            raise RetryLaterError(f"no answer: {error}", x_correlator=call.x_correlator) from error
        except CircuitOpenError as error:
            raise error.again(x_correlator=call.x_correlator) from error
