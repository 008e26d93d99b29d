"""UHF RFID readers: the port that bayd sees, and a driver per family of readers."""

from hardware.rfid.asides import Asides, ReaderAwayError, Seat
from hardware.rfid.reader import (
    AntennaMissing,
    AntennaPlan,
    AntennaRestored,
    PortPlan,
    PowerRefused,
    ReaderEvent,
    ReaderIdentity,
    ReaderLost,
    ReaderOnline,
    RfidReader,
    RoundEnded,
    TagBatch,
    TagRead,
)

__all__ = [
    "AntennaMissing",
    "AntennaPlan",
    "AntennaRestored",
    "Asides",
    "PortPlan",
    "PowerRefused",
    "ReaderAwayError",
    "ReaderEvent",
    "ReaderIdentity",
    "ReaderLost",
    "ReaderOnline",
    "RfidReader",
    "RoundEnded",
    "Seat",
    "TagBatch",
    "TagRead",
]
