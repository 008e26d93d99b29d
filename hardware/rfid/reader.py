"""The reader port: what every RFID driver offers, and what it reports.

A driver is one long task (`run`) that opens its link, identifies the reader, applies the plan and
reads until it is cancelled; a lost reader is an event, not an exception. Ports count from 1, as the
central server and the labels on the readers do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hardware.rfid.asides import Asides


@dataclass(frozen=True, slots=True)
class PortPlan:
    """What one antenna port shall do."""

    power_dbm: int
    stay: int = 1  # inventory rounds per visit; bays in play get more than idle ones


@dataclass(frozen=True, slots=True)
class AntennaPlan:
    """The ports to read, and how. A port that is not named is left alone and costs no air time."""

    ports: Mapping[int, PortPlan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TagRead:
    """One tag heard once."""

    port: int
    epc: str  # hexadecimal, upper case, without spaces
    rssi_dbm: int | None  # None where the family documents no unit
    rssi_raw: int


@dataclass(frozen=True, slots=True)
class ReaderIdentity:
    """What the reader said of itself."""

    family: str  # the driver's name: "r2000_a0", "uhfreader288"
    firmware: str
    model: str
    port_count: int
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReaderOnline:
    identity: ReaderIdentity


@dataclass(frozen=True, slots=True)
class ReaderLost:
    reason: str  # for people


@dataclass(frozen=True, slots=True)
class TagBatch:
    """All tags of one piece of input, oldest first."""

    reads: tuple[TagRead, ...]


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """Each of these ports was listened to once more: the proof that it is not blind."""

    ports: frozenset[int]


@dataclass(frozen=True, slots=True)
class AntennaMissing:
    """The reader finds no antenna at this port. Reported once per change, not per round."""

    port: int
    detail: str = field(default="", compare=False)  # for people: what was measured, where that is known


@dataclass(frozen=True, slots=True)
class AntennaRestored:
    port: int


@dataclass(frozen=True, slots=True)
class PowerRefused:
    """The reader would not take this power; it goes on with what it had."""

    port: int
    power_dbm: int
    reason: str


ReaderEvent = (
    ReaderOnline | ReaderLost | TagBatch | RoundEnded | AntennaMissing | AntennaRestored | PowerRefused
)


class RfidReader(Protocol):
    """A reader of any family."""

    @property
    def reads_to_confirm(self) -> int:
        """Identical reads before an EPC may be believed: 2 under an 8-bit checksum, 1 under a CRC-16."""
        ...

    def set_plan(self, plan: AntennaPlan) -> None:
        """Take over from the next round; also while the reader is away."""
        ...

    @property
    def asides(self) -> Asides:
        """Where somebody else may ask the reader something, between its rounds."""
        ...

    async def run(self) -> None:
        """Drive the reader until cancelled. Events go to the callback given at construction."""
        ...
