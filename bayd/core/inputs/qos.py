"""What the keeper of the bay's QoS session is about to do, or reports."""

from dataclasses import dataclass

from bayd.core import qos_events as q


@dataclass(frozen=True, slots=True)
class QosWanted:
    """About to ask the operator for something that costs money: never unless it is durable first."""

    event: q.QosCreateIntended | q.QosExtendIntended
    day: str  # the site's calendar day, which pays for it


@dataclass(frozen=True, slots=True)
class QosReported:
    """What became of the bay's QoS session, or what is being given up."""

    event: q.Event
    day: str


QosInput = QosWanted | QosReported
