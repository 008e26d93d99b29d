"""Locked, free play, closed: what a bay is open for while nobody plays. Whoever plays, plays on."""

from datetime import date

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.desired import desired
from bayd.core.extensions import offers
from bayd.core.model import Mode, Phase, StartedBy
from bayd.core.modes import mode_at, next_turn
from bayd.core.rules import OpenSpan, Rules, ScheduleLine, Timetable
from tests.core.playbook import SCREEN, STAFF, Playbook, booked, playing, seen

CLOSED = i.ModeSeen(Mode.CLOSED, 1_700_000_000_000, 0)
LOCKED = i.ModeSeen(Mode.LOCKED, None, 0)
FREE_PLAY = i.ModeSeen(Mode.FREE_PLAY, None, 0)
MONDAY = date(2026, 11, 23).toordinal()


def test_a_session_that_plays_when_the_bay_closes_is_played_to_its_end() -> None:
    book = playing(60)
    book.at(60).when(booked("8", 30, created_s=5, cancelled=True)).when(CLOSED).then(e.ModeTurned)
    book.when(CLOSED).then()
    assert offers(book.bay, book.rules) == ()
    book.when(i.Extend("op1", 15, None, SCREEN, "")).refused("closed")
    book.when(i.Extend("op2", 15, 0, STAFF, "they may")).then(e.SessionExtended)
    book.when(i.Pause(STAFF, "phone")).when(i.PinEntered("a", None)).then(e.PinAttempted)
    assert book.bay.phase is Phase.PAUSED


def test_closed_no_pin_opens_a_bay_and_staff_may() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(CLOSED).when(i.PinEntered("a", None)).refused("closed")
    assert book.bay.pad.failures == 0
    book.when(LOCKED).then(e.ModeTurned)
    book.when(i.PinEntered("a", None)).then(e.PinAttempted)
    late = Playbook()
    late.when(booked("7", 60)).when(CLOSED)
    late.when(i.StartPlay(STAFF, "a late guest")).then(e.SessionStarted)


def test_free_play_is_no_session_and_a_pin_takes_over_at_once() -> None:
    book = Playbook()
    book.when(i.BallHeard("E0", 0)).refused("not_playing")
    book.at(5).when(FREE_PLAY).then(e.ModeTurned)
    wish = desired(book.bay, book.rules)
    assert (wish.antennas_on, wish.low_latency, book.bay.phase) == (True, None, Phase.FREE)
    book.at(10).when(i.BallHeard("E1", 9_900)).then(e.FreeBallRead)
    book.when(i.BallHeard("E1", 9_900)).refused("counted_already")
    book.when(i.BallInPit("E1", "S1_1", 10_000)).refused("not_counted")
    book.when(i.Dispense("p1", 10, SCREEN)).refused("not_playing")
    book.when(booked("7", 60))
    assert desired(book.bay, book.rules).antennas_on
    book.at(20).when(i.PinEntered("a", None)).when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE))
    book.then(e.PinAccepted, e.SessionStarted)
    book.at(30).when(i.BallHeard("E2", 29_000)).then(seen(e.BallRead, session_id="7"))
    assert book.bay.session is not None
    assert (book.bay.free_read, book.bay.session.balls.read) == (1, 1)


@pytest.mark.parametrize("kept", [i.Hold(STAFF, "cup"), i.StopService(STAFF, "net torn")])
def test_a_bay_that_staff_keep_is_not_open_for_free_play(kept: i.Input) -> None:
    book = Playbook().when(FREE_PLAY)
    assert desired(book.bay, book.rules).antennas_on
    book.when(kept)
    assert not desired(book.bay, book.rules).antennas_on
    book.when(i.BallHeard("E1", 0)).refused("not_playing")


def test_staff_say_otherwise_until_it_is_revoked_or_the_day_is_over() -> None:
    book = Playbook().when(booked("7", 60))
    book.when(i.SetMode(Mode.CLOSED, False, STAFF, " ")).refused("reason_missing")
    book.when(i.SetMode(None, False, STAFF, "x")).refused("mode_not_set")
    book.when(i.SetMode(Mode.CLOSED, False, STAFF, "nets")).then(seen(e.ModeSet, mode=Mode.CLOSED))
    book.when(i.PinEntered("a", None)).refused("closed")
    tomorrow = i.ModeSeen(Mode.LOCKED, None, book.now.wall_ms + 1)
    book.when(tomorrow).then()
    book.when(i.SetMode(None, False, STAFF, "mended")).then(e.ModeRevoked)
    book.when(i.SetMode(Mode.FREE_PLAY, True, STAFF, "open day")).then(e.ModeSet)
    book.when(i.ModeSeen(Mode.LOCKED, None, None)).then()
    book.when(i.ModeSeen(Mode.LOCKED, None, book.now.wall_ms)).then()
    assert book.bay.mode.value == "free_play"
    book.when(i.ModeSeen(Mode.CLOSED, None, book.now.wall_ms + 1)).then(e.ModeTurned, e.ModeRevoked)
    assert book.bay.mode.value == "closed"


def line(day: int, begin: int, end: int, mode: Mode) -> ScheduleLine:
    return ScheduleLine(OpenSpan(day, begin * 60, end * 60), mode)


WEEK = Timetable(
    mode=None,
    schedule=(
        *(line(day, 8, 22, Mode.LOCKED) for day in range(6)),
        line(2, 14, 16, Mode.FREE_PLAY),
        line(4, 12, 13, Mode.CLOSED),
    ),
    closed_days=frozenset({MONDAY + 1}),
)


def test_the_last_line_holds_and_what_has_no_line_is_closed() -> None:
    asked = [(0, 7), (0, 8), (0, 21), (0, 22), (1, 12), (2, 13), (2, 14), (2, 16), (4, 12), (4, 13), (6, 12)]
    said = [mode_at(WEEK, MONDAY + day, hour * 60) for day, hour in asked]
    words = "closed locked locked closed closed locked free_play locked closed locked closed"
    assert [mode.value for mode in said] == words.split()


def test_hours_hold_to_the_minute_over_any_mode_and_without_any_it_never_closes() -> None:
    spans = (OpenSpan(0, 480, 1320), OpenSpan(0, 1380, 1440), OpenSpan(1, 0, 60))
    table = Timetable(mode=Mode.FREE_PLAY, opening=spans)
    asked = [(0, 479), (0, 480), (0, 1319), (0, 1320), (0, 1439), (1, 0), (1, 60), (2, 600)]
    is_open = [mode_at(table, MONDAY + day, minute) is Mode.FREE_PLAY for day, minute in asked]
    assert is_open == [False, True, True, False, True, True, False, False]
    assert mode_at(Timetable(), MONDAY + 3, 200) is Mode.LOCKED


def test_until_when_is_the_next_minute_at_which_another_mode_begins() -> None:
    def turn(day: int, hour: int, table: Timetable = WEEK) -> tuple[int, int] | None:
        found = next_turn(table, MONDAY + day, hour * 60)
        return None if found is None else (found[0] - MONDAY, found[1] // 60)

    assert [turn(0, 9), turn(0, 22), turn(2, 14), turn(5, 23)] == [(0, 22), (2, 8), (2, 16), (7, 8)]
    assert turn(0, 9, Timetable()) is None
    shut = Timetable(closed_days=frozenset({MONDAY}))
    assert (turn(0, 9, shut), turn(-3, 9, shut), turn(1, 9, shut)) == ((1, 0), (0, 0), None)


GUEST = Rules(guest_pauses=2, guest_pause_minutes=10)


def test_a_guest_pauses_where_the_site_allows_it_and_within_its_limits() -> None:
    playing(60).at(60).when(i.Pause(SCREEN, "")).refused("staff_only")
    playing(60).at(60).when(i.Resume(SCREEN)).refused("not_paused")
    book = playing(60, rules=GUEST).at(60).when(i.Pause(SCREEN, ""))
    book.then(seen(e.SessionPaused, ends_at_ms=660_000))
    book.when(i.Pause(SCREEN, "")).refused("already_paused")
    book.at(300).when(i.Resume(SCREEN)).then(e.SessionResumed)
    # Four of ten minutes are used.
    book.at(400).when(i.Pause(SCREEN, "")).then(seen(e.SessionPaused, ends_at_ms=760_000))
    book.at(800).when(i.TimeCame()).then(seen(e.SessionResumed, at_ms=760_000, by="bayd"))
    book.when(i.Pause(SCREEN, "")).refused("pauses_used")
    assert book.bay.session is not None
    assert book.bay.session.ends_at_ms == 3_600_000 + 240_000 + 360_000
    book.when(i.Pause(STAFF, "phone")).when(i.Resume(SCREEN)).refused("staff_only")
    assert book.bay.phase is Phase.PAUSED


def test_a_guest_who_has_used_the_minutes_has_no_pause_left() -> None:
    book = playing(60, rules=GUEST).at(60).when(i.Pause(SCREEN, ""))
    book.at(660).when(i.TimeCame()).then(e.SessionResumed)
    book.at(700).when(i.Pause(SCREEN, "")).refused("pauses_used")


def test_a_guests_pause_keeps_nobody_waiting() -> None:
    queued = playing(60, rules=GUEST).at(60).when(booked("8", 30, created_s=5))
    queued.when(i.Pause(SCREEN, "")).refused("next_booking")
    late = playing(60, rules=GUEST).at(60).when(CLOSED)
    late.when(i.Pause(SCREEN, "")).refused("closed")


def test_staff_end_a_guests_pause_and_its_time_counts() -> None:
    book = playing(60, rules=GUEST).at(60).when(i.Pause(SCREEN, "")).at(360).when(i.Resume(STAFF))
    assert book.bay.session is not None
    assert (book.bay.session.guest_paused_ms, book.bay.session.guest_pauses) == (300_000, 1)
