"""What the central server said of a bay's sessions, and what staff decided about telling it."""

from dataclasses import dataclass

from bayd.core.model import Booking, EndReason


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
class SessionNumbered:
    """The server has booked a walk-in, under this number."""

    session_id: str
    server_id: str


@dataclass(frozen=True, slots=True)
class BookedTillSeen:
    """Whether the server shows the bay as booked after the present session, when that changed."""

    booked: bool


@dataclass(frozen=True, slots=True)
class ServerActivitySeen:
    """What the server's `active` said of the session in play, when it changed."""

    active: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class ServerGameSeen:
    """The server shows a game that was chosen here."""

    session_id: str
    game_id: int


@dataclass(frozen=True, slots=True)
class ServerMoveSeen:
    """The server shows the session at this bay, too."""

    session_id: str


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


ServerEvent = (
    BookingLearned
    | BookingChanged
    | BookingWithdrawn
    | SessionNumbered
    | BookedTillSeen
    | ServerActivitySeen
    | ServerGameSeen
    | ServerMoveSeen
    | ConflictSeen
    | ConflictSettled
    | DeliveryRetried
    | DeliveryDropped
)
