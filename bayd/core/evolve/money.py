"""What was sold, given and is owed after an event."""

from dataclasses import replace
from typing import assert_never

from bayd.core import events as e
from bayd.core.evolve.parts import in_session, playing, with_booking
from bayd.core.model import AskedExtension, Bay, Booking, Due, OwnExtension, Payment


def evolve_money(bay: Bay, event: e.MoneyEvent) -> Bay:
    match event:
        case e.WalkInSold(session_id, minutes, wall_ms=wall_ms):
            return replace(
                bay,
                bookings=with_booking(
                    bay.bookings, Booking(session_id, minutes, minutes, wall_ms, sold_here=True)
                ),
            )
        case e.SessionExtended():
            return _extended(bay, event)
        case e.ExtensionAsked(op_id, minutes, wall_ms, amount, at_ms):
            asked = AskedExtension(op_id, minutes, amount, wall_ms, at_ms)
            return in_session(bay, extension_asked=asked, extension_declined="")
        case e.ExtensionDeclined(_, reason):
            return in_session(bay, extension_asked=None, extension_declined=reason)
        case e.DueSettled(due_id):
            return replace(bay, dues=tuple(due for due in bay.dues if due.due_id != due_id))
        case e.TariffChanged(tariff):
            return replace(bay, tariff=tariff)
        case e.ArrearsChanged(owed):
            return replace(bay, owed_at_server=owed)
        case _:
            assert_never(event)


def _extended(bay: Bay, event: e.SessionExtended) -> Bay:
    session = playing(bay)
    own = session.own_extensions
    if event.own:
        own = (*own, OwnExtension(event.op_id, event.minutes, event.amount or 0))
    if event.payment is Payment.ON_ACCOUNT and event.amount:
        due = Due(event.op_id, event.session_id, event.minutes, event.amount, event.wall_ms)
        bay = replace(bay, dues=(*bay.dues, due))
    return in_session(
        bay,
        own_extensions=own,
        ends_at_ms=event.ends_at_ms,
        granted_ms=event.granted_ms,
        own_minutes=session.own_minutes + (event.minutes if event.own else 0),
        desk_minutes=session.desk_minutes + (0 if event.own else event.minutes),
        extension_asked=None,  # what the desk gave is an answer, too
        extension_declined="",
        warned=event.skip_warnings,
    )
