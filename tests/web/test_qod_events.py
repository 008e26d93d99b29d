"""The operator's door: who gets in, with what, and what strangers hear."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest

from bayd.reconcile.qod_sink import EventSink, SinkTokens
from bayd.runtime.clock import SystemClock
from bayd.web.listener import Listener
from bayd.web.qod_events import make_webhook_app
from tests.let_out import keep_secret
from tests.simulation.world import SimLog

EVENT = {
    "id": "83a0d986-0866-4f38-b8c0-fc65bfcda452",
    "source": "https://api.example.com/qod/v0/sessions/123e4567-e89b-12d3-a456-426614174000",
    "specversion": "1.0",
    "type": "org.camaraproject.qod.v0.qos-status-changed",
    "time": "2021-12-12T00:00:00Z",
    "data": {
        "sessionId": "123e4567-e89b-12d3-a456-426614174000",
        "qosStatus": "UNAVAILABLE",
        "statusInfo": "DURATION_EXPIRED",
    },
}
CLOUD_EVENT = "application/cloudevents+json"


@dataclass
class Door:
    port: int
    token: str
    http: aiohttp.ClientSession
    log: SimLog
    sink: EventSink
    poked: list[str] = field(default_factory=list)

    async def post(
        self, body: Any = EVENT, *, authorization: str | None = "right", kind: str = CLOUD_EVENT, **named: str
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": kind, **named}
        if authorization is not None:
            headers["Authorization"] = f"Bearer {self.token}" if authorization == "right" else authorization
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}/qod/events"
        async with self.http.post(url, data=raw, headers=headers) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    log, poked = SimLog(), list[str]()
    tokens = SinkTokens("https://bay.example.com/qod/events", b"\x01" * 32)
    token = tokens.webhook("correlator-1").notification_auth_token
    assert token is not None
    keep_secret(token, "15550100")

    def poke(x_correlator: str) -> bool:
        poked.append(x_correlator)
        return True

    sink = EventSink(tokens, poke, log)
    listener = await Listener.open(make_webhook_app(sink, SystemClock(), log), [("127.0.0.1", 0)], log)
    try:
        async with aiohttp.ClientSession() as http:
            yield Door(listener.ports[0], token, http, log, sink, poked)
    finally:
        await listener.aclose()


@pytest.mark.parametrize("kind", [CLOUD_EVENT, f"{CLOUD_EVENT}; charset=utf-8", "application/json"])
async def test_an_event_is_thanked_for_and_looked_at(door: Door, kind: str) -> None:
    assert await door.post(kind=kind) == (HTTPStatus.NO_CONTENT, b"")
    assert door.poked == ["correlator-1"]


async def test_a_doubled_event_is_thanked_for_too(door: Door) -> None:
    assert [(await door.post())[0] for _ in range(3)] == [HTTPStatus.NO_CONTENT] * 3
    assert door.poked == ["correlator-1"]
    assert door.sink.counts.doubled == 2


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer ", "Bearer correlator-1.AAAA", "Basic eDp5", "Bearer \u00fc"]
)
async def test_without_the_token_nothing_is_read(door: Door, authorization: str | None) -> None:
    status, body = await door.post(b"x" * 900_000, authorization=authorization)
    assert status == HTTPStatus.UNAUTHORIZED
    assert json.loads(body)["code"] == "token_unknown"
    assert door.poked == []


async def test_two_tokens_are_none(door: Door) -> None:
    url = f"http://127.0.0.1:{door.port}/"
    pairs = [("Authorization", f"Bearer {door.token}")] * 2 + [("Content-Type", CLOUD_EVENT)]
    async with door.http.post(url, json=None, data=json.dumps(EVENT), headers=pairs) as answer:
        assert answer.status == HTTPStatus.UNAUTHORIZED
    assert door.poked == []


async def test_who_guesses_is_slowed_down_and_the_operator_is_not(door: Door) -> None:
    statuses = [(await door.post(authorization=f"Bearer a.{n}"))[0] for n in range(30)]
    assert statuses[0] == HTTPStatus.UNAUTHORIZED
    assert statuses[-1] == HTTPStatus.TOO_MANY_REQUESTS
    assert (await door.post())[0] == HTTPStatus.NO_CONTENT


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", HTTPStatus.UNPROCESSABLE_ENTITY),
        (b"{", HTTPStatus.BAD_REQUEST),
        (b"[]", HTTPStatus.UNPROCESSABLE_ENTITY),
        (b"[" * 10_000, HTTPStatus.BAD_REQUEST),
        ({"id": 5, "source": "s", "type": "t"}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ({"id": "", "source": "s", "type": "t"}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ({"id": "i" * 300, "source": "s", "type": "t"}, HTTPStatus.UNPROCESSABLE_ENTITY),
        (b"x" * 20_000, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
async def test_what_is_no_event_is_refused(door: Door, body: Any, status: HTTPStatus) -> None:
    got, _ = await door.post(body)
    assert got == status
    assert door.poked == []


async def test_another_kind_of_body_is_refused(door: Door) -> None:
    assert (await door.post(kind="text/plain"))[0] == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert (await door.post(**{"Content-Encoding": "gzip"}))[0] in (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.BAD_REQUEST,
    )


async def test_there_is_nothing_to_get(door: Door) -> None:
    for method in ("GET", "DELETE", "PUT"):
        async with door.http.request(method, f"http://127.0.0.1:{door.port}/status") as answer:
            assert answer.status == HTTPStatus.METHOD_NOT_ALLOWED


async def test_neither_log_nor_answer_repeats_what_came(door: Door) -> None:
    event = {**EVENT, "id": 1, "device": {"phoneNumber": "+15550100"}}
    _, refused = await door.post(event)
    _, unread = await door.post(EVENT, authorization="Bearer x." + "s3cret" * 4)
    told = f"{door.log.lines} {refused!r} {unread!r}"
    assert door.log.lines
    for secret in ("+15550100", "s3cret", door.token, "correlator-1"):
        assert secret not in told
