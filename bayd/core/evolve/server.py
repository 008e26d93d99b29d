"""What the server's word changes: the bookings, what it is known to show, and what it contradicts."""

from dataclasses import replace
from typing import assert_never

from bayd.core import conflicts
from bayd.core import events as e
from bayd.core.evolve.parts import in_session, playing, remember_ended, with_booking
from bayd.core.model import Bay, Conflict, EndReason

_NUMBERS_KEPT = 512


def evolve_server(bay: Bay, event: e.ServerEvent) -> Bay:
    match event:
        case e.BookingLearned(booking) | e.BookingChanged(booking):
            return replace(bay, bookings=with_booking(bay.bookings, booking))
        case e.BookingWithdrawn(session_id, reason):
            # A session that was moved may come back; one that lapsed too, when a clock was wrong.
            over = reason not in (EndReason.MOVED, EndReason.LAPSED)
            withdrawn = bay.find_booking(session_id)
            bay = replace(
                bay,
                bookings=tuple(b for b in bay.bookings if b is not withdrawn),
                next_session_id=None if bay.next_session_id == session_id else bay.next_session_id,
            )
            created_ms = None if withdrawn is None or withdrawn.sold_here else withdrawn.created_wall_ms
            return remember_ended(bay, session_id, created_ms) if over else bay
        case e.SessionNumbered(session_id, server_id):
            numbers = {**bay.numbers, server_id: session_id}
            return replace(bay, numbers=dict(list(numbers.items())[-_NUMBERS_KEPT:]))
        case e.BookedTillSeen(booked):
            return replace(bay, booked_till=booked)
        case e.ConflictSeen(code, session_id, text, wall_ms, key):
            conflict = Conflict(code, session_id, text, wall_ms, key)
            return replace(bay, conflicts=conflicts.remember(bay.conflicts, conflict))
        case e.ConflictSettled(name):
            return replace(bay, conflicts=tuple(c for c in bay.conflicts if c.name != name))
        case e.ServerMoveSeen(session_id):
            left = conflicts.without_moves(bay.conflicts, session_id)
            return replace(in_session(bay, server_bays=()), conflicts=left)
        case e.ServerGameSeen(_, game_id):
            later = playing(bay).own_games
            if game_id in later:
                later = later[later.index(game_id) + 1 :]
            return in_session(bay, server_game_id=game_id, own_games=later)
        case e.ServerActivitySeen(active, at_ms):
            if active:
                return in_session(bay, active_seen=True, inactive_since_ms=None)
            return in_session(bay, inactive_since_ms=at_ms)
        case e.DeliveryRetried() | e.DeliveryDropped():
            return bay
        case _:
            assert_never(event)
