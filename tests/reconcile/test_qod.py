"""The QoD reconciler with the real client against an operator in memory, on virtual time."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import qos_events as q
from bayd.core.model import Phase
from bayd.core.qos_words import Cause, Trouble
from bayd.reference.qod.sessions import Cause as OperatorCause
from bayd.reference.qod.sessions import end
from bayd.settings import BayQod
from tests.simulation.qod_operator import Fault
from tests.simulation.qod_world import DIALECTS, SCREEN, SECRETS, STAFF, DialectName, QodWorld, in_memory
from tests.simulation.world import HeldExecutor

pytestmark = pytest.mark.virtual_time

MakeHall = Callable[..., QodWorld]


@pytest.fixture
def make() -> Iterator[MakeHall]:
    with in_memory() as directory:
        yield lambda *words, **named: QodWorld(directory / "journal.db", *words, **named)


def now_s() -> float:
    return asyncio.get_running_loop().time()


def faults(*script: Fault, on: str = "create") -> Callable[[str, str], Fault]:
    """These befall the first calls of that operation, one each."""
    left = list(script)
    return lambda operation, _what: left.pop(0) if operation == on and left else Fault.NONE


# The course of a session


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_session_from_start_to_end(make: MakeHall, dialect: DialectName) -> None:
    hall = make(dialect)
    async with hall.up():
        assert hall.state() == "idle"
        await hall.play(minutes=30)
        await hall.until("available")
        (body,) = hall.operator.bodies
        assert body["device"] == {"phoneNumber": "+15550100000"}, "exactly one identifier"
        assert body["duration"] == 30 * 60 + 120, "what is left, and grace"
        await asyncio.sleep(600)
        assert hall.state() == "available"
        assert hall.durable_state() == "available"
        began_s = now_s()
        await hall.end()
        await hall.until("ended")
        assert now_s() - began_s < 1
        assert await hall.kinds() == [
            "QosCreateIntended",
            "QosCreated",
            "QosStatusSeen",
            "QosEndIntended",
            "QosDeleted",
        ], "looks that bring nothing new are not journaled"
    assert hall.operator.live() == []
    assert len(hall.operator.calls("get")) > 10


async def test_the_intent_is_durable_before_the_post_and_the_id_right_after(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        durable: list[str] = []

        def draw(operation: str, _what: str) -> Fault:
            durable.append(f"{operation} {hall.durable_state()}")
            return Fault.NONE

        hall.operator.draw = draw
        await hall.play()
        await hall.until("available")
        (record,) = [r for r in await hall.journal() if isinstance(r.event, q.QosCreateIntended)]
        intent = record.event
        assert durable[:2] == ["create creating", "get requested"]
    (entry,) = hall.operator.ledger()
    assert (entry.session.x_correlator, intent.session, intent.bay) == (intent.x_correlator, "7", "101")


async def test_play_goes_on_into_the_next_session_with_the_same_lease(make: MakeHall) -> None:
    """PLAYING follows PLAYING: the screen is the same, and so is its QoS session."""
    hall = make()
    async with hall.up() as bays:
        await hall.play(minutes=10)
        await hall.until("available")
        await asyncio.sleep(360)
        await hall.world.play("101", "8", 20)
        await asyncio.sleep(300)
        session = bays.get("101").session
        assert session is not None
        assert session.session_id == "8"
        assert hall.state() == "available"
        await asyncio.sleep(1_500)
        assert hall.state() == "ended"
    # The first lease was for ten minutes and grace: near its end it is handed over.
    assert [entry.session.duration_s for entry in hall.operator.ledger()] == [720, 1_214]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_more_time_than_a_lease_holds(make: MakeHall, dialect: DialectName) -> None:
    """The longest lease is ten minutes: handed over where it cannot be extended, with a gap of seconds."""
    hall = make(dialect, max_lease_s=600)
    async with hall.up():
        await hall.play(minutes=30)
        await hall.until("available")
        began_s = now_s()
        dark_s = 0.0
        while now_s() - began_s < 1_750:
            await asyncio.sleep(0.5)
            dark_s += 0.0 if any(s.available_at is not None for s in hall.operator.live()) else 0.5
        await asyncio.sleep(300)
        assert hall.state() == "ended"
    sessions = [entry.session for entry in hall.operator.ledger()]
    if dialect == "tmobile-0.10":
        assert len(sessions) == 4
        assert 1 < dark_s < 30, "deleted, then created: a short gap is expected"
    else:
        assert len(sessions) == 1
        assert sessions[0].duration_s > 1_800
        assert dark_s == 0
    assert all(session.cause is not None for session in sessions)
    assert {s.cause.value for s in sessions if s.cause} == {"DELETE_REQUESTED"}, "none was left to expire"


async def test_an_extension_at_the_bay_is_extended_at_the_operator(make: MakeHall) -> None:
    hall = make("camara-1.1")
    async with hall.up():
        await hall.play(minutes=10)
        await hall.until("available")
        await hall.submit(i.Extend("op", 30, 100, STAFF, "paid"))
        await asyncio.sleep(2_300)
        assert hall.state() == "available"
        await hall.until("ended", within_s=300)
    (entry,) = hall.operator.ledger()
    assert entry.session.duration_s == pytest.approx(40 * 60 + 120, abs=5)


@pytest.mark.parametrize("fault", [Fault.HANG_AFTER, Fault.ERROR_AFTER, Fault.RESET, Fault.ERROR])
async def test_an_unclear_extension_is_looked_at_and_never_made_twice(make: MakeHall, fault: Fault) -> None:
    hall = make("camara-1.1", max_lease_s=600)
    hall.operator.draw = faults(fault, on="extend")
    async with hall.up():
        await hall.play(minutes=18)
        await hall.until("available")
        await asyncio.sleep(1_070)
        assert hall.state() == "available"
        await hall.until("ended", within_s=300)
    (entry,) = hall.operator.ledger()
    happened = fault in (Fault.HANG_AFTER, Fault.ERROR_AFTER)
    assert len(hall.operator.calls("extend")) == (1 if happened else 2)
    assert entry.session.duration_s == pytest.approx(18 * 60 + 120, abs=30)


async def test_a_shorter_grant_ends_before_play_does(make: MakeHall) -> None:
    """Five minutes were asked for more, two are given each time: the next is created in time."""
    hall = make()
    hall.operator.grants_s = lambda _asked_s: 120
    async with hall.up():
        await hall.play(minutes=10)
        await hall.until("available")
        await asyncio.sleep(500)
        assert hall.state() in ("available", "requested", "ending", "ended")
        await asyncio.sleep(400)
    sessions = [entry.session for entry in hall.operator.ledger()]
    assert len(sessions) == 6
    assert hall.operator.live() == []


async def test_an_expiry_in_play_is_followed_by_a_new_one(make: MakeHall) -> None:
    """The network ends it early and calls it an expiry; a look finds out."""
    hall = make("camara-1.1")
    hall.operator.grants_s = lambda _asked_s: 3_000
    async with hall.up():
        await hall.play()
        await hall.until("available")
        (entry,) = hall.operator.ledger()
        await asyncio.sleep(100)
        entry.session = end(entry.session, OperatorCause.DURATION_EXPIRED, hall.operator.wall_s())
        await asyncio.sleep(100)
        assert hall.state() == "available"
        await hall.end()
        await hall.until("ended")
    causes = [entry.session.cause.value for entry in hall.operator.ledger() if entry.session.cause]
    assert causes == ["DURATION_EXPIRED", "DELETE_REQUESTED"]


async def test_a_pause_keeps_it_for_ten_minutes(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
        await hall.submit(i.Pause(STAFF, "rain"))
        await asyncio.sleep(595)
        assert hall.state() == "available"
        await asyncio.sleep(10)
        assert hall.state() == "ended"
        await hall.submit(i.Resume(STAFF))
        await hall.until("available")
    assert len(list(hall.operator.ledger())) == 2


# What goes wrong at the operator


OUTAGES = {
    "up": None,
    "down": Fault.REFUSED,
    "hangs": Fault.HANG,
    "fails": Fault.ERROR,
    "refuses": Fault.FORBIDDEN,
}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_bay_never_waits_for_the_operator(make: MakeHall, outage: str) -> None:
    """From PIN to PLAYING, more time, a pause and the end: none takes longer, whatever the operator does."""
    hall = make()
    fault = OUTAGES[outage]
    hall.operator.draw = lambda _operation, _what: fault or Fault.NONE
    took_s: list[float] = []
    async with hall.up() as bays:

        async def timed(request: i.Input) -> None:
            began_s = now_s()
            await hall.submit(request)
            took_s.append(now_s() - began_s)

        began_s = now_s()
        await hall.play()
        took_s.append(now_s() - began_s)
        assert bays.get("101").phase is Phase.PLAYING
        await asyncio.sleep(2)  # the operator is being asked
        for request in (i.Extend("op", 15, 100, STAFF, "paid"), i.Pause(STAFF, "rain"), i.Resume(STAFF)):
            await timed(request)
            await asyncio.sleep(25)
        await timed(i.End(SCREEN, ""))
        assert bays.get("101").phase is Phase.GRACE
    assert took_s == [0.0] * 5


async def test_an_operator_that_comes_back_is_asked_again(make: MakeHall) -> None:
    hall = make()
    hall.operator.down = True
    async with hall.up() as bays:
        await hall.play()
        await asyncio.sleep(900)
        assert bays.get("101").phase is Phase.PLAYING
        assert hall.reconciler.view().circuit != "closed"
        hall.operator.down = False
        await hall.until("available", within_s=400)
        assert hall.reconciler.view().circuit == "closed"
    assert len(list(hall.operator.ledger())) == 1


@pytest.mark.parametrize("away_s", [30, 600, 3_000])
async def test_what_nobody_needs_is_gone_a_minute_after_the_operators_return(
    make: MakeHall, away_s: int
) -> None:
    hall = make(bays=8)
    async with hall.up():
        for number in hall.numbers:
            await hall.play(bay=number, session=f"9{number}", minutes=120)
        await hall.until("available", hall.numbers[-1])
        hall.operator.down = True
        for number in hall.numbers:
            await hall.end(number)
        await asyncio.sleep(away_s)
        assert len(hall.operator.live()) == 8
        hall.operator.down = False
        await asyncio.sleep(60)
        assert hall.operator.live() == []
        assert {hall.state(number) for number in hall.numbers} == {"ended"}


async def test_a_token_that_is_void_in_mid_life_is_replaced(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
        hall.operator.draw = faults(Fault.REVOKED, on="get")
        await asyncio.sleep(120)
        hall.operator.draw = faults(Fault.REVOKED, on="delete")
        await hall.end()
        await hall.until("ended")
    assert hall.operator.live() == []
    assert "QosDegraded" not in [type(event).__name__ for event in hall.world.log.events()]


async def test_credentials_that_are_refused_are_told_and_not_hammered(make: MakeHall) -> None:
    hall = make()
    hall.operator.draw = lambda _operation, _what: Fault.REVOKED
    async with hall.up() as bays:
        await hall.play()
        await hall.until("degraded")
        (trouble,) = hall.reconciler.view().troubles
        assert trouble.trouble is Trouble.CREDENTIALS
        asked = len(hall.operator.seen)
        await asyncio.sleep(280)
        assert len(hall.operator.seen) == asked
        assert bays.get("101").phase is Phase.PLAYING
        hall.operator.draw = lambda _operation, _what: Fault.NONE
        await hall.until("available", within_s=700)


async def test_a_session_that_the_operator_does_not_end_is_told(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
        hall.operator.draw = lambda _operation, _what: Fault.REVOKED
        await hall.end()
        await hall.until("ending")
        await asyncio.sleep(50)
        assert hall.reconciler.view().not_ended == ()
        await asyncio.sleep(20)
        assert hall.reconciler.view().not_ended == hall.numbers
        assert len(hall.operator.live()) == 1
        hall.operator.draw = lambda _operation, _what: Fault.NONE
        await hall.until("ended", within_s=700)
        assert hall.reconciler.view().not_ended == ()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.HANG_AFTER, Fault.ERROR_AFTER, Fault.CUT_AFTER])
async def test_a_create_whose_reply_is_lost(make: MakeHall, dialect: DialectName, fault: Fault) -> None:
    """Found and adopted where the operator can be asked; else one orphan at most, told and counted."""
    hall = make(dialect)
    hall.operator.draw = faults(fault)
    async with hall.up() as bays:
        await hall.play(minutes=30)
        if dialect == "camara-1.1":
            await hall.until("available")
            assert len(hall.operator.calls("create")) == 1
            await hall.end()
            await hall.until("ended")
            assert hall.operator.live() == []
            return
        await hall.until("degraded")
        first, second = hall.operator.calls("create")
        assert second.at_s - first.at_s > 4
        (trouble,) = hall.reconciler.view().troubles
        assert trouble.trouble is Trouble.ORPHAN
        day = bays.get("101").qos_day
        assert day.spent.sessions == 1
        assert day.spent.seconds == 30 * 60 + 120
        assert bays.get("101").phase is Phase.PLAYING
        await hall.end()
        assert len(hall.operator.live()) == 1
        await asyncio.sleep(30 * 60 + 300)
        assert hall.operator.live() == []
        assert hall.state() == "idle"
        assert len(list(hall.operator.ledger())) == 1
        # It is counted in full: nobody saw how long it ran.
        assert bays.get("101").qos_day.spent.seconds == 30 * 60 + 120


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HANG])
async def test_a_create_that_never_arrived_is_made_once_more(
    make: MakeHall, dialect: DialectName, fault: Fault
) -> None:
    hall = make(dialect)
    hall.operator.draw = faults(fault)
    async with hall.up() as bays:
        await hall.play()
        await hall.until("available")
        assert len(hall.operator.calls("create")) == 2
        assert bays.get("101").qos_day.spent.sessions == 1
        intents = [r.event for r in await hall.journal() if isinstance(r.event, q.QosCreateIntended)]
        assert len({intent.x_correlator for intent in intents}) == 1


async def test_a_foreign_session_in_the_way_is_waited_for(make: MakeHall) -> None:
    hall = make("camara-1.1")
    other = make("camara-1.1")
    other.world.path = hall.world.path.with_name("other.db")
    async with hall.up() as bays:
        await hall.play()
        await hall.until("available")
        (mine,) = hall.operator.ledger()
        # The same device, in other hands: the operator shows us none of ours.
        hall.operator.entries["foreign"] = replace(mine)
        mine.session = replace(mine.session, session_id="10000000-0000-4000-8000-00000000000f")
        hall.operator.entries = {"foreign": mine}
        real_do = hall.operator._do

        def shows_none(operation: str, *words: object, **named: object) -> object:
            response = real_do(operation, *words, **named)  # type: ignore[arg-type] # handed through
            return replace(response, body=b"[]") if operation == "retrieve" else response

        hall.operator._do = shows_none  # type: ignore[method-assign,assignment] # its own books, not shown
        await hall.until("degraded", within_s=200)
        (trouble,) = hall.reconciler.view().troubles
        assert trouble.trouble is Trouble.CONFLICT
        assert bays.get("101").phase is Phase.PLAYING
        hall.operator.entries = {}
        await hall.until("available", within_s=400)


async def test_a_session_that_the_network_ends_is_deleted_and_made_anew(make: MakeHall) -> None:
    hall = make()
    async with hall.up() as bays:
        await hall.play(minutes=120)
        for nth in range(1, 4):
            await hall.until("available", within_s=400)
            assert len(list(hall.operator.ledger())) == nth
            hall.operator.terminate()
            await asyncio.sleep(65)  # the next look
        await hall.until("available", within_s=400)
        hall.operator.terminate()
        await hall.until("degraded", within_s=400)
        (trouble,) = hall.reconciler.view().troubles
        assert trouble.trouble is Trouble.TERMINATED_TOO_OFTEN
        await asyncio.sleep(1_000)
        assert len(list(hall.operator.ledger())) == 4, "capped for this session of play"
        assert bays.get("101").phase is Phase.PLAYING
    assert all(entry.session.released_at is not None for entry in hall.operator.ledger())


async def test_a_session_that_stays_requested_is_deleted_and_tried_again(make: MakeHall) -> None:
    hall = make()
    hall.operator.stays_requested = lambda: True
    async with hall.up():
        await hall.play(minutes=120)
        await hall.until("degraded", within_s=400)
        (trouble,) = hall.reconciler.view().troubles
        assert trouble.trouble is Trouble.STUCK_TOO_OFTEN
        sessions = [entry.session for entry in hall.operator.ledger()]
        assert len(sessions) == 3
        lives_s = [s.ended_at - s.created_at for s in sessions if s.ended_at is not None]
        assert lives_s == [pytest.approx(30, abs=2)] * 3


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_new_session_that_the_operator_does_not_know_yet_is_not_forgotten(
    make: MakeHall, dialect: DialectName
) -> None:
    hall = make(dialect=dialect)
    hall.operator.stays_requested = lambda: True
    hall.operator.draw = lambda operation, _what: Fault.NOT_YET_KNOWN if operation == "get" else Fault.NONE
    async with hall.up():
        await hall.play()
        await hall.until("requested")
        await asyncio.sleep(10)
        assert hall.state() == "requested"
        await hall.end()
        await hall.until("ended")
    assert hall.operator.live() == []
    assert len(list(hall.operator.ledger())) == 1


async def test_a_refusal_is_final_for_this_session_of_play(make: MakeHall) -> None:
    hall = make()
    hall.operator.draw = faults(Fault.FORBIDDEN)
    async with hall.up():
        await hall.play(minutes=30)
        await hall.until("degraded")
        await asyncio.sleep(600)
        assert len(hall.operator.calls("create")) == 1
        await hall.end()
        await hall.play(session="8")
        await hall.until("available")


@pytest.mark.parametrize("skew_s", [-7_200.0, 7_200.0])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_wrong_clock_at_the_operator_moves_no_expiry(
    make: MakeHall, dialect: DialectName, skew_s: float
) -> None:
    hall = make(dialect)
    hall.operator.skew_s = skew_s
    async with hall.up():
        await hall.play(minutes=30)
        await hall.until("available")
        await asyncio.sleep(1_200)
        assert hall.state() == "available"
        await asyncio.sleep(800)
        assert hall.state() == "ended"
    assert len(list(hall.operator.ledger())) == 1


# Money


async def test_the_day_has_a_limit_of_sessions_for_the_whole_range(make: MakeHall) -> None:
    hall = make(bays=6, max_sessions=4)
    async with hall.up():
        async with asyncio.TaskGroup() as tasks:
            for number in hall.numbers:
                tasks.create_task(hall.play(bay=number, session=f"9{number}"), name=number)
        await asyncio.sleep(30)
        states = sorted(hall.state(number) for number in hall.numbers)
        assert states == ["available"] * 4 + ["degraded"] * 2
        assert {t.trouble for t in hall.reconciler.view().troubles} == {Trouble.COST_CAP}
        assert hall.reconciler.view().sessions_today == 4
    assert len(hall.operator.calls("create")) == 4


async def test_the_day_has_a_limit_of_minutes_and_gives_back_what_is_not_used(make: MakeHall) -> None:
    hall = make(bays=2, max_seconds=4_500)
    async with hall.up():
        await hall.play(bay="101", minutes=60)
        await hall.until("available")
        await hall.play(bay="102", session="8", minutes=60)
        await hall.until("available", "102")
        assert [body["duration"] for body in hall.operator.bodies] == [3_720, 780]
        await hall.end()
        await hall.until("ended")
        assert hall.reconciler.view().seconds_today < 800
        await asyncio.sleep(900)
        assert hall.state("102") == "available", "a new lease, from what was given back"
        await hall.end("102")
        await hall.until("ended", "102")
        spent_s = hall.reconciler.view().seconds_today
    assert hall.operator.network_s() - 1 <= spent_s <= hall.operator.network_s() + 10


async def test_a_new_day_has_its_own_money(make: MakeHall) -> None:
    hall = make(max_sessions=1)
    async with hall.up():
        await hall.play()
        await hall.until("available")
        await hall.end()
        await hall.play(session="8", minutes=240)
        await hall.until("degraded")
        hall.world.clock.wall_step_ms += 86_400_000
        await hall.until("available", within_s=1_000)


async def test_what_a_day_costs_is_known_after_a_crash(make: MakeHall) -> None:
    hall = make(max_sessions=1)
    async with hall.up():
        await hall.play()
        await hall.until("available")
    async with hall.up():
        await asyncio.sleep(5)
        await hall.end()
        await hall.until("ended")
        await hall.play(session="8")
        await hall.until("degraded")
        assert hall.reconciler.view().sessions_today == 1


# Restarts


@pytest.mark.parametrize("reboot", [False, True])
async def test_a_bay_that_still_plays_keeps_its_session(make: MakeHall, reboot: bool) -> None:
    hall = make()
    async with hall.up():
        await hall.play(minutes=30)
        await hall.until("available")
        await asyncio.sleep(60)
    if reboot:
        hall.world.clock.reboot()
    await asyncio.sleep(30)
    async with hall.up():
        await asyncio.sleep(2)
        assert hall.state() == "available"
        await asyncio.sleep(1_600)
        assert hall.state() == "available"
        await asyncio.sleep(300)
        assert hall.state() == "ended"
    assert len(hall.operator.calls("create")) == 1


@pytest.mark.parametrize("away_s", [20, 4_000])
async def test_a_bay_that_is_free_by_now_gives_it_back(make: MakeHall, away_s: int) -> None:
    """Counted downtime: the session ended while nobody was there."""
    hall = make()
    async with hall.up():
        await hall.play(minutes=10)
        await hall.until("available")
        await asyncio.sleep(585)
    await asyncio.sleep(away_s)
    async with hall.up() as bays:
        await asyncio.sleep(45)
        if bays.get("101").session is not None:  # a long outage was credited
            await hall.end()
        await asyncio.sleep(5)
        assert hall.state() == "ended"
    assert hall.operator.live() == []


async def test_a_lease_that_ran_out_while_nobody_was_there_is_replaced(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play(minutes=10)
        await hall.until("available")
        await asyncio.sleep(120)
    await asyncio.sleep(1_200)
    async with hall.up() as bays:
        await asyncio.sleep(20)
        assert bays.get("101").session is not None, "the outage was credited"
        assert hall.state() == "available"
    assert len(hall.operator.calls("create")) == 2


# The bay's own side


async def test_a_bay_whose_qos_is_switched_off_asks_for_nothing(make: MakeHall) -> None:
    hall = make(bays=2)
    hall.screens["101"] = BayQod(phone_number="1555010001", enabled=False)
    hall.screens["102"] = None
    async with hall.up():
        await hall.play()
        await hall.play(bay="102", session="8")
        await asyncio.sleep(60)
        assert (hall.state("101"), hall.state("102")) == ("off", "off")
    assert hall.operator.seen == []


@pytest.mark.parametrize("removed", [False, True])
async def test_switching_a_bay_off_ends_what_runs(make: MakeHall, removed: bool) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
    hall.screens["101"] = None if removed else BayQod(phone_number="+15550100000", enabled=False)
    async with hall.up() as bays:
        await asyncio.sleep(1)
        assert hall.state() == "off"
        assert bays.get("101").phase is Phase.PLAYING
    assert hall.operator.live() == []


async def test_a_bay_is_switched_off_and_on_while_it_plays(make: MakeHall) -> None:
    hall = make(bays=2)
    async with hall.up() as bays:
        for number in hall.numbers:
            await hall.play(bay=number, session=number)
            await hall.until("available", number)
        hall.reconciler.switch("101", enabled=False)
        await hall.until("off")
        assert hall.state("102") == "available"
        assert len(hall.operator.live()) == 1
        assert bays.get("101").phase is Phase.PLAYING
        hall.reconciler.switch("101", enabled=True)
        await hall.until("available")
        hall.reconciler.switch("999", enabled=True)
    assert len(hall.operator.bodies) == 3


async def test_another_screen_gets_a_session_of_its_own(make: MakeHall) -> None:
    hall = make()
    async with hall.up():
        await hall.play()
        await hall.until("available")
    hall.screens["101"] = BayQod(phone_number="1555010002")
    async with hall.up():
        await asyncio.sleep(1)
        await hall.until("available")
        causes = [r.event.cause for r in await hall.journal() if isinstance(r.event, q.QosEndIntended)]
        assert causes == [Cause.OTHER_FLOW]
    assert [body["device"]["phoneNumber"] for body in hall.operator.bodies] == ["+15550100000", "1555010002"]
    assert len(hall.operator.live()) == 1


async def test_a_disk_that_hangs_holds_up_a_create_and_no_deletion(make: MakeHall) -> None:
    hall = make()
    disk = HeldExecutor()
    hall.world.executor = disk
    async with hall.up():
        await hall.play(minutes=30)
        await hall.until("available")
        disk.free.clear()
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(_end_somehow(hall), name="end")
            await asyncio.sleep(3)
            assert hall.operator.live() == [], "to end is always allowed"
            await asyncio.sleep(20)
            disk.free.set()
            await ending
        await asyncio.sleep(2)
        kinds = await hall.kinds()
        assert kinds[-2:] == ["QosEndIntended", "QosDeleted"], "recorded when the disk is back"
        assert hall.durable_state() == "ended"


async def _end_somehow(hall: QodWorld) -> None:
    from bayd.runtime.bay import OutcomeUnknownError

    try:
        await hall.end()
    except OutcomeUnknownError as error:
        await error.settled


async def test_nothing_is_asked_for_before_its_intent_is_durable(make: MakeHall) -> None:
    hall = make()
    disk = HeldExecutor()
    hall.world.executor = disk
    hall.operator.down = True
    async with hall.up() as bays:
        await hall.play(minutes=30)
        await asyncio.sleep(200)
        disk.free.clear()
        hall.operator.down = False
        await asyncio.sleep(600)
        assert hall.operator.calls("create") == []
        assert bays.get("101").session is not None
        disk.free.set()
        await hall.until("available", within_s=400)
    intents = [r for r in await _records(hall) if isinstance(r, q.QosCreateIntended)]
    expired = [r for r in await _records(hall) if isinstance(r, e.IntentExpired)]
    assert len(expired) <= 1
    assert len(hall.operator.calls("create")) == 1
    assert intents


async def _records(hall: QodWorld) -> list[object]:
    async with hall.up():
        return [record.event for record in await hall.journal()]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_number_and_no_secret_reaches_journal_log_or_status(
    make: MakeHall, dialect: DialectName
) -> None:
    hall = make(dialect)
    script = [Fault.FORBIDDEN, Fault.CUT_AFTER, Fault.ERROR_AFTER, Fault.REVOKED, Fault.NONE, Fault.HANG]
    hall.operator.draw = lambda _operation, _what: script.pop(0) if script else Fault.NONE
    async with hall.up():
        for session in ("7", "8", "9"):
            await hall.play(session=session, minutes=10)
            await asyncio.sleep(120)
            await hall.end()
        told = [str(hall.world.log.lines), str(hall.reconciler.view()), repr(hall.screens)]
        told += [str(await hall.journal()), str(hall.reconciler._lines), str(hall.client.__dict__)]
    assert hall.world.log.lines
    for secret in SECRETS:
        assert not [text for text in told if secret in text], secret
