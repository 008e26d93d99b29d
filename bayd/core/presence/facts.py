"""The words of presence: where a tag was heard, by what rules it counts, and what came of it.

Values only, nothing here decides anything; `engine` does.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Sighting(NamedTuple):
    """One tag heard once by one port.

    A tuple, not a dataclass: thousands come in each second, and the loop that takes them unpacks them.
    """

    reader: str
    port: int  # from 1, as the labels on the readers count
    epc: str  # hexadecimal, upper case, without spaces
    rssi_dbm: int | None  # None where the family documents no unit
    rssi_raw: int
    reads_to_confirm: Literal[1, 2]  # 2 under an 8-bit checksum, 1 under a CRC-16


@dataclass(frozen=True, slots=True)
class Tee:
    """The mat of a bay: what is heard here is for the bay's player."""

    bay: str


@dataclass(frozen=True, slots=True)
class BallReturn:
    """Where collected balls come by on their way back: a ball seen here counts again."""

    name: str


@dataclass(frozen=True, slots=True)
class Pit:
    """A target. The central server calls them such as "S1_1"."""

    name: str


Place = Tee | BallReturn | Pit


@dataclass(frozen=True, slots=True)
class Route:
    """Whose ears a port is, and from what strength on it is believed."""

    reader: str
    port: int
    place: Place
    floor_dbm: int | None = None  # weaker reads are not counted; None: every read is
    floor_raw: int | None = None  # the same for readers that report no dBm; more is stronger [inferred]


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """When a read becomes a credit. Defaults: wire/rfid.md, "Presence and counting".

    "Inside" a time means less than it: a gap of exactly `absent_after_ms` is an absence.

    Raises ValueError when the times contradict each other.
    """

    # A frame that a weak checksum let through is not seen twice; a tag on the tee is, even at one read
    # per visit and the slowest revisit (0.48 s on eight ports).
    confirm_within_ms: int = 1_000
    # Four of the slowest revisits in a row without a read: the ball is gone, not faded.
    absent_after_ms: int = 2_000
    # One slowest revisit: long enough for the ball's own bay to be asked once after a neighbour was. Eight
    # ports at two rounds per visit take 0.96 s: raise it with them, else neighbours win clear balls.
    arbitration_ms: int = 500
    # Less than this between two bays is fading, not distance.
    hysteresis_db: int = 6
    # A ball on the tee may be covered by a foot for a while; none comes back from the field so soon.
    recount_after_s: int = 120
    # A ball in the pit is the shot of the bay that had it last, unless that was long ago.
    attribution_s: int = 600
    # A luggage tag beside the tee is worth one line an hour.
    foreign_report_s: int = 3_600
    # 128 bays at a ball every five seconds, over `attribution_s`, are 15,360 balls.
    max_balls: int = 16_384
    # Foreign tags reported in the last hour, and (apart) those heard once and not yet confirmed.
    max_foreign: int = 4_096

    def __post_init__(self) -> None:
        for name in ("confirm_within_ms", "arbitration_ms", "foreign_report_s", "max_balls", "max_foreign"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("hysteresis_db", "attribution_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.absent_after_ms <= self.confirm_within_ms + self.arbitration_ms:
            raise ValueError(
                "absent_after_ms must exceed confirm_within_ms + arbitration_ms: "
                "a presence must be decided before it can end"
            )
        if self.recount_after_s * 1_000 < self.absent_after_ms:
            raise ValueError("recount_after_s must not be shorter than absent_after_ms")


@dataclass(frozen=True, slots=True)
class BallRead:
    """A credit: this bay's player has this ball on the tee. Given once per ball and turn."""

    bay: str
    epc: str
    at_ms: int  # when the bay first heard it in this presence; up to 1.5 s and more before the credit
    rssi_dbm: int | None  # the strongest read of the bay up to the decision
    rssi_raw: int


@dataclass(frozen=True, slots=True)
class ForeignTag:
    """A tag that is not a ball of this range, or a retired one. Said once an hour for each place."""

    place: Place
    epc: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class PitSighting:
    """A ball came into a target. Said once per presence there."""

    pit: str
    epc: str
    bay: str | None  # the last bay that had it, None: none in the last `attribution_s`
    at_ms: int  # when the pit first heard it in this presence


Outcome = BallRead | ForeignTag | PitSighting


@dataclass(frozen=True, slots=True)
class PresenceCounters:
    """What was heard, and what was lost on the way. All since the start."""

    reads: int  # everything that came in
    unrouted: int  # from a port that no route names
    below_floor: int  # too weak for its antenna
    balls_evicted: int  # forgotten while it mattered: such a ball may be credited again
    foreign_evicted: int  # forgotten while it mattered: such a tag may be reported again, or later
