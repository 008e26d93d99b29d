"""Events to a sink: at least once, and, on order, doubled, late and out of order."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bayd.reference.qod.database import OperatorDatabase
from bayd.reference.qod.dialects import CAMARA_1_1
from bayd.reference.qod.requests import parse_create
from bayd.reference.qod.sessions import QosSession
from tests.reference.qod.harness import (
    NOON,
    CamaraCaller,
    EventReceiver,
    ManualClock,
    camara_request,
    receiving_events,
    running,
)


class RealClock(ManualClock):
    def __call__(self) -> float:
        return time.time()


def credential(expires: str = "2030-01-01T00:00:00Z") -> dict[str, str]:
    return {
        "credentialType": "ACCESSTOKEN",
        "accessToken": "a-token-for-the-sink",
        "accessTokenExpiresUtc": expires,
        "accessTokenType": "bearer",
    }


async def next_status(receiver: EventReceiver) -> str:
    _, event = await receiver.next()
    status: str = event["data"]["qosStatus"]
    return status


async def start(camara: CamaraCaller, receiver: EventReceiver, *, seconds: float = 2.0) -> str:
    """A session with this sink, `seconds` after its creation."""
    created = await camara.create(sink=receiver.url, sinkCredential=credential())
    camara.operator.clock.advance(seconds)
    session_id: str = created.body["sessionId"]
    assert (await camara.get(session_id)).status == 200
    return session_id


async def test_events_come_by_themselves_on_the_real_clock(db: Path) -> None:
    """Nobody calls between the creation and the events: the operator's own pulse sends them."""
    async with receiving_events() as receiver:
        options: dict[str, Any] = {
            "dialect": "camara-1.1",
            "faults": True,
            "requested_delay_s": 0.05,
            "min_duration_s": 1,
        }
        async with running(db, clock=RealClock(), **options) as operator:
            caller = CamaraCaller(operator)
            await caller.login()
            await caller.create(sink=receiver.url, duration=1)
            headers, event = await receiver.next()
            assert event["data"]["qosStatus"] == "AVAILABLE"
            assert "Authorization" not in headers  # no credential was given
            _, event = await receiver.next()
            assert event["data"]["statusInfo"] == "DURATION_EXPIRED"


async def test_no_event_tells_of_deleting_what_was_never_available(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        first = await start(camara, receiver, seconds=0)
        await camara.delete(first)
        second = await start(camara, receiver)
        _, event = await receiver.next()
        assert event["data"] == {"sessionId": second, "qosStatus": "AVAILABLE"}
        await camara.operator.order("terminate_now")
        assert (await receiver.next())[1]["data"]["statusInfo"] == "NETWORK_TERMINATED"
        await camara.delete(second)  # it had ended: nothing more to tell
        third = await start(camara, receiver)
        assert (await receiver.next())[1]["data"]["sessionId"] == third


async def test_a_doubled_event_has_one_id(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        await camara.operator.order("event", copies=2)
        await start(camara, receiver)
        first, second = await receiver.next(), await receiver.next()
        assert first[1] == second[1]


async def test_a_late_event_keeps_its_own_time(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        session_id = await start(camara, receiver)
        assert await next_status(receiver) == "AVAILABLE"
        await camara.operator.order("event", status="UNAVAILABLE", delay_s=360.0)
        await camara.operator.order("terminate_now")
        await camara.get(session_id)
        camara.operator.clock.advance(359)
        await camara.get(session_id)
        assert receiver.received.empty()
        camara.operator.clock.advance(1)
        await camara.get(session_id)
        _, event = await receiver.next()
        assert event["data"]["statusInfo"] == "NETWORK_TERMINATED"
        assert event["time"] == "2025-06-15T15:06:42.000Z"


async def test_events_out_of_order(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        await camara.operator.order("event", status="AVAILABLE", after_the_next=True)
        await start(camara, receiver)
        await camara.operator.order("terminate_now")
        assert [await next_status(receiver), await next_status(receiver)] == ["UNAVAILABLE", "AVAILABLE"]


async def test_an_event_that_is_not_taken_is_sent_again(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        receiver.answers = [500, 503]
        session_id = await start(camara, receiver)
        ids = {(await receiver.next())[1]["id"]}
        for retry_s in (2, 4):
            camara.operator.clock.advance(retry_s)
            await camara.get(session_id)
            ids.add((await receiver.next())[1]["id"])
        assert len(ids) == 1
        camara.operator.clock.advance(100)
        await camara.delete(session_id)
        assert await next_status(receiver) == "UNAVAILABLE"  # and not the first one again


async def test_410_ends_the_deliveries_of_a_session(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        receiver.answers = [410]
        first = await start(camara, receiver)
        assert await next_status(receiver) == "AVAILABLE"
        await camara.delete(first)
        second = await start(camara, receiver)
        assert (await receiver.next())[1]["data"]["sessionId"] == second


async def test_nothing_is_sent_with_a_token_that_is_over(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        request = {"sink": receiver.url, "sinkCredential": credential("2025-06-15T15:06:41Z")}
        first = (await camara.create(**request)).body["sessionId"]
        camara.operator.clock.advance(2)
        await camara.delete(first)
        second = await start(camara, receiver)
        assert (await receiver.next())[1]["data"]["sessionId"] == second


async def test_events_that_are_due_survive_a_restart(db: Path) -> None:
    options: dict[str, Any] = {"dialect": "camara-1.1", "faults": True, "requested_delay_s": 2.0}
    async with receiving_events() as receiver:
        async with running(db, **options) as operator:
            clock = operator.clock
            caller = CamaraCaller(operator)
            await caller.login()
            await operator.order("event", delay_s=5.0)
            session_id = await start(caller, receiver)
        clock.advance(10)
        async with running(db, clock=clock, **options):
            _, event = await receiver.next()
            assert event["data"] == {"sessionId": session_id, "qosStatus": "AVAILABLE"}


async def test_an_event_that_is_never_taken_is_given_up(camara: CamaraCaller) -> None:
    async with receiving_events() as receiver:
        receiver.answers = [500] * 4
        session_id = await start(camara, receiver)
        ids = [(await receiver.next())[1]["id"]]
        for retry_s in (2, 4, 8):
            camara.operator.clock.advance(retry_s)
            await camara.get(session_id)
            ids.append((await receiver.next())[1]["id"])
        assert len(set(ids)) == 1
        camara.operator.clock.advance(1_000)
        await camara.delete(session_id)
        assert await next_status(receiver) == "UNAVAILABLE"
        assert receiver.received.empty()


@pytest.mark.parametrize("sink", ["https://203.0.113.9/events", "https://endpoint.example.com/events"])
def test_a_sink_elsewhere_is_accepted_and_never_called(db: Path, sink: str) -> None:
    body = json.dumps(camara_request(sink=sink)).encode()
    request = parse_create(body, CAMARA_1_1, min_duration_s=60)
    assert request.echo["sink"] == sink
    session = QosSession(
        session_id="00000000-0000-4000-8000-000000000001",
        client_id="bayd",
        profile="QOS_E",
        duration_s=600,
        created_at=NOON,
        available_due_at=NOON,
        retention_s=360.0,
        echo=request.echo,
    )
    database = OperatorDatabase(db)
    database.create(session, request)
    assert database.due_events(NOON + 1) == []
    database.close()
