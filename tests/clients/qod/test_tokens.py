"""Access tokens: one fetch for all, refreshed in time, dropped when refused, and no hammering."""

import asyncio
from email.utils import formatdate
from itertools import pairwise

import pytest

from bayd.clients.qod import (
    CircuitOpenError,
    CreateSession,
    CredentialsError,
    QodClient,
    QodError,
    RetryLaterError,
)
from bayd.clients.qod.tokens import use_for_s

from .conftest import NOW_S, KeyPair, MakeClient
from .peer import SESSION, SESSION_ID, Answer, Hang, Peer, Refuse, Reset, Step, token_answer, verified

pytestmark = pytest.mark.virtual_time

WRONG_SECRET = Answer(401, {"error": "invalid_client", "error_description": "unknown secret correct-horse"})


async def outcome(client: QodClient) -> object:
    try:
        return await client.session.get_session(SESSION_ID)
    except QodError as error:
        return error


async def together(client: QodClient, count: int) -> list[object]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(client)) for _ in range(count)]
    return [task.result() for task in tasks]


@pytest.mark.parametrize(
    ("life_s", "used_s"),
    [(3600, 3240), (7200, 6480), (600, 540), (300, 240), (120, 60), (90, 30), (60, 30), (10, 5)],
)
def test_a_token_is_used_until_a_margin_before_its_end(life_s: float, used_s: float) -> None:
    """`expires_in - max(60 s, 10 %)`; below 90 s that would leave next to nothing."""
    assert use_for_s(life_s) == pytest.approx(used_s)


async def test_a_token_is_refreshed_exactly_at_its_margin(make_client: MakeClient) -> None:
    peer = Peer()
    client = make_client(peer)
    await client.session.get_session(SESSION_ID)
    await asyncio.sleep(3239)
    await client.session.get_session(SESSION_ID)
    assert len(peer.calls("token")) == 1
    await asyncio.sleep(1)
    await client.session.get_session(SESSION_ID)
    assert len(peer.calls("token")) == 2


async def test_a_stepped_wall_clock_neither_ages_nor_renews_a_token(make_client: MakeClient) -> None:
    peer = Peer()
    wall = [float(NOW_S)]
    client = make_client(peer, wall_clock=lambda: wall[0])
    await client.session.get_session(SESSION_ID)
    for step_s in (+86_400, -10 * 86_400):
        wall[0] += step_s
        await client.session.get_session(SESSION_ID)
    assert len(peer.calls("token")) == 1


@pytest.mark.parametrize("expires_in", ["3600", 3600.0])
async def test_a_life_written_otherwise_is_understood(make_client: MakeClient, expires_in: object) -> None:
    peer = Peer()
    peer.script("token", token_answer(expires_in=expires_in))
    client = make_client(peer)
    await client.session.get_session(SESSION_ID)
    await asyncio.sleep(3200)
    await client.session.get_session(SESSION_ID)
    assert len(peer.calls("token")) == 1


@pytest.mark.parametrize("expires_in", [None, True, -1, 0, "soon", [], float("inf")])
async def test_an_unusable_life_counts_as_a_minute(make_client: MakeClient, expires_in: object) -> None:
    peer = Peer()
    peer.always("token", token_answer(expires_in=expires_in))
    client = make_client(peer)
    for pause_s in (0, 29, 2):
        await asyncio.sleep(pause_s)
        await client.session.get_session(SESSION_ID)
    assert len(peer.calls("token")) == 2


async def test_a_hundred_calls_share_one_refresh(make_client: MakeClient) -> None:
    peer = Peer()
    client = make_client(peer)
    await client.session.get_session(SESSION_ID)
    await asyncio.sleep(3600)
    peer.script("token", Answer(200, token_answer("second").json, delay_s=2.0))
    results = await together(client, 100)
    assert not [result for result in results if isinstance(result, QodError)]
    assert len(peer.calls("token")) == 2
    assert {seen.bearer for seen in peer.calls("get")[1:]} == {"second"}


async def test_a_hundred_calls_share_one_failed_fetch(
    make_client: MakeClient, booking: CreateSession
) -> None:
    """Each waiter gets the failure of the fetch that it waited for, not a fetch of its own."""
    peer = Peer()
    peer.always("token", Answer(503, delay_s=1.0))
    client = make_client(peer)
    async with asyncio.TaskGroup() as group:

        async def create() -> str:
            try:
                await client.session.create_session(booking)
            except RetryLaterError as error:
                return str(error.x_correlator)
            raise AssertionError("a session without a token")

        tasks = [group.create_task(create()) for _ in range(100)]
    assert len(peer.calls("token")) == 1
    assert len({task.result() for task in tasks}) == 100  # each with the correlator of its own call


async def test_a_cancelled_fetch_is_taken_over(make_client: MakeClient) -> None:
    peer = Peer()
    peer.script("token", Hang())
    client = make_client(peer)
    async with asyncio.TaskGroup() as group:
        leader = group.create_task(outcome(client))
        await asyncio.sleep(1)
        follower = group.create_task(outcome(client))
        await asyncio.sleep(1)
        leader.cancel()
    assert not isinstance(follower.result(), QodError)
    assert len(peer.calls("token")) == 2


async def test_a_401_drops_that_token_and_not_a_newer_one(make_client: MakeClient) -> None:
    """Two calls with the old token are refused one after the other: the second finds the new token."""
    peer = Peer()
    client = make_client(peer)
    await client.session.get_session(SESSION_ID)
    peer.script("get", Answer(401, delay_s=1), Answer(401, delay_s=2))
    results = await together(client, 2)
    assert not [result for result in results if isinstance(result, QodError)]
    assert [seen.bearer for seen in peer.calls("get")] == [
        "token-1",
        "token-1",
        "token-1",
        "token-2",
        "token-2",
    ]


async def test_a_post_is_replayed_after_a_401_for_it_was_not_looked_at(
    make_client: MakeClient, booking: CreateSession
) -> None:
    peer = Peer()
    peer.script("create", Answer(401, {"status": 401, "code": "UNAUTHENTICATED", "message": "expired"}))
    info = await make_client(peer).session.create_session(booking)
    first, second = peer.calls("create")
    assert info.session_id == SESSION_ID
    assert (first.body, first.headers["x-correlator"]) == (second.body, second.headers["x-correlator"])
    assert first.headers["x-authorization"] != second.headers["x-authorization"]


async def test_a_token_refused_twice_is_a_matter_of_credentials(make_client: MakeClient) -> None:
    peer = Peer()
    peer.always("get", Answer(401))
    client = make_client(peer)
    with pytest.raises(CredentialsError) as caught:
        await client.session.get_session(SESSION_ID)
    assert (len(peer.calls("token")), len(peer.calls("get"))) == (2, 2)
    assert caught.value.retry_after_s == pytest.approx(300)
    await together(client, 20)
    assert (len(peer.calls("token")), len(peer.calls("get"))) == (2, 2)


async def test_a_wrong_secret_makes_exactly_one_attempt(
    make_client: MakeClient, booking: CreateSession
) -> None:
    peer = Peer()
    peer.always("token", WRONG_SECRET)
    client = make_client(peer)
    results = await together(client, 100)
    for _ in range(20):
        await asyncio.sleep(10)
        results.append(await outcome(client))
    with pytest.raises(CredentialsError):
        await client.session.create_session(booking)
    assert all(isinstance(result, CredentialsError) for result in results)
    assert [seen.method for seen in peer.requests] == ["POST"]  # one request for a token, nothing else
    last = results[-1]
    assert isinstance(last, CredentialsError)
    assert (last.status, last.code) == (401, "invalid_client")
    assert last.retry_after_s == pytest.approx(100)


async def test_refused_credentials_are_tried_again_ever_more_seldom(make_client: MakeClient) -> None:
    peer = Peer()
    peer.always("token", WRONG_SECRET)
    client = make_client(peer)
    times: list[float] = []
    for _ in range(24 * 60):
        before = len(peer.requests)
        await outcome(client)
        if len(peer.requests) > before:
            times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(60)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:4] == [300, 600, 1200, 2400]
    assert set(pauses[4:]) == {3600}
    peer.always("token", token_answer())
    await asyncio.sleep(3600)
    assert not isinstance(await outcome(client), QodError)


@pytest.mark.parametrize(
    ("operation", "step"),
    [
        ("token", Answer(400, {"error": "invalid_scope"})),
        ("extend", Answer(401, {"status": 401, "code": "UNAUTHENTICATED", "message": "no such scope"})),
    ],
)
async def test_a_scope_that_is_not_granted_keeps_no_session_from_being_deleted(
    make_client: MakeClient, operation: str, step: Step
) -> None:
    peer = Peer()
    client = make_client(peer, dialect="camara-1.1")
    peer.always(operation, step)
    for _ in range(3):
        with pytest.raises(CredentialsError):
            await client.session.extend_session(SESSION_ID, 60)
        await asyncio.sleep(10)
    asked = len(peer.requests)
    assert asked == (1 if operation == "token" else 4)  # a token and a call, both twice
    peer.always("token", token_answer())
    await client.session.delete_session(SESSION_ID)
    assert [seen.bearer for seen in peer.calls("delete")] == ["token-x"]
    with pytest.raises(CredentialsError):
        await client.session.extend_session(SESSION_ID, 60)
    assert len(peer.requests) == asked + 2


@pytest.mark.parametrize("step", [Answer(503), Hang()])
async def test_a_failure_says_nothing_about_refused_credentials(make_client: MakeClient, step: Step) -> None:
    """The one request after the pause fails or is cancelled: the next call may ask, at once."""
    peer = Peer()
    peer.script("token", WRONG_SECRET, step)
    client = make_client(peer, deadline_s=1.0)
    await outcome(client)
    await asyncio.sleep(300)
    async with asyncio.TaskGroup() as group:
        probe = group.create_task(outcome(client))
        await asyncio.sleep(2)
        probe.cancel()
    assert not isinstance(await outcome(client), QodError)


@pytest.mark.parametrize(
    "step",
    [
        Answer(400, {"error": "invalid_scope"}),
        Answer(403, {"error": "unauthorized_client"}),
        Answer(404, text="<html>no such page</html>"),
        Answer(200, {"access_token": "abc", "token_type": "mac"}),
    ],
)
async def test_other_faults_of_configuration_open_the_circuit_too(
    make_client: MakeClient, step: Step
) -> None:
    peer = Peer()
    peer.always("token", step)
    client = make_client(peer)
    results = await together(client, 5)
    assert all(isinstance(result, CredentialsError) for result in results)
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "step",
    [
        Answer(500),
        Answer(503),
        Answer(429, {"error": "slow_down"}),
        Answer(400, {"error": "temporarily_unavailable"}),
        Answer(302, headers={"Location": "https://login.example.com"}),
        Answer(200, text="<html>maintenance</html>"),
        Answer(200, {"token_type": "Bearer"}),
        Answer(200, {"access_token": "two words"}),
        Answer(200, {"access_token": "line\r\nbreak"}),
        Answer(200, ["access_token"]),
        Refuse(),
        Reset(),
        Hang(),
    ],
)
async def test_a_failing_token_endpoint_is_no_doubt_about_the_create(
    make_client: MakeClient, booking: CreateSession, step: Step
) -> None:
    """The create was never sent, so it may simply be tried again; and it is when the endpoint recovers."""
    peer = Peer()
    peer.script("token", step)
    client = make_client(peer)
    with pytest.raises(RetryLaterError) as caught:
        await client.session.create_session(booking, x_correlator="tx-1")
    assert caught.value.x_correlator == "tx-1"
    assert not peer.calls("create")
    assert (await client.session.create_session(booking)).session_id == SESSION_ID


async def test_a_get_waits_for_a_failing_token_endpoint(make_client: MakeClient) -> None:
    peer = Peer()
    peer.script("token", Answer(503), Refuse())
    info = await make_client(peer).session.get_session(SESSION_ID)
    assert info.session_id == SESSION_ID
    assert len(peer.calls("token")) == 3


class TestClock:
    """A proof made with a wrong clock is refused; the operator's `Date` puts it right, once."""

    AHEAD_S = 7200

    def date(self, ahead_s: float = AHEAD_S) -> dict[str, str]:
        return {"Date": formatdate(NOW_S + asyncio.get_running_loop().time() + ahead_s, usegmt=True)}

    async def test_a_refused_token_request_is_tried_once_more(
        self, make_client: MakeClient, rsa_pair: KeyPair
    ) -> None:
        peer = Peer()
        peer.script("token", Answer(401, {"error": "invalid_request"}, headers=self.date()))
        await make_client(peer).session.get_session(SESSION_ID)
        issued = [
            verified(seen.headers["x-authorization"], rsa_pair.public_pem).claims["iat"]
            for seen in peer.requests
        ]
        assert issued == [NOW_S, NOW_S + self.AHEAD_S, NOW_S + self.AHEAD_S]

    async def test_and_not_a_third_time(self, make_client: MakeClient) -> None:
        peer = Peer()
        peer.always("token", Answer(401, {"error": "invalid_client"}, headers=self.date()))
        client = make_client(peer)
        results = await together(client, 10)
        assert all(isinstance(result, CredentialsError) for result in results)
        assert len(peer.calls("token")) == 2

    async def test_a_right_clock_makes_no_further_attempt(self, make_client: MakeClient) -> None:
        peer = Peer()
        peer.always("token", Answer(401, {"error": "invalid_client"}, headers=self.date(ahead_s=4)))
        assert isinstance(await outcome(make_client(peer)), CredentialsError)
        assert len(peer.calls("token")) == 1

    @pytest.mark.parametrize("status", [400, 401, 403])
    async def test_a_call_refused_for_its_proof_is_signed_anew(
        self, make_client: MakeClient, booking: CreateSession, rsa_pair: KeyPair, status: int
    ) -> None:
        """Whatever status a gateway has for a stale proof, a clock that is hours off explains it."""
        peer = Peer()
        peer.script("create", Answer(status, headers=self.date(-self.AHEAD_S)))
        await make_client(peer).session.create_session(booking)
        first, second = (
            verified(seen.headers["x-authorization"], rsa_pair.public_pem).claims
            for seen in peer.calls("create")
        )
        assert second["iat"] - first["iat"] == -self.AHEAD_S
        assert first["jti"] != second["jti"]

    async def test_a_second_correction_replaces_the_first(
        self, make_client: MakeClient, rsa_pair: KeyPair
    ) -> None:
        peer = Peer()
        peer.script(
            "get",
            Answer(401, headers=self.date(1000)),
            Answer(200, SESSION),
            Answer(401, headers=self.date(70)),
        )
        client = make_client(peer)
        await client.session.get_session(SESSION_ID)
        await client.session.get_session(SESSION_ID)
        issued = [
            verified(seen.headers["x-authorization"], rsa_pair.public_pem).claims["iat"]
            for seen in peer.calls("get")
        ]
        assert issued == [NOW_S, NOW_S + 1000, NOW_S + 1000, NOW_S + 70]

    async def test_a_plain_refusal_is_not_repeated(
        self, make_client: MakeClient, booking: CreateSession
    ) -> None:
        peer = Peer()
        peer.always("create", Answer(403, headers=self.date(ahead_s=0)))
        with pytest.raises(QodError):
            await make_client(peer).session.create_session(booking)
        assert len(peer.calls("create")) == 1

    @pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
    async def test_a_date_that_is_none_changes_nothing(self, make_client: MakeClient, date: str) -> None:
        peer = Peer()
        peer.always("token", Answer(401, headers={"Date": date}))
        assert isinstance(await outcome(make_client(peer)), CredentialsError)
        assert len(peer.calls("token")) == 1


async def test_waiters_of_an_open_operator_circuit_are_told_when(make_client: MakeClient) -> None:
    peer = Peer()
    peer.always("token", Reset())
    client = make_client(peer, deadline_s=1.0)
    results = await together(client, 1)
    for _ in range(10):
        results.append(await outcome(client))
    last = results[-1]
    assert isinstance(last, CircuitOpenError)
    assert last.retry_after_s is not None and 0 < last.retry_after_s <= 30
    assert len(peer.requests) == 5
