"""How sessions and events depart from their usual course; only faults give such orders."""

from dataclasses import dataclass

from bayd.reference.qod.sessions import Status


@dataclass(frozen=True, slots=True)
class CreateOrders:
    stays_requested: bool = False
    terminate_after_s: float | None = None
    granted_s: int | None = None


@dataclass(frozen=True, slots=True)
class EventOrder:
    copies: int = 1
    delay_s: float = 0.0
    held: bool = False  # until the session's next event has gone


def as_usual(_status: Status) -> EventOrder:
    return EventOrder()
