"""What the central server has of a bay: bookings, games, and what it contradicts."""

from dataclasses import dataclass


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
