"""Ball dispensers: the port that bayd sees, and a driver per kind of machine."""

from hardware.dispenser.dispenser import (
    Capabilities,
    Dispenser,
    DispenserError,
    DispenserUnavailableError,
    Identity,
    Level,
    Mark,
    NotStartedError,
    OutcomeUnknownError,
    Progress,
    UnsupportedDispenserError,
)

__all__ = [
    "Capabilities",
    "Dispenser",
    "DispenserError",
    "DispenserUnavailableError",
    "Identity",
    "Level",
    "Mark",
    "NotStartedError",
    "OutcomeUnknownError",
    "Progress",
    "UnsupportedDispenserError",
]
