"""What reaches a bay: presses, the server's word, device reports, the passing of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bayd.core import qos_events as q
from bayd.core.model import DeviceState, Game, Mode, Payment, PayoutEnd, StartedBy, Tariff


class Role(StrEnum):
    SCREEN = "screen"  # the customer at the bay
    STAFF = "staff"
    TECHNICIAN = "technician"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    role: Role
    name: str  # "screen", a staff member's login name: for the audit


SYSTEM = Actor(Role.SYSTEM, "bayd")


@dataclass(frozen=True, slots=True)
class TimeCame:
    """A deadline may have passed."""


@dataclass(frozen=True, slots=True)
class ServerSaid:
    """One session as the central server shows it now."""

    session_id: str
    minutes: int  # `duration`
    extended_minutes: int | None  # `extendedTime`; None: this answer does not say
    created_wall_ms: int
    cancelled: bool
    active: bool
    released: bool | None  # None: this answer does not say
    game: Game | None = None
    player: str | None = None
    player_id: int | None = None
    game_known: bool = True  # False: this answer does not say, or cannot be read
    bay_booked: bool | None = None  # `bookedTill` of the bay is set; None: this answer does not say
    as_of_wall_ms: int | None = None  # how late it is at least, where our wall clock cannot tell
    shown_at: str | None = None  # the bay; None: where it is known here


@dataclass(frozen=True, slots=True)
class ServerMovedAway:
    """The server shows this session at another bay now."""

    session_id: str
    to: str


@dataclass(frozen=True, slots=True)
class ServerContradicted:
    """The server said something that proves nothing: a 404, an empty list, ids running back."""

    code: str
    session_id: str
    text: str
    key: str = ""  # what in the session it is about, where there may be several


@dataclass(frozen=True, slots=True)
class SettleConflict:
    """Staff have looked into what the server and the bay disagreed about."""

    conflict: str  # its name
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class PinEntered:
    attempt_id: str
    request_key: str | None


@dataclass(frozen=True, slots=True)
class PinWasRight:
    attempt_id: str
    session_id: str
    started_by: StartedBy


@dataclass(frozen=True, slots=True)
class PinWasWrong:
    attempt_id: str
    wrong_bay: bool = False  # it opens a booking of another bay here


@dataclass(frozen=True, slots=True)
class PinNotChecked:
    """Neither the server nor the offline table could tell."""

    attempt_id: str
    reason: str
    counts: bool = False  # it was compared with a hash and opened nothing: a try, whatever is not known


@dataclass(frozen=True, slots=True)
class UnlockPad:
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class StartPlay:
    """Staff start the oldest booking without its PIN."""

    actor: Actor
    reason: str
    session_id: str | None = None  # the booking that was meant; None: whichever is next


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
class ServerNumbered:
    """The server has booked a walk-in."""

    session_id: str
    server_id: str


@dataclass(frozen=True, slots=True)
class RetryDelivery:
    """Staff want an item that was set aside to be delivered after all."""

    seq: int
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class DropDelivery:
    seq: int
    actor: Actor
    reason: str


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
class Extend:
    op_id: str
    minutes: int
    amount: int | None
    actor: Actor
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays
    payment: Payment = Payment.DESK  # of what staff give; the screen has no say in it


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


@dataclass(frozen=True, slots=True)
class End:
    actor: Actor
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class Pause:
    actor: Actor
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class Resume:
    actor: Actor
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class Move:
    """The session goes to another bay of this PC. Decided about both: `moving.decide_move`, not `decide`."""

    to: str
    actor: Actor  # the system: the server has moved it already
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class SelectGame:
    game: Game
    actor: Actor
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class SelectPlayer:
    session_user_id: int
    actor: Actor
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class CallHelp:
    actor: Actor


@dataclass(frozen=True, slots=True)
class AcknowledgeHelp:
    actor: Actor


@dataclass(frozen=True, slots=True)
class Hold:
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    actor: Actor


@dataclass(frozen=True, slots=True)
class StopService:
    actor: Actor
    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class ReturnToService:
    actor: Actor


@dataclass(frozen=True, slots=True)
class ClearFault:
    """Staff have looked at the dispenser."""

    device: str
    actor: Actor
    reason: str = ""


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


@dataclass(frozen=True, slots=True)
class BallHeard:
    """A registered ball was confirmed at this bay by the presence rules."""

    epc: str
    at_ms: int  # first heard; the rules take a moment to decide


@dataclass(frozen=True, slots=True)
class BallInPit:
    """A ball that this bay had last was confirmed in a target by the presence rules."""

    epc: str
    pit: str
    at_ms: int
    points: Mapping[int, int] = field(default_factory=dict)  # game -> what this target is worth in it


@dataclass(frozen=True, slots=True)
class DeviceReported:
    device: str
    state: DeviceState
    reason: str


@dataclass(frozen=True, slots=True)
class ModeSeen:
    """What the hours of the site say, by the wall clock there."""

    mode: Mode
    until_wall_ms: int | None  # None: not known, or for ever
    day_began_wall_ms: int | None  # None: the clock is not to be trusted
    actor: Actor = SYSTEM


@dataclass(frozen=True, slots=True)
class SetMode:
    """Staff want the bay open for something else, or, without a mode, as the hours of the site say."""

    mode: Mode | None
    today: bool  # until midnight; else until it is revoked
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The daemon is back. The mark is the last sign of life; its clocks may be of another boot."""

    mark_boot_ms: int
    mark_wall_ms: int
    same_boot: bool
    wall_trusted: bool  # synchronised then and now


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


# Acts on the session in play: pressed for one, they never touch the next.
SessionAct = (
    Dispense | Extend | ApproveExtension | DeclineExtension | End | Pause | Resume | SelectGame | SelectPlayer
)

Input = (
    TimeCame
    | ServerSaid
    | ServerMovedAway
    | ServerContradicted
    | PinEntered
    | PinWasRight
    | PinWasWrong
    | PinNotChecked
    | UnlockPad
    | StartPlay
    | WalkIn
    | ServerNumbered
    | RetryDelivery
    | DropDelivery
    | Dispense
    | TestDispense
    | SettleUnknown
    | Refill
    | BallLevelSeen
    | Extend
    | ApproveExtension
    | DeclineExtension
    | SettleDue
    | PricesSeen
    | ArrearsSeen
    | End
    | Pause
    | Resume
    | SelectGame
    | SelectPlayer
    | CallHelp
    | AcknowledgeHelp
    | SettleConflict
    | Hold
    | Release
    | StopService
    | ReturnToService
    | ClearFault
    | PayoutMarkTaken
    | PayoutProgressed
    | PayoutWasInterrupted
    | PayoutEnded
    | BallHeard
    | BallInPit
    | DeviceReported
    | ModeSeen
    | SetMode
    | Restarted
    | QosWanted
    | QosReported
)
