"""What the central server says of a session, and what follows here.

The server owns bookings, cancellations and money; the bay owns the clock. Only proof ends a session from
outside; whatever proves nothing is recorded as a conflict, and play goes on. `docs/central.md` has the
whole table, with its tests.
"""

from dataclasses import replace

from bayd.core import conflicts, extensions, play
from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Verdict
from bayd.core.instant import Instant
from bayd.core.model import UNKNOWN_GAME, Bay, Booking, EndReason, Game, PlaySession
from bayd.core.rules import Rules

_ACTIVE_NOT_STARTED = "active_not_started"


def granted_minutes(first_minutes: int, minutes: int, extended_minutes: int | None) -> int:
    """All minutes that the server grants. It may raise `duration`, `extendedTime` or both: never the sum."""
    return max(minutes, first_minutes + (extended_minutes or 0))


def started_elsewhere(bay: Bay) -> set[str]:
    """What the server calls active and has not started here: by the desk, or by a PIN whose yes got lost."""
    return {c.session_id for c in bay.conflicts if c.code == _ACTIVE_NOT_STARTED}


def server_said(bay: Bay, said: i.ServerSaid, now: Instant, rules: Rules) -> Verdict:
    session = bay.session
    if session is not None and session.session_id == said.session_id:
        seen = _seen_here(bay, session, said) + _booked_till(bay, said)
        return seen + _of_play(bay, session, said, now, rules)
    if said.session_id in bay.ended_ids:
        return ()
    booking = bay.find_booking(said.session_id)
    if said.cancelled or said.released:
        if booking is None:
            return ()
        reason = EndReason.CANCELLED if said.cancelled else EndReason.RELEASED
        return (e.BookingWithdrawn(said.session_id, reason),)
    old = _is_old(said, now, rules)
    if booking is None:
        # Without `releaseTime` an old session cannot be told from a booking: never arm a PIN on a guess.
        is_new = not (old or said.was_live or said.released is None)
        return _learned(bay, said, now) if is_new else ()
    if old and bay.next_session_id != booking.session_id:
        return (e.BookingWithdrawn(booking.session_id, EndReason.LAPSED),)
    changed = _changed(booking, said)
    news: tuple[e.Event, ...] = () if changed == booking else (e.BookingChanged(changed),)
    return news + _active_here(bay, said, now)


def moved_away(bay: Bay, said: i.ServerMovedAway, now: Instant) -> Verdict:
    if bay.find_booking(said.session_id) is not None:
        return (e.BookingWithdrawn(said.session_id, EndReason.MOVED),)
    if bay.session is not None and bay.session.session_id == said.session_id:
        if said.to in bay.session.server_bays:
            return ()  # our own move is on its way there
        if conflicts.is_moved_apart(bay, said.session_id):
            return ()
        text = f"The server shows the session that plays here at bay {said.to}."
        return _conflict(bay, "moved_at_server", said.session_id, text, now)
    return ()


def numbered(bay: Bay, report: i.ServerNumbered) -> Verdict:
    """From here on what the server says of this number is said of our walk-in."""
    if bay.numbers.get(report.server_id) == report.session_id:
        return ()
    events: tuple[e.Event, ...] = (e.SessionNumbered(report.session_id, report.server_id),)
    if bay.find_booking(report.server_id) is not None:
        events += (e.BookingWithdrawn(report.server_id, EndReason.MOVED),)
    return events


# A booking that waits


def _is_old(said: i.ServerSaid, now: Instant, rules: Rules) -> bool:
    as_of_ms = now.wall_ms if said.as_of_wall_ms is None else said.as_of_wall_ms
    return as_of_ms - said.created_wall_ms > rules.booking_horizon_minutes * rules.minute_ms


def _learned(bay: Bay, said: i.ServerSaid, now: Instant) -> tuple[e.Event, ...]:
    booking = Booking(
        session_id=said.session_id,
        minutes=granted_minutes(said.minutes, said.minutes, said.extended_minutes),
        first_minutes=said.minutes,
        created_wall_ms=said.created_wall_ms,
        game=said.game if said.game_known else UNKNOWN_GAME,
        player=said.player,
    )
    learned: tuple[e.Event, ...] = (e.BookingLearned(booking),)
    if said.extended_minutes:
        text = "Extended before it was first seen here: both fields of the server were added up."
        learned += _conflict(bay, "minutes_doubtful", said.session_id, text, now)
    return learned + _active_here(bay, said, now)


def _changed(booking: Booking, said: i.ServerSaid) -> Booking:
    minutes = granted_minutes(booking.first_minutes, said.minutes, said.extended_minutes)
    return replace(
        booking,
        # Without `extendedTime` only a rise can be told.
        minutes=max(booking.minutes, minutes) if said.extended_minutes is None else minutes,
        game=_known_game(booking.game, said),
        player=said.player or booking.player,
    )


def _known_game(before: Game | None, said: i.ServerSaid) -> Game | None:
    """What cannot be read never takes away what is known: a limit must not turn into none."""
    if not said.game_known:
        return before
    same = before is not None and said.game is not None and before.id == said.game.id
    return before if same and said.game is not None and said.game.balls_limit is None else said.game


def _active_here(bay: Bay, said: i.ServerSaid, now: Instant) -> tuple[e.Event, ...]:
    """The server calls active what has not started here; play starts by PIN or staff alone."""
    verified = bay.pad.attempt is not None or bay.next_session_id == said.session_id
    if not said.active or verified:
        return ()
    text = "The server calls a session active that has not started at this bay."
    return _conflict(bay, _ACTIVE_NOT_STARTED, said.session_id, text, now)


# The session that plays


def _of_play(
    bay: Bay, session: PlaySession, said: i.ServerSaid, now: Instant, rules: Rules
) -> tuple[e.Event, ...]:
    if said.cancelled:
        return play.end_by_server(bay, EndReason.CANCELLED, now, rules)
    if said.released:
        return play.end_by_server(bay, EndReason.RELEASED, now, rules)
    total = granted_minutes(session.first_minutes, said.minutes, said.extended_minutes)
    events = _activity(bay, session, said, total, now, rules)
    if any(isinstance(event, e.SessionEnded) for event in events):
        return events
    # What we added ourselves may have reached the server or not; only what goes beyond is the desk's.
    excess = total - session.minutes
    known = said.extended_minutes is not None
    if excess > 0:
        request = i.Extend(f"desk-{said.session_id}-{total}", excess, None, i.SYSTEM, "at the desk")
        events += (extensions.extended(session, request, now, rules, own=False),)
    elif known and total < session.first_minutes + session.desk_minutes:
        text = "The server shows fewer minutes than it had granted."
        events += _conflict(bay, "minutes_shrank", session.session_id, text, now)
    events += _game(session, said)
    if said.player_id is not None and said.player_id != session.player_id:
        events += (e.PlayerSelected(said.player_id, own=False),)
    return events


def _activity(
    bay: Bay, session: PlaySession, said: i.ServerSaid, total: int, now: Instant, rules: Rules
) -> tuple[e.Event, ...]:
    if said.active:
        if session.active_seen and session.inactive_since_ms is None:
            return ()
        return (e.ServerActivitySeen(True, now.boot_ms),)
    if not session.active_seen:
        return ()  # our verify may still be on its way
    if bay.next_session_id is not None:
        return ()  # a server that has one active session for each bay has begun the next one with its PIN
    if session.inactive_since_ms is None:
        return (e.ServerActivitySeen(False, now.boot_ms),)
    if now.boot_ms - session.inactive_since_ms < rules.end_proof_ms:
        return ()
    # Its timer goes by its own clock: since the PIN, through pauses and outages.
    timed = total - _desk_minutes_at_risk(session)
    server_end_ms = session.started_at_ms + timed * rules.minute_ms - session.server_ahead_ms
    if now.boot_ms >= server_end_ms - rules.own_end_window_minutes * rules.minute_ms:
        text = "The server's own timer has ended the session; the bay's clock plays on."
        return _conflict(bay, "server_timer", session.session_id, text, now)
    return play.end_by_server(bay, EndReason.RELEASED, now, rules)


def _desk_minutes_at_risk(session: PlaySession) -> int:
    """A move names all minutes granted: the desk's that came while it was on its way are on the server's list
    of extensions, and gone from its timer."""
    if session.desk_minutes_when_moved is None:
        return 0
    return session.desk_minutes - session.desk_minutes_when_moved


def _game(session: PlaySession, said: i.ServerSaid) -> tuple[e.Event, ...]:
    """Only a change at the server counts: our own choice may still be on its way there."""
    game = said.game
    if not said.game_known:
        return ()
    if (None if game is None else game.id) == session.server_game_id:
        mine = session.game
        if game is None or mine is None or mine.id != game.id or mine.balls_limit is not None:
            return ()
        # Now its limit can be read.
        return () if game.balls_limit is None else (e.GameSelected(session.session_id, game, own=False),)
    if game is None:
        return (e.GameCleared(session.session_id),)
    if game.id in session.own_games or (session.game is not None and session.game.id == game.id):
        return (e.ServerGameSeen(session.session_id, game.id),)
    return (e.GameSelected(session.session_id, game, own=False),)


def _seen_here(bay: Bay, session: PlaySession, said: i.ServerSaid) -> tuple[e.Event, ...]:
    """After a move of ours, or one of the desk's that could not be followed and was taken back.

    Moved to and fro it may be an old picture: then nothing is concluded from it.
    """
    here = bay.number
    if said.shown_at != here or here in session.server_bays:
        return ()
    if not session.server_bays and not conflicts.is_moved_apart(bay, session.session_id):
        return ()
    return (e.ServerMoveSeen(session.session_id),)


def _booked_till(bay: Bay, said: i.ServerSaid) -> tuple[e.Event, ...]:
    if (
        said.bay_booked is None
        or said.bay_booked == bay.booked_till
        or said.shown_at not in (None, bay.number)
    ):
        return ()
    return (e.BookedTillSeen(said.bay_booked),)


def _conflict(bay: Bay, code: str, session_id: str, text: str, now: Instant) -> tuple[e.Event, ...]:
    """Once per kind and session."""
    if conflicts.find(bay, code, session_id) is not None:
        return ()
    return (e.ConflictSeen(code, session_id, text, now.wall_ms),)
