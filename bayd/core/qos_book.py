"""The bay's book on its QoS session: intents, what became of them, and what each costs the day.

What is done is planned elsewhere (`qos`) and carried out by a reconciler; here it becomes events of the
bay. Only what costs money can be refused: a session may end between the plan and its intent.
"""

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import qos_events as q
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import Bay
from bayd.core.qos_budget import Spent
from bayd.core.qos_cost import cost_of
from bayd.core.qos_lease import Idle


def wanted(bay: Bay, request: i.QosWanted) -> Verdict:
    session = bay.session
    if session is None:
        return Refusal("not_playing", "No session is running at this bay.")
    match request.event:
        case q.QosCreateIntended(session=session_id) if session_id != session.session_id:
            return Refusal("not_playing", "Another session is running at this bay.")
        case _:
            return _booked(bay, request.event, request.day)


def reported(bay: Bay, report: i.QosReported) -> Verdict:
    return _booked(bay, report.event, report.day)


def rebooted(
    bay: Bay, report: i.Restarted, outage_ms: int | None, now: Instant
) -> tuple[q.QosRestarted, ...]:
    """A QoS session runs on at the operator, whatever an outage means for play.

    When nobody can tell how long it was, no time has passed: what may be running is not given up too early,
    and the operator is asked anyway.
    """
    if report.same_boot or bay.qos == Idle():
        return ()
    shift_ms = now.boot_ms - report.mark_boot_ms - (outage_ms or 0)
    return (q.QosRestarted(bay.number, shift_ms, now.boot_ms),)


def _booked(bay: Bay, event: q.Event, day: str) -> tuple[e.Event, ...]:
    cost = cost_of(bay.qos, event)
    if cost == Spent():
        return (event,)
    return (event, e.QosSpent(day, cost.sessions, cost.seconds))
