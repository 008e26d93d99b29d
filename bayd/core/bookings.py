"""What the central server says of a session, and what follows here.

The server owns bookings, cancellations and money; the bay owns the clock. Only proof ends a session from
outside; whatever proves nothing is recorded as a conflict, and play goes on.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import play
from bayd.core.decision import Verdict
from bayd.core.instant import Instant
from bayd.core.model import Bay, Booking, EndReason, PlaySession
from bayd.core.rules import Rules


def granted_minutes(first_minutes: int, minutes: int, extended_minutes: int) -> int:
    """All minutes that the server grants. It may raise `duration`, `extendedTime` or both: never the sum."""
    return max(minutes, first_minutes + extended_minutes)


def server_said(bay: Bay, said: i.ServerSaid, now: Instant, rules: Rules) -> Verdict:
    session = bay.session
    if session is not None and session.session_id == said.session_id:
        return _of_play(bay, session, said, now, rules)
    if said.session_id in bay.ended_ids:
        return ()
    booking = bay.find_booking(said.session_id)
    if said.cancelled or said.released:
        if booking is None:
            return ()
        reason = EndReason.CANCELLED if said.cancelled else EndReason.RELEASED
        return (e.BookingWithdrawn(said.session_id, reason),)
    if booking is None:
        return _unknown(bay, said, now, rules)
    changed = Booking(
        session_id=booking.session_id,
        minutes=granted_minutes(booking.first_minutes, said.minutes, said.extended_minutes),
        first_minutes=booking.first_minutes,
        created_wall_ms=booking.created_wall_ms,
        game=said.game or booking.game,
        player=said.player or booking.player,
    )
    return () if changed == booking else (e.BookingChanged(changed),)


def moved_away(bay: Bay, said: i.ServerMovedAway, now: Instant) -> Verdict:
    if bay.find_booking(said.session_id) is not None:
        return (e.BookingWithdrawn(said.session_id, EndReason.MOVED),)
    if bay.session is not None and bay.session.session_id == said.session_id:
        text = f"The server shows the session that plays here at bay {said.to}."
        return _conflict(bay, "moved_at_server", said.session_id, text, now)
    return ()


def contradicted(bay: Bay, said: i.ServerContradicted, now: Instant) -> Verdict:
    return _conflict(bay, said.code, said.session_id, said.text, now)


def _unknown(bay: Bay, said: i.ServerSaid, now: Instant, rules: Rules) -> Verdict:
    too_old = now.wall_ms - said.created_wall_ms > rules.booking_horizon_minutes * rules.minute_ms
    if said.released is None or too_old:
        # Without `releaseTime` an old session cannot be told from a booking: never arm a PIN on a guess.
        return ()
    minutes = granted_minutes(said.minutes, said.minutes, said.extended_minutes)
    booking = Booking(
        session_id=said.session_id,
        minutes=minutes,
        first_minutes=said.minutes,
        created_wall_ms=said.created_wall_ms,
        game=said.game,
        player=said.player,
    )
    learned: tuple[e.Event, ...] = (e.BookingLearned(booking),)
    if said.active:
        text = "The server calls a session active that has not started at this bay."
        learned += _conflict(bay, "active_not_started", said.session_id, text, now)
    return learned


def _of_play(bay: Bay, session: PlaySession, said: i.ServerSaid, now: Instant, rules: Rules) -> Verdict:
    if said.cancelled:
        return play.end_by_server(bay, EndReason.CANCELLED, now, rules)
    if said.released:
        return play.end_by_server(bay, EndReason.RELEASED, now, rules)
    total = granted_minutes(session.first_minutes, said.minutes, said.extended_minutes)
    ended = _activity(bay, session, said, total, now, rules)
    if ended is not None and any(isinstance(event, e.SessionEnded) for event in ended):
        return ended
    events: tuple[e.Event, ...] = ended or ()
    # What we added ourselves may have reached the server or not; only what goes beyond is the desk's.
    excess = total - session.minutes
    if excess > 0:
        request = i.Extend(f"desk-{said.session_id}-{total}", excess, None, i.SYSTEM, "at the desk")
        events += (play.extended(session, request, now, rules, own=False),)
    elif total < session.first_minutes + session.desk_minutes:
        text = "The server shows fewer minutes than it had granted."
        events += _conflict(bay, "minutes_shrank", session.session_id, text, now)
    if said.game is not None and said.game.id != session.server_game_id:
        events += (e.GameSelected(session.session_id, said.game, own=False),)
    if said.player_id is not None and said.player_id != session.player_id:
        events += (e.PlayerSelected(said.player_id, own=False),)
    return events


def _activity(
    bay: Bay, session: PlaySession, said: i.ServerSaid, total: int, now: Instant, rules: Rules
) -> tuple[e.Event, ...] | None:
    if said.active:
        if session.active_seen and session.inactive_since_ms is None:
            return None
        return (e.ServerActivitySeen(True, now.boot_ms),)
    if not session.active_seen:
        return None  # our verify may still be on its way
    if session.inactive_since_ms is None:
        return (e.ServerActivitySeen(False, now.boot_ms),)
    if now.boot_ms - session.inactive_since_ms < rules.end_proof_ms:
        return None
    server_end_ms = session.started_at_ms + total * rules.minute_ms
    if now.boot_ms >= server_end_ms - rules.own_end_window_minutes * rules.minute_ms:
        text = "The server's own timer has ended the session; the bay's clock plays on."
        return _conflict(bay, "server_timer", session.session_id, text, now)
    return play.end_by_server(bay, EndReason.RELEASED, now, rules)


def _conflict(bay: Bay, code: str, session_id: str, text: str, now: Instant) -> tuple[e.Event, ...]:
    """Once per kind and session."""
    if any(c.code == code and c.session_id == session_id for c in bay.conflicts):
        return ()
    return (e.ConflictSeen(code, session_id, text, now.wall_ms),)
