"""What is known of a bay's QoS session at the operator, state by state.

    idle → creating → requested → available ⇄ extending → ending → ended → …            degraded

`evolve` reads events alone; what to do next is decided by `bayd.core.qos`. Instants are milliseconds of the
boot clock; `QosRestarted` moves them onto another.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar, assert_never

from bayd.core.qos_events import (
    Event,
    QosCreated,
    QosCreateFailed,
    QosCreateIntended,
    QosDegraded,
    QosDeleted,
    QosEndIntended,
    QosExtended,
    QosExtendFailed,
    QosExtendIntended,
    QosMissed,
    QosNothingFound,
    QosRecovered,
    QosRestarted,
    QosStatusSeen,
    QosVanished,
)
from bayd.core.qos_words import Cause, Outcome, Status, Trouble

_EXPIRY_SLACK_MS = 2_000  # times on the wire may be whole seconds: an end so close to expiry is the expiry


@dataclass(frozen=True, slots=True)
class Record:
    """What went wrong lately, for back-off and caps."""

    session: str = ""  # the session of play that the two counts are for
    terminated: int = 0
    stuck: int = 0
    streak: int = 0  # failures since a QoS session was last AVAILABLE
    failed_at_ms: int | None = None
    created_at_ms: int | None = None  # the last intent to create


@dataclass(frozen=True, slots=True)
class Lease:
    """One QoS session at the operator."""

    qos_id: str
    session: str  # the session of play that it was created for
    x_correlator: str
    flow: str
    duration_s: int  # granted, or else asked for


# States


@dataclass(frozen=True, slots=True)
class Idle:
    record: Record = field(default_factory=Record)


@dataclass(frozen=True, slots=True)
class Creating:
    """An intent is durable. Whether anything exists at the operator, `outcome` tells."""

    record: Record
    session: str
    x_correlator: str
    flow: str
    asked_s: int
    since_ms: int
    attempt: int = 1
    outcome: Outcome = Outcome.PENDING
    outcome_at_ms: int | None = None
    retry_at_ms: int | None = None  # as the operator asked
    misses: int = 0  # looks for it that gave no answer


@dataclass(frozen=True, slots=True)
class Requested:
    record: Record
    lease: Lease
    since_ms: int
    seen_at_ms: int | None  # last answer or attempt; None: not since the start
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Available:
    record: Record
    lease: Lease
    since_ms: int
    expires_at_ms: int
    seen_at_ms: int | None
    misses: int = 0
    extendable: bool = True  # False: the operator has given all that it gives
    tried_at_ms: int | None = None  # an extension that came to nothing


@dataclass(frozen=True, slots=True)
class Extending:
    record: Record
    lease: Lease
    available_since_ms: int
    expires_at_ms: int  # before the extension
    since_ms: int
    unclear: bool = False  # ask, never repeat
    seen_at_ms: int | None = None
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """To be deleted; a 404 is as good as a 204."""

    record: Record
    lease: Lease
    cause: Cause
    since_ms: int
    over_at_ms: int  # by then it is over without us, as far as we know
    misses: int = 0
    missed_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    record: Record
    cause: Cause
    at_ms: int


@dataclass(frozen=True, slots=True)
class Degraded:
    record: Record
    trouble: Trouble
    session: str | None  # for this session of play only; None: whoever plays
    since_ms: int
    until_ms: int | None


State = Idle | Creating | Requested | Available | Extending | Ending | Ended | Degraded

_STATES: Mapping[str, type[State]] = {
    kind.__name__.lower(): kind
    for kind in (Idle, Creating, Requested, Available, Extending, Ending, Ended, Degraded)
}
STATE_NAMES = tuple(_STATES)
_WORDS: Mapping[str, type[StrEnum]] = {"outcome": Outcome, "trouble": Trouble, "cause": Cause}


def name_of(state: State) -> str:
    """As the status shows it: "available"."""
    return type(state).__name__.lower()


def dump(state: State) -> dict[str, Any]:
    """Plain JSON values."""
    return {"state": name_of(state), **asdict(state)}


def load(row: Mapping[str, Any]) -> State:
    """Of `dump`. Raises KeyError, TypeError or ValueError for anything else."""
    values: dict[str, Any] = {name: value for name, value in row.items() if name != "state"}
    values["record"] = Record(**values["record"])
    if "lease" in values:
        values["lease"] = Lease(**values["lease"])
    for name in _WORDS.keys() & values.keys():
        values[name] = _WORDS[name](values[name])
    return _STATES[row["state"]](**values)


_Leased = Requested | Available | Extending | Ending


def evolve(state: State, event: Event) -> State:
    """The state after an event. An answer about a session that is no longer ours changes nothing."""
    match event:
        case QosCreateIntended():
            return _intended(state, event)
        case QosCreated() if isinstance(state, Creating):
            return _created(state, event)
        case QosCreateFailed() if isinstance(state, Creating):
            return _create_failed(state, event)
        case QosNothingFound() if isinstance(state, Creating):
            return _nothing_found(state, event)
        case QosMissed():
            return _missed(state, event)
        case QosDegraded():
            return Degraded(state.record, event.trouble, event.session, event.at_ms, event.until_ms)
        case QosRecovered():
            return Idle(state.record)
        case QosRestarted():
            return _restarted(state, event)
        case QosCreated() | QosCreateFailed() | QosNothingFound():
            return state
        case (
            QosStatusSeen()
            | QosVanished()
            | QosExtendIntended()
            | QosExtended()
            | QosExtendFailed()
            | QosEndIntended()
            | QosDeleted()
        ):
            if isinstance(state, _Leased) and state.lease.qos_id == event.qos_id:
                return _of_lease(state, event)
            return state
        case _:
            assert_never(event)


def _intended(state: State, event: QosCreateIntended) -> State:
    record = replace(state.record, created_at_ms=event.at_ms)
    if record.session != event.session:
        record = replace(record, session=event.session, terminated=0, stuck=0)
    again = isinstance(state, Creating) and state.x_correlator == event.x_correlator
    first = state if isinstance(state, Creating) and again else None
    return Creating(
        record,
        event.session,
        event.x_correlator,
        event.flow,
        event.asked_s,
        since_ms=event.at_ms if first is None else first.since_ms,
        attempt=1 if first is None else first.attempt + 1,
    )


def _nothing_found(state: Creating, event: QosNothingFound) -> State:
    if state.outcome is Outcome.CONFLICT:
        return replace(state, outcome=Outcome.FOREIGN, outcome_at_ms=event.at_ms, misses=0)
    record = _failure(state.record, event.at_ms)
    return replace(state, record=record, outcome=Outcome.NOT_THERE, outcome_at_ms=event.at_ms, misses=0)


def _created(state: Creating, event: QosCreated) -> State:
    granted_s = state.asked_s if event.granted_s is None else event.granted_s
    lease = Lease(event.qos_id, state.session, state.x_correlator, state.flow, granted_s)
    if event.status == Status.UNAVAILABLE:
        return _ending(Requested(state.record, lease, event.at_ms, None), Cause.TERMINATED, event.at_ms)
    if event.status == Status.AVAILABLE:
        expires_at_ms = event.expires_at_ms
        if expires_at_ms is None:
            expires_at_ms = event.at_ms + granted_s * 1_000
        return Available(_success(state.record), lease, event.at_ms, expires_at_ms, event.at_ms)
    return Requested(state.record, lease, event.at_ms, event.at_ms)


def _ending(state: Requested | Available | Extending, cause: Cause, at_ms: int) -> Ending:
    """The operator keeps it, and it blocks its flow, until it is deleted."""
    record = _failure_by(state.record, cause, at_ms)
    return Ending(record, state.lease, cause, at_ms, over_at_ms(state))


def over_at_ms(state: Requested | Available | Extending | Ending) -> int:
    """When the session is over by itself, as far as is known."""
    match state:
        case Requested():
            return state.since_ms + state.lease.duration_s * 1_000
        case Available() | Extending():
            return state.expires_at_ms
        case Ending():
            return state.over_at_ms
        case _:
            assert_never(state)


def _create_failed(state: Creating, event: QosCreateFailed) -> State:
    sure = event.outcome is not Outcome.UNCLEAR
    return replace(
        state,
        record=_failure(state.record, event.at_ms) if sure else state.record,
        outcome=event.outcome,
        outcome_at_ms=event.at_ms,
        retry_at_ms=event.retry_at_ms,
        misses=0,
    )


_AboutLease = (
    QosStatusSeen
    | QosVanished
    | QosExtendIntended
    | QosExtended
    | QosExtendFailed
    | QosEndIntended
    | QosDeleted
)


def _of_lease(state: _Leased, event: _AboutLease) -> State:
    match event:
        case QosStatusSeen():
            return _seen(state, event)
        case QosVanished() if isinstance(state, Ending):
            return Ended(state.record, state.cause, event.at_ms)
        case QosVanished():
            cause = Cause.EXPIRED if _is_expiry(state, event.at_ms) else Cause.TERMINATED
            return Ended(_failure_by(state.record, cause, event.at_ms), cause, event.at_ms)
        case QosExtendIntended() if isinstance(state, Available):
            return Extending(state.record, state.lease, state.since_ms, state.expires_at_ms, event.at_ms)
        case QosExtended() if isinstance(state, Extending):
            grew = event.expires_at_ms > state.expires_at_ms + _EXPIRY_SLACK_MS
            return _available_again(state, event.expires_at_ms, event.at_ms, extendable=grew)
        case QosExtendFailed(unclear=True) if isinstance(state, Extending):
            return replace(state, unclear=True)
        case QosExtendFailed() if isinstance(state, Extending):
            return _available_again(state, state.expires_at_ms, event.at_ms, extendable=False)
        case QosEndIntended() if not isinstance(state, Ending):
            return _ending(state, event.cause, event.at_ms)
        case QosDeleted():
            cause = state.cause if isinstance(state, Ending) else Cause.UNWANTED
            return Ended(state.record, cause, event.at_ms)
        case QosExtendIntended() | QosExtended() | QosExtendFailed() | QosEndIntended():
            return state
        case _:
            assert_never(event)


def _seen(state: _Leased, event: QosStatusSeen) -> State:
    if isinstance(state, Ending):
        return state
    if event.status == Status.UNAVAILABLE:
        told_expired = event.status_info == "DURATION_EXPIRED"
        if told_expired or (event.status_info is None and _is_expiry(state, event.at_ms)):
            return Ended(state.record, Cause.EXPIRED, event.at_ms)
        return _ending(state, Cause.TERMINATED, event.at_ms)
    if isinstance(state, Requested) and event.status != Status.AVAILABLE:
        return replace(state, seen_at_ms=event.at_ms, misses=0)
    expires_at_ms = event.expires_at_ms
    if expires_at_ms is None:
        known = None if isinstance(state, Requested) else state.expires_at_ms
        expires_at_ms = event.at_ms + state.lease.duration_s * 1_000 if known is None else known
    match state:
        case Requested():
            return Available(_success(state.record), state.lease, event.at_ms, expires_at_ms, event.at_ms)
        case Available():
            return replace(
                state,
                record=_success(state.record),
                expires_at_ms=expires_at_ms,
                seen_at_ms=event.at_ms,
                misses=0,
            )
        case Extending():
            grew = expires_at_ms > state.expires_at_ms + _EXPIRY_SLACK_MS
            again = _available_again(state, expires_at_ms, event.at_ms, extendable=True)
            return again if grew else replace(again, tried_at_ms=state.since_ms)
        case _:
            assert_never(state)


def _available_again(state: Extending, expires_at_ms: int, at_ms: int, *, extendable: bool) -> Available:
    return Available(
        _success(state.record),
        state.lease,
        state.available_since_ms,
        expires_at_ms,
        at_ms,
        extendable=extendable,
    )


def _missed(state: State, event: QosMissed) -> State:
    match state:
        case Requested() | Available() | Extending():
            return replace(state, seen_at_ms=event.at_ms, misses=state.misses + 1)
        case Ending():
            return replace(state, missed_at_ms=event.at_ms, misses=state.misses + 1)
        case Creating():
            return replace(state, outcome_at_ms=event.at_ms, misses=state.misses + 1)
        case Idle() | Ended() | Degraded():
            return state
        case _:
            assert_never(state)


def _restarted(state: State, event: QosRestarted) -> State:
    moved = _moved(state, event.shift_ms)
    match moved:
        case Creating(outcome=Outcome.PENDING):
            return replace(moved, outcome=Outcome.UNCLEAR, outcome_at_ms=event.at_ms)
        case Requested() | Available():
            return replace(moved, seen_at_ms=None, misses=0)
        case Extending():
            return replace(moved, unclear=True, seen_at_ms=None, misses=0)
        case Ending():
            return replace(moved, misses=0, missed_at_ms=None)
        case _:
            return moved


_D = TypeVar("_D", State, Record)


def _moved(value: _D, shift_ms: int) -> _D:
    """Every instant in it, shifted."""
    changes: dict[str, Any] = {
        entry.name: getattr(value, entry.name) + shift_ms
        for entry in fields(value)
        if entry.name.endswith("_ms") and getattr(value, entry.name) is not None
    }
    if not isinstance(value, Record):
        changes["record"] = _moved(value.record, shift_ms)
    return replace(value, **changes)


def _is_expiry(state: _Leased, at_ms: int) -> bool:
    if isinstance(state, Available | Extending):
        return at_ms >= state.expires_at_ms - _EXPIRY_SLACK_MS
    return False


def _success(record: Record) -> Record:
    return replace(record, streak=0)


def _failure(record: Record, at_ms: int, *, terminated: int = 0, stuck: int = 0) -> Record:
    return replace(
        record,
        terminated=record.terminated + terminated,
        stuck=record.stuck + stuck,
        streak=record.streak + 1,
        failed_at_ms=at_ms,
    )


def _failure_by(record: Record, cause: Cause, at_ms: int) -> Record:
    """What the cause of an end adds to the record."""
    match cause:
        case Cause.TERMINATED:
            return _failure(record, at_ms, terminated=1)
        case Cause.STUCK:
            return _failure(record, at_ms, stuck=1)
        case Cause.UNWANTED | Cause.HANDED_OVER | Cause.OTHER_FLOW | Cause.EXPIRED:
            return record
        case _:
            assert_never(cause)
