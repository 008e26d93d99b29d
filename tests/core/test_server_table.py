"""The table of `docs/central.md`: who is right where the bay and the server disagree. One test, one outcome.

"Here" is what the bay does, "there" what the server calls active at this bay. Session "7" is the one that is
spoken of, "8" another of the same bay.
"""

from typing import Any

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import UNKNOWN_GAME, EndReason, Game, Phase, StartedBy
from bayd.core.rules import Rules
from tests.core.playbook import SCREEN, STAFF, WALL_MS, Playbook, Seen, booked, playing, seen

GAME_2 = Game(2, "GAME 2", 30)
GAME_3 = Game(3, "GAME 3", 20)


def conflict(code: str, session_id: str = "7") -> Seen:
    return seen(e.ConflictSeen, code=code, session_id=session_id)


# Session 7 plays here


def test_plays_here_and_active_there_agree() -> None:
    book = playing(60)
    book.at(10).when(booked("7", 60, active=True)).then()
    assert book.bay.phase is Phase.PLAYING


def test_plays_here_and_another_is_active_there() -> None:
    """The other one does not start by itself; ours ends by proof alone."""
    book = playing(60)
    book.at(10).when(booked("8", 30, created_s=5, active=True)).then(
        e.BookingLearned, conflict("active_not_started", "8")
    )
    book.at(11).when(booked("7", 60, active=False)).then(seen(e.ServerActivitySeen, active=False))
    book.at(15).when(booked("8", 30, created_s=5, active=True)).then()
    assert book.bay.phase is Phase.PLAYING
    book.at(22).when(booked("7", 60, active=False)).then(seen(e.SessionEnded, reason=EndReason.RELEASED))
    assert book.bay.session is None


def test_plays_here_and_nothing_is_active_there_before_our_verify() -> None:
    """Started offline or by staff: the server cannot know yet."""
    book = Playbook()
    book.when(booked("7", 60)).when(i.StartPlay(STAFF, "screen is broken"))
    for second in (10, 30, 600):
        book.at(second).when(booked("7", 60, active=False)).then()
    assert book.bay.phase is Phase.PLAYING


def test_plays_here_and_nothing_is_active_there_twice_ends_it() -> None:
    book = playing(60)
    book.at(100).when(booked("7", 60, active=False)).then(seen(e.ServerActivitySeen, active=False))
    book.at(109.9).when(booked("7", 60, active=False)).then()
    book.at(110).when(booked("7", 60, active=False)).then(seen(e.SessionEnded, reason=EndReason.RELEASED))


def test_a_look_between_that_shows_it_active_starts_the_proof_anew() -> None:
    book = playing(60)
    book.at(100).when(booked("7", 60, active=False))
    book.at(105).when(booked("7", 60, active=True)).then(seen(e.ServerActivitySeen, active=True))
    book.at(110).when(booked("7", 60, active=False)).then(seen(e.ServerActivitySeen, active=False))
    book.at(119).when(booked("7", 60, active=False)).then()


def test_plays_here_and_the_servers_own_timer_ended_it() -> None:
    book = playing(60)
    book.at(3485).when(booked("7", 60, active=False)).then(e.WarningGiven, e.ServerActivitySeen)
    book.at(3496).when(booked("7", 60, active=False)).then(conflict("server_timer"))
    book.at(3550).when(booked("7", 60, active=False)).then(e.WarningGiven)
    assert book.bay.phase is Phase.PLAYING


def test_a_credited_outage_does_not_turn_the_servers_timer_into_a_proof() -> None:
    """The server's timer ran on while ours stood."""
    book = playing(60)
    book.at(1300).when(i.Restarted(100_000, 0, same_boot=True, wall_trusted=False)).then(
        seen(e.OutageSeen, credited=True)
    )
    book.at(3600).when(booked("7", 60, active=False)).then(seen(e.ServerActivitySeen, active=False))
    book.at(3611).when(booked("7", 60, active=False)).then(conflict("server_timer"))
    assert book.bay.session is not None


def test_a_pin_typed_ahead_does_not_turn_the_servers_timer_into_a_proof() -> None:
    """The server counts from the PIN, the bay from the end of the session before."""
    book = playing(60)
    book.at(1).when(booked("8", 30, created_s=5))
    book.at(3301).when(i.PinEntered("b", None)).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE))
    book.at(3600).when(i.TimeCame()).then(e.SessionEnded, seen(e.SessionStarted, session_id="8"))
    book.at(3301 + 1800).when(booked("8", 30, created_s=5, active=False))
    book.at(3312 + 1800).when(booked("8", 30, created_s=5, active=False)).then(conflict("server_timer", "8"))
    assert book.bay.phase is Phase.PLAYING


def test_outside_those_times_an_early_end_is_proof() -> None:
    book = playing(60)
    book.at(1300).when(i.Restarted(100_000, 0, same_boot=True, wall_trusted=False))
    book.at(1400).when(booked("7", 60, active=False))
    book.at(1411).when(booked("7", 60, active=False)).then(e.SessionEnded)


# Another session plays here


def test_another_plays_here_and_ours_is_active_there() -> None:
    book = playing(60)
    book.at(10).when(booked("8", 30, created_s=5)).then(e.BookingLearned)
    book.at(20).when(booked("8", 30, created_s=5, active=True)).then(conflict("active_not_started", "8"))
    book.at(30).when(booked("8", 30, created_s=5, active=True)).then()
    assert book.bay.session is not None
    assert book.bay.session.session_id == "7"


def test_another_plays_here_and_there() -> None:
    """Ours waits its turn."""
    book = playing(60)
    book.at(10).when(booked("7", 60, active=True)).when(booked("8", 30, created_s=5)).then(e.BookingLearned)
    book.at(11).when(booked("8", 30, created_s=5)).then()
    assert [b.session_id for b in book.bay.bookings] == ["8"]


def test_another_plays_here_and_nothing_is_active_there() -> None:
    """Ours waits; of the other one the rule of its own row is asked."""
    book = playing(60)
    book.at(10).when(booked("8", 30, created_s=5)).then(e.BookingLearned)
    book.at(11).when(booked("7", 60, active=False)).then(e.ServerActivitySeen)
    assert book.bay.phase is Phase.PLAYING


# Nothing plays here


def test_nothing_plays_here_and_ours_is_active_there() -> None:
    """Play starts by PIN or staff, never by the server's word."""
    book = Playbook()
    book.when(booked("7", 60, active=True)).then(e.BookingLearned, conflict("active_not_started"))
    book.when(booked("7", 60, active=True)).then()
    assert book.bay.phase is Phase.BOOKED
    book.when(i.PinEntered("a", None)).when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE)).then(
        e.PinAccepted, e.SessionStarted
    )
    assert book.bay.conflicts == ()


def test_the_answer_to_our_own_verify_is_no_conflict() -> None:
    """A poll may see the session active before the bay has recorded the start."""
    book = Playbook()
    book.when(booked("7", 60)).when(i.PinEntered("a", None))
    book.when(booked("7", 60, active=True)).then()
    waiting = playing(60)
    waiting.at(1).when(booked("8", 30, created_s=5))
    waiting.at(3400).when(i.PinEntered("b", None)).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE))
    waiting.at(3410).when(booked("8", 30, created_s=5, active=True)).then()


def test_nothing_plays_here_and_another_is_active_there() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(booked("8", 30, created_s=5, active=True)).then(
        e.BookingLearned, conflict("active_not_started", "8")
    )
    assert [b.session_id for b in book.bay.bookings] == ["7", "8"]


def test_nothing_plays_here_nor_there() -> None:
    book = Playbook()
    book.when(booked("7", 60)).then(e.BookingLearned)
    book.when(booked("7", 60)).then()
    assert book.bay.phase is Phase.BOOKED


# Session 7 is over here


@pytest.mark.parametrize("active", [True, False])
def test_over_here_stays_over_whatever_the_server_shows(active: bool) -> None:
    """Our end is on its way."""
    book = playing(60)
    book.at(5).when(i.End(STAFF, "left early"))
    book.at(6).when(booked("7", 60, active=active)).then()
    book.at(200).when(booked("7", 60, active=active)).then(e.GraceEnded)
    assert book.bay.phase is Phase.FREE


# Facts that are proof


@pytest.mark.parametrize("fact", ["cancelled", "released"])
def test_a_settled_session_ends_here_at_once(fact: str) -> None:
    reason = EndReason.CANCELLED if fact == "cancelled" else EndReason.RELEASED
    settled: dict[str, Any] = {fact: True}
    playing(60).at(9).when(booked("7", 60, **settled)).then(seen(e.SessionEnded, reason=reason))
    waiting = Playbook()
    waiting.when(booked("7", 60)).when(booked("7", 60, **settled)).then(
        seen(e.BookingWithdrawn, reason=reason)
    )
    Playbook().when(booked("7", 60, **settled)).then()


def test_the_end_at_the_server_stops_the_motor() -> None:
    book = playing(60)
    book.when(i.Dispense("p1", 10, SCREEN)).when(i.PayoutMarkTaken("p1", 10, {"event": 1}))
    book.when(booked("7", 60, cancelled=True)).then(e.PayoutStopping, e.SessionEnded)


# Facts that prove nothing


@pytest.mark.parametrize("code", ["missing_at_server", "ids_backwards", "list_shrunk"])
def test_what_proves_nothing_is_one_conflict_and_play_goes_on(code: str) -> None:
    book = playing(60)
    said = i.ServerContradicted(code, "7", "…")
    book.when(said).then(conflict(code))
    book.when(said).then()
    assert book.bay.phase is Phase.PLAYING
    waiting = Playbook()
    waiting.when(booked("7", 60)).when(said).then(conflict(code))
    assert waiting.bay.phase is Phase.BOOKED


def test_the_next_guests_pin_ends_nobodys_play() -> None:
    """A server with one active session for each bay drops the present one when the next has begun."""
    book = playing(30).at(60).when(booked("7", 30, active=True))
    book.at(900).when(booked("8", 30, created_s=5))
    book.at(25 * 60 + 10)
    for request in (i.PinEntered("p1", None), i.PinWasRight("p1", "8", StartedBy.PIN_ONLINE)):
        book.when(request)
    assert book.bay.next_session_id == "8"
    for second in range(25 * 60 + 15, 28 * 60, 5):
        book.at(second).when(booked("7", 30, active=False))
    assert book.bay.session is not None
    assert book.bay.session.session_id == "7"


def not_told(due: str) -> i.ServerContradicted:
    return i.ServerContradicted("payment_not_told", "7", "1000 were not told.", due)


def test_each_payment_that_was_not_told_is_a_warning_until_somebody_settles_it() -> None:
    book = playing(60)
    for due in ("a", "b", "a"):
        book.when(not_told(due))
    for number in range(40):
        book.when(i.ServerContradicted("ids_backwards", str(number), "…"))
    money = [c.name for c in book.bay.conflicts if c.code == "payment_not_told"]
    assert money == ["payment_not_told/7/a", "payment_not_told/7/b"]
    assert [c.session_id for c in book.bay.conflicts][-20:] == [str(number) for number in range(20, 40)]
    assert len(book.bay.conflicts) == 22
    book.when(i.SettleConflict(money[0], STAFF, "entered")).then(seen(e.ConflictSettled, conflict=money[0]))
    book.when(i.SettleConflict(money[0], STAFF, "entered")).refused("no_conflict")
    assert [c.name for c in book.bay.conflicts if c.code == "payment_not_told"] == money[1:]


def test_a_move_takes_a_booking_along_and_no_play() -> None:
    book = playing(60)
    book.when(i.ServerMovedAway("7", "110")).then(conflict("moved_at_server"))
    assert book.bay.phase is Phase.PLAYING
    waiting = Playbook()
    waiting.when(booked("7", 60)).when(i.ServerMovedAway("7", "110")).then(
        seen(e.BookingWithdrawn, reason=EndReason.MOVED)
    )
    waiting.when(booked("7", 60)).then(e.BookingLearned)


# Age


def test_an_old_booking_is_neither_learned_nor_kept() -> None:
    Playbook().when(booked("7", 60, created_s=-86_401)).then()
    book = Playbook()
    book.when(booked("7", 60)).then(e.BookingLearned)
    book.at(86_400).when(booked("7", 60)).then()
    book.at(86_401).when(booked("7", 60)).then(seen(e.BookingWithdrawn, reason=EndReason.LAPSED))
    assert book.bay.phase is Phase.FREE


def test_whose_pin_was_right_does_not_lapse_while_waiting_for_the_bay() -> None:
    book = playing(60)
    row = booked("8", 60, created_s=-83_000)
    book.at(3300).when(row)
    book.when(i.PinEntered("b", None)).when(i.PinWasRight("b", "8", StartedBy.PIN_ONLINE))
    book.at(3500).when(row).then()
    assert book.bay.next_session_id == "8"


def test_a_wall_clock_that_is_behind_arms_nothing_old() -> None:
    """The server's own newest session tells how late it is at least."""
    years_ago = i.ServerSaid(
        "7", 60, 0, WALL_MS - 3 * 365 * 86_400_000, False, False, False, as_of_wall_ms=WALL_MS
    )
    book = Playbook()
    book.now_ms = -20 * 365 * 86_400_000
    book.when(years_ago).then()
    assert book.bay.phase is Phase.FREE


def test_a_booking_that_lapsed_by_a_wrong_clock_comes_back() -> None:
    book = Playbook()
    book.when(booked("7", 60))
    book.when(booked("7", 60, as_of_wall_ms=WALL_MS + 90_000_000)).then(e.BookingWithdrawn)
    book.when(booked("7", 60)).then(e.BookingLearned)


def test_a_session_in_play_has_no_age() -> None:
    book = playing(1440)
    book.at(86_399).when(booked("7", 1440, created_s=-50_000, active=True))
    assert book.bay.session is not None


# Minutes


def test_granted_minutes_are_the_larger_reading_never_the_sum() -> None:
    book = playing(60)
    book.at(1).when(booked("7", 60, active=True, extended_minutes=15)).then(
        seen(e.SessionExtended, own=False, minutes=15)
    )
    both = playing(60)
    both.at(1).when(booked("7", 75, active=True, extended_minutes=15)).then(
        seen(e.SessionExtended, own=False, minutes=15)
    )


def test_our_own_extension_is_matched_before_a_rise_counts_as_the_desks() -> None:
    book = playing(60)
    book.when(i.Extend("op1", 15, 0, STAFF, "a gift")).then(e.SessionExtended)
    book.at(1).when(booked("7", 60, active=True)).then()
    book.at(2).when(booked("7", 60, active=True, extended_minutes=15)).then()
    book.at(3).when(booked("7", 60, active=True, extended_minutes=30)).then(
        seen(e.SessionExtended, own=False, minutes=15)
    )
    book.at(4).when(booked("7", 60, active=True, extended_minutes=30)).then()


def test_an_answer_without_extended_time_says_nothing_of_it() -> None:
    """The page of one session carries no `extendedTime`: that is not zero."""
    book = playing(60)
    book.at(1).when(booked("7", 60, active=True, extended_minutes=15))
    book.at(2).when(booked("7", 60, active=True, extended_minutes=None)).then()
    waiting = Playbook()
    waiting.when(booked("7", 60)).when(booked("7", 60, extended_minutes=15)).then(e.BookingChanged)
    waiting.when(booked("7", 60, extended_minutes=None)).then()
    assert waiting.bay.bookings[0].minutes == 75


def test_fewer_minutes_than_granted_are_a_conflict() -> None:
    book = playing(60)
    book.at(1).when(booked("7", 60, active=True, extended_minutes=15))
    book.at(2).when(booked("7", 60, active=True)).then(conflict("minutes_shrank"))
    assert book.bay.session is not None
    assert book.bay.session.minutes == 75


def test_an_extension_before_the_first_look_is_doubtful() -> None:
    """Whether `duration` contains it cannot be told: the customer gets the larger reading, staff a word."""
    book = Playbook()
    book.when(booked("7", 60, extended_minutes=15)).then(e.BookingLearned, conflict("minutes_doubtful"))
    assert book.bay.bookings[0].minutes == 75


def test_a_bay_that_is_booked_afterwards_is_not_extended_at_the_screen() -> None:
    book = playing(60)
    book.at(1).when(booked("7", 60, active=True, bay_booked=True)).then(seen(e.BookedTillSeen, booked=True))
    book.when(i.Extend("op1", 15, None, SCREEN, "")).refused("next_booking")
    book.when(i.Extend("op2", 15, 0, STAFF, "a gift")).then(e.SessionExtended)
    book.at(2).when(booked("7", 60, active=True, bay_booked=None)).then()
    book.at(3).when(booked("7", 60, active=True, bay_booked=False)).then(seen(e.BookedTillSeen, booked=False))
    book.when(i.Extend("op3", 15, None, SCREEN, "")).then(e.ExtensionAsked)


# Games


def test_a_game_that_is_known_to_be_null_is_no_game() -> None:
    book = Playbook(Rules(dispenser="east"))
    book.when(booked("7", 60, game=GAME_3)).when(booked("7", 60, game=None)).then(
        seen(e.BookingChanged, booking=Playbook().when(booked("7", 60)).bay.bookings[0])
    )
    live = playing(60, game=GAME_3)
    live.when(booked("7", 60, active=True, game=None)).then(e.GameCleared)
    live.when(i.Dispense("p1", 100, SCREEN)).then(e.PayoutRequested)


def test_a_game_that_cannot_be_read_changes_nothing() -> None:
    live = playing(60, game=GAME_3)
    live.when(booked("7", 60, active=True, game_known=False)).then()
    live.when(i.Dispense("p1", 21, SCREEN)).refused("limit_reached")
    waiting = Playbook()
    waiting.when(booked("7", 60, game=GAME_3)).when(booked("7", 60, game_known=False)).then()


def test_a_game_that_was_never_readable_allows_no_balls_until_staff_choose() -> None:
    live = Playbook()
    live.when(booked("7", 60, game_known=False)).then(e.BookingLearned)
    assert live.bay.bookings[0].game == UNKNOWN_GAME
    live.when(i.PinEntered("a", None)).when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE))
    live.when(i.Dispense("p1", 1, SCREEN)).refused("limit_unknown")
    live.when(i.SelectGame(GAME_3, STAFF)).then(e.GameSelected)
    live.when(i.Dispense("p1", 20, SCREEN)).then(e.PayoutRequested)


def test_a_limit_that_becomes_readable_counts_from_then_on() -> None:
    live = playing(60, game=Game(3, "GAME 3", None))
    live.when(i.Dispense("p1", 1, SCREEN)).refused("limit_unknown")
    live.when(booked("7", 60, active=True, game=GAME_3)).then(seen(e.GameSelected, game=GAME_3, own=False))
    live.when(booked("7", 60, active=True, game=Game(3, "GAME 3", None))).then()
    live.when(i.Dispense("p1", 20, SCREEN)).then(e.PayoutRequested)


def test_a_session_without_a_game_gets_the_one_that_the_desk_chooses() -> None:
    live = playing(60)
    live.when(booked("7", 60, active=True, game=GAME_3)).then(seen(e.GameSelected, game=GAME_3, own=False))


def test_a_booking_gets_its_game_and_keeps_the_limit_that_was_known() -> None:
    waiting = Playbook()
    waiting.when(booked("7", 60)).when(booked("7", 60, game=GAME_3)).then(e.BookingChanged)
    waiting.when(booked("7", 60, game=Game(3, "GAME 3", None))).then()
    assert waiting.bay.bookings[0].game == GAME_3


def test_the_player_that_was_chosen_stays_where_the_server_names_none() -> None:
    live = playing(60)
    live.when(booked("7", 60, active=True, player_id="5")).then(seen(e.PlayerSelected, session_user_id="5"))
    live.when(booked("7", 60, active=True, player_id=None)).then()
    live.when(booked("7", 60, active=True, player_id="5")).then()


def test_what_is_flagged_of_a_move_ends_with_the_session_and_nothing_else_does() -> None:
    live = playing(60)
    for code in ("start_doubtful", "move_not_told"):
        live.when(i.ServerContradicted(code, "7", "Ask at the desk.")).then(seen(e.ConflictSeen, code=code))
    live.at(60).when(i.End(STAFF, "left"))
    assert [c.code for c in live.bay.conflicts] == ["start_doubtful"]


def test_the_desks_choice_counts_and_ours_on_its_way_does_not_come_back_as_theirs() -> None:
    live = playing(60)
    live.when(i.SelectGame(GAME_2, SCREEN)).when(i.SelectGame(GAME_3, SCREEN))
    live.when(booked("7", 60, active=True, game=GAME_2)).then(seen(e.ServerGameSeen, game_id=2))
    assert live.bay.session is not None
    assert live.bay.session.game == GAME_3
    live.when(booked("7", 60, active=True, game=GAME_3)).then(seen(e.ServerGameSeen, game_id=3))
    live.when(booked("7", 60, active=True, game=GAME_2)).then(seen(e.GameSelected, game=GAME_2, own=False))
    assert live.bay.session.game == GAME_2


# What staff do meanwhile


@pytest.mark.parametrize("act", [i.Hold(STAFF, "VIP"), i.StopService(STAFF, "net torn")])
def test_a_right_pin_does_not_open_a_bay_that_staff_have_just_closed(act: i.Input) -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.PinEntered("a", None)).when(act)
    book.when(i.PinWasRight("a", "7", StartedBy.PIN_ONLINE)).then(seen(e.PinCheckFailed, failures=0))
    assert book.bay.session is None


def test_the_pin_of_a_session_that_is_not_live_here_opens_nothing() -> None:
    book = Playbook()
    book.when(booked("7", 60)).when(i.PinEntered("a", None))
    book.when(i.PinWasRight("a", "99", StartedBy.PIN_ONLINE)).then(
        e.PinCheckFailed, conflict("pin_of_unknown", "99")
    )
