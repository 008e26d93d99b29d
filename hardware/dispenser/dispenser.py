"""The dispenser port: what every driver offers.

A payout is three steps, so that no crash can pay twice:

1. `mark` asks the device where it stands (event counter, lifetime count). The caller makes the mark durable.
2. `pay` starts the motor, once. It is never repeated for the same mark unless it raised NotStartedError.
3. `progress` compares the device with the mark: how many balls of this payout are out, is it still running.

After a crash, a time-out or a power cut the caller goes straight to step 3 with the journaled mark:
`progress` only ever asks. Whatever is owed is computed by the caller (requested - paid), never taken
from the device.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class DispenserError(Exception):
    """A dispenser cannot do what was asked; the message is for people."""


class DispenserUnavailableError(DispenserError):
    """No answer, or the link is gone. Ask again later; what was running may still run."""


class UnsupportedDispenserError(DispenserUnavailableError):
    """What answers cannot be driven, now or later: another kind of machine, or one that wants encryption."""


class NotStartedError(DispenserError):
    """The device certainly did not start this payout."""


class OutcomeUnknownError(DispenserError):
    """The device may or may not have started: call `progress` with the mark, do not repeat `pay`."""


class Level(StrEnum):
    """How full the machine is. UNKNOWN where no sensor is fitted."""

    EMPTY = "empty"
    LOW = "low"
    OK = "ok"
    FULL = "full"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Capabilities:
    counted: bool  # False: open loop, balls = pulses x balls_per_pulse
    level_sensors: bool
    emergency_stop: bool
    step: int = 1  # the smallest payout, and what every payout is a multiple of
    max_per_payout: int = 255  # more is split by the caller, each part with a mark of its own


@dataclass(frozen=True, slots=True)
class Identity:
    driver: str
    manufacturer: str
    product: str
    serial: str
    software: str
    details: Mapping[str, str] = field(default_factory=dict)


# The fault of a payout that a loss of power ended. Nothing is broken.
RESET = "reset"

# Where the device stood before a payout: plain numbers, so that any journal can keep them.
Mark = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """One payout as the device tells it now."""

    paid: int | None  # balls out since the mark; None: cannot be known
    running: bool  # the motor still works on it
    fault: str | None = None  # named: "jam", "empty", "reset", "opto blocked", …


class Dispenser(Protocol):
    """A machine that pays balls out. Methods are called one at a time; `stop` may overtake any of them."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def connect(self) -> Identity:
        """Open (again), identify, make safe. Never starts a motor. Raises DispenserUnavailableError."""
        ...

    async def mark(self) -> Mark:
        """Where the device stands now. Raises DispenserUnavailableError."""
        ...

    async def pay(self, balls: int, mark: Mark) -> None:
        """Start one payout, once. Raises NotStartedError or OutcomeUnknownError."""
        ...

    async def progress(self, balls: int, mark: Mark) -> Progress:
        """What became of the payout of `balls` after `mark`. Only asks. Raises DispenserUnavailableError."""
        ...

    async def stop(self) -> None:
        """Stop the motor now, whatever it does. Raises DispenserUnavailableError."""
        ...

    async def clear_faults(self) -> None:
        """A person has seen to the machine: forget its errors. Every payout must be settled before.

        Raises DispenserUnavailableError.
        """
        ...

    async def level(self) -> Level:
        """Raises DispenserUnavailableError."""
        ...

    async def aclose(self) -> None: ...
