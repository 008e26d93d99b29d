"""What the guest and staff do with a session."""

from dataclasses import dataclass

from bayd.core.inputs.actors import Actor
from bayd.core.model import Game


@dataclass(frozen=True, slots=True)
class StartPlay:
    """Staff start the oldest booking without its PIN."""

    actor: Actor
    reason: str
    session_id: str | None = None  # the booking that was meant; None: whichever is next


@dataclass(frozen=True, slots=True)
class End:
    actor: Actor
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class Pause:
    actor: Actor
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class Resume:
    actor: Actor
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class Move:
    """The session goes to another bay of this PC. Decided about both: `moving.decide_move`, not `decide`."""

    to: str
    actor: Actor  # the system: the server has moved it already
    reason: str
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class SelectGame:
    game: Game
    actor: Actor
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class SelectPlayer:
    session_user_id: int
    actor: Actor
    session_id: str | None = None  # the one that was meant; None: whichever plays


@dataclass(frozen=True, slots=True)
class CallHelp:
    actor: Actor


@dataclass(frozen=True, slots=True)
class AcknowledgeHelp:
    actor: Actor


SessionInput = StartPlay | End | Pause | Resume | SelectGame | SelectPlayer | CallHelp | AcknowledgeHelp
