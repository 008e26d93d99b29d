"""The session in play, and what is kept of the last one."""

from dataclasses import dataclass, field

from bayd.core.model.dispensing import Asked, Balls, Reconciled
from bayd.core.model.money import AskedExtension, OwnExtension
from bayd.core.model.server import Game
from bayd.core.model.words import EndReason, StartedBy


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
    desk_minutes_when_moved: int | None = None  # what came since, a move may have taken from its timer

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
class MovedSession:
    """Where the last guest of this bay went, until another one's session is over."""

    session_id: str
    to: str
    at_ms: int
