"""A bay's evening, told as scripts."""

from dataclasses import replace

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decide import decide
from bayd.core.evolve import evolve_all
from bayd.core.instant import Instant
from bayd.core.model import DeviceState, EndReason, Game, PayoutEnd, Phase, StartedBy
from bayd.core.rules import DowntimePolicy, ExtensionPolicy, Rules
from tests.core.playbook import SCREEN, STAFF, Playbook, booked, playing, seen


def phase_of(book: Playbook) -> Phase:
    """A call, because mypy would take the phase of an earlier assertion for the present one."""
    return book.bay.phase


MARK = {"event": 4, "lifetime": 1000}


def test_from_booking_to_the_end() -> None:
    book = Playbook()
    book.at(0).when(booked("7", 60)).then(e.BookingLearned)
    assert phase_of(book) is Phase.BOOKED
    book.at(5).when(i.PinEntered("a", "k1")).then(seen(e.PinAttempted, failures=1, locked_until_ms=None))
    book.at(6).when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE)).then(
        seen(e.PinAccepted, session_id="7"),
        seen(e.SessionStarted, session_id="7", ends_at_ms=3_606_000, minutes=60),
    )
    assert phase_of(book) is Phase.PLAYING
    book.at(3005.9).when(i.TimeCame()).then()
    book.at(3006).when(i.TimeCame()).then(seen(e.WarningGiven, minutes=10))
    book.at(3600).when(i.TimeCame()).then(seen(e.WarningGiven, minutes=1))
    book.at(3606.4).when(i.TimeCame()).then(
        seen(e.SessionEnded, reason=EndReason.TIME, at_ms=3_606_000, played_ms=3_600_000)
    )
    assert phase_of(book) is Phase.GRACE
    book.at(3726).when(i.TimeCame()).then(e.GraceEnded)
    assert phase_of(book) is Phase.FREE


def test_a_short_session_is_not_warned_of_what_it_never_had() -> None:
    book = playing(3)
    book.at(120).when(i.TimeCame()).then(seen(e.WarningGiven, minutes=1))
    book.at(180).when(i.TimeCame()).then(seen(e.SessionEnded, played_ms=180_000))


def test_no_act_overtakes_the_end() -> None:
    book = playing(1)
    book.at(61).when(i.Dispense("p1", 5, SCREEN)).refused("not_playing", e.SessionEnded)
    assert book.bay.payout is None


def test_play_needs_a_pin_or_staff_with_a_reason() -> None:
    book = Playbook()
    book.when(booked("7", 60)).then(e.BookingLearned)
    book.when(i.PinWasRight("never-tried", "7", StartedBy.PIN_ONLINE)).refused("attempt_gone")
    book.when(i.StartPlay(STAFF, " ")).refused("reason_missing")
    book.when(i.StartPlay(STAFF, "screen is broken")).then(
        seen(e.SessionStarted, started_by=StartedBy.STAFF, by="anna", reason="screen is broken")
    )


def test_the_next_session_follows_at_once_when_its_pin_was_right_in_time() -> None:
    book = playing(60)
    book.at(10).when(booked("8", 30, created_s=5)).then(e.BookingLearned)
    book.at(3000).when(i.PinEntered("b", None)).refused("too_early", e.WarningGiven)
    book.at(3400).when(i.PinEntered("b", None)).then(e.WarningGiven, e.PinAttempted)
    book.at(3401).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE)).then(e.PinAccepted, e.NextSessionReady)
    book.at(3600).when(i.TimeCame()).then(
        seen(e.SessionEnded, session_id="7"),
        seen(e.SessionStarted, session_id="8", at_ms=3_600_000, ends_at_ms=5_400_000),
    )
    assert phase_of(book) is Phase.PLAYING


def test_without_its_pin_the_next_session_waits() -> None:
    book = playing(1)
    book.when(booked("8", 30, created_s=5)).then(e.BookingLearned)
    book.at(60).when(i.TimeCame()).then(e.SessionEnded)
    book.at(180).when(i.TimeCame()).then(e.GraceEnded)
    assert phase_of(book) is Phase.BOOKED


# PINs


def test_five_tries_then_one_after_each_ever_longer_lock() -> None:
    book = Playbook()
    book.when(booked("7", 60))
    now_s = 0.0
    for attempt in range(4):
        book.at(now_s).when(i.PinEntered(str(attempt), None)).then(seen(e.PinAttempted, locked_until_ms=None))
        book.when(i.PinWasWrong(str(attempt))).then(e.PinRefused)
    locks_s = []
    for attempt in range(4, 13):
        book.at(now_s).when(i.PinEntered(str(attempt), None)).then(e.PinAttempted)
        book.when(i.PinWasWrong(str(attempt)))
        until_ms = book.bay.pad.locked_until_ms
        assert until_ms is not None
        locks_s.append((until_ms - book.now_ms) / 1000)
        now_s = until_ms / 1000
        book.at(now_s - 0.001).when(i.PinEntered("early", None)).refused("locked")
    assert locks_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_success_staff_and_a_day_reset_the_lock_but_a_new_booking_does_not() -> None:
    def locked() -> Playbook:
        book = Playbook(Rules(dispenser="east", pin_tries=1))
        book.when(booked("7", 60)).when(i.PinEntered("a", None)).when(i.PinWasWrong("a"))
        return book

    book = locked()
    book.at(1).when(booked("8", 60, created_s=1)).then(e.BookingLearned)
    book.when(i.PinEntered("b", None)).refused("locked")
    book.when(i.UnlockPad(STAFF, "customer known")).then(e.PadUnlocked)
    book.when(i.PinEntered("b", None)).then(seen(e.PinAttempted, failures=1))

    book = locked()
    book.at(86_400).when(i.PinEntered("b", None)).then(seen(e.PinAttempted, failures=1))


def test_a_check_that_failed_counts_no_try() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.PinEntered("a", None))
    book.when(i.PinNotChecked("a", "server away")).then(seen(e.PinCheckFailed, failures=0))
    assert book.bay.pad.failures == 0


def test_a_check_that_could_not_tell_but_compared_is_a_try() -> None:
    book = Playbook()
    book.when(booked("7", 60))
    for number in range(1, 6):
        book.when(i.PinEntered(f"{number}", None)).when(i.PinNotChecked(f"{number}", "away", counts=True))
        book.then(seen(e.PinCheckFailed, failures=number, counted=True))
    book.when(i.PinEntered("6", None)).refused("locked")
    book.at(60).when(i.PinEntered("7", None)).when(i.PinNotChecked("7", "away"))
    book.then(seen(e.PinCheckFailed, failures=5, counted=False))


def test_of_the_tries_that_nobody_called_wrong_the_newest_are_remembered() -> None:
    book = Playbook(Rules(pin_tries=100))
    book.when(booked("7", 60))
    for number in range(12):
        book.when(i.PinEntered(f"{number}", None)).when(i.PinNotChecked(f"{number}", "away", counts=True))
    assert book.bay.pad.unproven == tuple(f"{number}" for number in range(4, 12))
    assert book.bay.pad.failures == 12


def test_what_nobody_called_wrong_and_then_is_wrong_was_one_try() -> None:
    def one_unproven() -> Playbook:
        book = Playbook(Rules(pin_tries=2))
        book.when(booked("7", 60))
        book.when(i.PinEntered("a", None)).when(i.PinNotChecked("a", "away", counts=True))
        return book

    book = one_unproven()
    book.when(i.PinEntered("b", None)).then(seen(e.PinAttempted, failures=2))
    assert book.bay.pad.locked_until_ms is not None, "until it is known to be the same"
    book.when(i.PinWasWrong("b", earlier="a")).then(seen(e.PinRefused, earlier="a"))
    pad = book.bay.pad
    assert (pad.failures, pad.locked_until_ms, pad.unproven) == (1, None, ())
    book.when(i.PinEntered("c", None)).when(i.PinWasWrong("c", earlier="a"))
    book.then(seen(e.PinRefused, earlier=None))
    assert book.bay.pad.failures == 2
    book.when(i.PinEntered("d", None)).refused("locked")

    book = one_unproven()
    book.when(i.PinEntered("b", None)).when(i.UnlockPad(STAFF, "known"))
    book.when(i.PinWasWrong("b", earlier="a"))
    assert book.bay.pad.failures == 0, "staff have forgiven it already"


def test_a_second_pin_waits_for_the_first() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.PinEntered("a", None))
    book.when(i.PinEntered("b", None)).refused("check_running")


# Balls


def test_owed_is_paid_plus_balance() -> None:
    book = playing(60)
    book.when(i.Dispense("p1", 10, SCREEN)).then(seen(e.PayoutRequested, balls=10, from_balance=0))
    book.when(i.PayoutMarkTaken("p1", 10, MARK)).then(e.PayoutMarked)
    book.when(i.PayoutProgressed("p1", 4)).then(seen(e.BallsPaid, paid=4))
    book.when(i.PayoutEnded("p1", PayoutEnd.FAULT, 6, "jam")).then(seen(e.PayoutClosed, paid=6, unknown=0))
    assert book.bay.session is not None
    balls = book.bay.session.balls
    assert (balls.commanded, balls.counted, balls.balance, balls.unknown) == (10, 6, 4, 0)
    book.when(i.Dispense("p2", 5, SCREEN)).then(seen(e.PayoutRequested, balls=5, from_balance=4))
    book.when(i.PayoutMarkTaken("p2", 5, MARK))
    book.when(i.PayoutEnded("p2", PayoutEnd.DONE, 5, ""))
    assert book.bay.session is not None
    balls = book.bay.session.balls
    assert (balls.commanded, balls.counted, balls.balance) == (11, 11, 0)


def test_the_game_limits_the_balls_and_a_balance_is_no_new_ball() -> None:
    book = playing(60, game=Game(3, "GAME 3", 20))
    book.when(i.Dispense("p1", 21, SCREEN)).refused("limit_reached")
    book.when(i.Dispense("p1", 20, SCREEN)).then(e.PayoutRequested)
    book.when(i.PayoutMarkTaken("p1", 20, MARK)).when(i.PayoutEnded("p1", PayoutEnd.FAULT, 15, "empty"))
    book.when(i.Dispense("p2", 6, SCREEN)).refused("limit_reached")
    book.when(i.Dispense("p2", 5, SCREEN)).then(seen(e.PayoutRequested, from_balance=5))


def test_what_the_device_cannot_tell_is_unknown_and_neither_paid_nor_owed() -> None:
    book = playing(60)
    book.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, MARK))
    book.when(i.PayoutProgressed("p1", 3))
    book.when(i.PayoutEnded("p1", PayoutEnd.DONE, None, "registers lost")).then(
        seen(e.PayoutClosed, end=PayoutEnd.UNKNOWN, paid=3, unknown=7)
    )
    assert book.bay.session is not None
    balls = book.bay.session.balls
    assert (balls.counted, balls.balance, balls.unknown) == (3, 0, 7)


def test_a_payout_begun_before_the_end_is_finished_another_never_starts() -> None:
    book = playing(1)
    book.at(59).when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, MARK))
    book.at(60).when(i.TimeCame()).then(e.SessionEnded)
    book.at(61).when(i.PayoutProgressed("p1", 10)).then(seen(e.BallsPaid, session_id="7", paid=10))
    book.when(i.PayoutEnded("p1", PayoutEnd.DONE, 10, "")).then(e.PayoutClosed)
    assert book.bay.last is not None
    assert book.bay.last.balls.counted == 10

    book = playing(1)
    book.at(59).when(i.Dispense("p1", 10, SCREEN))
    book.at(60).when(i.TimeCame()).then(seen(e.PayoutClosed, end=PayoutEnd.NEVER_STARTED), e.SessionEnded)
    book.when(i.PayoutMarkTaken("p1", 10, MARK)).refused("payout_gone")


def test_a_staff_end_stops_the_motor() -> None:
    book = playing(60)
    book.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, MARK))
    book.when(i.End(STAFF, "closing")).then(e.PayoutStopping, seen(e.SessionEnded, reason=EndReason.STAFF))


def test_a_jam_wants_a_person() -> None:
    book = playing(60)
    book.when(i.DeviceReported("dispenser", DeviceState.FAULT, "jam")).then(e.DeviceChanged)
    book.when(i.Dispense("p1", 5, SCREEN)).refused("dispenser_fault")
    book.when(i.DeviceReported("dispenser", DeviceState.OK, "")).then()
    book.when(i.ClearFault("dispenser", STAFF)).then(seen(e.DeviceChanged, by="anna"))
    book.when(i.Dispense("p1", 5, SCREEN)).then(e.PayoutRequested)


def test_the_same_report_counts_once() -> None:
    book = playing(60)
    book.at(10).when(i.BallHeard("E1", 10_000)).then(seen(e.BallRead, epc="E1", session_id="7"))
    book.at(11).when(i.BallHeard("E1", 10_000)).refused("counted_already")
    book.at(131).when(i.BallHeard("E1", 131_000)).then(e.BallRead)


def test_a_ball_heard_just_before_the_end_counts_for_that_session() -> None:
    book = playing(1)
    book.at(60).when(i.TimeCame())
    book.at(60.4).when(i.BallHeard("E1", 59_900)).then(seen(e.BallRead, session_id="7"))
    book.at(60.5).when(i.BallHeard("E2", 60_100)).refused("not_playing")


# Time given


def test_an_extension_by_staff_moves_the_end_and_warns_again() -> None:
    book = playing(60)
    book.at(3590).when(i.TimeCame())
    book.when(i.Extend("op1", 15, 1000, STAFF, "paid in cash")).then(
        seen(e.SessionExtended, own=True, minutes=15, amount=1000, ends_at_ms=4_500_000)
    )
    book.at(3900).when(i.TimeCame()).then(seen(e.WarningGiven, minutes=10))


@pytest.mark.parametrize(
    ("policy", "price", "outcome"),
    [
        (ExtensionPolicy.ASK, 10, e.ExtensionAsked),
        (ExtensionPolicy.ON_ACCOUNT, 10, e.SessionExtended),
        (ExtensionPolicy.ON_ACCOUNT, None, e.ExtensionAsked),
    ],
)
def test_the_screen_extends_as_the_site_allows(
    policy: ExtensionPolicy, price: int | None, outcome: type[e.Event]
) -> None:
    book = playing(60, rules=Rules(extension=policy, extension_price=price))
    shown = None if price is None else price * 15
    request = i.Extend("op1", 15, None, SCREEN, "", shown_amount=shown, shown_at_once=True)
    book.when(request).then(outcome)


def test_the_next_booking_blocks_the_screen_but_not_staff() -> None:
    book = playing(60)
    book.when(booked("8", 30, created_s=5))
    book.when(i.Extend("op1", 15, None, SCREEN, "")).refused("next_booking")
    book.when(i.Extend("op2", 15, 0, STAFF, "a gift")).then(e.SessionExtended)


def test_minutes_added_at_the_desk_are_found_and_ours_are_not_counted_twice() -> None:
    book = playing(60)
    book.when(i.Extend("op1", 15, 0, STAFF, "a gift")).then(e.SessionExtended)
    # Ours has not reached the server, then has; then the desk adds 30, under both fields.
    book.at(1).when(booked("7", 60, active=True)).then()
    book.at(2).when(booked("7", 60, active=True, extended_minutes=15)).then()
    book.at(3).when(booked("7", 105, active=True, extended_minutes=45)).then(
        seen(e.SessionExtended, own=False, minutes=30)
    )
    book.at(4).when(booked("7", 105, active=True, extended_minutes=45)).then()
    assert book.bay.session is not None
    assert book.bay.session.granted_ms == 105 * 60_000


def test_a_pause_stands_still() -> None:
    book = playing(10)
    book.at(60).when(i.Pause(STAFF, "lightning")).then(e.SessionPaused)
    book.at(3600).when(i.TimeCame()).then()
    book.when(i.Dispense("p1", 5, SCREEN)).refused("paused")
    book.when(i.Resume(STAFF)).then(seen(e.SessionResumed, ends_at_ms=3_600_000 + 540_000))
    book.at(4140).when(i.TimeCame())
    assert book.bay.last is not None
    assert book.bay.last.played_ms == 600_000


# The server's word


def test_only_proof_ends_play() -> None:
    book = playing(60)
    book.at(100).when(booked("7", 60, active=True)).then()
    book.at(110).when(booked("7", 60, active=False)).then(seen(e.ServerActivitySeen, active=False))
    book.at(115).when(booked("7", 60, active=False)).then()
    book.at(120).when(booked("7", 60, active=False)).then(seen(e.SessionEnded, reason=EndReason.RELEASED))


def test_the_servers_own_timer_is_no_proof() -> None:
    book = playing(60)
    book.at(3000).when(booked("7", 60, active=True))
    book.at(3530).when(booked("7", 60, active=False)).then(e.WarningGiven, e.ServerActivitySeen)
    book.at(3545).when(booked("7", 60, active=False)).then(
        e.WarningGiven, seen(e.ConflictSeen, code="server_timer")
    )
    assert phase_of(book) is Phase.PLAYING


@pytest.mark.parametrize("fact", ["cancelled", "released"])
def test_a_cancelled_or_released_session_is_over(fact: str) -> None:
    over = replace(booked("7", 60), **{fact: True})  # type: ignore[arg-type] # the names are fields
    book = playing(60)
    book.at(9).when(over).then(e.SessionEnded)
    book.at(10).when(booked("7", 60)).then()
    waiting = Playbook()
    waiting.when(booked("7", 60)).when(over).then(e.BookingWithdrawn)
    assert phase_of(waiting) is Phase.FREE


def test_what_proves_nothing_is_on_record_and_play_goes_on() -> None:
    book = playing(60)
    contradiction = i.ServerContradicted("missing_at_server", "7", "404")
    book.when(contradiction).then(seen(e.ConflictSeen, code="missing_at_server"))
    book.when(contradiction).then()
    assert phase_of(book) is Phase.PLAYING


def test_old_and_doubtful_sessions_arm_nothing() -> None:
    book = Playbook()
    book.when(booked("7", 60, created_s=-90_000)).then()
    book.when(booked("8", 60, released=None)).then()
    assert phase_of(book) is Phase.FREE


def test_a_moved_booking_leaves_and_may_come_back() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.ServerMovedAway("7", "110")).then(e.BookingWithdrawn)
    book.when(booked("7", 60)).then(e.BookingLearned)


# Outages


def test_a_short_outage_is_play() -> None:
    book = playing(60)
    book.at(100).when(i.Restarted(45_000, 0, same_boot=True, wall_trusted=False)).then(
        seen(e.OutageSeen, outage_ms=55_000, credited=False, shift_ms=0)
    )
    assert book.bay.session is not None
    assert book.bay.session.ends_at_ms == 3_600_000


@pytest.mark.parametrize(
    ("outage_ms", "credited", "phase"),
    [
        (60_000, False, Phase.PLAYING),
        (60_001, True, Phase.PLAYING),
        (1_800_000, True, Phase.PLAYING),
        (1_800_001, True, Phase.PAUSED),
    ],
)
def test_play_and_credit_end_at_their_millisecond(outage_ms: int, credited: bool, phase: Phase) -> None:
    book = playing(60)
    book.at((100_000 + outage_ms) / 1000).when(i.Restarted(100_000, 0, same_boot=True, wall_trusted=False))
    outage = book.decision.events[0]
    assert isinstance(outage, e.OutageSeen)
    assert (outage.outage_ms, outage.credited, phase_of(book)) == (outage_ms, credited, phase)


def test_a_longer_outage_is_credited() -> None:
    book = playing(60)
    book.at(700).when(i.Restarted(100_000, 0, same_boot=True, wall_trusted=False)).then(
        seen(e.OutageSeen, credited=True, shift_ms=600_000)
    )
    assert book.bay.session is not None
    assert book.bay.session.remaining_ms(700_000) == 3_500_000
    assert book.bay.session.played_ms(700_000) == 100_000


def test_beyond_half_an_hour_play_waits_for_a_person() -> None:
    book = playing(60)
    book.at(3000).when(i.Restarted(100_000, 0, same_boot=True, wall_trusted=False)).then(
        e.OutageSeen, e.SessionPaused
    )
    book.at(9000).when(i.Resume(STAFF)).then(e.SessionResumed)
    assert book.bay.session is not None
    assert book.bay.session.remaining_ms(9_000_000) == 3_500_000


def test_after_a_reboot_the_clock_starts_anew_and_play_does_not() -> None:
    book = playing(60)
    mark = i.Restarted(1_000_000, book.now.wall_ms + 1_000_000, same_boot=False, wall_trusted=True)
    # 30 s of wall time later, in a boot that is 20 s old.
    book.now_ms = 20_000
    now_wall = mark.mark_wall_ms + 30_000
    decision = decide(book.bay, mark, Instant(20_000, now_wall), book.rules)
    bay = evolve_all(book.bay, decision.events)
    assert bay.session is not None
    assert bay.session.remaining_ms(20_000) == 3_600_000 - 1_000_000 - 30_000


def test_counted_downtime_is_play_unless_the_clock_is_doubtful() -> None:
    rules = Rules(downtime=DowntimePolicy.COUNTED)
    book = playing(60, rules=rules)
    book.at(700).when(i.Restarted(100_000, 0, same_boot=True, wall_trusted=False)).then(
        seen(e.OutageSeen, credited=False, shift_ms=0)
    )
    book = playing(60, rules=rules)
    book.at(20).when(i.Restarted(100_000, 0, same_boot=False, wall_trusted=False)).then(
        seen(e.OutageSeen, credited=True, flagged=True)
    )


def test_after_a_reboot_no_ball_is_that_of_the_guest_before() -> None:
    """Nothing is under way any more; when he ended is told by the boot clock all the same."""
    book = playing(minutes=30)
    book.at(1800).when(i.TimeCame())
    book.at(7200).when(i.TimeCame())
    assert book.bay.last is not None
    assert book.bay.last.reconcile_at_ms is None
    book.at(20).when(i.Restarted(7_100_000, 0, same_boot=False, wall_trusted=False)).then(e.OutageSeen)
    book.at(30).when(i.BallHeard("E28011700000020A00000001", 30_000)).refused("not_playing")


def test_an_outage_that_finds_a_pause_is_no_second_one() -> None:
    book = playing(60)
    book.at(100).when(i.Pause(STAFF, "rain"))
    book.at(3000).when(i.Restarted(110_000, 0, same_boot=True, wall_trusted=False)).then(e.OutageSeen)
    book.at(3100).when(i.Resume(STAFF)).then(e.SessionResumed)
    assert book.bay.session is not None
    assert book.bay.session.remaining_ms(3_100_000) == 3_500_000


@pytest.mark.parametrize(
    ("gap_ms", "is_known"),
    [(-1, False), (0, True), (30 * 86_400_000, True), (30 * 86_400_000 + 1, False)],
)
def test_a_clock_that_went_back_or_a_month_ahead_tells_no_outage(gap_ms: int, is_known: bool) -> None:
    book = playing(60)
    mark = i.Restarted(100_000, book.now.wall_ms - gap_ms, same_boot=False, wall_trusted=True)
    book.when(mark)
    seen_outage = book.decision.events[0]
    assert isinstance(seen_outage, e.OutageSeen)
    assert (seen_outage.outage_ms, seen_outage.flagged) == ((gap_ms, False) if is_known else (None, True))


def test_out_of_service_there_is_no_grace() -> None:
    book = playing(60).at(60).when(i.End(STAFF, "left"))
    assert book.bay.grace_until_ms is not None
    kept = book.at(70).when(i.StopService(STAFF, "net torn")).bay
    assert (kept.phase, kept.grace_until_ms) == (Phase.OUT_OF_SERVICE, None)


@pytest.mark.parametrize(
    ("same_boot", "outage_s", "rest_s"),
    [
        (True, 20, 30),  # the lock ran on, as everything did
        (True, 90, 50),  # too long for that: as everything has, it has the rest that it had
        (False, 20, 50),
        (False, 90, 50),
    ],
)
def test_a_lock_out_runs_on_through_a_short_restart_alone(
    same_boot: bool, outage_s: int, rest_s: int
) -> None:
    book = Playbook(Rules(pin_tries=1))
    book.when(booked("7", 60)).at(100).when(i.PinEntered("a", None)).when(i.PinWasWrong("a"))
    assert book.bay.pad.locked_until_ms == 160_000
    mark_wall_ms = book.at(110).now.wall_ms
    book.at(110 + outage_s if same_boot else 5)
    now = replace(book.now, wall_ms=mark_wall_ms + outage_s * 1000)
    restarted = i.Restarted(110_000, mark_wall_ms, same_boot=same_boot, wall_trusted=True)
    bay = evolve_all(book.bay, decide(book.bay, restarted, now, book.rules).events)
    assert bay.pad.locked_until_ms == now.boot_ms + rest_s * 1000


def test_a_reboot_never_shortens_a_lock_out() -> None:
    book = Playbook(Rules(pin_tries=1))
    book.when(booked("7", 60)).at(100).when(i.PinEntered("a", None)).when(i.PinWasWrong("a"))
    assert book.bay.pad.locked_until_ms == 160_000
    book.at(5).when(i.Restarted(110_000, 0, same_boot=False, wall_trusted=True))
    assert book.bay.pad.locked_until_ms == 5_000 + 50_000


def test_after_a_long_interruption_no_motor_starts_by_itself() -> None:
    book = playing(60)
    book.at(10).when(i.Dispense("p1", 10, SCREEN))
    book.at(45).when(i.Restarted(12_000, 0, same_boot=True, wall_trusted=True)).then(
        e.OutageSeen, seen(e.PayoutInterrupted, interrupted_ms=33_000)
    )
    book.when(i.PayoutMarkTaken("p1", 10, MARK)).refused("payout_gone")
    book.when(i.PayoutEnded("p1", PayoutEnd.NEVER_STARTED, 0, "")).then(e.PayoutClosed)
    assert book.bay.session is not None
    assert book.bay.session.balls.balance == 10


# The bay


def test_out_of_service_waits_for_the_paid_session_unless_forced() -> None:
    book = playing(1)
    book.when(i.StopService(STAFF, "net torn")).then(e.ServiceStopPlanned)
    assert phase_of(book) is Phase.PLAYING
    book.at(60).when(i.TimeCame()).then(e.SessionEnded, e.BayTakenOutOfService)
    forced = playing(60)
    forced.when(i.StopService(STAFF, "fire", force=True)).then(e.SessionEnded, e.BayTakenOutOfService)


def test_a_held_bay_takes_no_pin() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.Hold(STAFF, "VIP")).then(e.BayHeld)
    book.when(i.PinEntered("a", None)).refused("held")
    book.when(i.Release(STAFF)).then(e.BayReleased)
    assert phase_of(book) is Phase.BOOKED


def test_a_second_press_on_end_never_ends_the_next_session() -> None:
    book = playing(60)
    book.when(booked("8", 30, created_s=5))
    book.at(3400).when(i.PinEntered("b", None)).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE))
    book.when(i.End(STAFF, "closing", session_id="7")).then(
        e.SessionEnded, seen(e.SessionStarted, session_id="8")
    )
    book.when(i.End(STAFF, "closing", session_id="7")).refused("session_over")
    book.when(i.Dispense("p1", 5, SCREEN, session_id="7")).refused("session_over")


def test_a_forced_stop_overrides_a_planned_one() -> None:
    book = playing(60)
    book.when(i.StopService(STAFF, "net torn")).then(e.ServiceStopPlanned)
    book.when(i.StopService(STAFF, "fire", force=True)).then(
        e.SessionEnded, seen(e.BayTakenOutOfService, reason="fire")
    )


def test_the_players_own_pin_forgives_no_guess_at_the_next_ones() -> None:
    book = playing(60)
    book.when(booked("8", 30, created_s=5))
    book.at(3400)
    for guess in ("b", "c"):
        book.when(i.PinEntered(guess, None)).when(i.PinWasWrong(guess))
    book.when(i.PinEntered("own", None)).when(i.PinWasRight("own", "7", StartedBy.PIN_ONLINE))
    book.then(seen(e.PinCheckFailed, failures=2))
    book.when(i.Pause(STAFF, "rain")).when(i.PinEntered("own", None))
    book.when(i.PinWasRight("own", "7", StartedBy.PIN_ONLINE)).then(
        seen(e.PinAccepted, failures=2), e.SessionResumed
    )
    assert (book.bay.pad.failures, book.bay.pad.attempt, book.bay.pad.locked_until_ms) == (2, None, None)


def paused_with_a_lost_pin() -> Playbook:
    """A guess, the paused guest's own PIN without an answer, and a guess."""
    book = playing(60)
    book.when(booked("8", 30, created_s=5))
    book.at(3400).when(i.Pause(STAFF, "rain"))
    book.when(i.PinEntered("b", None)).when(i.PinWasWrong("b"))
    book.when(i.PinEntered("lost", None)).when(i.PinNotChecked("lost", "no answer", counts=True))
    book.then(seen(e.PinCheckFailed, failures=2, counted=True))
    book.when(i.PinEntered("c", None)).when(i.PinWasWrong("c"))
    assert book.bay.pad.failures == 3
    return book


def test_a_try_that_nobody_called_wrong_is_forgiven_once_the_pin_proves_right() -> None:
    proof = i.PinWasRight("own", "7", StartedBy.PIN_ONLINE, earlier="lost")
    book = paused_with_a_lost_pin()
    book.when(i.PinEntered("own", None)).when(proof)
    book.then(seen(e.PinAccepted, failures=2), e.SessionResumed)
    assert book.bay.pad.failures == 2, "the guesses stay"
    book.when(i.PinEntered("own", None)).when(proof).then(seen(e.PinCheckFailed, failures=2))

    book = paused_with_a_lost_pin()
    book.when(i.Resume(STAFF)).when(i.PinEntered("own", None)).when(proof)
    book.then(seen(e.PinCheckFailed, failures=2))

    book = paused_with_a_lost_pin()
    book.when(i.PinEntered("own", None)).when(replace(proof, earlier="b"))
    book.then(seen(e.PinAccepted, failures=3), e.SessionResumed)


def test_a_try_is_not_forgiven_twice() -> None:
    """Neither after staff have forgiven it, nor after it was forgotten: else it would cover another guess."""
    proof = i.PinWasRight("own", "7", StartedBy.PIN_ONLINE, earlier="lost")
    book = paused_with_a_lost_pin()
    book.when(i.UnlockPad(STAFF, "known")).when(i.PinEntered("d", None)).when(i.PinWasWrong("d"))
    book.when(i.PinEntered("own", None)).when(proof)
    book.then(seen(e.PinAccepted, failures=1), e.SessionResumed)

    book = paused_with_a_lost_pin()
    book.at(3400 + 86_400).when(i.PinEntered("d", None)).when(i.PinWasWrong("d"))
    book.when(i.PinEntered("own", None)).when(proof)
    book.then(seen(e.PinAccepted, failures=1), e.SessionResumed)


def test_unlocking_the_pad_loses_no_check_that_is_under_way() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.PinEntered("a", None)).when(i.UnlockPad(STAFF, "customer known"))
    book.when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE)).then(e.PinAccepted, e.SessionStarted)


def test_what_belongs_to_the_ended_session_is_counted_for_it_back_to_back() -> None:
    book = playing(60)
    book.when(booked("8", 30, created_s=5))
    book.at(3400).when(i.PinEntered("b", None)).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE))
    book.at(3599).when(i.Dispense("p1", 20, SCREEN)).when(i.PayoutMarkTaken("p1", 20, MARK))
    book.at(3600).when(i.TimeCame()).then(seen(e.SessionEnded, session_id="7"), e.SessionStarted)
    book.at(3600.3).when(i.BallHeard("E1", 3_599_900)).then(seen(e.BallRead, session_id="7"))
    book.at(3602).when(i.PayoutEnded("p1", PayoutEnd.DONE, 20, ""))
    assert book.bay.last is not None
    assert (book.bay.last.balls.counted, book.bay.last.balls.read) == (20, 1)


def test_the_servers_timer_of_a_session_verified_early_proves_nothing() -> None:
    """It runs since the PIN; the bay gives the whole time from the real start."""
    book = playing(60)
    book.when(booked("8", 30, created_s=5))
    book.at(3400).when(i.PinEntered("b", None)).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE))
    book.when(i.Extend("op1", 15, 100, STAFF, "paid"))
    book.at(4500).when(i.TimeCame())
    book.at(4600).when(booked("8", 30, created_s=5, active=True))
    # The server's own 30 minutes are over 1100 s before ours.
    book.at(5250).when(booked("8", 30, created_s=5, active=False))
    book.at(5265).when(booked("8", 30, created_s=5, active=False))
    assert phase_of(book) is Phase.PLAYING


def test_staff_say_what_an_extension_costs_where_no_price_is_set() -> None:
    book = playing(60)
    book.when(i.Extend("op1", 15, None, STAFF, "regular")).refused("amount_missing")
    book.when(i.Extend("op1", 15, 0, STAFF, "")).refused("reason_missing")
    book.when(i.Extend("op1", 15, 0, STAFF, "rain")).then(seen(e.SessionExtended, amount=0))
