"""The calls that change a bay, as one table: name, body, roles, and the input that it becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bayd.core import inputs as i
from bayd.core.inputs import Actor, Role

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class NoBody(_Body):
    """Nothing needs to be said."""


class ReasonBody(_Body):
    reason: Reason


class OptionalReasonBody(_Body):
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


class PinBody(_Body):
    pin: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class DispenseBody(_Body):
    balls: int = Field(ge=1, le=10_000)


class ExtendBody(_Body):
    minutes: int = Field(ge=1, le=1440)
    amount: int | None = Field(None, ge=0, description="In the server's unit; staff only.")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


class GameBody(_Body):
    game_id: int = Field(ge=1)


class PlayerBody(_Body):
    session_user_id: int = Field(ge=1)


class DeviceBody(_Body):
    device: Annotated[str, StringConstraints(pattern=r"^(reader|dispenser|screen)$")]


class StopServiceBody(_Body):
    reason: Reason
    force: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """One call. `make` gets the body, who asks, and a fresh identifier for what has one."""

    body: type[_Body]
    roles: frozenset[Role]
    make: Callable[..., i.Input]
    summary: str


_EVERYBODY = frozenset({Role.SCREEN, Role.STAFF})
_STAFF = frozenset({Role.STAFF})
_DEVICES = frozenset({Role.STAFF, Role.TECHNICIAN})


def _dispense(body: DispenseBody, actor: Actor, new_id: str) -> i.Input:
    return i.Dispense(new_id, body.balls, actor)


def _extend(body: ExtendBody, actor: Actor, new_id: str) -> i.Input:
    amount = body.amount if actor.role is Role.STAFF else None
    return i.Extend(new_id, body.minutes, amount, actor, body.reason)


# `pin` and `game` need the server and are served by handlers of their own.
ACTS: Mapping[str, Act] = {
    "dispense": Act(DispenseBody, _EVERYBODY, _dispense, "Pay balls out"),
    "extend": Act(ExtendBody, _EVERYBODY, _extend, "More time: asked for, or given by staff"),
    "extend/decline": Act(
        ReasonBody, _STAFF, lambda b, a, _: i.DeclineExtension(a, b.reason), "Decline a request for more time"
    ),
    "end": Act(OptionalReasonBody, _EVERYBODY, lambda b, a, _: i.End(a, b.reason), "End the session"),
    "pause": Act(ReasonBody, _STAFF, lambda b, a, _: i.Pause(a, b.reason), "Stop the clock"),
    "resume": Act(NoBody, _STAFF, lambda _b, a, _: i.Resume(a), "Let the clock run on"),
    "player": Act(
        PlayerBody, _EVERYBODY, lambda b, a, _: i.SelectPlayer(b.session_user_id, a), "Whose turn it is"
    ),
    "help": Act(NoBody, _EVERYBODY, lambda _b, a, _: i.CallHelp(a), "Call for help"),
    "help/acknowledge": Act(NoBody, _STAFF, lambda _b, a, _: i.AcknowledgeHelp(a), "Help is on its way"),
    "start": Act(ReasonBody, _STAFF, lambda b, a, _: i.StartPlay(a, b.reason), "Start without the PIN"),
    "unlock": Act(ReasonBody, _STAFF, lambda b, a, _: i.UnlockPad(a, b.reason), "Unlock the PIN pad"),
    "hold": Act(ReasonBody, _STAFF, lambda b, a, _: i.Hold(a, b.reason), "Keep the bay free"),
    "release": Act(NoBody, _STAFF, lambda _b, a, _: i.Release(a), "Give a held bay back"),
    "service/stop": Act(
        StopServiceBody,
        _DEVICES,
        lambda b, a, _: i.StopService(a, b.reason, b.force and a.role is Role.STAFF),
        "Take the bay out of service; staff alone may end play for it",
    ),
    "service/resume": Act(NoBody, _DEVICES, lambda _b, a, _: i.ReturnToService(a), "Back into service"),
    "fault/clear": Act(
        DeviceBody, _DEVICES, lambda b, a, _: i.ClearFault(b.device, a), "The device was looked at"
    ),
}
