"""The bay as a place, whoever plays there: what it is open for, its devices, and absences of the daemon."""

from dataclasses import dataclass

from bayd.core.instant import AliveMark
from bayd.core.model import DeviceState, Mode


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
class BayHeld:
    by: str
    reason: str
    wall_ms: int | None = None  # not in journals of older versions


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


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    device: str  # "reader", "dispenser", "screen"
    state: DeviceState
    reason: str
    wall_ms: int
    by: str = ""  # who acknowledged a fault


@dataclass(frozen=True, slots=True)
class BayLeftOut:
    """The daemon started without the bay, where something goes by the clock. It was served until then."""

    last_served: AliveMark


@dataclass(frozen=True, slots=True)
class OutageSeen:
    """Nobody served the bay: the deadlines move onto the present boot clock."""

    outage_ms: int | None  # None: cannot be told
    credited: bool
    flagged: bool  # the clock could not be trusted
    shift_ms: int  # for the time of play
    hold_shift_ms: int  # for lock-outs, which no outage shortens
    pause: bool  # too long: play waits for the PIN or staff
    at_ms: int
    alone: bool = False  # it was left out of the configuration; the other bays were served


@dataclass(frozen=True, slots=True)
class IntentExpired:
    """A request became durable after its answer was given up: it never counts."""

    batch_id: str


BayEvent = (
    ModeTurned
    | ModeSet
    | ModeRevoked
    | WaitBegan
    | WaitOverran
    | BayHeld
    | BayReleased
    | ServiceStopPlanned
    | BayTakenOutOfService
    | BayReturnedToService
    | DeviceChanged
    | BayLeftOut
    | OutageSeen
    | IntentExpired
)
