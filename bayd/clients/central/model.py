"""What the central server says, as values. The wire's spellings end at `decoding`.

`None` means "not in this answer" (the list of sessions carries less than one session, and the history
carries other things): it never stands for "no" or zero. Names and secrets stay out of every `repr`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from .secret import Secret

T = TypeVar("T")


class BayStatus(StrEnum):
    """The documented names; others exist (Bay component), so a status that is read stays a string."""

    AVAILABLE = "Available Bay"
    ON_HOLD = "Bay on Hold"
    ONGOING = "Ongoing Game"
    NOT_AVAILABLE = "Not Available"


@dataclass(frozen=True, slots=True)
class ServerAntenna:
    """Where the antenna points is `location`: a bay's number, or a pit's target such as "S1_1"."""

    name: str  # "<reader id>_<port>" in the field
    port: int
    id: int | None = None
    active: bool | None = None
    power: str | None = None  # as written: the unit is not documented
    location: str | None = None


@dataclass(frozen=True, slots=True)
class AntennaPair:
    """A reader with its antennas (Reader component, GET /reader/antennaPairs)."""

    reader_id: str
    antennas: tuple[ServerAntenna, ...]
    id: int | None = None
    normal_id: str | None = None
    active: bool | None = None
    reader_type: str | None = None  # "bay" or "pit"
    antenna_count: int | None = None
    unreadable: int = 0  # antennas of the answer that could not be read


@dataclass(frozen=True, slots=True)
class ServerGame:
    id: int
    name: str
    balls_limit: int | None = None  # 0: unlimited
    description: str | None = None
    rules: str | None = None
    image: str | None = None
    rules_image: str | None = None


@dataclass(frozen=True, slots=True)
class GenericPrice:
    """The price between two times of day of the site, in seconds; for how many minutes, nobody says."""

    start_s: int
    end_s: int
    amount: int


@dataclass(frozen=True, slots=True)
class ServerBay:
    """A bay. Its `timerId` is left out: it changes under way and identifies nothing."""

    number: str
    id: int | None = None
    screen_id: str | None = None
    ball_level: int | None = None  # raw; 0 and 2 are seen
    booked: bool | None = None  # `bookedTill` is set, readable or not
    antennas: tuple[ServerAntenna, ...] | None = None
    floor: str | None = None
    status: str | None = None  # the name, see BayStatus
    active_session_id: int | None = None
    price: GenericPrice | None = None


@dataclass(frozen=True, slots=True)
class ServerPlayer:
    """Somebody who plays in a session; `id` is the sessionUser's, as in `last_active_player_id`."""

    id: int
    user_id: int | None = None
    display_name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ServerExtension:
    """Time that was added. An item that cannot be read is kept with `id` None: it counts as one."""

    id: int | None
    duration_min: int | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class ServerSession:
    """One booking. Nothing in it says when play started or what is left: the bay owns the clock."""

    id: int
    bay: ServerBay
    duration_min: int
    cancel: bool
    active: bool
    created_at_ms: int
    pin: Secret | None = None
    released_known: bool = False  # False: the answer does not say whether it was released
    released_at_ms: int | None = None
    game_known: bool = False
    game: ServerGame | None = None
    extended_min: int | None = None
    extensions: tuple[ServerExtension, ...] | None = None
    players: tuple[ServerPlayer, ...] | None = None
    last_active_player_id: int | None = None
    customer_name: str | None = field(default=None, repr=False)
    customer_phone: Secret | None = None

    @property
    def bay_number(self) -> str:
        return self.bay.number


@dataclass(frozen=True, slots=True)
class TimeInterval:
    id: int
    interval_min: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class SystemVariable:
    name: str
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class ServerScore:
    """A rule: a ball read by this pit antenna is worth so many points in this game."""

    id: int
    score: int
    game_id: int
    antenna: ServerAntenna


@dataclass(frozen=True, slots=True)
class ServerTransaction:
    id: int
    amount: int  # a whole number in the server's unit, passed through
    status: str  # "DUE", "PAID"
    discounted: int | None = None
    payment_type: str | None = None
    created_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """An item of a list that could not be used, and the field that was wrong."""

    index: int
    field: str


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """What could be read of a list, and what could not."""

    items: tuple[T, ...]
    skipped: tuple[SkippedItem, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page; pages count from 1."""

    number: int
    per_page: int  # as asked for; a server may hold fewer to a page
    sessions: tuple[ServerSession, ...]
    skipped: tuple[SkippedItem, ...] = ()

    @property
    def item_count(self) -> int:
        return len(self.sessions) + len(self.skipped)


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount needs the password of somebody who may give it."""

    password: Secret
    value: int
    reason: str
    type: str = "fixed"  # as requests write it; answers write FIXED


@dataclass(frozen=True, slots=True)
class NewSession:
    """What reception books."""

    bay_number: str
    duration_min: int
    amount: int
    customer_name: str = field(repr=False)
    phone_number: Secret
    payment_type: str = "CASH"
    discount: Discount | None = None


@dataclass(frozen=True, slots=True)
class VerifyAccepted:
    """The PIN is right. Without an id the session is the bay's one that is now `active`."""

    session_id: int | None


@dataclass(frozen=True, slots=True)
class VerifyRefused:
    """The server said no; it counts as a try. `message` is redacted."""

    message: str
    status: int


class Cause(StrEnum):
    """Why an answer does not count."""

    NOT_REACHED = "not_reached"
    NO_ANSWER = "no_answer"  # sent, then nothing or half an answer
    NOT_UNDERSTOOD = "not_understood"  # not the JSON envelope: a proxy, a portal, another service
    SERVER_ERROR = "server_error"
    BUSY = "busy"  # 408, 429
    UNAUTHORISED = "unauthorised"
    NO_ROUTE = "no_route"


@dataclass(frozen=True, slots=True)
class VerifyUnavailable:
    """Nobody knows: the offline path. `sent` True: the server may have accepted it. `seen` True: it went out,
    and somebody may have looked at it, be it to turn it away: a 401 and a 404 may be about the PIN."""

    reason: str
    cause: Cause
    sent: bool
    seen: bool
    status: int | None = None


VerifyAnswer = VerifyAccepted | VerifyRefused | VerifyUnavailable
