"""Ball dispensers: the port that bayd sees, and a driver per kind of machine."""

from hardware.dispenser.dispenser import (
    RESET,
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
    "RESET",
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
