"""The PIN pad."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PinAttempt:
    attempt_id: str
    request_key: str | None  # where its answer is kept
    at_ms: int


@dataclass(frozen=True, slots=True)
class PinPad:
    failures: int = 0  # in a row; an attempt counts until it succeeds
    last_try_ms: int | None = None
    locked_until_ms: int | None = None
    attempt: PinAttempt | None = None  # being checked now
    unproven: tuple[str, ...] = ()  # of the failures: attempts that nobody has called wrong
