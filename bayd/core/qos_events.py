"""What has happened to a bay's QoS session, in the past tense.

Nothing that the operator does is idempotent or certain, so what is needed to ask "did it happen?" is
durable before each call that costs money (`QosCreateIntended`, `QosExtendIntended`), and what came of it
right after. Instants are milliseconds of the boot clock.
"""

from dataclasses import dataclass

from bayd.core.qos_words import Cause, Outcome, Trouble


@dataclass(frozen=True, slots=True)
class QosCreateIntended:
    """Durable before the POST."""

    bay: str
    session: str
    x_correlator: str
    flow: str
    asked_s: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosCreated:
    """201, or found and adopted. Durable right after it."""

    bay: str
    qos_id: str
    status: str
    expires_at_ms: int | None
    granted_s: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosCreateFailed:
    """UNCLEAR, CONFLICT, REFUSED, CREDENTIALS or LATER."""

    bay: str
    outcome: Outcome
    retry_at_ms: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosNothingFound:
    """The operator was asked for our sessions of this flow, and shows none."""

    bay: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosStatusSeen:
    bay: str
    qos_id: str
    status: str
    status_info: str | None  # where the operator says why
    expires_at_ms: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosVanished:
    """404: the operator has no such session (any more)."""

    bay: str
    qos_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosMissed:
    """A look or a deletion that gave no answer worth anything."""

    bay: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosExtendIntended:
    bay: str
    qos_id: str
    additional_s: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosExtended:
    bay: str
    qos_id: str
    expires_at_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosExtendFailed:
    """`unclear`: it may have happened. Else it has not, and asking again is of no use."""

    bay: str
    qos_id: str
    unclear: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosEndIntended:
    """Before the DELETE, which does not wait for it: to end is always allowed."""

    bay: str
    qos_id: str
    cause: Cause
    at_ms: int


@dataclass(frozen=True, slots=True)
class QosDeleted:
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
    QosCreateIntended
    | QosCreated
    | QosCreateFailed
    | QosNothingFound
    | QosStatusSeen
    | QosVanished
    | QosMissed
    | QosExtendIntended
    | QosExtended
    | QosExtendFailed
    | QosEndIntended
    | QosDeleted
    | QosDegraded
    | QosRecovered
    | QosRestarted
)
