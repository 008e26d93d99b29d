"""What has happened at a bay, in the past tense. `evolve` reads these alone: every number that came from
configuration, clock or chance is in them.

The class name is the event's kind in the journal; `VERSIONS` says which layout is current, older ones are
upcast when they are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bayd.core import qos_events as q
from bayd.core.model import (
    Balls,
    Booking,
    Conflict,
    Credit,
    DeviceState,
    Due,
    EndReason,
    Game,
    Mode,
    OwnExtension,
    Payment,
    PayoutEnd,
    PlaySession,
    StartedBy,
    Tariff,
    UnknownBalls,
)

# Bookings


@dataclass(frozen=True, slots=True)
class BookingLearned:
    booking: Booking


@dataclass(frozen=True, slots=True)
class BookingChanged:
    booking: Booking


@dataclass(frozen=True, slots=True)
class BookingWithdrawn:
    session_id: str
    reason: EndReason


@dataclass(frozen=True, slots=True)
class WalkInSold:
    """Sold at the bay: the server books it later and gives it a number of its own."""

    session_id: str
    minutes: int
    amount: int
    by: str
    reason: str
    wall_ms: int
    payment: Payment = Payment.CASH


@dataclass(frozen=True, slots=True)
class SessionNumbered:
    """The server has booked a walk-in, under this number."""

    session_id: str
    server_id: str


@dataclass(frozen=True, slots=True)
class BookedTillSeen:
    """Whether the server shows the bay as booked after the present session, when that changed."""

    booked: bool


@dataclass(frozen=True, slots=True)
class ConflictSeen:
    """The server contradicts the bay and proves nothing; play is not touched."""

    code: str
    session_id: str
    text: str
    wall_ms: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class ConflictSettled:
    """Staff have looked into it."""

    conflict: str  # its name
    by: str
    reason: str


# PINs. The attempt is journaled before the check, so that a crash never gives a free guess.


@dataclass(frozen=True, slots=True)
class PinAttempted:
    attempt_id: str
    request_key: str | None
    at_ms: int
    failures: int  # this attempt included, until it succeeds
    locked_until_ms: int | None


@dataclass(frozen=True, slots=True)
class PinAccepted:
    attempt_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class PinRefused:
    attempt_id: str
    wrong_bay: bool = False  # it opens a booking of another bay here


@dataclass(frozen=True, slots=True)
class PinCheckFailed:
    """Nobody could tell whether it is right. No try counted, unless it had a chance at a hash."""

    attempt_id: str
    reason: str
    failures: int
    locked_until_ms: int | None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class PadUnlocked:
    by: str
    reason: str


# Play


@dataclass(frozen=True, slots=True)
class SessionStarted:
    session_id: str
    started_by: StartedBy
    by: str
    reason: str
    at_ms: int
    wall_ms: int
    ends_at_ms: int
    minutes: int
    first_minutes: int
    game: Game | None
    player: str | None
    skip_warnings: tuple[int, ...]  # minutes that are under way already
    server_ahead_ms: int = 0  # the server's timer may run since the PIN, so long before


@dataclass(frozen=True, slots=True)
class NextSessionReady:
    """The next session's PIN was right before the end of the present one."""

    session_id: str
    started_by: StartedBy
    at_ms: int = 0  # the server's timer may run since then


@dataclass(frozen=True, slots=True)
class SessionPaused:
    at_ms: int
    by: str
    reason: str
    device: str = ""  # whose fault it was: the clock runs on when that is cleared
    ends_at_ms: int | None = None  # the guest did it: the clock runs on by itself then


@dataclass(frozen=True, slots=True)
class SessionResumed:
    at_ms: int
    ends_at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class SessionExtended:
    """`own`: given here, to be told to the server; else the server said so."""

    op_id: str
    session_id: str
    own: bool
    minutes: int
    amount: int | None
    ends_at_ms: int
    granted_ms: int
    by: str
    reason: str
    skip_warnings: tuple[int, ...]
    payment: Payment = Payment.DESK
    wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class ExtensionAsked:
    op_id: str
    minutes: int
    wall_ms: int
    amount: int | None = None  # the price that the screen showed
    at_ms: int | None = None  # None: of an earlier release, which went by the wall clock alone


@dataclass(frozen=True, slots=True)
class ExtensionDeclined:
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class DueSettled:
    """What went on account was paid."""

    due_id: str
    session_id: str
    amount: int
    payment: Payment
    by: str
    reason: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class TariffChanged:
    """What the server says that more time costs here."""

    tariff: Tariff


@dataclass(frozen=True, slots=True)
class ArrearsChanged:
    """What the server says that is owed for this bay."""

    owed: int


@dataclass(frozen=True, slots=True)
class WarningGiven:
    minutes: int  # left at most; the larger ones are done with too


@dataclass(frozen=True, slots=True)
class SessionEnded:
    session_id: str
    reason: EndReason
    by: str
    text: str
    at_ms: int
    wall_ms: int
    played_ms: int
    balls: Balls
    grace_until_ms: int
    own_extensions: tuple[OwnExtension, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionMovedAway:
    """To another bay of this PC; in one transaction with `SessionMovedIn` there."""

    session_id: str
    to: str
    own: bool  # moved here, to be told to the server; else the server said so
    minutes: int  # granted so far
    by: str
    reason: str
    at_ms: int
    wall_ms: int
    first_minutes: int = 0  # of these, booked at first: from them the server's word of more time counts


@dataclass(frozen=True, slots=True)
class SessionMovedIn:
    """With everything that it was at the other bay."""

    session: PlaySession
    come_from: str
    number: str | None  # the server's, of a walk-in that has one
    unsettled: tuple[UnknownBalls, ...]
    dues: tuple[Due, ...]
    by: str
    reason: str
    at_ms: int
    wall_ms: int
    credits: tuple[Credit, ...] = ()  # its balls, which may yet land in a target
    conflicts: tuple[Conflict, ...] = ()
    help_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ServerMoveSeen:
    """The server shows the session at this bay, too."""

    session_id: str


@dataclass(frozen=True, slots=True)
class GraceEnded:
    at_ms: int


@dataclass(frozen=True, slots=True)
class GameSelected:
    session_id: str
    game: Game
    own: bool  # chosen here, to be told to the server


@dataclass(frozen=True, slots=True)
class GameCleared:
    """The server shows the session without its game."""

    session_id: str


@dataclass(frozen=True, slots=True)
class ServerGameSeen:
    """The server shows a game that was chosen here."""

    session_id: str
    game_id: int


@dataclass(frozen=True, slots=True)
class PlayerSelected:
    session_user_id: int
    own: bool


@dataclass(frozen=True, slots=True)
class ServerActivitySeen:
    """What the server's `active` said of the session in play, when it changed."""

    active: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class HelpCalled:
    at_ms: int


@dataclass(frozen=True, slots=True)
class HelpAcknowledged:
    by: str


# The bay


@dataclass(frozen=True, slots=True)
class BayHeld:
    by: str
    reason: str
    wall_ms: int | None = None  # not in journals of older versions


@dataclass(frozen=True, slots=True)
class RangeOpened:
    """Of older journals: `ModeTurned` says it now."""


@dataclass(frozen=True, slots=True)
class RangeClosed:
    """Of older journals: `ModeTurned` says it now."""


@dataclass(frozen=True, slots=True)
class ModeTurned:
    """By the hours of the site; whoever plays, plays on."""

    mode: Mode
    until_wall_ms: int | None


@dataclass(frozen=True, slots=True)
class ModeSet:
    """Staff say otherwise: above the hours of the site."""

    mode: Mode
    today: bool  # until midnight; else until it is revoked
    by: str
    reason: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class ModeRevoked:
    """The hours of the site hold again."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class WaitBegan:
    """From here on a guest is waited for, or, without a session, a held bay for its release."""

    session_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class WaitOverran:
    """Staff are told."""

    session_id: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class PauseOverran:
    """Staff are told."""

    session_id: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class BayReleased:
    by: str


@dataclass(frozen=True, slots=True)
class ServiceStopPlanned:
    """Out of service as soon as the paid session is over."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class BayTakenOutOfService:
    by: str
    reason: str
    wall_ms: int | None = None  # not in journals of older versions


@dataclass(frozen=True, slots=True)
class BayReturnedToService:
    by: str


# Delivery to the central server: what staff decided about an item that was set aside


@dataclass(frozen=True, slots=True)
class DeliveryRetried:
    seq: int  # of the event to be delivered
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryDropped:
    """The server will never hear of it from here."""

    seq: int
    by: str
    reason: str


# Balls


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


@dataclass(frozen=True, slots=True)
class IntentExpired:
    """A request became durable after its answer was given up: it never counts."""

    batch_id: str


@dataclass(frozen=True, slots=True)
class BallRead:
    epc: str
    session_id: str
    player_id: int | None
    at_ms: int
    forget_before_ms: int  # credits older than this no longer matter


@dataclass(frozen=True, slots=True)
class FreeBallRead:
    """In free play: nobody's ball, told to nobody."""

    epc: str
    at_ms: int
    forget_before_ms: int  # credits older than this no longer matter


@dataclass(frozen=True, slots=True)
class PitReached:
    """A counted ball came by an antenna of a target; once for each credit and antenna."""

    epc: str
    pit: str
    session_id: str
    player_id: int | None
    at_ms: int
    points: int | None = None  # None: the rules name none, or another antenna of the target was first


# Facts beside the phase


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    device: str  # "reader", "dispenser", "screen"
    state: DeviceState
    reason: str
    wall_ms: int
    by: str = ""  # who acknowledged a fault


@dataclass(frozen=True, slots=True)
class OutageSeen:
    """The daemon was away: the deadlines move onto the present boot clock."""

    outage_ms: int | None  # None: cannot be told
    credited: bool
    flagged: bool  # the clock could not be trusted
    shift_ms: int  # for the time of play
    hold_shift_ms: int  # for lock-outs, which no outage shortens
    pause: bool  # too long: play waits for the PIN or staff
    at_ms: int


# QoS sessions at the operator: see `qos_events` too


@dataclass(frozen=True, slots=True)
class QosSpent:
    """What a QoS session adds to the day, or gives back."""

    day: str  # the site's calendar day
    sessions: int
    seconds: int


Event = (
    BookingLearned
    | BookingChanged
    | BookingWithdrawn
    | WalkInSold
    | SessionNumbered
    | BookedTillSeen
    | ConflictSeen
    | ConflictSettled
    | PinAttempted
    | PinAccepted
    | PinRefused
    | PinCheckFailed
    | PadUnlocked
    | SessionStarted
    | NextSessionReady
    | SessionPaused
    | SessionResumed
    | SessionExtended
    | ExtensionAsked
    | ExtensionDeclined
    | DueSettled
    | TariffChanged
    | ArrearsChanged
    | WarningGiven
    | SessionEnded
    | SessionMovedAway
    | SessionMovedIn
    | ServerMoveSeen
    | GraceEnded
    | GameSelected
    | GameCleared
    | ServerGameSeen
    | PlayerSelected
    | ServerActivitySeen
    | HelpCalled
    | HelpAcknowledged
    | BayHeld
    | RangeOpened
    | RangeClosed
    | ModeTurned
    | ModeSet
    | ModeRevoked
    | WaitBegan
    | WaitOverran
    | PauseOverran
    | BayReleased
    | ServiceStopPlanned
    | BayTakenOutOfService
    | BayReturnedToService
    | DeliveryRetried
    | DeliveryDropped
    | PayoutRequested
    | PayoutMarked
    | BallsPaid
    | PayoutStopping
    | PayoutInterrupted
    | PayoutClosed
    | UnknownSettled
    | DispenserRefilled
    | BallLevelChanged
    | SessionReconciled
    | IntentExpired
    | BallRead
    | FreeBallRead
    | PitReached
    | DeviceChanged
    | OutageSeen
    | QosSpent
    | q.Event
)

# Only layouts that changed; everything else is version 1.
VERSIONS: Mapping[str, int] = {}
