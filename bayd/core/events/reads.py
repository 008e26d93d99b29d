"""Balls that the antennas saw, once for each credit: raw tag reads are no events."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BallRead:
    epc: str
    session_id: str
    player_id: int | None
    at_ms: int
    forget_before_ms: int  # credits older than this no longer matter


@dataclass(frozen=True, slots=True)
class FreeBallRead:
    """In free play: nobody's ball, told to nobody."""

    epc: str
    at_ms: int
    forget_before_ms: int  # credits older than this no longer matter


@dataclass(frozen=True, slots=True)
class PitReached:
    """A counted ball came by an antenna of a target; once for each credit and antenna."""

    epc: str
    pit: str
    session_id: str
    player_id: int | None
    at_ms: int
    points: int | None = None  # None: the rules name none, or another antenna of the target was first


ReadEvent = BallRead | FreeBallRead | PitReached
