"""One QoS session and the course it takes, as pure functions of time.

    created ── requested_delay ──► available ── duration ──► ended ── retention ──► released

A session ends by DURATION_EXPIRED, NETWORK_TERMINATED or DELETE_REQUESTED; until it is released it can still
be read (and, after NETWORK_TERMINATED, blocks its flow). `next_step` says what is due next and when, so a
restart loses nothing: whatever fell due meanwhile happens with its own time, not with that of the restart.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bayd.reference.qod.dialects import Dialect


class Cause(StrEnum):
    DURATION_EXPIRED = "DURATION_EXPIRED"
    NETWORK_TERMINATED = "NETWORK_TERMINATED"
    DELETE_REQUESTED = "DELETE_REQUESTED"


class Status(StrEnum):
    REQUESTED = "REQUESTED"
    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class QosSession:
    """Times are seconds since the epoch, by the operator's own clock."""

    session_id: str
    client_id: str
    profile: str
    duration_s: int  # granted
    created_at: float
    available_due_at: float | None  # None: stays REQUESTED
    retention_s: float
    echo: dict[str, Any] = field(repr=False)
    available_at: float | None = None
    terminate_due_at: float | None = None  # the network will end it then
    ended_at: float | None = None
    cause: Cause | None = None
    released_at: float | None = None
    x_correlator: str | None = None

    @property
    def status(self) -> Status:
        if self.ended_at is not None:
            return Status.UNAVAILABLE
        return Status.REQUESTED if self.available_at is None else Status.AVAILABLE

    @property
    def expires_at(self) -> float:
        return (self.created_at if self.available_at is None else self.available_at) + self.duration_s

    @property
    def blocks_its_flow(self) -> bool:
        return self.released_at is None and self.cause in (None, Cause.NETWORK_TERMINATED)


@dataclass(frozen=True, slots=True)
class Due:
    at: float
    after: QosSession  # the session once it has happened


def next_step(session: QosSession) -> Due | None:
    """What happens next if nobody calls; None: nothing any more."""
    if session.released_at is not None:
        return None
    if session.ended_at is not None:
        at = session.ended_at + session.retention_s
        return Due(at, replace(session, released_at=at))
    steps = [Due(session.expires_at, end(session, Cause.DURATION_EXPIRED, session.expires_at))]
    if session.available_at is None and session.available_due_at is not None:
        at = session.available_due_at
        # First in the list: what is due at the same instant finds it available.
        steps.insert(0, Due(at, replace(session, available_at=at)))
    if session.terminate_due_at is not None:
        at = session.terminate_due_at
        steps.append(Due(at, end(session, Cause.NETWORK_TERMINATED, at)))
    return min(steps, key=lambda step: step.at)


def end(session: QosSession, cause: Cause, at: float) -> QosSession:
    return replace(session, ended_at=at, cause=cause, terminate_due_at=None)


def delete(session: QosSession, at: float) -> QosSession:
    """DELETE releases at once; a session that had ended keeps its own cause."""
    ended = session if session.ended_at is not None else end(session, Cause.DELETE_REQUESTED, at)
    return replace(ended, released_at=at)


def extend(session: QosSession, additional_s: int, max_duration_s: int) -> QosSession:
    """Capped silently, never shortened (camara 1.1.0 extendQosSessionDuration)."""
    capped_s = min(session.duration_s + additional_s, max_duration_s)
    return replace(session, duration_s=max(capped_s, session.duration_s))


def network_s(session: QosSession, now: float) -> float:
    """How long the network gave it its quality: what an operator would bill."""
    if session.available_at is None:
        return 0.0
    return max(0.0, (now if session.ended_at is None else session.ended_at) - session.available_at)


def session_info(session: QosSession, dialect: Dialect, skew_s: float = 0.0) -> dict[str, Any]:
    """`SessionInfo` of the dialect. `skew_s`: by how much the operator's clock is wrong on the wire."""
    info = {**session.echo, "sessionId": session.session_id, "qosStatus": session.status.value}
    if dialect.epoch_times:
        # 0.10.1 wants both times always; its expiresAt is the plan, whatever became of it.
        started_at = session.created_at if session.available_at is None else session.available_at
        info |= {
            "duration": session.duration_s,
            "startedAt": int(started_at + skew_s),
            "expiresAt": int(started_at + skew_s) + session.duration_s,
            # It has no statusInfo either: the reason goes where texts for people go.
            "messages": []
            if session.cause is None
            else [{"severity": "WARNING", "description": session.cause.value}],
        }
        return info
    info["duration"] = session.duration_s
    if session.available_at is not None:
        info["startedAt"] = rfc3339(session.available_at + skew_s)
    if session.ended_at is not None:
        info["duration"] = max(1, round(network_s(session, session.ended_at)))
        info["expiresAt"] = rfc3339(session.ended_at + skew_s)
        info["statusInfo"] = str(session.cause)
    elif session.available_at is not None:
        info["expiresAt"] = rfc3339(session.expires_at + skew_s)
    return info


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
