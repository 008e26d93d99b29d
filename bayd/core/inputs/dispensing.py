"""Presses for balls, what people say of the machine, and what the machine reports."""

from collections.abc import Mapping
from dataclasses import dataclass

from bayd.core.inputs.actors import SYSTEM, Actor
from bayd.core.model import PayoutEnd


@dataclass(frozen=True, slots=True)
class Dispense:
    payout_id: str
    balls: int
    actor: Actor
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class TestDispense:
    """A technician tries the machine: balls that are nobody's."""

    payout_id: str
    balls: int
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class SettleUnknown:
    """Staff say what became of a payout that the machine could not tell of; the rest is owed."""

    payout_id: str
    came_out: int
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class Refill:
    """Somebody has filled the machine. Told at one bay, and from there to all bays of the machine."""

    refill_id: str
    balls: int | None  # in it now; None: full
    actor: Actor
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BallLevelSeen:
    """How full the bay's machine is, after hysteresis."""

    level: str
    actor: Actor = SYSTEM


@dataclass(frozen=True, slots=True)
class PayoutMarkTaken:
    payout_id: str
    balls: int
    mark: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PayoutProgressed:
    """Of the present part, so many balls are out."""

    payout_id: str
    part_paid: int


@dataclass(frozen=True, slots=True)
class PayoutWasInterrupted:
    payout_id: str
    interrupted_ms: int


@dataclass(frozen=True, slots=True)
class PayoutEnded:
    """The motor stands. `part_paid` None: the device cannot say."""

    payout_id: str
    end: PayoutEnd
    part_paid: int | None
    text: str


DispensingInput = (
    Dispense
    | TestDispense
    | SettleUnknown
    | Refill
    | BallLevelSeen
    | PayoutMarkTaken
    | PayoutProgressed
    | PayoutWasInterrupted
    | PayoutEnded
)
