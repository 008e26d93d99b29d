"""Every fault that can be ordered, and that it strikes what it should and nothing else."""

import asyncio
import json
import time
import uuid
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from joserfc.jwk import RSAKey

from tests.reference.qod.harness import NOON, CamaraCaller, TmobileCaller, running


async def test_a_token_can_be_voided_in_mid_life(tmobile: TmobileCaller) -> None:
    session_id = (await tmobile.create()).body["sessionId"]
    await tmobile.operator.order("revoke", operation="get")
    assert (await tmobile.get(session_id)).error == (401, "UNAUTHENTICATED")
    assert (await tmobile.delete(session_id)).status == 401  # it stays void
    await tmobile.login()
    assert (await tmobile.get(session_id)).status == 200


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (409, "CONFLICT"),
        (429, "TOO_MANY_REQUESTS"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "TIMEOUT"),
    ],
)
async def test_a_refusal_has_the_code_of_its_status(tmobile: TmobileCaller, status: int, code: str) -> None:
    await tmobile.operator.order("refuse", status=status)
    reply = await tmobile.create()
    assert reply.error == (status, code)
    assert "Retry-After" not in reply.headers
    assert await tmobile.operator.ledger() == []
    assert (await tmobile.create()).status == 201


async def test_429_with_its_retry_after_and_the_permanent_kind(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("refuse", status=429, retry_after_s=7)
    assert (await tmobile.create()).headers["Retry-After"] == "7"
    await tmobile.operator.order("refuse", status=429, code="QUOTA_EXCEEDED")
    assert (await tmobile.create()).error == (429, "QUOTA_EXCEEDED")


async def test_refusals_in_other_shapes(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("refuse", status=503, shape="older")
    older = await tmobile.create()
    assert older.status == 503
    assert older.body.keys() == {"reasonCode", "systemMessage", "userMessage"}
    await tmobile.operator.order("refuse", status=502, shape="html")
    page = await tmobile.create()
    assert (page.status, page.headers["Content-Type"]) == (502, "text/html")
    with pytest.raises(json.JSONDecodeError):
        json.loads(page.raw)
    await tmobile.operator.order("refuse", status=504, shape="empty")
    assert (await tmobile.create()).raw == b""


async def test_earned_errors_in_the_older_shape(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("older_errors", times=None)
    assert (await tmobile.create()).status == 201
    reply = await tmobile.create()
    assert reply.status == 409
    assert reply.body["reasonCode"] == "CONFLICT"


@pytest.mark.parametrize(("stage", "sessions"), [("before_commit", 0), ("after_commit", 1)])
async def test_a_lost_reply(tmobile: TmobileCaller, stage: str, sessions: int) -> None:
    await tmobile.operator.order("lose_reply", operation="create", stage=stage)
    with pytest.raises(aiohttp.ClientConnectionError):
        await tmobile.create()
    assert len(await tmobile.operator.ledger()) == sessions
    assert (await tmobile.create()).status == (409 if sessions else 201)


async def test_a_reply_that_never_comes(tmobile: TmobileCaller) -> None:
    """The caller's own time-out ends it; the session is there."""
    await tmobile.operator.order("lose_reply", operation="create", stage="after_commit", hang_s=60.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await tmobile.create()
    assert len(await tmobile.operator.ledger()) == 1


async def test_a_lost_deletion_is_done_all_the_same(tmobile: TmobileCaller) -> None:
    session_id = (await tmobile.create()).body["sessionId"]
    await tmobile.operator.order("lose_reply", operation="delete", stage="after_commit")
    with pytest.raises(aiohttp.ClientConnectionError):
        await tmobile.delete(session_id)
    assert (await tmobile.delete(session_id)).error == (404, "NOT_FOUND")


async def test_a_body_that_breaks_off(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("truncate", operation="create", keep_bytes=30)
    with pytest.raises(aiohttp.ClientPayloadError):
        await tmobile.create()
    assert len(await tmobile.operator.ledger()) == 1


async def test_a_body_that_was_cut_before_it_was_sent(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("truncate", operation="create", keep_bytes=30, claims_to_be_whole=True)
    reply = await tmobile.create()
    assert (reply.status, len(reply.raw), reply.headers["Content-Length"]) == (201, 30, "30")
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.raw)


async def test_the_token_endpoint_has_faults_too(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("refuse", operation="token", status=503)
    assert (await tmobile.login()).status == 503
    assert (await tmobile.login()).status == 200


async def test_a_skewed_clock(tmobile: TmobileCaller) -> None:
    """The operator's clock is ahead: its Date says so, and proofs by the right time are over."""
    await tmobile.operator.order("skew_clock", skew_s=300.0)
    refused = await tmobile.create()
    assert refused.status == 401
    assert "exp is over" in refused.body["message"]
    date = parsedate_to_datetime(refused.headers["Date"])
    assert date.timestamp() == NOON + 300

    path = "/qod/v0/sessions"
    body = b'{"device": {"phoneNumber": "1555010001"}, "applicationServer": {"ipv4Address": "203.0.113.1"},'
    body += b'"qosProfile": "QOS_VC"}'
    corrected = tmobile.headers("POST", path, body, iat=int(date.timestamp()), exp=int(date.timestamp()) + 60)
    created = await tmobile.operator.send("POST", path, body=body, headers=corrected)
    assert created.body["startedAt"] == NOON + 300
    assert (await tmobile.operator.ledger())[0]["created_at"] == NOON
    # Cleared, the used proof stays used: it is not brought back to life by the right clock.
    await tmobile.operator.send("DELETE", "/_faults")
    tmobile.operator.clock.advance(300)
    assert (await tmobile.operator.send("POST", path, body=body, headers=corrected)).status == 401


async def test_a_session_that_stays_requested(db: Path, key: RSAKey) -> None:
    async with running(db, faults=True, requested_delay_s=1.0) as operator:
        caller = TmobileCaller(operator, key)
        await caller.login()
        await operator.order("stay_requested")
        stuck = (await caller.create(duration=600)).body["sessionId"]
        operator.clock.advance(599)
        assert (await caller.get(stuck)).body["qosStatus"] == "REQUESTED"
        assert (await caller.delete(stuck)).status == 204
        healthy = (await caller.create()).body["sessionId"]
        operator.clock.advance(1)
        assert (await caller.get(healthy)).body["qosStatus"] == "AVAILABLE"
        assert [row["network_s"] for row in await operator.ledger()] == [0.0, 0.0]


async def test_the_network_ends_a_session_after_a_while(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("terminate", after_s=30.0)
    session_id = (await tmobile.create()).body["sessionId"]
    tmobile.operator.clock.advance(29)
    assert (await tmobile.get(session_id)).body["qosStatus"] == "AVAILABLE"
    tmobile.operator.clock.advance(1)
    assert (await tmobile.get(session_id)).body["qosStatus"] == "UNAVAILABLE"
    (row,) = await tmobile.operator.ledger()
    assert (row["cause"], row["network_s"]) == ("NETWORK_TERMINATED", 30.0)


async def test_the_network_ends_one_live_session(tmobile: TmobileCaller) -> None:
    one = (await tmobile.create()).body["sessionId"]
    other = (await tmobile.create(device={"phoneNumber": "1555010002"})).body["sessionId"]
    await tmobile.operator.order("terminate_now", session_id=one)
    assert (await tmobile.get(one)).body["qosStatus"] == "UNAVAILABLE"
    assert (await tmobile.get(other)).body["qosStatus"] == "AVAILABLE"
    again = await tmobile.operator.order("terminate_now", session_id=one)
    assert again.error == (404, "NOT_FOUND")


async def test_another_duration_than_asked_for(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("grant", duration_s=300)
    created = (await tmobile.create(duration=3600)).body
    assert created["duration"] == 300
    assert created["expiresAt"] == NOON + 300


async def test_a_conflict_does_not_use_up_what_is_meant_for_a_new_session(tmobile: TmobileCaller) -> None:
    await tmobile.create()
    await tmobile.operator.order("grant", duration_s=300)
    assert (await tmobile.create()).status == 409
    assert (await tmobile.create(device={"phoneNumber": "1555010002"})).body["duration"] == 300


async def test_a_delay_holds_the_call_and_lets_go_when_the_caller_has_left(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("delay", operation="create", delay_s=0.2)
    began = time.monotonic()
    assert (await tmobile.create()).status == 201
    assert time.monotonic() - began >= 0.2


async def test_rules_pass_some_calls_strike_some_and_are_spent(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("refuse", operation="get", status=503, after=1, times=2)
    session_id = (await tmobile.create()).body["sessionId"]
    assert [(await tmobile.get(session_id)).status for _ in range(5)] == [200, 503, 503, 200, 200]
    shown = (await tmobile.operator.send("GET", "/_faults")).body
    assert [(rule["kind"], rule["struck"]) for rule in shown["rules"]] == [("refuse", 2)]


async def test_faults_can_be_cleared(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("refuse", status=503, times=None)
    await tmobile.operator.order("skew_clock", skew_s=5.0)
    assert (await tmobile.create()).status == 503
    assert (await tmobile.operator.send("DELETE", "/_faults")).status == 204
    assert (await tmobile.create()).status == 201
    assert (await tmobile.operator.send("GET", "/_faults")).body == {"skew_s": 0.0, "rules": []}


async def test_a_stranger_uses_up_no_fault(tmobile: TmobileCaller) -> None:
    await tmobile.operator.order("refuse", status=503)
    path = f"/qod/v0/sessions/{uuid.uuid4()}"
    assert (await tmobile.operator.send("GET", path)).status == 401
    assert (await tmobile.get(str(uuid.uuid4()))).status == 503


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ({"kind": "meteor"}, "kind"),
        ({"kind": "refuse"}, "status"),
        ({"kind": "refuse", "status": 200}, "status"),
        ({"kind": "refuse", "status": 503, "operation": "put"}, "operation"),
        ({"kind": "refuse", "status": 503, "colour": "red"}, "colour"),
        ({"kind": "delay", "delay_s": "long"}, "delay_s"),
        ({"kind": "lose_reply"}, "stage"),
        ([], "the body"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(tmobile: TmobileCaller, order: Any, named: str) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps(order).encode()
    reply = await tmobile.operator.send("POST", "/_faults", body=body, headers=headers)
    assert reply.error == (400, "INVALID_ARGUMENT")
    assert named in reply.body["message"]


async def test_a_page_in_a_browser_cannot_order_faults(tmobile: TmobileCaller) -> None:
    headers = {"Content-Type": "text/plain"}
    body = b'{"kind": "terminate_now"}'
    reply = await tmobile.operator.send("POST", "/_faults", body=body, headers=headers)
    assert reply.error == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(("method", "path"), [("POST", "/_faults"), ("GET", "/_faults"), ("GET", "/_ledger")])
async def test_without_faults_there_is_neither_board_nor_ledger(db: Path, method: str, path: str) -> None:
    async with running(db) as operator:
        assert (await operator.send(method, path)).error == (404, "NOT_FOUND")


async def test_an_extension_can_be_refused_as_one_operator_does(camara: CamaraCaller) -> None:
    """404 within 20 s of the end."""
    session_id = (await camara.create()).body["sessionId"]
    camara.operator.clock.advance(2)
    await camara.operator.order("refuse", operation="extend", status=404)
    assert (await camara.extend(session_id, 60)).error == (404, "NOT_FOUND")
    assert (await camara.extend(session_id, 60)).status == 200
