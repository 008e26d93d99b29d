"""Balls that the presence rules have confirmed."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BallHeard:
    """A registered ball was confirmed at this bay by the presence rules."""

    epc: str
    at_ms: int  # first heard; the rules take a moment to decide


@dataclass(frozen=True, slots=True)
class BallInPit:
    """A ball that this bay had last was confirmed in a target by the presence rules."""

    epc: str
    pit: str
    at_ms: int
    points: Mapping[int, int] = field(default_factory=dict)  # game -> what this target is worth in it


ReadInput = BallHeard | BallInPit
