"""A PIN that was typed, and what the check of it said."""

from dataclasses import dataclass

from bayd.core.inputs.actors import Actor
from bayd.core.model import StartedBy


@dataclass(frozen=True, slots=True)
class PinEntered:
    attempt_id: str
    request_key: str | None


@dataclass(frozen=True, slots=True)
class PinWasRight:
    attempt_id: str
    session_id: str
    started_by: StartedBy
    earlier: str | None = None  # the attempt that counted for this same PIN when nobody could tell


@dataclass(frozen=True, slots=True)
class PinWasWrong:
    attempt_id: str
    wrong_bay: bool = False  # it opens a booking of another bay here
    earlier: str | None = None  # as `PinWasRight.earlier`


@dataclass(frozen=True, slots=True)
class PinNotChecked:
    """Neither the server nor the offline table could tell."""

    attempt_id: str
    reason: str
    counts: bool = False  # somebody may have looked at it: a try, until it is proven right


@dataclass(frozen=True, slots=True)
class UnlockPad:
    actor: Actor
    reason: str


PinInput = PinEntered | PinWasRight | PinWasWrong | PinNotChecked | UnlockPad
