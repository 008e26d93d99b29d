"""Balls that a machine pays: the counters, the one open intent, the stock."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Balls:
    """commanded + granted = counted + balance + unknown + what an open payout still has to pay."""

    commanded: int = 0  # asked for and granted
    counted: int = 0  # left the machine
    balance: int = 0  # granted, not paid: the customer's, paid on a new press
    unknown: int = 0  # nobody can say whether these came out
    read: int = 0  # credited by RFID
    surplus: int = 0  # left the machine beyond what was asked for: a tray that held more
    granted: int = 0  # given back at the end, because far fewer were read than counted
    shots: int = 0  # balls that were read and then seen in a target, once for each target
    points: int = 0  # what these are worth by the central server's rules, as far as it told them


@dataclass(frozen=True, slots=True)
class Asked:
    """A press for balls that were not owed already: what the limit per time counts."""

    at_ms: int
    balls: int


@dataclass(frozen=True, slots=True)
class UnknownBalls:
    """A payout of which nobody can say how many balls came out. Staff settle it; it outlives its session."""

    payout_id: str
    session_id: str
    balls: int
    text: str  # what the machine said
    wall_ms: int
    refill_id: str = ""  # of the stock that they were taken off; empty: of none


@dataclass(frozen=True, slots=True)
class Stock:
    """What a bay has had out of its machine since the last time that somebody filled it."""

    refill_id: str
    dispenser: str
    balls: int  # in the machine after the refill
    wall_ms: int
    paid: int = 0  # at this bay since then; what may have come out counts as out


@dataclass(frozen=True, slots=True)
class PutBack:
    """Balls that a session brought along as unknown, and that never left the machine of its old bay."""

    refill_id: str
    balls: int


@dataclass(frozen=True, slots=True)
class BallLevel:
    """How full the bay's machine is, once that is certain."""

    level: str = "unknown"  # empty, low, ok, full
    at_server: int | None = None  # the central server's number for it; None: not told
    since_wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Commanded, counted, read: what the comparison at the end of a session said."""

    missing: int | None  # counted and not read; negative: more were read. None: the antenna cannot say
    beyond: bool  # more than the site tolerates
    granted: int  # given back for it
    wall_ms: int


@dataclass(frozen=True, slots=True)
class PayoutPart:
    """One run of the motor. Its mark was durable before the first byte of the command."""

    balls: int
    paid_before: int  # of the whole payout
    mark: Mapping[str, int]
    surplus_before: int = 0


@dataclass(frozen=True, slots=True)
class Payout:
    """The one open intent to pay balls."""

    payout_id: str
    session_id: str  # of a test: empty
    balls: int
    pressed_wall_ms: int = 0  # the order of several bays' presses, also over a reboot
    dispenser: str = ""
    test: bool = False  # a technician's: nobody's balls, and never resumed
    paid: int = 0
    surplus: int = 0  # beyond all that was asked
    part: PayoutPart | None = None
    stopping: bool = False  # the motor is to be stopped, the rest stays balance
    interrupted_ms: int = 0  # the longest interruption since it was asked for

    @property
    def left(self) -> int:
        return self.balls - self.paid
