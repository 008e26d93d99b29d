"""What is asked of the operator and what it answers, in the Python names of the documented SDK.

Requests take nested models or plain dicts (`CreateSession(device={"phone_number": …})`), refuse unknown
names and check what both dialects ask for; what only one dialect asks for, its writer checks (`wire.py`).
Answers are read tolerantly and never fail on a field that nobody needs. A validation error names the field,
never the value, and `repr` shows nobody: no number, address or token.

Sources: CAMARA Quality-On-Demand 0.10.1 and 1.1.0, components/schemas; the names are those of the SDK's
models.
"""

import ipaddress
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, model_validator


class QosStatus(StrEnum):
    REQUESTED = "REQUESTED"
    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"  # the answer said nothing


class StatusInfo(StrEnum):
    """Why a session is UNAVAILABLE."""

    DURATION_EXPIRED = "DURATION_EXPIRED"
    NETWORK_TERMINATED = "NETWORK_TERMINATED"
    DELETE_REQUESTED = "DELETE_REQUESTED"


class Severity(StrEnum):
    INFO = "INFO"
    WARNING = "WARNING"


def _ipv4(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError("not an IPv4 address") from None  # the original names the value
    return text


def _ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError("not an IPv6 address") from None
    return text


def _ipv4_or_net(text: str) -> str:
    try:
        ipaddress.IPv4Interface(text)
    except ValueError:
        raise ValueError("not an IPv4 address, nor one with a mask width such as 203.0.113.0/24") from None
    return text


def _ipv6_or_net(text: str) -> str:
    try:
        ipaddress.IPv6Interface(text)
    except ValueError:
        raise ValueError("not an IPv6 address, nor one with a mask width such as 2001:db8::/64") from None
    return text


Port = Annotated[StrictInt, Field(ge=0, le=65535)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class DeviceIpv4Addr(_Model):
    """The public (observed) address, and the private address or the public port, whichever is known."""

    public_address: Annotated[str, AfterValidator(_ipv4)] = Field(repr=False)
    private_address: Annotated[str, AfterValidator(_ipv4)] | None = Field(default=None, repr=False)
    public_port: Port | None = None

    @model_validator(mode="after")
    def _identifies(self) -> Self:
        if self.private_address is None and self.public_port is None:
            raise ValueError("public_address alone names no device: add private_address or public_port")
        return self


class Device(_Model):
    """At least one identifier. bayd gives exactly one; several must name the same device."""

    phone_number: str | None = Field(default=None, repr=False)  # its form differs between the dialects
    network_access_identifier: str | None = Field(default=None, repr=False, min_length=1)
    ipv4_address: DeviceIpv4Addr | None = Field(default=None, repr=False)
    ipv6_address: Annotated[str, AfterValidator(_ipv6)] | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _identifies(self) -> Self:
        if not self.model_fields_set or all(value is None for _, value in self):
            raise ValueError("names no device: give one identifier")
        return self


class ApplicationServer(_Model):
    """The other end of the flow; an address or a net."""

    ipv4_address: Annotated[str, AfterValidator(_ipv4_or_net)] | None = Field(default=None, repr=False)
    ipv6_address: Annotated[str, AfterValidator(_ipv6_or_net)] | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.ipv4_address is None and self.ipv6_address is None:
            raise ValueError("names no server: give ipv4_address or ipv6_address")
        return self


class Ranges(_Model):
    """`from` is a word of Python's own: `from_`."""

    from_: Port
    to: Port

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if self.from_ > self.to:
            raise ValueError("from_ is above to")
        return self


class PortsSpec(_Model):
    ranges: tuple[Ranges, ...] | None = Field(default=None, min_length=1)
    ports: tuple[Port, ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.ranges is None and self.ports is None:
            raise ValueError("names no port: give ranges or ports, or leave the whole field out")
        return self


class Webhook(_Model):
    """Where the operator reports changes. T-Mobile accepts it and sends nothing yet: poll."""

    notification_url: str = Field(repr=False, pattern=r"^https?://[^\s]+$")
    notification_auth_token: str | None = Field(default=None, repr=False, min_length=20, max_length=256)


CreateSessionWebhook = Webhook
SessionInfoWebhook = Webhook


class CreateSession(_Model):
    """The request body of `create_session`; also the documented SDK's."""

    device: Device | None = None
    application_server: ApplicationServer | None = None
    device_ports: PortsSpec | None = None
    application_server_ports: PortsSpec | None = None
    qos_profile: str = Field(min_length=3, max_length=256, pattern=r"^[a-zA-Z0-9_.-]+$")
    webhook: Webhook | None = None
    duration: StrictInt | None = None  # seconds; None: the operator's default, where the dialect has one


class Message(_Model):
    severity: str  # one of Severity, or what the operator wrote
    description: str = Field(repr=False)


class SessionInfo(_Model):
    """A QoS session as the operator sees it. Unknown words stay as they came; `raw` is the whole answer."""

    session_id: str
    qos_status: str  # one of QosStatus, or what the operator wrote
    duration: int | None = None  # seconds, as granted: it may differ from what was asked for
    started_at_ms: int | None = None  # since the epoch, whatever form the dialect has; None while REQUESTED
    expires_at_ms: int | None = None
    status_info: str | None = None  # one of StatusInfo, or what the operator wrote
    messages: tuple[Message, ...] = ()
    device: Device | None = Field(default=None, repr=False)
    application_server: ApplicationServer | None = Field(default=None, repr=False)
    device_ports: PortsSpec | None = None
    application_server_ports: PortsSpec | None = None
    qos_profile: str | None = None
    webhook: Webhook | None = Field(default=None, repr=False)
    raw: Mapping[str, Any] = Field(default_factory=dict, repr=False)

    @property
    def started_at(self) -> int | None:
        """Seconds since the epoch, as the documented SDK has it."""
        return None if self.started_at_ms is None else self.started_at_ms // 1000

    @property
    def expires_at(self) -> int | None:
        """Seconds since the epoch, as the documented SDK has it."""
        return None if self.expires_at_ms is None else self.expires_at_ms // 1000
