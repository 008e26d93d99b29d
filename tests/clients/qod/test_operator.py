"""The client against the reference operator: the real wire in both dialects, and faults to order.

Both sides were written from the specifications alone and share no code: an error in one does not cancel out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from bayd.clients.qod import (
    AmbiguousError,
    ConflictError,
    CreateSession,
    CredentialsError,
    Device,
    NotFoundError,
    QodClient,
    QodError,
    RefusedError,
    RetryLaterError,
    SessionInfo,
)
from bayd.reference.qod import ClientRegistration, make_app

from .conftest import KeyPair

PHONE = "+15550100"
BASE_PATH = {"tmobile-0.10": "/qod/v0", "camara-1.1": "/quality-on-demand/v1"}
PROFILE = {"tmobile-0.10": "QOS_VC", "camara-1.1": "QOS_E"}
OTHER_SESSION = "00000000-0000-4000-8000-000000000000"


class Range:
    """An operator, its control desk, and a client of it."""

    def __init__(
        self, dialect: str, origin: str, desk: aiohttp.ClientSession, new: Callable[..., QodClient]
    ) -> None:
        self.dialect = dialect
        self.origin = origin
        self._desk = desk
        self.new_client = new
        self.client = new()

    @property
    def session(self) -> Any:
        return self.client.session

    def booking(self, **fields: Any) -> CreateSession:
        return CreateSession.model_validate(
            {
                "device": {"phone_number": PHONE},
                "application_server": {"ipv4_address": "203.0.113.10"},
                "qos_profile": PROFILE[self.dialect],
                "duration": 600,
            }
            | fields
        )

    async def order(self, kind: str, **fault: Any) -> None:
        async with self._desk.post(f"{self.origin}/_faults", json={"kind": kind, **fault}) as answer:
            assert answer.status < 300, await answer.text()

    async def live_sessions(self) -> int:
        async with self._desk.get(f"{self.origin}/_ledger") as answer:
            sessions = (await answer.json())["sessions"]
        return sum(session["ended_at"] is None for session in sessions)


@pytest.fixture
async def operator(request: pytest.FixtureRequest, tmp_path: Path, rsa_pair: KeyPair) -> AsyncIterator[Range]:
    dialect = getattr(request, "param", "tmobile-0.10")
    app = make_app(
        tmp_path / "operator.db",
        dialect=dialect,
        clients={
            name: ClientRegistration(secret="correct-horse", public_key_pem=rsa_pair.public_pem)
            for name in ("bay-client", "other-client")
        },
        faults=True,
        requested_delay_s=0.0,
    )
    async with AsyncExitStack() as stack:
        server = TestServer(app)
        await server.start_server(shutdown_timeout=1)
        stack.push_async_callback(server.close)
        origin = str(server.make_url("")).rstrip("/")
        clients: list[QodClient] = []

        def new_client(**overrides: Any) -> QodClient:
            settings: dict[str, Any] = {
                "client_id": "bay-client",
                "client_secret": "correct-horse",
                "private_key": rsa_pair.private_pem,
                "base_url": origin + BASE_PATH[dialect],
                "dialect": dialect,
                "jitter": lambda: 0.0,
            }
            clients.append(QodClient(**(settings | overrides)))
            stack.push_async_callback(clients[-1].aclose)
            return clients[-1]

        desk = await stack.enter_async_context(aiohttp.ClientSession())
        yield Range(dialect, origin, desk, new_client)


both = pytest.mark.parametrize("operator", list(BASE_PATH), indirect=True)
camara = pytest.mark.parametrize("operator", ["camara-1.1"], indirect=True)


async def available(operator: Range, session_id: str) -> SessionInfo:
    async with asyncio.timeout(20):
        while True:
            info: SessionInfo = await operator.session.get_session(session_id)
            if info.qos_status == "AVAILABLE":
                return info
            await asyncio.sleep(0.02)


@both
async def test_a_session_lives_and_ends(operator: Range) -> None:
    begun_ms = time.time() * 1000
    created = await operator.session.create_session(operator.booking())
    info = await available(operator, created.session_id)
    assert info.duration == 600
    assert info.started_at_ms is not None and info.expires_at_ms is not None
    assert abs(info.started_at_ms - begun_ms) < 60_000
    assert info.expires_at_ms - info.started_at_ms == 600_000
    assert info.qos_profile == PROFILE[operator.dialect]
    assert info.device is not None and info.device.phone_number == PHONE
    assert info.application_server is not None and info.application_server.ipv4_address == "203.0.113.10"
    await operator.session.delete_session(created.session_id)
    assert await operator.live_sessions() == 0
    await operator.session.delete_session(created.session_id)
    await operator.session.delete_session(OTHER_SESSION)


@both
async def test_a_client_by_secret_or_by_key_is_recognised(operator: Range) -> None:
    keys = [{}] if operator.dialect == "tmobile-0.10" else [{}, {"private_key": ""}]
    for settings in keys:
        with pytest.raises(NotFoundError):
            await operator.new_client(**settings).session.get_session(OTHER_SESSION)
    with pytest.raises(CredentialsError) as caught:
        await operator.new_client(client_secret="wrong", **keys[-1]).session.get_session(OTHER_SESSION)
    assert (caught.value.status, caught.value.code) == (401, "invalid_client")


async def test_a_hundred_calls_at_once_are_all_accepted(operator: Range) -> None:
    created = await operator.session.create_session(operator.booking())
    await operator.order("refuse", operation="token", status=500, times=None)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(operator.client.session.get_session(created.session_id)) for _ in range(100)
        ]
    assert {task.result().session_id for task in tasks} == {created.session_id}


@both
async def test_a_revoked_token_is_replaced_unseen(operator: Range) -> None:
    created = await operator.session.create_session(operator.booking())
    for name in ("get", "delete"):
        await operator.order("revoke", operation=name)
    assert (await operator.session.get_session(created.session_id)).session_id == created.session_id
    await operator.session.delete_session(created.session_id)
    await operator.order("revoke", operation="create")
    assert (await operator.session.create_session(operator.booking())).session_id != created.session_id
    assert await operator.live_sessions() == 1


@pytest.mark.parametrize("skew_s", [-7200.0, 7200.0])
async def test_a_wrong_clock_is_put_right_by_the_operators(operator: Range, skew_s: float) -> None:
    await operator.order("skew_clock", skew_s=skew_s)
    created = await operator.session.create_session(operator.booking())
    await operator.order("skew_clock", skew_s=-skew_s)
    await operator.session.delete_session(created.session_id)
    assert await operator.live_sessions() == 0


@both
async def test_a_create_lost_before_it_was_done(operator: Range) -> None:
    await operator.order("lose_reply", operation="create", stage="before_commit")
    with pytest.raises(AmbiguousError):
        await operator.session.create_session(operator.booking())
    assert await operator.live_sessions() == 0
    assert (await operator.session.create_session(operator.booking())).duration == 600


@camara
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lose_reply", "stage": "after_commit"},
        {"kind": "truncate"},
        {"kind": "truncate", "claims_to_be_whole": True},
    ],
)
async def test_a_create_lost_after_it_was_done_is_found_by_its_device(
    operator: Range, fault: dict[str, Any]
) -> None:
    await operator.order(**fault, operation="create")
    with pytest.raises(AmbiguousError):
        await operator.session.create_session(operator.booking())
    assert await operator.live_sessions() == 1
    (found,) = await operator.session.retrieve_sessions(Device(phone_number=PHONE))
    await operator.session.delete_session(found.session_id)
    assert await operator.live_sessions() == 0


@pytest.mark.parametrize("claims_to_be_whole", [True, False])
async def test_without_retrieve_a_repeat_tells_by_its_conflict(
    operator: Range, claims_to_be_whole: bool
) -> None:
    await operator.order("truncate", operation="create", claims_to_be_whole=claims_to_be_whole)
    with pytest.raises(AmbiguousError):
        await operator.session.create_session(operator.booking())
    with pytest.raises(ConflictError) as caught:
        await operator.session.create_session(operator.booking())
    assert (caught.value.status, caught.value.code) == (409, "CONFLICT")
    assert await operator.live_sessions() == 1


async def test_a_create_that_hangs_times_out_in_doubt(operator: Range) -> None:
    client = operator.new_client(timeout=1000)
    with pytest.raises(NotFoundError):
        await client.session.get_session(OTHER_SESSION)  # the token is at hand
    await operator.order("lose_reply", operation="create", stage="after_commit", hang_s=60.0)
    with pytest.raises(AmbiguousError, match="no answer within 1 s"):
        await client.session.create_session(operator.booking())
    assert await operator.live_sessions() == 1


@both
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lose_reply", "stage": "before_commit"},
        {"kind": "lose_reply", "stage": "after_commit"},
        {"kind": "refuse", "status": 503},
        {"kind": "refuse", "status": 429},
        {"kind": "refuse", "status": 502, "shape": "html"},
        {"kind": "refuse", "status": 504, "shape": "empty"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
async def test_get_and_delete_get_through(operator: Range, fault: dict[str, Any]) -> None:
    created = await operator.session.create_session(operator.booking())
    await operator.order(**fault, operation="get", times=2)
    await operator.order(**fault, operation="delete", times=2)
    assert (await operator.session.get_session(created.session_id)).session_id == created.session_id
    await operator.session.delete_session(created.session_id)
    assert await operator.live_sessions() == 0


@both
@pytest.mark.parametrize("shape", ["camara", "older", "html", "empty"])
async def test_refusals_of_every_shape(operator: Range, shape: str) -> None:
    for status, kind in (
        (400, RefusedError),
        (403, RefusedError),
        (409, ConflictError),
        (422, RefusedError),
        (429, RetryLaterError),
        (503, RetryLaterError),
        (500, AmbiguousError),
    ):
        await operator.order("refuse", operation="create", status=status, shape=shape, retry_after_s=7)
        with pytest.raises(QodError) as caught:
            await operator.session.create_session(operator.booking(), x_correlator="tx-7")
        error = caught.value
        assert (type(error), error.status, error.x_correlator) == (kind, status, "tx-7")
        assert (error.code is not None) == (shape in ("camara", "older"))
        assert error.retry_after_s == (7 if kind in (RetryLaterError, AmbiguousError) else None)


@both
async def test_the_operators_own_refusals(operator: Range) -> None:
    await operator.session.create_session(operator.booking())
    with pytest.raises(ConflictError):
        await operator.session.create_session(operator.booking())
    with pytest.raises(RefusedError) as unknown:
        await operator.session.create_session(operator.booking(device={"phone_number": "+1555010404"}))
    with pytest.raises(RefusedError) as profile:
        await operator.session.create_session(operator.booking(qos_profile="QOS_NONE"))
    with pytest.raises(NotFoundError):
        await operator.session.get_session(OTHER_SESSION)
    assert profile.value.status == 400
    assert "0104" not in str(unknown.value)


@both
async def test_another_clients_session_is_not_ours(operator: Range) -> None:
    other = operator.new_client(client_id="other-client")
    created = await other.session.create_session(operator.booking())
    for call in (operator.session.get_session, operator.session.delete_session):
        with pytest.raises(RefusedError) as caught:
            await call(created.session_id)
        assert caught.value.code == "PERMISSION_DENIED"
    assert await operator.live_sessions() == 1


@camara
async def test_an_extension_is_capped_and_its_loss_is_in_doubt(operator: Range) -> None:
    created = await operator.session.create_session(operator.booking(qos_profile="QOS_L"))
    await available(operator, created.session_id)
    await operator.order("lose_reply", operation="extend", stage="after_commit")
    with pytest.raises(AmbiguousError):
        await operator.session.extend_session(created.session_id, 300)
    assert (await operator.session.get_session(created.session_id)).duration == 900
    assert (await operator.session.extend_session(created.session_id, 86_400)).duration == 50_000


@camara
async def test_only_a_live_session_can_be_extended(operator: Range) -> None:
    await operator.order("stay_requested")
    created = await operator.session.create_session(operator.booking())
    assert created.qos_status == "REQUESTED"
    with pytest.raises(ConflictError) as caught:
        await operator.session.extend_session(created.session_id, 300)
    assert caught.value.code == "QUALITY_ON_DEMAND.SESSION_EXTENSION_NOT_ALLOWED"
    with pytest.raises(NotFoundError):
        await operator.session.extend_session(OTHER_SESSION, 300)


@both
async def test_a_session_ended_by_the_network_blocks_until_it_is_deleted(operator: Range) -> None:
    created = await operator.session.create_session(operator.booking())
    await available(operator, created.session_id)
    await operator.order("terminate_now", session_id=created.session_id)
    info = await operator.session.get_session(created.session_id)
    assert info.qos_status == "UNAVAILABLE"
    assert info.status_info == ("NETWORK_TERMINATED" if operator.dialect == "camara-1.1" else None)
    with pytest.raises(ConflictError):
        await operator.session.create_session(operator.booking())
    await operator.session.delete_session(created.session_id)
    assert (await operator.session.create_session(operator.booking())).session_id != created.session_id


@both
async def test_the_granted_duration_is_the_answers(operator: Range) -> None:
    await operator.order("grant", duration_s=120)
    created = await operator.session.create_session(operator.booking(duration=600))
    assert created.duration == 120


@camara
async def test_retrieve_finds_our_own_sessions_only(operator: Range) -> None:
    assert await operator.session.retrieve_sessions(Device(phone_number=PHONE)) == ()
    created = await operator.session.create_session(operator.booking())
    found = await operator.session.retrieve_sessions(Device(phone_number=PHONE))
    assert [info.session_id for info in found] == [created.session_id]
    other = operator.new_client(client_id="other-client")
    assert await other.session.retrieve_sessions(Device(phone_number=PHONE)) == ()
