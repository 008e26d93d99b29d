"""Faults to order: what a network, a proxy or a dying server does to one call.

`POST /_faults` adds rules, `GET` shows them, `DELETE` takes all away; they live in memory. A rule acts
on the `nth` request that it matches (1: the next one) and on the `count - 1` matching ones after it
(null: on all of them). Of several that act on one request the delays come first, then the oldest of
the others. Only a server that was started with faults on knows these calls, and it stays on loopback.
"""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict, assert_never

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bayd.reference.central.http import Handler, granted, refused, respond
from bayd.reference.central.ledger import RefusalError
from bayd.reference.central.requests import check, parse_json

PATH = "/_faults"


class _Rule(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    method: str | None = Field(default=None, description="Any method when absent.")
    path: str = Field(default="/", description="The beginning of the path.")
    nth: int = Field(default=1, ge=1)
    count: int | None = Field(default=1, ge=1, description="null: without end.")


class Delay(_Rule):
    """The request waits, then is served: a caller that gives up may still find it done."""

    kind: Literal["delay"]
    delay_s: float = Field(ge=0, le=3600, strict=False)


class StatusAnswer(_Rule):
    """A proxy's answer in plain text; the request is not served."""

    kind: Literal["status"]
    status: int = Field(default=503, ge=400, le=599)


class DropBeforeCommit(_Rule):
    """The connection is reset, and nothing was done."""

    kind: Literal["drop_before_commit"]


class DropAfterCommit(_Rule):
    """All was done, and the connection is reset instead of an answer."""

    kind: Literal["drop_after_commit"]


class Duplicate(_Rule):
    """The request is served twice; the first answer is given."""

    kind: Literal["duplicate"]


class TruncatedJson(_Rule):
    """All was done; the answer is complete HTTP around half of its JSON."""

    kind: Literal["truncated_json"]


class NonJson(_Rule):
    """All was done; the answer is 200 with a page of HTML."""

    kind: Literal["non_json"]


Rule = Delay | StatusAnswer | DropBeforeCommit | DropAfterCommit | Duplicate | TruncatedJson | NonJson
RULES: TypeAdapter[list[Rule]] = TypeAdapter(
    Annotated[list[Annotated[Rule, Field(discriminator="kind")]], Field(min_length=1, max_length=1000)]
)


class RuleReport(TypedDict):
    rule: dict[str, object]
    seen: int  # requests that matched
    fired: int  # requests that it acted on


@dataclass(slots=True)
class _Ordered:
    rule: Rule
    seen: int = 0
    fired: int = 0


class FaultPlan:
    def __init__(self) -> None:
        self._ordered: list[_Ordered] = []

    def add(self, rules: list[Rule]) -> None:
        self._ordered += [_Ordered(rule) for rule in rules]

    def clear(self) -> None:
        self._ordered.clear()

    def take(self, method: str, path: str) -> list[Rule]:
        """The rules that act on this request, counted."""
        acting = []
        for ordered in self._ordered:
            rule = ordered.rule
            if rule.method not in (None, method) or not path.startswith(rule.path):
                continue
            ordered.seen += 1
            if ordered.seen >= rule.nth and (rule.count is None or ordered.seen < rule.nth + rule.count):
                ordered.fired += 1
                acting.append(rule)
        return acting

    def report(self) -> list[RuleReport]:
        return [
            {"rule": ordered.rule.model_dump(mode="json"), "seen": ordered.seen, "fired": ordered.fired}
            for ordered in self._ordered
        ]


def fault_routes(plan: FaultPlan) -> list[web.RouteDef]:
    async def show(_: web.Request) -> web.StreamResponse:
        return respond(granted(plan.report()))

    async def order(request: web.Request) -> web.StreamResponse:
        try:
            plan.add(check(RULES, parse_json(await request.read()), whole="body"))
        except RefusalError as refusal:
            return respond(refused(refusal))
        return respond(granted(plan.report()))

    async def clear(_: web.Request) -> web.StreamResponse:
        plan.clear()
        return respond(granted(plan.report()))

    return [
        web.get(PATH, show, allow_head=False),
        web.post(PATH, order),
        web.delete(PATH, clear),
    ]


def fault_middleware(plan: FaultPlan) -> Middleware:
    @web.middleware
    async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == PATH:
            return await handler(request)
        await request.read()  # a caller that leaves during a delay has sent its request all the same
        final: Rule | None = None
        for rule in plan.take(request.method, request.path):
            if isinstance(rule, Delay):
                await asyncio.sleep(rule.delay_s)
            elif final is None:
                final = rule
        return await _act(final, request, handler)

    return inject


async def _act(rule: Rule | None, request: web.Request, handler: Handler) -> web.StreamResponse:
    match rule:
        case None | Delay():
            return await handler(request)
        case StatusAnswer(status=status):
            return web.Response(status=status, text="ordered fault\n")
        case DropBeforeCommit():
            return _reset(request)
        case DropAfterCommit():
            await handler(request)
            return _reset(request)
        case Duplicate():
            first = await handler(request)
            await handler(request)
            return first
        case TruncatedJson():
            whole = await handler(request)
            if not isinstance(whole, web.Response) or not isinstance(whole.body, bytes):
                return whole  # a stream has no end to cut off
            body = whole.body
            return web.Response(
                status=whole.status, body=body[: len(body) // 2], content_type="application/json"
            )
        case NonJson():
            await handler(request)
            return web.Response(text="<!doctype html><title>Not JSON</title>\n", content_type="text/html")
        case _:
            assert_never(rule)


def _reset(request: web.Request) -> web.Response:
    """Ends the connection as a crash would: the peer sees a reset, not an end."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            # Lingering for no time makes the kernel send RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=503)  # goes nowhere
