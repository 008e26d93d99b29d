"""The bay as a place: the clock, its hours, its devices, and what staff decide about it."""

from dataclasses import dataclass

from bayd.core.inputs.actors import SYSTEM, Actor
from bayd.core.model import DeviceState, Mode


@dataclass(frozen=True, slots=True)
class TimeCame:
    """A deadline may have passed."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The daemon is back. The mark is the last sign of life; its clocks may be of another boot."""

    mark_boot_ms: int
    mark_wall_ms: int
    same_boot: bool
    wall_trusted: bool  # synchronised then and now


@dataclass(frozen=True, slots=True)
class ModeSeen:
    """What the hours of the site say, by the wall clock there."""

    mode: Mode
    until_wall_ms: int | None  # None: not known, or for ever
    day_began_wall_ms: int | None  # None: the clock is not to be trusted
    actor: Actor = SYSTEM


@dataclass(frozen=True, slots=True)
class SetMode:
    """Staff want the bay open for something else, or, without a mode, as the hours of the site say."""

    mode: Mode | None
    today: bool  # until midnight; else until it is revoked
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    actor: Actor


@dataclass(frozen=True, slots=True)
class StopService:
    actor: Actor
    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class ReturnToService:
    actor: Actor


@dataclass(frozen=True, slots=True)
class ClearFault:
    """Staff have looked at the dispenser."""

    device: str
    actor: Actor
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeviceReported:
    device: str
    state: DeviceState
    reason: str


BayInput = (
    TimeCame
    | Restarted
    | ModeSeen
    | SetMode
    | Hold
    | Release
    | StopService
    | ReturnToService
    | ClearFault
    | DeviceReported
)
