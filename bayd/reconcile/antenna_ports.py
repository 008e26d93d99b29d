"""What each antenna port of a PC belongs to, and what the status shows of it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass

from bayd.core.model import DeviceState
from bayd.core.presence import BallReturn, Pit, Place, Tee
from hardware.rfid import ReaderIdentity


@dataclass(frozen=True, slots=True)
class PortRoute:
    """What one port of a reader hears, and how loud it calls."""

    place: Place
    power_dbm: int


@dataclass(frozen=True, slots=True)
class ReaderRoutes:
    ports: Mapping[int, PortRoute]
    stay: int  # inventory rounds per visit: as many reads as confirm a ball
    inventory_ms: int  # the longest that one of them takes
    grace_ms: int = 500  # what the driver's watchdog gives a round beyond its longest course

    @property
    def revisit_ms(self) -> int:
        """The longest that a round over all ports takes."""
        return len(self.ports) * self.stay * self.inventory_ms

    @property
    def blind_after_ms(self) -> int:
        """A round that is not over by then is lost to the driver's watchdog (wire/rfid.md, 0xA0, item 7)."""
        return self.revisit_ms + self.grace_ms


@dataclass(frozen=True, slots=True)
class PortView:
    """What the status shows of one antenna port."""

    place: Place
    wanted: bool  # it should be listened to now
    blind_ms: int  # since the start; see `listening`
    blind_now: bool
    revisit_ms: int | None  # the longest of the last ones
    antenna_missing: str | None  # None: none is missed; else what was measured, may be empty
    power_refused: str  # why it sends with another power than configured


@dataclass(frozen=True, slots=True)
class ReaderView:
    """What the status shows of a reader."""

    state: DeviceState
    reason: str
    since_wall_ms: int | None  # of this state
    lost_ms: int  # for how long it is away now
    identity: ReaderIdentity | None
    reads: int
    rounds: int
    ports: Mapping[int, PortView]


def told(place: Place) -> str:
    """A place as the configuration writes it."""
    match place:
        case Tee(bay):
            return bay
        case BallReturn():
            return "return"
        case Pit(name):
            return f"pit:{name}"
