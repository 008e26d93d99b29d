"""The numbers that steer a bay, taken from the configuration by the shell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bayd.core.model import Mode


class ExtensionPolicy(StrEnum):
    """What a press on "more time" at the bay's screen does."""

    ASK = "ask"  # a request that staff approve or decline
    ON_ACCOUNT = "on_account"  # granted at once, due at reception
    STAFF_ONLY = "staff_only"  # refused at the screen


class DowntimePolicy(StrEnum):
    """What becomes of an outage of more than `outage_as_play_ms`."""

    CREDITED = "credited"  # the session goes on with the time that was left
    COUNTED = "counted"  # the outage was play


class StepPolicy(StrEnum):
    """What becomes of a press that is no multiple of what the machine pays at once."""

    REFUSE = "refuse"
    ROUND_UP = "round_up"  # also beyond the game's limit, by less than one step
    ROUND_DOWN = "round_down"


class UnknownPolicy(StrEnum):
    """What becomes of balls of which the machine cannot say whether they came out."""

    ASK = "ask"  # staff settle it
    COUNT = "count"  # they count as paid
    OWE = "owe"  # they are the customer's balance: at most paid twice, never lost


class FaultPolicy(StrEnum):
    """What the clock does for a customer whose balls stick in a faulty machine."""

    PLAY_ON = "play_on"
    PAUSE = "pause"


class NoShowPolicy(StrEnum):
    """What becomes of a booking that nobody comes for."""

    WARN = "warn"  # staff are told, and nothing else
    RELEASE = "release"  # it is cancelled, here and at the server


class LongPausePolicy(StrEnum):
    """What becomes of a pause that staff forget."""

    WARN = "warn"
    RESUME = "resume"  # the clock runs on


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """Open on this day of the week (0: Monday) from minute to minute; over midnight it is two spans."""

    weekday: int
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    span: OpenSpan
    mode: Mode


@dataclass(frozen=True, slots=True)
class Timetable:
    """What a bay is open for, and when. See `modes.mode_at`."""

    mode: Mode | None = Mode.LOCKED  # None: what the schedule says
    schedule: tuple[ScheduleLine, ...] = ()  # of lines that overlap the last holds; closed where none does
    opening: tuple[OpenSpan, ...] = ()  # none: never closed
    closed_days: frozenset[int] = frozenset()  # from midnight to midnight; see `modes.mode_at`


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one bay. Minutes become milliseconds through `minute_ms` alone."""

    minute_ms: int = 60_000
    dispenser: str | None = None  # its name in the configuration; None: the bay has none
    dispenser_step: int = 1  # balls of the smallest payout (a tip tray gives 25)
    step_policy: StepPolicy = StepPolicy.REFUSE
    central_level: Mapping[str, int] = field(default_factory=dict)  # ball level -> the server's number for it
    dispenser_capacity: int | None = None  # balls in the full machine; None: unknown
    dispense_max_balls: int = 200  # per press; a typing error must not empty the machine
    dispense_choices: tuple[int, ...] = ()  # bucket sizes that the screen offers; none: any number
    cap_balls: int | None = None  # so many balls …
    cap_minutes: int = 60  # … in so much time, at most
    unknown_balls: UnknownPolicy = UnknownPolicy.ASK
    dispenser_fault: FaultPolicy = FaultPolicy.PLAY_ON
    reader: bool = True  # the bay has an antenna
    reads_balls: bool = True  # the bay has an antenna, and the range a list of its balls
    variance_balls: int = 10  # so many, or …
    variance_percent: int = 25  # … so many in a hundred that were counted and not read are tolerated
    variance_grant: bool = False  # what is missing beyond that is given back
    intent_ttl_ms: int = 5_000  # a payout that is not durable by then is never acted on
    warn_minutes: tuple[int, ...] = (10, 5, 1)
    grace_minutes: int = 2
    next_pin_minutes: int = 5  # before the end the next session's PIN may be entered
    pin_tries: int = 5
    pin_lock_minutes: int = 1  # doubles with every further failure …
    pin_lock_max_minutes: int = 60  # … up to this
    pin_forget_minutes: int = 24 * 60  # without a try the failures are forgotten
    booking_horizon_minutes: int = 24 * 60  # older bookings of the server are ignored
    extension: ExtensionPolicy = ExtensionPolicy.ASK
    extension_minutes: tuple[int, ...] = (15, 30, 60)  # what the screen offers
    extension_price: int | None = None  # per offered minute, in the server's unit; None: unknown
    recount_after_ms: int = 120_000  # the same ball counts again after this absence
    attribution_ms: int = 600_000  # a ball in a target is the shot of the bay that had it in this time
    outage_as_play_ms: int = 60_000
    downtime: DowntimePolicy = DowntimePolicy.CREDITED
    max_credit_ms: int = 1_800_000
    resume_payout_ms: int = 30_000  # a payout goes on by itself only after a shorter interruption
    end_proof_ms: int = 10_000  # `active` false twice, this far apart
    own_end_window_minutes: int = 2  # around the server's own computed end, which proves nothing
    timetable: Timetable = Timetable()
    hold_minutes: int | None = None  # so long a ready bay waits for its guest, or stays held, unremarked
    no_show: NoShowPolicy = NoShowPolicy.WARN
    pause_max_minutes: int | None = None  # of a pause by people
    long_pause: LongPausePolicy = LongPausePolicy.WARN
    guest_pauses: int = 0  # that a guest may make in a session; 0: staff alone pause
    guest_pause_minutes: int = 10  # of a session, all of them together
    games: tuple[str, ...] = ()  # names of those that the screen offers
    walk_ins: bool = True  # there is a customer under whom the server books them

    @property
    def cap_ms(self) -> int:
        return self.cap_minutes * self.minute_ms

    @property
    def grace_ms(self) -> int:
        return self.grace_minutes * self.minute_ms

    def pin_lock_ms(self, failures: int) -> int:
        """How long the pad is locked after this many failures in a row; 0 while tries are left."""
        if failures < self.pin_tries:
            return 0
        doubled: int = self.pin_lock_minutes * 2 ** min(failures - self.pin_tries, 16)
        return min(doubled, self.pin_lock_max_minutes) * self.minute_ms
