"""How ordered faults strike a call, and the calls by which they are ordered."""

import asyncio
import time
from collections.abc import Sequence
from typing import assert_never

from aiohttp import hdrs, web

from bayd.reference.qod.answers import Answer, json_answer
from bayd.reference.qod.database import OperatorDatabase
from bayd.reference.qod.errors import (
    ApiError,
    invalid_argument,
    not_found,
    older_body,
    permission_denied,
    unauthenticated,
)
from bayd.reference.qod.faults import (
    CallRule,
    Delay,
    LoseReply,
    OlderErrors,
    Refuse,
    Revoke,
    SkewClock,
    TerminateNow,
    Truncate,
    parse_order,
)
from bayd.reference.qod.service import Service

_LOOPBACK = ("127.0.0.1", "::1")
_LOOK_S = 0.1  # how often a held call looks whether its caller is still there


class SpoiledError(Exception):
    """A fault answers in the operation's place, which is not done."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Saboteur:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let go of every call that is being held."""
        self._stopping.set()

    async def before(
        self, request: web.Request, struck: Sequence[CallRule], token_sha256: str | None = None
    ) -> None:
        """Raises SpoiledError, or ApiError where the caller's token has become void."""
        for rule in struck:
            match rule:
                case Delay(delay_s=delay_s):
                    await self._hold(request, delay_s)
                case Revoke() if token_sha256 is not None:
                    await self._service.store.run(OperatorDatabase.revoke_token, token_sha256)
                    raise unauthenticated("The access token is not known here, or its life is over")
                case Refuse():
                    raise SpoiledError(_refusal(rule))
                case LoseReply(stage="before_commit"):
                    raise SpoiledError(Answer(500))  # it never leaves: see `after`
                case LoseReply() | Truncate() | OlderErrors() | Revoke():
                    pass
                case _:
                    assert_never(rule)

    async def after(
        self, request: web.Request, struck: Sequence[CallRule], answer: Answer
    ) -> web.StreamResponse:
        for rule in struck:
            if isinstance(rule, LoseReply):
                await self._hold(request, rule.hang_s)
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            if isinstance(rule, Truncate) and answer.body:
                return await _cut(request, answer, rule)
        return answer.response()

    async def _hold(self, request: web.Request, seconds: float) -> None:
        """Wait, but not for a caller that has left, nor beyond our own end."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            if request.transport is None or request.transport.is_closing():
                return
            try:
                async with asyncio.timeout(min(left_s, _LOOK_S)):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return

    # Orders

    async def show(self, request: web.Request) -> web.Response:
        _refuse_strangers(request)
        faults = self._service.faults
        return json_answer(200, {"skew_s": faults.skew_s, "rules": faults.show()}).response()

    async def order(self, request: web.Request) -> web.Response:
        _refuse_strangers(request)
        if request.content_type != "application/json":
            # A page in a browser could send any other type here without being asked.
            raise invalid_argument("fault: Content-Type must be application/json")
        order = parse_order(await request.read())
        match order:
            case SkewClock(skew_s=skew_s):
                self._service.faults.skew_s = skew_s
            case TerminateNow(session_id=session_id):
                await self._terminate(session_id)
            case _:
                self._service.faults.arm(order)
        return await self.show(request)

    async def clear(self, request: web.Request) -> web.Response:
        _refuse_strangers(request)
        self._service.faults.clear()
        return web.Response(status=204)

    async def ledger(self, request: web.Request) -> web.Response:
        _refuse_strangers(request)
        now = self._service.clock()
        sessions = await self._service.store.run(OperatorDatabase.ledger, now)
        self._service.courier.wake()
        return json_answer(200, {"now": now, "sessions": sessions}).response()

    async def _terminate(self, session_id: str | None) -> None:
        service = self._service
        ended = await service.store.run(OperatorDatabase.terminate, session_id, service.clock())
        service.courier.wake()
        if session_id is not None and not ended:
            raise not_found("fault: session_id: no such live session")


def _refusal(rule: Refuse) -> Answer:
    headers: dict[str, str] = {}
    if rule.retry_after_s is not None:
        headers[hdrs.RETRY_AFTER] = str(rule.retry_after_s)
    match rule.shape:
        case "camara":
            text = "The operator was told to refuse this call."
            return json_answer(rule.status, ApiError(rule.status, rule.wire_code, text).body(), headers)
        case "older":
            return json_answer(rule.status, older_body(rule.status, rule.wire_code), headers)
        case "html":
            page = f"<html><body><h1>{rule.status}</h1></body></html>".encode()
            return Answer(rule.status, page, {hdrs.CONTENT_TYPE: "text/html", **headers})
        case "empty":
            return Answer(rule.status, b"", headers)
        case _:
            assert_never(rule.shape)


async def _cut(request: web.Request, answer: Answer, rule: Truncate) -> web.StreamResponse:
    part = answer.body[: min(rule.keep_bytes, len(answer.body) - 1)]
    if rule.claims_to_be_whole:
        return Answer(answer.status, part, answer.headers).response()
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(part)
    if request.transport is not None:
        request.transport.close()  # what was written still goes out
    return response


def _refuse_strangers(request: web.Request) -> None:
    if request.remote not in _LOOPBACK:
        raise permission_denied("Faults and the ledger are for callers on this machine.")
