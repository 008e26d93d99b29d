"""The bay itself, and facts beside its session."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bayd.core import qos_lease
from bayd.core.instant import AliveMark
from bayd.core.model.dispensing import BallLevel, Payout, PutBack, Stock, UnknownBalls
from bayd.core.model.money import Due, Tariff
from bayd.core.model.pins import PinPad
from bayd.core.model.reads import Credit
from bayd.core.model.server import Booking, Conflict
from bayd.core.model.sessions import EndedSession, MovedSession, PlaySession
from bayd.core.model.words import DeviceState, Mode, Phase, StartedBy
from bayd.core.qos_budget import Day

# The devices of a bay that it keeps facts about; beside them its screen.
READER = "reader"
DISPENSER = "dispenser"


@dataclass(frozen=True, slots=True)
class DeviceFact:
    state: DeviceState = DeviceState.UNKNOWN
    reason: str = ""
    since_wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A bay that stands ready for a booking, or is held, and nobody comes."""

    session_id: str  # empty: held by staff
    since_ms: int
    overran_wall_ms: int | None = None  # since when staff are warned


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What the hours of the site say."""

    mode: Mode = Mode.LOCKED
    until_wall_ms: int | None = None  # None: not known, or for ever


@dataclass(frozen=True, slots=True)
class StaffMode:
    """What staff say instead."""

    mode: Mode
    today: bool  # until midnight; else until it is revoked
    wall_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Bay:
    number: str
    phase: Phase = Phase.FREE
    bookings: tuple[Booking, ...] = ()  # oldest first
    session: PlaySession | None = None
    last: EndedSession | None = None
    moved: MovedSession | None = None
    waiting: Waiting | None = None
    scheduled: Scheduled = Scheduled()
    mode_set: StaffMode | None = None
    free_read: int = 0  # balls that were read in free play: nobody's
    grace_until_ms: int | None = None
    next_session_id: str | None = None  # its PIN was verified before the end of the present one
    next_started_by: StartedBy | None = None
    next_verified_at_ms: int | None = None
    payout: Payout | None = None
    unsettled: tuple[UnknownBalls, ...] = ()  # oldest first
    stock: Stock | None = None  # None: nobody said yet how many balls there are
    put_back: tuple[PutBack, ...] = ()  # into stocks of other bays, newest last
    ball_level: BallLevel = field(default_factory=BallLevel)
    pad: PinPad = field(default_factory=PinPad)
    devices: Mapping[str, DeviceFact] = field(default_factory=dict)
    help_since_ms: int | None = None
    kept_reason: str = ""  # why the bay is held or out of service …
    kept_wall_ms: int | None = None  # … and since when; None: an older version did not say
    service_stop_pending: str | None = None  # out of service after the present session
    ended_ids: tuple[str, ...] = ()  # sessions that are over here, newest last
    ended_created_ms: Mapping[str, int] = field(default_factory=dict)  # of these, when the server made them
    credits: tuple[Credit, ...] = ()  # balls that were counted lately
    conflicts: tuple[Conflict, ...] = ()
    dues: tuple[Due, ...] = ()  # oldest first
    owed_at_server: int = 0  # as it says, in its unit
    tariff: Tariff = field(default_factory=Tariff)
    booked_till: bool = False  # the server shows the bay as booked after the present session
    numbers: Mapping[str, str] = field(default_factory=dict)  # the server's id of a walk-in -> ours
    qos: qos_lease.State = field(default_factory=qos_lease.Idle)
    qos_day: Day = field(default_factory=Day)  # what QoS sessions of this bay cost today
    left: AliveMark | None = None  # configured no more: served last then, and no time passes since
    version: int = 0  # events so far

    @property
    def mode(self) -> Mode:
        return self.scheduled.mode if self.mode_set is None else self.mode_set.mode

    @property
    def closed(self) -> bool:
        return self.mode is Mode.CLOSED

    def knows(self, session_id: str) -> bool:
        """It plays here, or was the last that did."""
        here = (self.session, self.last)
        return any(session is not None and session.session_id == session_id for session in here)

    def find_credit(self, epc: str) -> Credit | None:
        return next((credit for credit in self.credits if credit.epc == epc), None)

    def find_booking(self, session_id: str) -> Booking | None:
        return next((b for b in self.bookings if b.session_id == session_id), None)
