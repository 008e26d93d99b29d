"""The bay's QoS sessions at the operator: those of the lease are in `qos_events`; here is what they cost."""

from dataclasses import dataclass

from bayd.core import qos_events as q


@dataclass(frozen=True, slots=True)
class QosSpent:
    """What a QoS session adds to the day, or gives back."""

    day: str  # the site's calendar day
    sessions: int
    seconds: int


QosEvent = QosSpent | q.Event
