"""The bay after an event. Reads the event alone, decides nothing.

A module for each subject, the same as of the events; `parts` has what several of them need.
"""

from dataclasses import replace
from typing import assert_never

from bayd.core import events as e
from bayd.core import qos_events as q
from bayd.core import qos_lease
from bayd.core.evolve.bay import evolve_bay
from bayd.core.evolve.dispensing import evolve_dispensing
from bayd.core.evolve.money import evolve_money
from bayd.core.evolve.pins import evolve_pins
from bayd.core.evolve.reads import evolve_reads
from bayd.core.evolve.server import evolve_server
from bayd.core.evolve.sessions import evolve_sessions
from bayd.core.model import Bay
from bayd.core.phases import next_phase
from bayd.core.qos_budget import Spent

# Changes with every change of what `evolve` makes of the same events: a snapshot of another number is
# not used, the events are read again.
REDUCER_VERSION = 16


def evolve(bay: Bay, event: e.Event) -> Bay:
    """Raises IllegalTransitionError where the event does not fit the phase."""
    changed = _apply(bay, event)
    session = changed.session
    phase = next_phase(
        bay.phase,
        event,
        booked=bool(changed.bookings),
        paused=session is not None and session.paused_at_ms is not None,
    )
    waiting = changed.waiting if phase is bay.phase else None
    return replace(changed, phase=phase, waiting=waiting, version=bay.version + 1)


def evolve_all(bay: Bay, events: tuple[e.Event, ...]) -> Bay:
    for event in events:
        bay = evolve(bay, event)
    return bay


def _apply(bay: Bay, event: e.Event) -> Bay:
    if isinstance(event, e.ServerEvent):
        return evolve_server(bay, event)
    if isinstance(event, e.PinEvent):
        return evolve_pins(bay, event)
    if isinstance(event, e.SessionEvent):
        return evolve_sessions(bay, event)
    if isinstance(event, e.MoneyEvent):
        return evolve_money(bay, event)
    if isinstance(event, e.DispensingEvent):
        return evolve_dispensing(bay, event)
    if isinstance(event, e.ReadEvent):
        return evolve_reads(bay, event)
    if isinstance(event, e.BayEvent):
        return evolve_bay(bay, event)
    if isinstance(event, q.Event):
        return replace(bay, qos=qos_lease.evolve(bay.qos, event))
    if isinstance(event, e.QosSpent):
        cost = Spent(event.sessions, event.seconds)
        return replace(bay, qos_day=bay.qos_day.with_cost(event.day, cost))
    assert_never(event)
