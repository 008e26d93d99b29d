"""What QoS sessions cost in a day: sessions begun, and seconds for which the operator may ask money.

A create is charged in full when it is intended and corrected by what is learned later, so that a crash, a
lost answer or an orphan never makes the day look cheaper than it was.
"""

from bayd.core.qos_budget import Spent
from bayd.core.qos_events import (
    Event,
    QosCreated,
    QosCreateIntended,
    QosDegraded,
    QosRecovered,
)
from bayd.core.qos_lease import (
    Available,
    Creating,
    Ended,
    Ending,
    Extending,
    Requested,
    State,
    evolve,
    over_at_ms,
)
from bayd.core.qos_words import Outcome, Trouble


def cost_of(state: State, event: Event) -> Spent:
    """What `event`, coming in `state`, adds to the day."""
    after = evolve(state, event)
    cost = Spent()
    if isinstance(state, Creating) and _nothing_came_of_it(state, event):
        cost += _given_back(state, event.at_ms)
    if isinstance(event, QosCreateIntended) and isinstance(after, Creating) and after.attempt == 1:
        cost += Spent(1, event.asked_s)
    if isinstance(event, QosCreated) and isinstance(state, Creating) and event.granted_s is not None:
        cost += Spent(0, event.granted_s - state.asked_s)
    if isinstance(event, QosCreated) and isinstance(state, Creating) and state.attempt > 1:
        # The first one was unclear and does not block this one: it may have run until now.
        cost += Spent(0, min(state.asked_s, max(0, (event.at_ms - state.since_ms) // 1_000)))
    match state, after:
        case (Available() | Extending(), Available() | Extending()):
            cost += Spent(0, (after.expires_at_ms - state.expires_at_ms) // 1_000)
        case (Requested() | Available() | Extending() | Ending(), Ended()):
            # Not before it is known to be over: a deletion may take its time.
            cost += Spent(0, -max(0, (over_at_ms(state) - event.at_ms) // 1_000))
        case _:
            pass
    return cost


def _nothing_came_of_it(state: Creating, event: Event) -> bool:
    match event:
        case QosRecovered():
            return True
        case QosDegraded(trouble=trouble):
            return trouble is not Trouble.ORPHAN
        case QosCreateIntended(x_correlator=x_correlator):
            return x_correlator != state.x_correlator
        case _:
            return False


def _given_back(state: Creating, at_ms: int) -> Spent:
    if state.attempt == 1 and state.outcome is not Outcome.NOT_THERE:
        return Spent(-1, -state.asked_s)  # the operator said no
    # It was unclear once, and is not there now: it may have been until now.
    return Spent(0, -max(0, state.asked_s - (at_ms - state.since_ms) // 1_000))
