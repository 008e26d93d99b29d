"""Quality-on-Demand: a library for the QoD API of mobile operators, on its own feet.

`QodClient(…).session` creates, reads, deletes and, where the dialect can, extends and finds QoS sessions.
How the pieces stand to each other: models (what is said) → wire (JSON, a strict writer and a tolerant
reader) → dialects (what an operator can) and authorisation (how a request is proved); answers turns a
refusal into an error that says what to do; operator is the one door (circuit breaker, the operator's
clock), tokens and calls use it, and client puts them together. Guide and tables: docs/qod.md.
"""

from bayd.clients.qod.client import DEFAULT_BASE_URL, QodClient, SessionService
from bayd.clients.qod.dialects import CAMARA_1_1, DIALECTS, TMOBILE_0_10, Dialect, get_dialect
from bayd.clients.qod.errors import (
    AmbiguousError,
    CircuitOpenError,
    ConflictError,
    CredentialsError,
    InvalidInputError,
    NotFoundError,
    QodError,
    RefusedError,
    RetryLaterError,
    UnsupportedError,
)
from bayd.clients.qod.models import (
    ApplicationServer,
    CreateSession,
    CreateSessionWebhook,
    Device,
    DeviceIpv4Addr,
    Message,
    PortsSpec,
    QosStatus,
    Ranges,
    SessionInfo,
    SessionInfoWebhook,
    Severity,
    StatusInfo,
    Webhook,
)

__all__ = [
    "CAMARA_1_1",
    "DEFAULT_BASE_URL",
    "DIALECTS",
    "TMOBILE_0_10",
    "AmbiguousError",
    "ApplicationServer",
    "CircuitOpenError",
    "ConflictError",
    "CreateSession",
    "CreateSessionWebhook",
    "CredentialsError",
    "Device",
    "DeviceIpv4Addr",
    "Dialect",
    "InvalidInputError",
    "Message",
    "NotFoundError",
    "PortsSpec",
    "QodClient",
    "QodError",
    "QosStatus",
    "Ranges",
    "RefusedError",
    "RetryLaterError",
    "SessionInfo",
    "SessionInfoWebhook",
    "SessionService",
    "Severity",
    "StatusInfo",
    "UnsupportedError",
    "Webhook",
    "get_dialect",
]
