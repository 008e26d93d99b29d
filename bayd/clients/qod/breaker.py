"""A circuit breaker as a value: no clock, no lock, every step a new state.

Closed counts failures in a row. At the limit it opens: nothing is sent for a while, longer each time up to a
bound. Then one single probe decides between closed and open again. `now_s` is any monotonic clock.
"""

from dataclasses import dataclass
from typing import TypeAlias, assert_never


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    failures: int  # in a row, until it opens
    open_s: float  # the first pause; doubled with every failed probe
    open_max_s: float


@dataclass(frozen=True, slots=True)
class Closed:
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    until_s: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class Probing:
    """One request is under way; whatever else comes waits for its outcome."""

    pause_s: float  # that led here


BreakerState: TypeAlias = Closed | Open | Probing

# While a probe is under way there is no better guess for "when" than soon.
_PROBE_WAIT_S = 1.0


def admit(state: BreakerState, now_s: float) -> tuple[BreakerState, float | None]:
    """The state after asking, and None for "send", else the seconds to wait."""
    match state:
        case Closed():
            return state, None
        case Open(until_s, pause_s):
            return (Probing(pause_s), None) if now_s >= until_s else (state, until_s - now_s)
        case Probing():
            return state, _PROBE_WAIT_S
        case _:
            assert_never(state)


def succeeded(state: BreakerState) -> BreakerState:
    """An answer came. One that was asked for before it opened proves as much."""
    del state
    return Closed()


def failed(state: BreakerState, limits: BreakerLimits, now_s: float) -> BreakerState:
    match state:
        case Closed(failures):
            if failures + 1 < limits.failures:
                return Closed(failures + 1)
            return Open(now_s + limits.open_s, limits.open_s)
        case Open():
            return state  # a request from before it opened: it neither shortens nor lengthens the pause
        case Probing(pause_s):
            longer_s = min(pause_s * 2, limits.open_max_s)
            return Open(now_s + longer_s, longer_s)
        case _:
            assert_never(state)


def abandoned(state: BreakerState, now_s: float) -> BreakerState:
    """The request was cancelled and proves nothing: the next one may probe."""
    match state:
        case Probing(pause_s):
            return Open(now_s, pause_s)
        case Closed() | Open():
            return state
        case _:
            assert_never(state)
