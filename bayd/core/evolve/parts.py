"""Changes that the events of several rooms make."""

from dataclasses import replace

from bayd.core.model import Bay, Booking, PlaySession

_ENDED_IDS_KEPT = 512  # more sessions than a bay can end within the booking horizon


def playing(bay: Bay) -> PlaySession:
    assert bay.session is not None, f"bay {bay.number} has no session"
    return bay.session


def in_session(bay: Bay, **changes: object) -> Bay:
    return replace(bay, session=replace(playing(bay), **changes))  # type: ignore[arg-type] # names are checked at run time by replace()


def with_booking(bookings: tuple[Booking, ...], booking: Booking) -> tuple[Booking, ...]:
    others = (b for b in bookings if b.session_id != booking.session_id)
    return tuple(sorted((*others, booking), key=lambda b: (b.created_wall_ms, b.session_id)))


def remember_ended(bay: Bay, session_id: str, created_wall_ms: int | None) -> Bay:
    ended = (*(i for i in bay.ended_ids if i != session_id), session_id)[-_ENDED_IDS_KEPT:]
    created = {i: at_ms for i, at_ms in bay.ended_created_ms.items() if i in ended}
    if created_wall_ms is not None:
        created[session_id] = created_wall_ms
    return replace(bay, ended_ids=ended, ended_created_ms=created)
