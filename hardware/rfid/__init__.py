"""UHF RFID readers: the port that bayd sees, and a driver per family of readers."""

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
    "PortPlan",
    "PowerRefused",
    "ReaderEvent",
    "ReaderIdentity",
    "ReaderLost",
    "ReaderOnline",
    "RfidReader",
    "RoundEnded",
    "TagBatch",
    "TagRead",
]
