"""Presence and credit: raw tag reads in, each ball's credit out, once.

`facts` has the words, `arbitration` decides between bays, `engine` is the whole (and explains it).
"""

from bayd.core.presence.engine import PresenceEngine
from bayd.core.presence.facts import (
    BallRead,
    BallReturn,
    ForeignTag,
    Outcome,
    Pit,
    PitSighting,
    Place,
    PresenceCounters,
    PresenceRules,
    Route,
    Sighting,
    Tee,
)

__all__ = [
    "BallRead",
    "BallReturn",
    "ForeignTag",
    "Outcome",
    "Pit",
    "PitSighting",
    "Place",
    "PresenceCounters",
    "PresenceEngine",
    "PresenceRules",
    "Route",
    "Sighting",
    "Tee",
]
