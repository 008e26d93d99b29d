"""PINs at the pad. The attempt is journaled before the check, so that a crash never gives a free guess."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PinAttempted:
    attempt_id: str
    request_key: str | None
    at_ms: int
    failures: int  # this attempt included, until it succeeds
    locked_until_ms: int | None


@dataclass(frozen=True, slots=True)
class PinAccepted:
    attempt_id: str
    session_id: str
    failures: int = 0  # before it, that it does not forgive


@dataclass(frozen=True, slots=True)
class PinRefused:
    attempt_id: str
    wrong_bay: bool = False  # it opens a booking of another bay here
    earlier: str | None = None  # the attempt that had counted for this same PIN: the two are one try


@dataclass(frozen=True, slots=True)
class PinCheckFailed:
    """Nobody could tell whether it is right. A try where somebody may have looked at it."""

    attempt_id: str
    reason: str
    failures: int
    locked_until_ms: int | None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class PadUnlocked:
    by: str
    reason: str


PinEvent = PinAttempted | PinAccepted | PinRefused | PinCheckFailed | PadUnlocked
