"""The central server's word, and what staff say of it."""

from dataclasses import dataclass

from bayd.core.inputs.actors import Actor
from bayd.core.model import Game


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
    was_live: bool = False  # here, when the server was asked: gone since, it is no new booking


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


ServerInput = (
    ServerSaid
    | ServerMovedAway
    | ServerContradicted
    | SettleConflict
    | ServerNumbered
    | RetryDelivery
    | DropDelivery
)
