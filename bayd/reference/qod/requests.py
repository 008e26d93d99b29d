"""Request bodies: bytes in, a checked request out, or the error that the specifications name for it.

The models state what the operator needs of CAMARA 0.10.1 and 1.1.0 (`CreateSession`, `ExtendSessionDuration`,
`RetrieveSessionsInput`). Unknown properties are ignored, as both versions demand; nulls are refused, as no
property of theirs is nullable. Errors name the property and never repeat its value.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from bayd.reference.qod.dialects import UNKNOWN_DEVICE, UNSERVED_DEVICE, Dialect
from bayd.reference.qod.errors import ApiError, invalid_argument, out_of_range
from bayd.reference.qod.flows import (
    Flow,
    PortRange,
    access_identifier_key,
    ipv4_keys,
    ipv6_key,
    phone_key,
)

_INT32_MAX = 2**31 - 1


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_nulls(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for name, value in data.items():
                if value is None and name in cls._wire_names():
                    raise PydanticCustomError("null", "{name}: null is no value", {"name": name})
        return data

    @classmethod
    def _wire_names(cls) -> frozenset[str]:
        return frozenset(info.alias or name for name, info in cls.model_fields.items())


def _ipv4(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise PydanticCustomError("address", "not an IPv4 address") from None
    return text


def _ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise PydanticCustomError("address", "not an IPv6 address") from None
    return text


def _ipv4_network(text: str) -> str:
    try:
        ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise PydanticCustomError("address", "not an IPv4 address or subnet") from None
    return text


def _ipv6_network(text: str) -> str:
    try:
        ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        raise PydanticCustomError("address", "not an IPv6 address or subnet") from None
    return text


_Port = Annotated[int, Field(ge=0, le=65_535)]
_Secret = Annotated[str, StringConstraints(min_length=20, max_length=256)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=2_048)]


class _PortRange(_Wire):
    from_: _Port = Field(alias="from")
    to: _Port

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.from_ > self.to:
            raise PydanticCustomError("port_range", "from is greater than to")
        return self


class _Ports(_Wire):
    ranges: Annotated[list[_PortRange], Field(min_length=1)] | None = None
    ports: Annotated[list[_Port], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.ranges is None and self.ports is None:
            raise PydanticCustomError("empty", "neither ranges nor ports")
        return self

    def spans(self) -> tuple[PortRange, ...]:
        ranges = [(span.from_, span.to) for span in self.ranges or []]
        return tuple(ranges + [(port, port) for port in self.ports or []])


class _DeviceIpv4(_Wire):
    public_address: Annotated[str, AfterValidator(_ipv4)] = Field(alias="publicAddress")
    private_address: Annotated[str, AfterValidator(_ipv4)] | None = Field(None, alias="privateAddress")
    public_port: _Port | None = Field(None, alias="publicPort")

    @model_validator(mode="after")
    def _one_device(self) -> Self:
        if self.private_address is None and self.public_port is None:
            raise PydanticCustomError("ambiguous", "needs privateAddress or publicPort beside publicAddress")
        return self


class _Device(_Wire):
    phone_number: str | None = Field(None, alias="phoneNumber")
    network_access_identifier: _Text | None = Field(None, alias="networkAccessIdentifier")
    ipv4_address: _DeviceIpv4 | None = Field(None, alias="ipv4Address")
    ipv6_address: Annotated[str, AfterValidator(_ipv6)] | None = Field(None, alias="ipv6Address")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise PydanticCustomError("empty", "names no identifier")
        return self

    def keys(self) -> frozenset[str]:
        found: set[str] = set()
        if self.phone_number is not None:
            found.add(phone_key(self.phone_number))
        if self.network_access_identifier is not None:
            found.add(access_identifier_key(self.network_access_identifier))
        if self.ipv4_address is not None:
            ipv4 = self.ipv4_address
            found |= ipv4_keys(ipv4.public_address, ipv4.private_address, ipv4.public_port)
        if self.ipv6_address is not None:
            found.add(ipv6_key(self.ipv6_address))
        return frozenset(found)


class _ApplicationServer(_Wire):
    ipv4_address: Annotated[str, AfterValidator(_ipv4_network)] | None = Field(None, alias="ipv4Address")
    ipv6_address: Annotated[str, AfterValidator(_ipv6_network)] | None = Field(None, alias="ipv6Address")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.ipv4_address is None and self.ipv6_address is None:
            raise PydanticCustomError("empty", "neither ipv4Address nor ipv6Address")
        return self


class _Webhook(_Wire):
    notification_url: _Text = Field(alias="notificationUrl")
    notification_auth_token: _Secret | None = Field(None, alias="notificationAuthToken")


class _SinkCredential(_Wire):
    """Its type is checked before the rest: each wrong type has an error code of its own."""

    credential_type: str = Field(alias="credentialType")
    access_token: _Text | None = Field(None, alias="accessToken")
    access_token_expires_utc: str | None = Field(None, alias="accessTokenExpiresUtc")
    access_token_type: str | None = Field(None, alias="accessTokenType")


_Profile = Annotated[str, StringConstraints(min_length=3, max_length=256, pattern=r"^[a-zA-Z0-9_.-]+$")]
_Duration = Annotated[int, Field(ge=1, le=_INT32_MAX)]


class _Create(_Wire):
    device: _Device | None = None
    application_server: _ApplicationServer = Field(alias="applicationServer")
    device_ports: _Ports | None = Field(None, alias="devicePorts")
    application_server_ports: _Ports | None = Field(None, alias="applicationServerPorts")
    qos_profile: _Profile = Field(alias="qosProfile")
    webhook: _Webhook | None = None
    sink: _Text | None = None
    sink_credential: _SinkCredential | None = Field(None, alias="sinkCredential")
    duration: _Duration | None = None


class _Extend(_Wire):
    requested_additional_duration: _Duration = Field(alias="requestedAdditionalDuration")


class _Retrieve(_Wire):
    device: _Device | None = None


@dataclass(frozen=True, slots=True)
class Sink:
    """Where events of one session go, and the token that opens that door."""

    url: str
    token: str | None = field(default=None, repr=False)
    token_expires_at: float | None = None

    @property
    def is_here(self) -> bool:
        """This operator has no business elsewhere: other sinks are accepted, and never called."""
        return urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class CreateRequest:
    flow: Flow
    profile: str
    duration_s: int
    echo: dict[str, Any] = field(repr=False)  # what every later answer repeats
    sink: Sink | None = None


def parse_create(
    body: bytes,
    dialect: Dialect,
    *,
    min_duration_s: int,
    token_device: frozenset[str] | None = None,
    plain_sinks: bool = False,
) -> CreateRequest:
    """`token_device`: the device that the access token names. `plain_sinks`: http to loopback is a sink too.

    Raises ApiError.
    """
    request = _parse(_Create, body)
    device_keys = _device_keys(request.device, dialect, token_device)
    server = request.application_server
    networks = [server.ipv4_address, server.ipv6_address]
    return CreateRequest(
        flow=Flow(
            device_keys=device_keys,
            servers=tuple(ipaddress.ip_network(text, strict=False) for text in networks if text is not None),
            device_ports=_spans(request.device_ports),
            server_ports=request.application_server_ports.spans()
            if request.application_server_ports
            else None,
        ),
        profile=request.qos_profile,
        duration_s=_duration_s(request, dialect, min_duration_s),
        echo=_echo(request, dialect),
        sink=_sink(request, plain_sinks=plain_sinks) if dialect.can_notify else None,
    )


def parse_extend(body: bytes) -> int:
    """The seconds to add. Raises ApiError."""
    return _parse(_Extend, body).requested_additional_duration


def parse_retrieve(body: bytes, dialect: Dialect, token_device: frozenset[str] | None) -> frozenset[str]:
    """The keys of the device that is asked about. Raises ApiError."""
    return _device_keys(_parse(_Retrieve, body).device, dialect, token_device)


_M = TypeVar("_M", bound=_Wire)


def _parse(model: type[_M], body: bytes) -> _M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False, include_input=False)[0]) from None


def _refusal(detail: ErrorDetails) -> ApiError:
    path = _path(detail["loc"])
    match detail["type"]:
        case "json_invalid":
            return invalid_argument("The body is no JSON document")
        case "missing":
            return invalid_argument(f"Expected property is missing: {path}")
        case "greater_than_equal" | "less_than_equal":
            return out_of_range(f"Value out of range: {path}")
        case "port_range":
            return out_of_range(f"Invalid port ranges specified: {path}")
        case "null" | "empty" | "address" | "ambiguous":
            return invalid_argument(f"{path}: {detail['msg']}" if path else detail["msg"])
        case _:
            return invalid_argument(f"Schema validation failed at {path or 'the body'}")


def _path(location: tuple[int | str, ...]) -> str:
    """`devicePorts.ranges[0].from`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _device_keys(
    device: _Device | None, dialect: Dialect, token_device: frozenset[str] | None
) -> frozenset[str]:
    """Raises ApiError (CAMARA "Identifying the device from the access token")."""
    if token_device is not None:
        if device is not None:
            raise ApiError(
                422, "UNNECESSARY_IDENTIFIER", "The device is already identified by the access token."
            )
        return token_device
    if device is None:
        if dialect.phone_required:
            raise invalid_argument("Expected property is missing: device")
        raise ApiError(422, "MISSING_IDENTIFIER", "The device cannot be identified.")
    if dialect.phone_required and device.phone_number is None:
        raise invalid_argument("Expected property is missing: device.phoneNumber")
    if device.phone_number is not None and not dialect.phone_pattern.fullmatch(device.phone_number):
        raise invalid_argument("Schema validation failed at device.phoneNumber")
    keys = device.keys()
    if not dialect.phone_required:
        # CAMARA does not allow the network access identifier yet; beside another one it is ignored.
        keys = frozenset(key for key in keys if not key.startswith("nai:"))
        if not keys:
            raise ApiError(422, "UNSUPPORTED_IDENTIFIER", "The identifier provided is not supported.")
    if phone_key(UNKNOWN_DEVICE) in keys:
        if dialect.phone_required:
            raise invalid_argument("Unable to identify device from specified parameters: device")
        raise ApiError(404, "IDENTIFIER_NOT_FOUND", "Device identifier not found.")
    if phone_key(UNSERVED_DEVICE) in keys:
        if dialect.phone_required:
            raise ApiError(501, "NOT_IMPLEMENTED", "Service not implemented for the specified user device")
        raise ApiError(
            422, "SERVICE_NOT_APPLICABLE", "The service is not available for the provided identifier."
        )
    return keys


def _spans(ports: _Ports | None) -> tuple[PortRange, ...] | None:
    return None if ports is None else ports.spans()


def _duration_s(request: _Create, dialect: Dialect, min_duration_s: int) -> int:
    profile = dialect.profiles.get(request.qos_profile)
    if profile is None:
        raise invalid_argument("qosProfile: the operator offers no profile of this name")
    if not profile.active:
        raise ApiError(
            422,
            "QUALITY_ON_DEMAND.QOS_PROFILE_NOT_APPLICABLE",
            "The requested QoS Profile is currently not available for session creation.",
        )
    duration_s = request.duration if request.duration is not None else dialect.default_duration_s
    if duration_s is None:
        raise invalid_argument("Expected property is missing: duration")
    if not min_duration_s <= duration_s <= profile.max_duration_s:
        raise ApiError(
            400,
            dialect.duration_code,
            "The requested duration is out of the allowed range for the specific QoS profile",
        )
    return duration_s


def _echo(request: _Create, dialect: Dialect) -> dict[str, Any]:
    """Credentials are never part of it, whatever `BaseSessionInfo` would allow."""
    said = request.model_dump(by_alias=True, exclude_none=True)
    names = ["applicationServer", "devicePorts", "applicationServerPorts", "qosProfile"]
    if dialect.can_notify:
        names.append("sink")
    echo = {name: said[name] for name in names if name in said}
    if "webhook" in said and not dialect.can_notify:
        echo["webhook"] = {"notificationUrl": said["webhook"]["notificationUrl"]}
    if "device" in said:
        echo["device"] = said["device"] if dialect.phone_required else _one_identifier(said["device"])
    return echo


def _one_identifier(device: dict[str, Any]) -> dict[str, Any]:
    """The one that the operator goes by (CAMARA 1.1 `DeviceResponse`: at most one property)."""
    for name in ("phoneNumber", "ipv4Address", "ipv6Address"):
        if name in device:
            return {name: device[name]}
    return {}


def _sink(request: _Create, *, plain_sinks: bool) -> Sink | None:
    credential = request.sink_credential
    if credential is not None:
        _check_credential(credential)
    if request.sink is None:
        return None
    if not request.sink.startswith("https://") and not (plain_sinks and _is_plain_loopback(request.sink)):
        raise ApiError(400, "INVALID_SINK", "sink not valid for the specified protocol")
    if credential is None:
        return Sink(url=request.sink)
    return Sink(request.sink, credential.access_token, _instant(credential.access_token_expires_utc))


def _check_credential(credential: _SinkCredential) -> None:
    """CAMARA 1.1.0 `SinkCredential`: ACCESSTOKEN with a bearer token, nothing else."""
    if credential.credential_type in ("PLAIN", "REFRESHTOKEN"):
        raise ApiError(400, "INVALID_CREDENTIAL", "Only Access token is supported")
    if credential.credential_type != "ACCESSTOKEN":
        raise invalid_argument("Schema validation failed at sinkCredential.credentialType")
    if credential.access_token_type is not None and credential.access_token_type != "bearer":  # noqa: S105
        raise ApiError(400, "INVALID_TOKEN", "Only bearer token is supported")
    for name, value in (
        ("accessToken", credential.access_token),
        ("accessTokenExpiresUtc", credential.access_token_expires_utc),
        ("accessTokenType", credential.access_token_type),
    ):
        if value is None:
            raise invalid_argument(f"Expected property is missing: sinkCredential.{name}")
    _instant(credential.access_token_expires_utc)


def _instant(text: str | None) -> float | None:
    """RFC 3339 with its time zone."""
    if text is None:
        return None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", text):
        try:
            return datetime.fromisoformat(text.upper()).timestamp()
        except (ValueError, OverflowError):
            pass
    raise invalid_argument("Schema validation failed at sinkCredential.accessTokenExpiresUtc")


def _is_plain_loopback(url: str) -> bool:
    return re.match(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?(/|$)", url) is not None
