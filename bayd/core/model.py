"""The state of one bay: frozen values, told by events, never by a clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bayd.core import qos_lease
from bayd.core.qos_budget import Day


class Phase(StrEnum):
    FREE = "free"
    BOOKED = "booked"  # a session is known and waits for its PIN
    PLAYING = "playing"
    PAUSED = "paused"
    GRACE = "grace"  # over; the screen still shows the result
    HELD = "held"  # kept by staff
    OUT_OF_SERVICE = "out_of_service"


class Mode(StrEnum):
    """What a bay is open for while no session plays there."""

    LOCKED = "locked"  # to a PIN, or a start by staff
    FREE_PLAY = "free_play"  # to anybody, and to a PIN; nobody's balls
    CLOSED = "closed"  # to a start by staff alone


class EndReason(StrEnum):
    TIME = "time"
    STAFF = "staff"
    CUSTOMER = "customer"
    CANCELLED = "cancelled"  # at the central server
    RELEASED = "released"  # ended at the central server
    MOVED = "moved"
    NO_SHOW = "no_show"  # nobody came for it while the bay stood ready
    LAPSED = "lapsed"  # a booking that nobody came for within the horizon


class StartedBy(StrEnum):
    PIN_ONLINE = "pin_online"
    PIN_OFFLINE = "pin_offline"
    STAFF = "staff"


class DeviceState(StrEnum):
    UNKNOWN = "unknown"  # not heard of since the start
    OK = "ok"
    LOST = "lost"  # no link; comes back by itself
    FAULT = "fault"  # wants a person


class PayoutEnd(StrEnum):
    DONE = "done"
    FAULT = "fault"  # the machine stopped by itself: jam, empty, lid open
    STOPPED = "stopped"  # by us, at a staff end
    NEVER_STARTED = "never_started"
    UNKNOWN = "unknown"  # the device cannot say how many balls came out


@dataclass(frozen=True, slots=True)
class Game:
    id: int
    name: str
    balls_limit: int | None  # 0: unlimited; None: the server names one, and it cannot be read


UNKNOWN_GAME = Game(0, "", None)  # a game that the server shows and that cannot be read at all


@dataclass(frozen=True, slots=True)
class Booking:
    """A live session of the central server, or a walk-in sold here, that has not started."""

    session_id: str
    minutes: int  # granted so far, see `bookings.granted_minutes`
    first_minutes: int  # `duration` when it was first seen
    created_wall_ms: int  # at the server; of one that was sold here when that was
    game: Game | None = None
    player: str | None = None  # a display name
    sold_here: bool = False


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


class Payment(StrEnum):
    """Who has the money for time that was given here. The server books each as a due."""

    DESK = "desk"  # the desk settles it: nothing is kept here
    CASH = "cash"  # taken at the bay
    CARD = "card"  # taken at the bay
    ON_ACCOUNT = "on_account"  # nobody yet: a due of this bay


@dataclass(frozen=True, slots=True)
class OwnExtension:
    """Time that was given here and has to reach the server."""

    op_id: str
    minutes: int
    amount: int


@dataclass(frozen=True, slots=True)
class AskedExtension:
    """What the customer asks staff for. It lapses with the session."""

    op_id: str
    minutes: int
    amount: int | None  # the price that the screen showed; None: unknown
    wall_ms: int
    since_ms: int | None = None  # None: only the wall clock knows


@dataclass(frozen=True, slots=True)
class Offer:
    """A length of time that the screen offers."""

    minutes: int
    amount: int | None  # None: unknown, staff say it
    at_once: bool  # a press is enough; else staff are asked


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the central server says of more time."""

    intervals: tuple[int, ...] | None = None  # enabled lengths, in minutes; None: it does not say
    amount: int | None = None  # for `per_minutes`, at this time of day; None: it does not say
    per_minutes: int = 60


@dataclass(frozen=True, slots=True)
class Due:
    """Money that is owed here for time that went on account. It outlives its session."""

    due_id: str  # the extension's op_id
    session_id: str
    minutes: int
    amount: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class PlaySession:
    session_id: str
    player: str | None
    player_id: int | None  # whose turn it is
    game: Game | None
    started_by: StartedBy
    started_at_ms: int
    started_wall_ms: int
    ends_at_ms: int
    granted_ms: int  # all time given, extensions included
    first_minutes: int  # `duration` when the booking was first seen
    desk_minutes: int = 0  # added at the server by others
    own_minutes: int = 0  # added here
    paused_at_ms: int | None = None
    paused_ms: int = 0  # pauses that are over
    warned: tuple[int, ...] = ()
    balls: Balls = field(default_factory=Balls)
    server_game_id: int | None = None  # as the server showed it last: only its changes count
    active_seen: bool = False  # the server has shown it as active
    inactive_since_ms: int | None = None  # … and then not, since
    extension_asked: AskedExtension | None = None
    extension_declined: str = ""  # why staff declined the last request
    own_games: tuple[int, ...] = ()  # chosen here, not yet shown by the server
    own_extensions: tuple[OwnExtension, ...] = ()
    server_ahead_ms: int = 0  # so much earlier than ours its own timer may end: outages that we credited
    asked: tuple[Asked, ...] = ()  # lately
    unread: bool = False  # the antenna was away for a while: what was read proves nothing
    paused_for: str = ""  # the device whose fault stopped the clock: it runs on when that is cleared
    paused_by: str = ""
    pause_ends_at_ms: int | None = None  # the guest has paused: the clock runs on by itself then
    guest_pauses: int = 0
    guest_paused_ms: int = 0  # pauses of the guest that are over
    overran_wall_ms: int | None = None  # since when staff are warned of the pause
    server_bays: tuple[str, ...] = ()  # where the server may still show it, since it was moved here
    created_wall_ms: int | None = None  # at the server; None: sold at the bay

    @property
    def balls_left(self) -> int | None:
        """How many more may be asked for; None: no limit. Of a limit that is not known none are left."""
        if self.game is None or self.game.balls_limit == 0:
            return None
        if self.game.balls_limit is None:
            return 0
        return max(0, self.game.balls_limit - self.balls.commanded)

    @property
    def minutes(self) -> int:
        """All minutes given."""
        return self.first_minutes + self.desk_minutes + self.own_minutes

    def remaining_ms(self, now_ms: int) -> int:
        """Never negative; stands still in a pause."""
        return max(0, self.ends_at_ms - (now_ms if self.paused_at_ms is None else self.paused_at_ms))

    def played_ms(self, at_ms: int) -> int:
        """Play from the start until `at_ms`, pauses and credited outages excluded."""
        # A start after the last sign of life has more left after the outage than was granted.
        return max(0, self.granted_ms - self.remaining_ms(at_ms))


@dataclass(frozen=True, slots=True)
class EndedSession:
    """What the screen shows after the end, and what late balls are added to."""

    session_id: str
    reason: EndReason
    ended_at_ms: int
    played_ms: int
    balls: Balls
    player_id: int | None = None
    reconcile_at_ms: int | None = None  # when its books are compared; None: done, or nothing to compare
    reconciled: Reconciled | None = None
    unread: bool = False  # the antenna was away for a while


@dataclass(frozen=True, slots=True)
class Waiting:
    """A bay that stands ready for a booking, or is held, and nobody comes."""

    session_id: str  # empty: held by staff
    since_ms: int
    overran_wall_ms: int | None = None  # since when staff are warned


@dataclass(frozen=True, slots=True)
class MovedSession:
    """Where the last guest of this bay went, until another one's session is over."""

    session_id: str
    to: str
    at_ms: int


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


@dataclass(frozen=True, slots=True)
class PinAttempt:
    attempt_id: str
    request_key: str | None  # where its answer is kept
    at_ms: int


@dataclass(frozen=True, slots=True)
class PinPad:
    failures: int = 0  # in a row; an attempt counts until it succeeds
    last_try_ms: int | None = None
    locked_until_ms: int | None = None
    attempt: PinAttempt | None = None  # being checked now


# The devices of a bay that it keeps facts about; beside them its screen.
READER = "reader"
DISPENSER = "dispenser"


@dataclass(frozen=True, slots=True)
class DeviceFact:
    state: DeviceState = DeviceState.UNKNOWN
    reason: str = ""
    since_wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class Credit:
    """A ball that was counted, and the targets that it has been seen in since."""

    epc: str
    at_ms: int
    session_id: str  # empty: nobody's, of free play
    player_id: int | None
    pits: tuple[str, ...] = ()
    game_id: int | None = None  # that was being played

    def has_hit(self, pit: str) -> bool:
        """Its target has seen the ball already, by any of its antennas."""
        return any(target_of(seen) == target_of(pit) for seen in self.pits)


def target_of(pit: str) -> str:
    """The target of a pit antenna: "S1" of "S1_1" (Pit component: a target has antennas, each a location)."""
    return pit.rpartition("_")[0] or pit


@dataclass(frozen=True, slots=True)
class Conflict:
    """The server and the bay disagree; play goes on, people are told."""

    code: str
    session_id: str
    text: str
    wall_ms: int
    key: str = ""  # what in the session it is about, where there may be several

    @property
    def name(self) -> str:
        return f"{self.code}/{self.session_id}/{self.key}"


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
    ball_level: BallLevel = BallLevel()
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
    tariff: Tariff = Tariff()
    booked_till: bool = False  # the server shows the bay as booked after the present session
    numbers: Mapping[str, str] = field(default_factory=dict)  # the server's id of a walk-in -> ours
    qos: qos_lease.State = field(default_factory=qos_lease.Idle)
    qos_day: Day = field(default_factory=Day)  # what QoS sessions of this bay cost today
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
