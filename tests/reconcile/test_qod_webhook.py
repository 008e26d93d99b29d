"""Events of the operator: each is a reason to ask, and nothing else."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from bayd.clients.qod import CircuitOpenError, SessionInfo
from bayd.core.qos_lease import Idle
from bayd.reconcile.qod_calls import LaterError, OperatorCalls
from bayd.reconcile.qod_sink import Heard, SinkTokens
from bayd.settings import QodWebhook
from tests.let_out import keep_secret
from tests.simulation.qod_operator import Fault
from tests.simulation.qod_world import DIALECTS, DialectName, QodWorld, in_memory
from tests.simulation.world import SimClock, SimLog

pytestmark = pytest.mark.virtual_time

URL = "https://bay.example.com/qod"
SOURCE = "/quality-on-demand/v1/sessions"
KINDS = (
    "org.camaraproject.quality-on-demand.v1.qos-status-changed",
    "org.camaraproject.qod.v0.qos-status-changed",
    "com.example.qos-status-changed",
)

MakeHall = Callable[..., QodWorld]


@pytest.fixture
def make() -> Iterator[MakeHall]:
    with in_memory() as directory:
        yield lambda dialect="camara-1.1", **named: QodWorld(
            directory / "journal.db", dialect, webhook=QodWebhook(url=URL), **named
        )


def token_of(body: dict[str, object]) -> str:
    """Of a create, as the operator has it."""
    credential = body.get("sinkCredential", body.get("webhook"))
    assert isinstance(credential, dict)
    token = credential.get("accessToken", credential.get("notificationAuthToken"))
    assert isinstance(token, str)
    keep_secret(token)
    return token


def tell(hall: QodWorld, token: str, event_id: str = "e-1", kind: str = KINDS[0]) -> Heard:
    x_correlator = hall.sink.identify(token)
    assert x_correlator is not None
    return hall.sink.hear(x_correlator, SOURCE, event_id, kind)


def looks(hall: QodWorld) -> int:
    return len(hall.operator.calls("get"))


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_each_create_names_the_webhook_and_a_token_of_its_own(
    make: MakeHall, dialect: DialectName
) -> None:
    hall = make(dialect, bays=2)
    async with hall.up():
        for bay in hall.numbers:
            await hall.play(bay=bay, session=bay)
            await hall.until("available", bay)
    first, second = hall.operator.bodies
    if dialect == "camara-1.1":
        assert first["sink"] == URL
        assert first["sinkCredential"]["credentialType"] == "ACCESSTOKEN"
    else:
        assert first["webhook"]["notificationUrl"] == URL
    tokens = {token_of(first), token_of(second)}
    assert len(tokens) == 2
    assert all(20 <= len(token) <= 256 for token in tokens)


async def test_without_the_table_no_webhook_goes_out() -> None:
    with in_memory() as directory:
        hall = QodWorld(directory / "journal.db", "camara-1.1")
        async with hall.up():
            await hall.play()
            await hall.until("available")
    (body,) = hall.operator.bodies
    assert not {"sink", "sinkCredential", "webhook"} & body.keys()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_brings_the_look_forward(make: MakeHall, kind: str) -> None:
    """The network ended it: without events that is seen after half a minute or later."""
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
        await asyncio.sleep(2)
        hall.operator.terminate()
        began_s = asyncio.get_running_loop().time()
        assert tell(hall, token_of(hall.operator.bodies[0]), kind=kind) is Heard.LOOKED_AT
        await hall.until("ended", within_s=2)
        assert asyncio.get_running_loop().time() - began_s < 1
        await hall.until("available")
    assert len(hall.operator.bodies) == 2


async def test_what_an_event_says_is_not_believed(make: MakeHall) -> None:
    """Whatever it tells, old or new: the operator is asked, and its answer counts."""
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
        before = looks(hall)
        assert tell(hall, token_of(hall.operator.bodies[0])) is Heard.LOOKED_AT
        await asyncio.sleep(5)
        assert looks(hall) == before + 1
        assert hall.state() == "available"
    assert len(hall.operator.bodies) == 1


async def test_a_doubled_event_is_looked_at_once(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
        token = token_of(hall.operator.bodies[0])
        before = looks(hall)
        assert tell(hall, token) is Heard.LOOKED_AT
        await asyncio.sleep(3)
        assert [tell(hall, token) for _ in range(3)] == [Heard.DOUBLED] * 3
        await asyncio.sleep(3)
        assert looks(hall) == before + 1
        assert tell(hall, token, kind="com.example.something-else") is Heard.OTHER
    assert (hall.sink.counts.looked_at, hall.sink.counts.doubled, hall.sink.counts.ignored) == (1, 3, 1)


async def test_a_storm_of_events_is_no_storm_of_looks(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
        token = token_of(hall.operator.bodies[0])
        before = looks(hall)
        for number in range(1_000):
            tell(hall, token, f"e-{number}")
            await asyncio.sleep(0.01)
        await asyncio.sleep(2)
        assert 5 <= looks(hall) - before <= 13
        # None of them was lost: the last one was looked at, too.
        assert hall.operator.calls("get")[-1].at_s >= hall.operator.wall_s() - 3
        hall.operator.terminate()
        tell(hall, token, "the last")
        await hall.until("ended", within_s=3)


async def test_an_event_that_comes_late_finds_nobody(make: MakeHall) -> None:
    """Of a session that is over, before or after the next one: neither is touched."""
    hall = make()
    async with hall.up():
        await hall.play(minutes=10)
        await hall.until("available")
        old = token_of(hall.operator.bodies[0])
        await hall.end()
        await hall.until("ended")
        assert tell(hall, old) is Heard.OVER
        await asyncio.sleep(400)
        await hall.play(session="8")
        await hall.until("available")
        before = looks(hall)
        assert tell(hall, old, "e-2") is Heard.OVER
        await asyncio.sleep(5)
        assert looks(hall) == before


async def test_an_event_may_be_faster_than_the_answer_to_the_create(make: MakeHall) -> None:
    hall = make()
    hall.operator.draw = lambda operation, _what: Fault.SLOW if operation == "create" else Fault.NONE
    async with hall.up():
        await hall.play()
        await hall.until("creating")
        await asyncio.sleep(1)
        (body,) = hall.operator.bodies
        assert tell(hall, token_of(body)) is Heard.LOOKED_AT
        await hall.until("available")
    assert len(hall.operator.bodies) == 1


async def test_a_token_holds_over_a_crash(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
    await asyncio.sleep(5)
    async with hall.up():
        await asyncio.sleep(3)
        before = looks(hall)
        assert tell(hall, token_of(hall.operator.bodies[0])) is Heard.LOOKED_AT
        await asyncio.sleep(2)
        assert looks(hall) == before + 1


@pytest.mark.parametrize("code", ["INVALID_SINK", "INVALID_CREDENTIAL", "INVALID_TOKEN"])
async def test_low_latency_does_not_fail_for_its_events(make: MakeHall, code: str) -> None:
    """An operator that refuses the webhook is asked once more without it."""
    hall = make()
    hall.operator.refuses_webhooks = code
    async with hall.up():
        await hall.play()
        await hall.until("available")
        refused, taken = hall.operator.bodies
        assert "sink" in refused
        assert "sink" not in taken
        assert hall.world.log.events().count("qod_webhook_refused") == 1


def test_only_the_very_token_opens() -> None:
    tokens = SinkTokens(URL, b"\x01" * 32)
    token = tokens.webhook("correlator-1").notification_auth_token
    assert token is not None
    assert tokens.find(token) == "correlator-1"
    other = SinkTokens(URL, b"\x02" * 32).webhook("correlator-1").notification_auth_token
    for wrong in (
        "",
        ".",
        "correlator-1",
        token[:-1],
        token + "A",
        token.replace("-1", "-2"),
        other,
        "ü" + token,
    ):
        assert wrong is not None
        assert tokens.find(wrong) is None, wrong


class _Shut:
    """An operator whose circuit closes in next to no time."""

    async def get_session(self, session_id: str, x_correlator: str | None = None) -> SessionInfo:
        raise CircuitOpenError("x", retry_after_s=1e-13)


async def test_at_once_is_never_without_a_pause() -> None:
    calls = OperatorCalls("101", _Shut(), None, clock=SimClock(), log=SimLog())  # type: ignore[arg-type]
    with pytest.raises(LaterError) as later:
        await calls.poll("an-id", Idle())
    assert later.value.after_s >= 0.1
