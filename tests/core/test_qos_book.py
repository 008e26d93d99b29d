"""QoS sessions in the bay's own journal: events, snapshots, what a day costs, a reboot."""

import dataclasses
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import qos_events as q
from bayd.core.decide import decide
from bayd.core.desired import LowLatency, desired, narrowed
from bayd.core.evolve import REDUCER_VERSION, evolve_all
from bayd.core.instant import Instant
from bayd.core.model import Bay
from bayd.core.qos_budget import Day, Spent
from bayd.core.qos_lease import Available, Creating, Degraded, Idle, Lease, Record, Requested, State
from bayd.core.qos_words import Cause, Outcome, Trouble
from bayd.journal.event_codec import BayEventCodec, decode_bay, encode_bay
from tests.core.playbook import SCREEN, STAFF, WALL_MS, Playbook, playing, seen

CODEC = BayEventCodec()
RECORD = Record("7", 1, 2, 3, 4, 5)
LEASE = Lease("qos-1", "7", "x-1", "109>203.0.113.10", 600)
STATES: tuple[type[State], ...] = get_args(State)
INTENDED = q.QosCreateIntended("109", "7", "x-1", "109>203.0.113.10", 3_720, 0)


def any_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.from_type(kind)


@given(st.data())
def test_every_event_comes_back_from_the_journal(data: st.DataObject) -> None:
    for kind in (*get_args(q.Event), e.QosSpent):
        event = data.draw(any_of(kind))
        stored = CODEC.encode(event)
        assert stored[0].startswith("Qos"), "a journal's reader sees whose event it is"
        assert CODEC.decode(*stored) == event


@given(st.data())
def test_every_state_comes_back_from_a_snapshot(data: st.DataObject) -> None:
    for kind in STATES:
        bay = dataclasses.replace(Bay("109"), qos=data.draw(any_of(kind)), qos_day=Day("a day", Spent(1, 2)))
        assert decode_bay(encode_bay(bay), REDUCER_VERSION) == bay


def test_two_events_of_the_same_fields_stay_apart() -> None:
    for event in (q.QosMissed("109", 5), q.QosNothingFound("109", 5), q.QosRecovered("109", 5)):
        assert type(CODEC.decode(*CODEC.encode(event))) is type(event)


def test_an_intent_is_for_the_session_in_play() -> None:
    playing().when(i.QosWanted(INTENDED, "monday")).then(q.QosCreateIntended, seen(e.QosSpent, day="monday"))
    other = dataclasses.replace(INTENDED, session="8")
    playing().when(i.QosWanted(other, "monday")).refused("not_playing")
    Playbook().when(i.QosWanted(INTENDED, "monday")).refused("not_playing")


def test_an_end_overtakes_an_intent() -> None:
    """Planned before the end, handed in after it: refused, and the end comes first."""
    playing(60).at(3_601).when(i.QosWanted(INTENDED, "monday")).refused("not_playing", e.SessionEnded)


def test_a_pause_does_not_end_what_was_wanted() -> None:
    book = playing().when(i.Pause(STAFF, "rain")).when(i.QosWanted(INTENDED, "monday"))
    assert book.decision.refusal is None


def test_a_day_is_charged_in_full_and_gets_back_what_was_not_used() -> None:
    book = playing().when(i.QosWanted(INTENDED, "monday"))
    assert book.bay.qos_day == Day("monday", Spent(1, 3_720))
    created = q.QosCreated("109", "qos-1", "AVAILABLE", 3_720_000, 3_720, 1_000)
    book.at(1).when(i.QosReported(created, "monday")).then(q.QosCreated)
    book.at(1_000).when(i.End(SCREEN, ""))
    book.when(i.QosReported(q.QosEndIntended("109", "qos-1", Cause.UNWANTED, 1_000_000), "monday"))
    book.when(i.QosReported(q.QosDeleted("109", "qos-1", 1_000_000), "monday"))
    assert book.bay.qos_day == Day("monday", Spent(1, 1_000))
    assert evolve_all(Bay("109"), tuple(book.journal)) == book.bay


def test_what_yesterday_gets_back_does_not_make_today_cheaper() -> None:
    book = playing().when(i.QosWanted(INTENDED, "monday"))
    created = q.QosCreated("109", "qos-1", "AVAILABLE", 3_720_000, 3_720, 1_000)
    book.at(1).when(i.QosReported(created, "monday"))
    book.at(100).when(i.QosReported(q.QosDeleted("109", "qos-1", 100_000), "tuesday"))
    assert book.bay.qos_day == Day("tuesday", Spent(0, 0))


def test_play_that_ends_is_not_waited_for_by_the_operator() -> None:
    """What disables is told before it is durable: no QoS session outlives play because a disk hangs."""
    book = playing()
    before = desired(book.bay, book.rules)
    book.when(i.End(STAFF, "closing"))
    assert before.low_latency is not None
    assert narrowed(before, desired(book.bay, book.rules)).low_latency is None
    assert narrowed(desired(book.bay, book.rules), before).low_latency is None, "not before it is durable"


def test_low_latency_is_wanted_through_play_and_grace_and_since_when_it_pauses_is_said() -> None:
    book = playing(60)
    until_ms = 3_600_000 + book.rules.grace_ms
    assert desired(book.bay, book.rules).low_latency == LowLatency("7", until_ms, None)
    book.at(100).when(i.Pause(STAFF, "rain"))
    assert desired(book.bay, book.rules).low_latency == LowLatency("7", until_ms, 100_000)


def test_a_longer_session_is_wanted_once_it_is_durable() -> None:
    book = playing()
    before = desired(book.bay, book.rules)
    book.when(i.Extend("op", 30, 100, STAFF, "paid"))
    assert narrowed(before, desired(book.bay, book.rules)).low_latency == before.low_latency


@pytest.mark.parametrize(
    ("trusted", "expires_ms"),
    [(True, 1_000 + 600_000 - 100_000 - 300_000), (False, 1_000 + 600_000 - 100_000)],
)
def test_a_reboot_moves_the_lease_onto_the_new_clock(trusted: bool, expires_ms: int) -> None:
    """Alive at 100 s, back 300 s later at 1 s of another boot. Unknown: as if no time had passed."""
    bay = dataclasses.replace(playing().bay, qos=Available(RECORD, LEASE, 50_000, 600_000, 90_000))
    report = i.Restarted(100_000, WALL_MS, same_boot=False, wall_trusted=trusted)
    decision = decide(bay, report, Instant(1_000, WALL_MS + 300_000), Playbook().rules)
    after = evolve_all(bay, decision.events)
    assert isinstance(after.qos, Available)
    assert after.qos.expires_at_ms == expires_ms
    assert after.qos.since_ms == 50_000 + expires_ms - 600_000
    assert after.qos_day == bay.qos_day, "a moved clock costs nothing"


@pytest.mark.parametrize("state", [Requested(RECORD, LEASE, 50_000, 60_000), Idle()])
def test_the_same_boot_moves_nothing(state: State) -> None:
    """Play may get an outage back; the operator's time goes on."""
    bay = dataclasses.replace(playing().bay, qos=state)
    report = i.Restarted(100_000, WALL_MS, same_boot=True, wall_trusted=True)
    decision = decide(bay, report, Instant(400_000, WALL_MS + 300_000), Playbook().rules)
    after = evolve_all(bay, decision.events)
    assert after.qos == state
    assert after.session is not None
    assert after.session.ends_at_ms == 3_600_000 + 300_000


def test_a_free_bay_keeps_what_it_owes_the_operator_across_a_reboot() -> None:
    creating = Creating(RECORD, "7", "x-1", "f", 60, 90_000, outcome=Outcome.PENDING)
    bay = dataclasses.replace(Bay("109"), qos=creating)
    report = i.Restarted(100_000, WALL_MS, same_boot=False, wall_trusted=True)
    after = evolve_all(bay, decide(bay, report, Instant(1_000, WALL_MS + 5_000), Playbook().rules).events)
    assert isinstance(after.qos, Creating)
    assert after.qos.outcome is Outcome.UNCLEAR
    orphan = Degraded(RECORD, Trouble.ORPHAN, None, 50_000, 700_000)
    bay = dataclasses.replace(Bay("109"), qos=orphan)
    after = evolve_all(bay, decide(bay, report, Instant(1_000, WALL_MS + 5_000), Playbook().rules).events)
    assert isinstance(after.qos, Degraded)
    assert after.qos.until_ms == 1_000 + 600_000 - 5_000
