"""GET and DELETE try again, a POST never; pauses, deadline, and one correlator for it all."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bayd.clients.qod import (
    AmbiguousError,
    CircuitOpenError,
    ConflictError,
    CreateSession,
    Device,
    NotFoundError,
    QodClient,
    QodError,
    RefusedError,
    RetryLaterError,
)
from bayd.clients.qod.backoff import full_jitter_s

from .conftest import PHONE, MakeClient
from .peer import SESSION, SESSION_ID, Answer, Cut, Hang, Peer, Refuse, Reset, Step

pytestmark = pytest.mark.virtual_time

PASSING: list[Step] = [
    Refuse(),
    Reset(),
    Hang(),
    Answer(408),
    Answer(425),
    Answer(429, {"code": "TOO_MANY_REQUESTS", "message": "slow down"}),
    Answer(500),
    Answer(502, text="<html>Bad Gateway</html>"),
    Answer(503),
    Answer(504),
]
FINAL: list[Step] = [
    Answer(400, {"code": "INVALID_ARGUMENT"}),
    Answer(403, {"code": "PERMISSION_DENIED"}),
    Answer(429, {"code": "QUOTA_EXCEEDED"}),
    Answer(501, {"code": "NOT_IMPLEMENTED"}),
]


Call = Callable[[QodClient], Awaitable[object]]


async def get(client: QodClient) -> object:
    return await client.session.get_session(SESSION_ID)


async def delete(client: QodClient) -> object:
    await client.session.delete_session(SESSION_ID)
    return None


@pytest.mark.parametrize("step", PASSING, ids=lambda step: getattr(step, "status", type(step).__name__))
@pytest.mark.parametrize(("name", "call"), [("get", get), ("delete", delete)])
async def test_what_passes_is_tried_again(make_client: MakeClient, name: str, call: Call, step: Step) -> None:
    peer = Peer()
    peer.script(name, step, step)
    await call(make_client(peer))
    seen = peer.calls(name)
    assert len(seen) == 3
    assert len({each.headers["x-correlator"] for each in seen}) == 1
    assert len({each.headers["x-authorization"] for each in seen}) == 3


@pytest.mark.parametrize("step", FINAL, ids=lambda step: getattr(step, "status", None))
@pytest.mark.parametrize(("name", "call"), [("get", get), ("delete", delete)])
async def test_what_is_final_is_not_tried_again(
    make_client: MakeClient, name: str, call: Call, step: Step
) -> None:
    peer = Peer()
    peer.always(name, step)
    with pytest.raises(RefusedError):
        await call(make_client(peer))
    assert len(peer.calls(name)) == 1


@pytest.mark.parametrize(
    "step", [Answer(200, text='{"sessionId"'), Cut(200, SESSION), Answer(200, {}), Answer(200)]
)
async def test_an_unreadable_session_is_asked_for_again(make_client: MakeClient, step: Step) -> None:
    peer = Peer()
    peer.script("get", step)
    assert (await make_client(peer).session.get_session(SESSION_ID)).session_id == SESSION_ID
    assert len(peer.calls("get")) == 2


async def test_another_session_than_asked_for_is_no_answer(make_client: MakeClient) -> None:
    peer = Peer()
    peer.always("get", Answer(200, SESSION | {"sessionId": "00000000-0000-4000-8000-000000000000"}))
    with pytest.raises(RetryLaterError, match="cannot be read"):
        await make_client(peer).session.get_session(SESSION_ID)


async def test_the_case_of_a_session_id_makes_no_other(make_client: MakeClient) -> None:
    info = await make_client(Peer()).session.get_session(SESSION_ID.upper())
    assert info.session_id == SESSION_ID


@pytest.mark.parametrize("step", PASSING, ids=lambda step: getattr(step, "status", type(step).__name__))
@pytest.mark.parametrize("call", ["create", "extend", "retrieve"])
async def test_a_post_goes_out_once(
    make_client: MakeClient, booking: CreateSession, call: str, step: Step
) -> None:
    peer = Peer()
    peer.always(call, step)
    session = make_client(peer, dialect="camara-1.1").session
    with pytest.raises(QodError):
        match call:
            case "create":
                await session.create_session(booking)
            case "extend":
                await session.extend_session(SESSION_ID, 60)
            case _:
                await session.retrieve_sessions(Device(phone_number=PHONE))
    assert len(peer.calls(call)) == 1


def test_pauses_are_spread_over_a_window_that_doubles_up_to_30_s() -> None:
    widest = [full_jitter_s(attempt, 1.0) for attempt in range(9)]
    assert widest == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert full_jitter_s(5, 0.0) == 0
    assert full_jitter_s(5, 0.25) == 4
    assert full_jitter_s(100_000, 1.0) == 30


async def test_a_get_gives_up_at_its_deadline(make_client: MakeClient) -> None:
    """The first pause that would end after the deadline is not begun. The breaker is kept out by answers."""
    peer = Peer()
    peer.always("get", Answer(429))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(RetryLaterError) as caught:
        await make_client(peer, deadline_s=20.0, jitter=lambda: 1.0).session.get_session(SESSION_ID)
    # 0.5 + 1 + 2 + 4 + 8 s of pauses; 16 s more would be too many.
    assert loop.time() - begun == pytest.approx(15.5)
    assert len(peer.calls("get")) == 6
    assert caught.value.status == 429


async def test_the_last_attempt_is_cut_to_the_time_left(make_client: MakeClient) -> None:
    peer = Peer()
    peer.always("get", Hang())
    loop = asyncio.get_running_loop()
    with pytest.raises(RetryLaterError):
        await make_client(peer, timeout=8000, deadline_s=20.0).session.get_session(SESSION_ID)
    assert loop.time() <= 20.1


@pytest.mark.parametrize(("settings", "timeout_s"), [({}, 10.0), ({"timeout": 2500}, 2.5)])
async def test_the_timeout_is_in_milliseconds_and_10_s_unless_given(
    make_client: MakeClient, booking: CreateSession, settings: dict[str, int], timeout_s: float
) -> None:
    peer = Peer()
    peer.always("create", Hang())
    with pytest.raises(AmbiguousError):
        await make_client(peer, **settings).session.create_session(booking)
    assert asyncio.get_running_loop().time() == pytest.approx(timeout_s)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_is_waited_for(make_client: MakeClient, status: int) -> None:
    peer = Peer()
    peer.script("get", Answer(status, headers={"Retry-After": "25"}))
    await make_client(peer).session.get_session(SESSION_ID)
    assert asyncio.get_running_loop().time() == pytest.approx(25.25)  # and jitter: it was told to everybody


async def test_a_retry_after_beyond_the_deadline_ends_it_at_once(make_client: MakeClient) -> None:
    peer = Peer()
    peer.always("get", Answer(503, headers={"Retry-After": "600"}))
    with pytest.raises(RetryLaterError) as caught:
        await make_client(peer).session.get_session(SESSION_ID)
    assert asyncio.get_running_loop().time() == 0
    assert caught.value.retry_after_s == 600


async def test_each_transaction_has_a_correlator_of_its_own(
    make_client: MakeClient, booking: CreateSession
) -> None:
    ids = iter(f"{number:08d}-0000-4000-8000-000000000000" for number in range(1000))
    peer = Peer()
    client = make_client(peer, new_uuid=lambda: next(ids))
    await client.session.create_session(booking)
    await client.session.get_session(SESSION_ID)
    await client.session.delete_session(SESSION_ID, x_correlator="booking:7/end")
    sent = [seen.headers["x-correlator"] for seen in peer.requests if "/oauth2/" not in seen.path]
    assert len(set(sent)) == 3
    assert sent[2] == "booking:7/end"
    assert not [seen for seen in peer.calls("token") if "x-correlator" in seen.headers]


async def test_a_delete_lost_after_it_was_done_ends_well(make_client: MakeClient) -> None:
    peer = Peer()
    peer.script("delete", Reset(), Answer(404, {"code": "NOT_FOUND"}))
    await make_client(peer).session.delete_session(SESSION_ID)
    assert len(peer.calls("delete")) == 2


async def test_not_found_and_conflict_are_told_at_once(
    make_client: MakeClient, booking: CreateSession
) -> None:
    peer = Peer()
    peer.script("get", Answer(404, {"code": "NOT_FOUND"}))
    peer.script("create", Answer(409, {"code": "CONFLICT"}))
    client = make_client(peer)
    with pytest.raises(NotFoundError):
        await client.session.get_session(SESSION_ID)
    with pytest.raises(ConflictError):
        await client.session.create_session(booking)
    assert (len(peer.calls("get")), len(peer.calls("create"))) == (1, 1)


class TestCircuit:
    """After five failures in a row nothing is sent for 30 s; then one probe decides."""

    async def test_a_failing_operator_is_left_alone(
        self, make_client: MakeClient, booking: CreateSession
    ) -> None:
        peer = Peer()
        peer.always("create", Answer(503))
        client = make_client(peer)
        kinds = []
        for _ in range(20):
            try:
                await client.session.create_session(booking)
            except RetryLaterError as error:
                kinds.append(type(error))
        assert kinds == [RetryLaterError] * 5 + [CircuitOpenError] * 15
        assert len(peer.calls("create")) == 5

    async def test_the_error_says_when_to_come_back(
        self, make_client: MakeClient, booking: CreateSession
    ) -> None:
        peer = Peer()
        peer.always("get", Reset())
        client = make_client(peer, deadline_s=1000.0)
        with pytest.raises(RetryLaterError, match="the connection broke") as caught:
            await client.session.get_session(SESSION_ID)
        assert caught.value.retry_after_s == pytest.approx(30, abs=8)
        await asyncio.sleep(10)
        with pytest.raises(CircuitOpenError) as waiting:
            await client.session.create_session(booking, x_correlator="tx-1")
        assert waiting.value.x_correlator == "tx-1"
        assert waiting.value.retry_after_s == pytest.approx(20, abs=8)

    async def test_one_probe_closes_it(self, make_client: MakeClient, booking: CreateSession) -> None:
        peer = Peer()
        peer.script("create", *[Answer(503)] * 5)
        client = make_client(peer)
        for _ in range(5):
            with pytest.raises(RetryLaterError):
                await client.session.create_session(booking)
        await asyncio.sleep(30)
        peer.script("get", Answer(200, SESSION, delay_s=1.0))
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(client.session.get_session(SESSION_ID))
            await asyncio.sleep(0.5)
            with pytest.raises(CircuitOpenError):
                await client.session.create_session(booking)
        assert probe.result().session_id == SESSION_ID
        assert (await client.session.create_session(booking)).session_id == SESSION_ID

    async def test_a_cancelled_probe_leaves_room_for_the_next(
        self, make_client: MakeClient, booking: CreateSession
    ) -> None:
        peer = Peer()
        peer.script("create", *[Answer(503)] * 5, Hang())
        client = make_client(peer)
        for _ in range(5):
            with pytest.raises(RetryLaterError):
                await client.session.create_session(booking)
        await asyncio.sleep(30)
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(client.session.create_session(booking))
            await asyncio.sleep(1)
            probe.cancel()
        assert (await client.session.create_session(booking)).session_id == SESSION_ID

    async def test_refusals_are_no_failures(self, make_client: MakeClient, booking: CreateSession) -> None:
        peer = Peer()
        peer.always("create", Answer(422, {"code": "SERVICE_NOT_APPLICABLE"}))
        client = make_client(peer)
        for _ in range(20):
            with pytest.raises(RefusedError):
                await client.session.create_session(booking)
        assert len(peer.calls("create")) == 20

    async def test_its_pause_has_a_bound_and_it_says_how_it_stands(
        self, make_client: MakeClient, booking: CreateSession
    ) -> None:
        peer = Peer()
        peer.always("create", Answer(503))
        client = make_client(peer, circuit_max_s=20.0)
        told: list[str] = [client.circuit]
        waits: list[float] = []
        for _ in range(5 + 4 * 2):
            with pytest.raises(RetryLaterError) as caught:
                await client.session.create_session(booking)
            if isinstance(caught.value, CircuitOpenError):
                told.append(client.circuit)
                waits.append(caught.value.retry_after_s or 0.0)
                await asyncio.sleep(waits[-1])
        assert waits == [pytest.approx(20.0)] * 4
        peer.always("create", Answer(201, SESSION))
        await asyncio.sleep(20)
        await client.session.create_session(booking)
        assert [*told, client.circuit] == ["closed", *["open"] * 4, "closed"]
