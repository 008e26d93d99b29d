"""What the server answers, key by key, in the documents' spelling (`extenedSession` is theirs).

The API description is generated from these types, so an answer and its description cannot differ.
Sources: the Session, Bay, Reader, Antenna, Pit, Game, Score, Transaction, Time Interval, System
Variable and Auth components of the documented server.
"""

from typing import Literal

from pydantic import ConfigDict, JsonValue, with_config
from typing_extensions import TypedDict

_exact = with_config(ConfigDict(extra="forbid"))


@_exact
class Game(TypedDict):
    id: int
    name: str
    image: str | None
    description: str | None
    rules: str | None
    rulesImage: str | None
    ballsLimit: int
    createdAt: str


@_exact
class User(TypedDict):
    id: int
    name: str
    phoneNumber: str
    email: str | None
    isLocked: bool
    lastLogin: str | None
    lastActivity: str | None
    gender: str | None
    birthdate: str | None
    pin: Literal[""] | None
    createdAt: str


@_exact
class SessionUser(TypedDict):
    id: int
    createdAt: str
    user: User


@_exact
class Antenna(TypedDict):
    id: int
    name: str
    port: int
    active: bool
    power: str
    location: str
    createdAt: str


@_exact
class BayBrief(TypedDict):
    """A bay inside a session of a list."""

    id: int
    number: str
    screenId: str | None
    timerId: str | None
    ballLevel: int
    bookedTill: str | None
    createdAt: str


@_exact
class BayWithAntennas(BayBrief):
    """A bay inside one session: here `antennas` is an array."""

    antennas: list[Antenna]


@_exact
class ActiveSession(TypedDict):
    id: int
    pin: str
    duration: int
    cancel: bool
    active: bool
    isInQueue: bool
    timerId: str | None
    createdAt: str


@_exact
class SessionItem(ActiveSession):
    """Session component, 3 (GET sessions)."""

    game: Game | None
    bay: BayBrief
    sessionUsers: list[SessionUser]


@_exact
class Session(ActiveSession):
    """Session component, 4 (GET session by id)."""

    game: Game | None
    billingUser: User
    lastActiveSessionUser: SessionUser | None
    sessionUsers: list[SessionUser]
    bay: BayWithAntennas


@_exact
class PaymentType(TypedDict):
    type: str


@_exact
class Transaction(TypedDict):
    id: int
    amount: int
    discountType: Literal["FIXED"] | None
    reason: str | None
    amountDiscounted: int
    status: Literal["DUE", "PAID"]
    paymentType: PaymentType | None
    createdAt: str


@_exact
class TransactionOfUser(Transaction):
    billingUser: User
    employee: None


@_exact
class ExtensionItem(TypedDict):
    """The documents show `extenedSession` empty only; its items are the reference server's choice."""

    id: int
    duration: int
    amount: int
    createdAt: str


@_exact
class HistoryItem(ActiveSession):
    """Session component, 8 (GET history)."""

    sessionTransaction: list[Transaction]
    bay: BayBrief
    sessionUsers: list[SessionUser]
    extenedSession: list[ExtensionItem]
    billingUser: User
    extendedRequestTime: str | None
    releaseTime: str | None
    extendedTime: int
    paymentPending: int
    paymentReceived: int


@_exact
class Floor(TypedDict):
    id: int
    number: str
    createdAt: str


@_exact
class Price(TypedDict):
    id: int
    startTime: str
    endTime: str
    amount: int
    createdAt: str


@_exact
class Status(TypedDict):
    id: int
    name: str
    shortName: str
    color: str | None
    border: bool
    createdAt: str


@_exact
class Bay(BayBrief):
    """Bay component (GET all): here `antennas` is one object."""

    floor: Floor
    antennas: Antenna | None
    genericPrice: Price
    status: Status
    activeSession: ActiveSession | None


@_exact
class NoBay(TypedDict):
    """`{}`: the answer for a screen that is bound to no bay."""


@_exact
class Reader(TypedDict):
    id: int
    readerID: str
    normalId: str
    active: bool
    readerType: Literal["bay", "pit"]
    noOfAntennas: int
    createdAt: str


@_exact
class ReaderWithAntennas(Reader):
    antennas: list[Antenna]


@_exact
class AntennaWithReader(Antenna):
    reader: Reader


@_exact
class Pit(TypedDict):
    id: int
    name: str
    createdAt: str
    antennas: list[Antenna]


@_exact
class Score(TypedDict):
    id: int
    score: int
    createdAt: str
    game: Game
    pitAntenna: Antenna


@_exact
class TimeInterval(TypedDict):
    id: int
    interval: int
    enable: bool
    createdAt: str


@_exact
class SystemVariable(TypedDict):
    id: int
    name: str
    details: dict[str, JsonValue]
    createdAt: str


@_exact
class Tokens(TypedDict):
    accessToken: str
    refreshToken: str
    user: User


@_exact
class StateReceipt(TypedDict):
    """Extension: `kept` is false when a newer `seq` of this bay is already known."""

    bay: str
    seq: int | None
    kept: bool


@_exact
class BayStateAnswer(TypedDict):
    """Extension: the latest state that a bay controller posted, as it came."""

    bay: str
    seq: int | None
    receivedAt: str
    body: dict[str, JsonValue]
