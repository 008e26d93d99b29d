"""Balls that a machine pays: the one open intent of a bay, what came of it, and the books about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bayd.core.model import Balls, PayoutEnd


@dataclass(frozen=True, slots=True)
class PayoutRequested:
    payout_id: str
    session_id: str
    dispenser: str
    balls: int
    from_balance: int  # of these, so many were owed already
    not_after_ms: int
    at_ms: int = 0
    forget_before_ms: int = 0  # presses older than this no longer matter for the limit per time
    pressed: int = 0  # what was asked for, where the machine's step made another number of it
    test: bool = False
    by: str = ""
    reason: str = ""  # of a test
    wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class PayoutMarked:
    """Where the device stood; durable before the motor may start."""

    payout_id: str
    balls: int
    mark: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BallsPaid:
    payout_id: str
    session_id: str
    paid: int  # of this payout, in all
    surplus: int = 0  # beyond what was asked, in all


@dataclass(frozen=True, slots=True)
class PayoutStopping:
    payout_id: str


@dataclass(frozen=True, slots=True)
class PayoutInterrupted:
    """Nobody drove the device for so long: restart, lost link."""

    payout_id: str
    interrupted_ms: int


@dataclass(frozen=True, slots=True)
class PayoutClosed:
    payout_id: str
    session_id: str
    end: PayoutEnd
    paid: int
    unknown: int  # may have come out, may not
    text: str
    surplus: int = 0  # beyond what was asked, in all
    wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class UnknownSettled:
    """Somebody, or a rule of the site, said what became of balls that the machine could not tell of."""

    payout_id: str
    session_id: str
    counted: int
    owed: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class DispenserRefilled:
    """Each bay of the machine keeps it, with the same id."""

    refill_id: str
    dispenser: str
    balls: int  # in it now
    by: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class BallLevelChanged:
    """How full the bay's machine is now: no flicker of a sensor, but what it settled on."""

    level: str
    at_server: int | None  # the central server's number for it
    wall_ms: int


@dataclass(frozen=True, slots=True)
class SessionReconciled:
    """The books of a session that is over: what was commanded, what the machine counted, what was read."""

    session_id: str
    balls: Balls
    missing: int | None  # counted and not read; negative: more were read; None: the antenna cannot say
    tolerated: int
    beyond: bool  # more than that
    granted: int  # given back, of what is missing
    wall_ms: int


DispensingEvent = (
    PayoutRequested
    | PayoutMarked
    | BallsPaid
    | PayoutStopping
    | PayoutInterrupted
    | PayoutClosed
    | UnknownSettled
    | DispenserRefilled
    | BallLevelChanged
    | SessionReconciled
)
