"""Guests who do not come, bays that stay held, pauses that nobody ends."""

from dataclasses import replace

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.evolve import evolve_all
from bayd.core.model import Bay, DeviceState, EndReason, PayoutEnd, Phase, StartedBy
from bayd.core.rules import FaultPolicy, LongPausePolicy, NoShowPolicy, Rules
from bayd.journal.event_codec import BayEventCodec
from tests.core.playbook import SCREEN, STAFF, Playbook, booked, playing, seen

RULES = Rules(dispenser="east", hold_minutes=15, pause_max_minutes=20)
RELEASE = replace(RULES, no_show=NoShowPolicy.RELEASE)
RESUME = replace(RULES, long_pause=LongPausePolicy.RESUME)


def test_a_guest_who_does_not_come_is_told_once_and_may_still_come() -> None:
    book = Playbook(RULES)
    book.when(booked("7", 60)).then(e.BookingLearned, seen(e.WaitBegan, session_id="7"))
    book.at(899.9).when(i.TimeCame()).then()
    book.at(900).when(i.TimeCame()).then(seen(e.WaitOverran, session_id="7"))
    book.at(5000).when(i.TimeCame()).then()
    assert book.bay.phase is Phase.BOOKED
    book.when(i.PinEntered("a", None)).when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE))
    assert (book.bay.phase, book.bay.waiting) == (Phase.PLAYING, None)


def test_the_wait_for_the_next_guest_begins_when_the_bay_is_ready() -> None:
    book = playing(60, rules=RULES)
    book.at(10).when(booked("8", 30, created_s=5)).then(e.BookingLearned)
    book.when(i.End(STAFF, "left")).then(e.SessionEnded)
    book.at(131).when(i.TimeCame()).then(e.GraceEnded, seen(e.WaitBegan, session_id="8", at_ms=131_000))
    book.at(140).when(booked("8", 30, created_s=5, cancelled=True)).when(booked("9", 30, created_s=6))
    book.at(141 + 899).when(i.TimeCame()).then(seen(e.WaitOverran, session_id="9"))


def test_where_the_site_wants_it_a_no_show_is_cancelled_but_not_under_a_guests_fingers() -> None:
    book = Playbook(RELEASE)
    book.when(booked("7", 60)).at(899).when(i.PinEntered("a", None))
    book.at(901).when(i.TimeCame()).then()
    book.when(i.PinWasWrong("a")).then(
        e.PinRefused, seen(e.BookingWithdrawn, session_id="7", reason=EndReason.NO_SHOW)
    )
    book.when(booked("7", 60)).then()
    assert book.bay.phase is Phase.FREE


def test_a_bay_that_stays_held_is_told_and_never_released_by_itself() -> None:
    book = Playbook(RELEASE)
    book.when(i.Hold(STAFF, "VIP")).then(e.BayHeld, seen(e.WaitBegan, session_id=""))
    book.at(900).when(i.TimeCame()).then(seen(e.WaitOverran, session_id=""))
    assert book.bay.phase is Phase.HELD
    book.when(i.Release(STAFF)).then(e.BayReleased)
    assert book.bay.waiting is None


def test_a_reboot_does_not_shorten_the_wait() -> None:
    book = Playbook(RULES)
    book.at(100).when(booked("7", 60)).at(400)
    book.when(i.Restarted(400_000, 0, same_boot=False, wall_trusted=False))
    book.at(999.9).when(i.TimeCame()).then()
    book.at(1000).when(i.TimeCame()).then(e.WaitOverran)


def test_a_long_pause_is_told_or_ends_at_its_time() -> None:
    told = playing(60, rules=RULES).at(60)
    told.when(i.Pause(STAFF, "phone")).at(60 + 1200).when(i.TimeCame()).then(e.PauseOverran)
    told.at(9000).when(i.TimeCame()).then()
    assert told.bay.phase is Phase.PAUSED
    ended = playing(60, rules=RESUME).at(60).when(i.Pause(STAFF, "phone"))
    ended.at(60 + 1200.4).when(i.TimeCame()).then(seen(e.SessionResumed, at_ms=1_260_000))
    assert ended.bay.session is not None
    assert ended.bay.session.remaining_ms(1_260_000) == 3_540_000


def test_neither_a_machine_nor_an_outage_is_resumed_by_the_clock() -> None:
    rules = replace(RESUME, dispenser_fault=FaultPolicy.PAUSE)
    book = playing(60, rules=rules).at(60)
    book.when(i.Dispense("p1", 5, SCREEN)).when(i.PayoutMarkTaken("p1", 5, {"event": 1}))
    book.when(i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    book.when(i.PayoutEnded("p1", PayoutEnd.FAULT, 2, "jam"))
    book.at(20_000).when(i.TimeCame()).then()
    assert book.bay.phase is Phase.PAUSED
    long_ago = playing(60, rules=rules)
    long_ago.at(7200).when(i.Restarted(10_000, 0, same_boot=True, wall_trusted=True))
    assert long_ago.bay.phase is Phase.PAUSED
    long_ago.at(20_000).when(i.TimeCame()).then()


def test_a_hold_of_an_older_journal_has_its_reason_and_no_time() -> None:
    held = BayEventCodec().decode("BayHeld", 1, '{"by": "anna", "reason": "a lesson"}')
    bay = evolve_all(Bay("109"), (held,))
    assert (bay.phase, bay.kept_reason, bay.kept_wall_ms) == (Phase.HELD, "a lesson", None)
    assert evolve_all(bay, (e.BayReleased("anna"),)).kept_reason == ""
