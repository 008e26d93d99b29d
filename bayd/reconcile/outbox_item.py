"""What has not been delivered to the central server yet, as staff see it."""

from dataclasses import dataclass

from bayd.core import events as e
from bayd.journal import Recorded
from bayd.reconcile.delivery import session_of


@dataclass(frozen=True, slots=True)
class OutboxItem:
    seq: int
    bay: str
    session_id: str
    kind: str
    since_wall_ms: int
    reason: str  # of the last failure, or of being parked; "" while it only waits its turn
    parked: bool
    waits_for: int | None = None  # the parked item of its session that holds it up


def waiting(record: Recorded[e.Event], since_wall_ms: int, reason: str) -> OutboxItem:
    kind = type(record.event).__name__
    return OutboxItem(
        record.seq, record.bay, session_of(record.event), kind, since_wall_ms, reason, parked=False
    )
