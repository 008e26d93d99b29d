"""A session from its start to the end of its grace time, and what its people chose meanwhile."""

from dataclasses import dataclass

from bayd.core.model import (
    Balls,
    Conflict,
    Credit,
    Due,
    EndReason,
    Game,
    OwnExtension,
    PlaySession,
    StartedBy,
    UnknownBalls,
)


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
class PauseOverran:
    """Staff are told."""

    session_id: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class SessionResumed:
    at_ms: int
    ends_at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class WarningGiven:
    minutes: int  # left at most; the larger ones are done with too


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
    game_id: int | None = None  # that was played last; None: none, or one that could not be read


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
class PlayerSelected:
    session_user_id: int
    own: bool


@dataclass(frozen=True, slots=True)
class HelpCalled:
    at_ms: int


@dataclass(frozen=True, slots=True)
class HelpAcknowledged:
    by: str


SessionEvent = (
    SessionStarted
    | NextSessionReady
    | SessionPaused
    | PauseOverran
    | SessionResumed
    | WarningGiven
    | SessionMovedAway
    | SessionMovedIn
    | SessionEnded
    | GraceEnded
    | GameSelected
    | GameCleared
    | PlayerSelected
    | HelpCalled
    | HelpAcknowledged
)
