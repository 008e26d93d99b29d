"""The session in play after an event: from its start to its end, and between bays."""

from dataclasses import replace
from typing import assert_never

from bayd.core import conflicts
from bayd.core import events as e
from bayd.core.evolve.parts import in_session, playing, remember_ended, with_booking
from bayd.core.model import (
    READER,
    Bay,
    Credit,
    DeviceFact,
    DeviceState,
    EndedSession,
    MovedSession,
    PlaySession,
    StartedBy,
)

_LAST_READS_MS = 10_000  # after the end: what lay on the tee is decided about, and recorded


def evolve_sessions(bay: Bay, event: e.SessionEvent) -> Bay:
    match event:
        case e.SessionStarted():
            return _started(bay, event)
        case e.NextSessionReady(session_id, started_by, at_ms):
            return replace(
                bay, next_session_id=session_id, next_started_by=started_by, next_verified_at_ms=at_ms
            )
        case e.SessionPaused(at_ms, by, _, device, pause_ends_at_ms):
            return in_session(
                bay,
                paused_at_ms=at_ms,
                paused_for=device,
                paused_by=by,
                pause_ends_at_ms=pause_ends_at_ms,
                guest_pauses=playing(bay).guest_pauses + (pause_ends_at_ms is not None),
            )
        case e.SessionResumed(at_ms, ends_at_ms):
            session = playing(bay)
            begun = session.paused_at_ms if session.paused_at_ms is not None else at_ms
            paused_ms = session.paused_ms + at_ms - begun
            by_guest_ms = 0 if session.pause_ends_at_ms is None else at_ms - begun
            return in_session(
                bay,
                paused_at_ms=None,
                paused_ms=paused_ms,
                ends_at_ms=ends_at_ms,
                paused_for="",
                paused_by="",
                pause_ends_at_ms=None,
                guest_paused_ms=session.guest_paused_ms + by_guest_ms,
                overran_wall_ms=None,
            )
        case e.WarningGiven(minutes):
            return in_session(bay, warned=(*playing(bay).warned, minutes))
        case e.SessionEnded():
            return _ended(bay, event)
        case e.SessionMovedAway():
            return _moved_away(bay, event)
        case e.SessionMovedIn():
            return _moved_in(bay, event)
        case e.GraceEnded():
            return replace(bay, grace_until_ms=None)
        case e.GameSelected(session_id, game, own):
            if bay.session is not None and bay.session.session_id == session_id:
                if own:
                    return in_session(bay, game=game, own_games=(*bay.session.own_games, game.id))
                return in_session(bay, game=game, server_game_id=game.id, own_games=())
            if (waiting := bay.find_booking(session_id)) is None:
                return bay
            return replace(bay, bookings=with_booking(bay.bookings, replace(waiting, game=game)))
        case e.GameCleared():
            return in_session(bay, game=None, server_game_id=None, own_games=())
        case e.PlayerSelected(session_user_id):
            return in_session(bay, player_id=session_user_id)
        case e.HelpCalled(at_ms):
            return replace(bay, help_since_ms=at_ms)
        case e.HelpAcknowledged():
            return replace(bay, help_since_ms=None)
        case e.PauseOverran(_, wall_ms):
            return in_session(bay, overran_wall_ms=wall_ms)
        case _:
            assert_never(event)


def _started(bay: Bay, event: e.SessionStarted) -> Bay:
    booking = bay.find_booking(event.session_id)
    session = PlaySession(
        session_id=event.session_id,
        player=event.player,
        player_id=None,
        game=event.game,
        server_game_id=None if event.game is None else event.game.id,
        started_by=event.started_by,
        started_at_ms=event.at_ms,
        started_wall_ms=event.wall_ms,
        ends_at_ms=event.ends_at_ms,
        granted_ms=event.ends_at_ms - event.at_ms,
        first_minutes=event.first_minutes,
        desk_minutes=event.minutes - event.first_minutes,
        warned=event.skip_warnings,
        active_seen=event.started_by is StartedBy.PIN_ONLINE,
        server_ahead_ms=event.server_ahead_ms,
        unread=bay.devices.get(READER, DeviceFact()).state is not DeviceState.OK,
        created_wall_ms=None if booking is None or booking.sold_here else booking.created_wall_ms,
    )
    return replace(
        bay,
        session=session,
        bookings=tuple(b for b in bay.bookings if b.session_id != event.session_id),
        grace_until_ms=None,
        next_session_id=None,
        next_started_by=None,
        next_verified_at_ms=None,
        # What the server calls active has started now.
        conflicts=tuple(
            c for c in bay.conflicts if (c.code, c.session_id) != ("active_not_started", event.session_id)
        ),
    )


def _ended(bay: Bay, event: e.SessionEnded) -> Bay:
    moved = event.balls.commanded or event.balls.read
    reconcile_at_ms = max(event.grace_until_ms, event.at_ms + _LAST_READS_MS)
    return replace(
        remember_ended(bay, event.session_id, playing(bay).created_wall_ms),
        session=None,
        last=EndedSession(
            event.session_id,
            event.reason,
            event.at_ms,
            event.played_ms,
            event.balls,
            playing(bay).player_id,
            reconcile_at_ms=reconcile_at_ms if moved else None,
            unread=playing(bay).unread,
        ),
        grace_until_ms=event.grace_until_ms,
        moved=None,
        booked_till=False,
        # Nobody can move it any more.
        conflicts=conflicts.without_moves(bay.conflicts, event.session_id),
    )


def _moved_away(bay: Bay, event: e.SessionMovedAway) -> Bay:
    session_id = event.session_id
    return replace(
        bay,
        session=None,
        moved=MovedSession(session_id, event.to, event.at_ms),
        unsettled=tuple(flag for flag in bay.unsettled if flag.session_id != session_id),
        dues=tuple(due for due in bay.dues if due.session_id != session_id),
        conflicts=tuple(c for c in bay.conflicts if c.session_id != session_id),
        credits=tuple(c for c in bay.credits if c.session_id != session_id),
        help_since_ms=None,
        booked_till=False,
    )


def _moved_in(bay: Bay, event: e.SessionMovedIn) -> Bay:
    numbers = bay.numbers if event.number is None else {**bay.numbers, event.number: event.session.session_id}
    return replace(
        bay,
        session=event.session,
        moved=None,
        unsettled=(*bay.unsettled, *event.unsettled),
        dues=(*bay.dues, *event.dues),
        credits=_latest_credits((*bay.credits, *event.credits)),
        conflicts=(*bay.conflicts, *(c for c in event.conflicts if c not in bay.conflicts)),
        help_since_ms=bay.help_since_ms if event.help_since_ms is None else event.help_since_ms,
        numbers=numbers,
        grace_until_ms=None,
    )


def _latest_credits(credits_: tuple[Credit, ...]) -> tuple[Credit, ...]:
    """A ball was this bay's before, and came with the session: whoever had it last has it."""
    return tuple({c.epc: c for c in sorted(credits_, key=lambda c: c.at_ms)}.values())
