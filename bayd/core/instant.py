"""Readings of the clocks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    boot_ms: int  # CLOCK_BOOTTIME: goes on in suspend, never steps, starts anew with each boot
    wall_ms: int  # UTC since the epoch, for people and the wire only
    synchronised: bool = True  # False: the wall time is a guess


@dataclass(frozen=True, slots=True)
class AliveMark:
    """A sign of life, and the boot whose clock it is told by."""

    boot_id: str
    boot_ms: int
    wall_ms: int
    synchronised: bool
