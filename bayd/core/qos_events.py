"""What has happened to a bay's QoS session, in the past tense.

Nothing that the operator does is idempotent or certain, so what is needed to ask "did it happen?" is durable
before each call (`CreateIntended`, `ExtendIntended`, `EndIntended`), and what came of it right after.
Instants are milliseconds of the boot clock.
"""

from dataclasses import dataclass

from bayd.core.qos_words import Cause, Outcome, Trouble


@dataclass(frozen=True, slots=True)
class CreateIntended:
    """Durable before the POST."""

    bay: str
    session: str
    x_correlator: str
    flow: str
    asked_s: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Created:
    """201, or found and adopted. Durable right after it."""

    bay: str
    qos_id: str
    status: str
    expires_at_ms: int | None
    granted_s: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class CreateFailed:
    """UNCLEAR, CONFLICT, REFUSED, CREDENTIALS or LATER."""

    bay: str
    outcome: Outcome
    retry_at_ms: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class NothingFound:
    """The operator was asked for our sessions of this flow, and shows none."""

    bay: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class StatusSeen:
    bay: str
    qos_id: str
    status: str
    status_info: str | None  # where the operator says why
    expires_at_ms: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """404: the operator has no such session (any more)."""

    bay: str
    qos_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Missed:
    """A look or a deletion that gave no answer worth anything."""

    bay: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ExtendIntended:
    bay: str
    qos_id: str
    additional_s: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Extended:
    bay: str
    qos_id: str
    expires_at_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class ExtendFailed:
    """`unclear`: it may have happened. Else it has not, and asking again is of no use."""

    bay: str
    qos_id: str
    unclear: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class EndIntended:
    """Durable before the DELETE."""

    bay: str
    qos_id: str
    cause: Cause
    at_ms: int


@dataclass(frozen=True, slots=True)
class Deleted:
    bay: str
    qos_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosDegraded:
    bay: str
    trouble: Trouble
    session: str | None
    until_ms: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosRecovered:
    bay: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosRestarted:
    """The daemon is back: what it believed is to be asked again. `shift_ms` moves its instants."""

    bay: str
    shift_ms: int
    at_ms: int


Event = (
    CreateIntended
    | Created
    | CreateFailed
    | NothingFound
    | StatusSeen
    | Vanished
    | Missed
    | ExtendIntended
    | Extended
    | ExtendFailed
    | EndIntended
    | Deleted
    | QosDegraded
    | QosRecovered
    | QosRestarted
)
