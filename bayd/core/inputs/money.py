"""Time sold or given at the bay, what is owed for it, and what the server says that it costs."""

from dataclasses import dataclass

from bayd.core.inputs.actors import SYSTEM, Actor
from bayd.core.model import Payment, Tariff


@dataclass(frozen=True, slots=True)
class WalkIn:
    """Staff sell time at the bay and start it."""

    session_id: str  # ours, until the server has given a number
    minutes: int
    amount: int
    actor: Actor
    reason: str
    payment: Payment = Payment.CASH


@dataclass(frozen=True, slots=True)
class Extend:
    op_id: str
    minutes: int
    amount: int | None
    actor: Actor
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays
    payment: Payment = Payment.DESK  # of what staff give; the screen has no say in it
    shown_amount: int | None = None  # the price that the screen showed; None: none, or it does not say
    shown_at_once: bool = False  # the screen said that a press is enough; else staff are asked


@dataclass(frozen=True, slots=True)
class ApproveExtension:
    """Staff give what the customer has asked for."""

    actor: Actor
    reason: str
    payment: Payment
    amount: int | None = None  # None: the price that the customer was shown
    session_id: str | None = None  # the one that was meant; None: whichever plays
    request_id: str | None = None  # the request that was meant; None: whichever waits


@dataclass(frozen=True, slots=True)
class DeclineExtension:
    actor: Actor
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays
    request_id: str | None = None  # the request that was meant; None: whichever waits


@dataclass(frozen=True, slots=True)
class SettleDue:
    """Somebody has paid what went on account."""

    due_id: str
    payment: Payment
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class PricesSeen:
    """What the server says that more time costs, and in which lengths it is sold."""

    tariff: Tariff
    actor: Actor = SYSTEM


@dataclass(frozen=True, slots=True)
class ArrearsSeen:
    """What is owed for this bay at the server, in its unit."""

    owed: int
    actor: Actor = SYSTEM


MoneyInput = WalkIn | Extend | ApproveExtension | DeclineExtension | SettleDue | PricesSeen | ArrearsSeen
