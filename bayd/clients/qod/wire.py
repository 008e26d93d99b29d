"""JSON of the QoD API: a strict writer for each dialect, one tolerant reader for both. Pure.

The writer never puts a null on the wire and refuses, naming the field, what the dialect's specification
refuses: an error here costs nothing, one at the operator costs a bay its session. The reader takes what it
finds: an operator that adds a field, spells a time otherwise or answers with a status that nobody heard of is
still understood, and only an answer without a session id is none.

Sources: CAMARA Quality-On-Demand 0.10.1 and 1.1.0, components/schemas CreateSession and SessionInfo.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from bayd.clients.qod.errors import InvalidInputError
from bayd.clients.qod.models import (
    ApplicationServer,
    CreateSession,
    Device,
    DeviceIpv4Addr,
    Message,
    PortsSpec,
    QosStatus,
    Ranges,
    SessionInfo,
    Webhook,
)

# 0.10.1 PhoneNumber and 1.1.0 PhoneNumber: 1.x wants the plus and no leading zero.
_PHONE_0_10 = re.compile(r"\+?[0-9]{5,15}")
_PHONE_1_1 = re.compile(r"\+[1-9][0-9]{4,14}")
_SESSION_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}")  # a UUID; others pass if a path can hold them
_CORRELATOR = re.compile(r"[a-zA-Z0-9_:;.\/<>{}-]{0,256}")  # 1.1.0 XCorrelator
_SINK_TOKEN_SPARE_S = 3600  # events may be late; the token outlives the session by an hour

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

JsonObject = dict[str, Any]


# --- writer ---


def encode_body(body: JsonObject) -> bytes:
    """The bytes to sign and to send."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def checked_session_id(session_id: str) -> str:
    if not _SESSION_ID.fullmatch(session_id):
        raise InvalidInputError("session_id", "not a session id: a UUID as create_session gave it")
    return session_id


def checked_correlator(x_correlator: str) -> str:
    if not _CORRELATOR.fullmatch(x_correlator):
        raise InvalidInputError(
            "x_correlator", "at most 256 of the characters a-z A-Z 0-9 - _ : ; . / < > { }"
        )
    return x_correlator


def _checked_device(device: Device, phone: re.Pattern[str]) -> None:
    if device.phone_number is not None and not phone.fullmatch(device.phone_number):
        raise InvalidInputError("device.phone_number", f"does not match ^{phone.pattern}$")


def create_body_0_10(request: CreateSession) -> JsonObject:
    """CreateSession of 0.10.1, as T-Mobile wants it: the phone number is required."""
    if request.device is None or request.device.phone_number is None:
        raise InvalidInputError("device.phone_number", "required by this operator")
    _checked_device(request.device, _PHONE_0_10)
    body = _flow(request)
    if (hook := request.webhook) is not None:
        body["webhook"] = _present(
            notificationUrl=hook.notification_url, notificationAuthToken=hook.notification_auth_token
        )
    if request.duration is not None:
        body["duration"] = request.duration
    return body


def create_body_1_1(request: CreateSession, now_s: float) -> JsonObject:
    """CreateSession of 1.1.0: the webhook goes as sink and sinkCredential, the duration is required."""
    if request.application_server is None:
        raise InvalidInputError("application_server", "required by this operator")
    if request.duration is None:
        raise InvalidInputError("duration", "required by this operator")
    if request.device is not None:
        _checked_device(request.device, _PHONE_1_1)
    body = _flow(request)
    if (hook := request.webhook) is not None:
        if not _is_sink(hook.notification_url):
            raise InvalidInputError("webhook.notification_url", "this operator sends events to https:// only")
        body["sink"] = hook.notification_url
        if hook.notification_auth_token is not None:
            expires = datetime.fromtimestamp(int(now_s) + request.duration + _SINK_TOKEN_SPARE_S, UTC)
            body["sinkCredential"] = {
                "credentialType": "ACCESSTOKEN",
                "accessToken": hook.notification_auth_token,
                "accessTokenExpiresUtc": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "accessTokenType": "bearer",
            }
    body["duration"] = request.duration
    return body


def _is_sink(url: str) -> bool:
    """https; this machine's loopback, where nobody listens in, is good enough for a trial."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def retrieve_body(device: Device) -> JsonObject:
    """RetrieveSessionsInput of 1.1.0."""
    _checked_device(device, _PHONE_1_1)
    return {"device": _device(device)}


def extend_body(requested_additional_duration: int) -> JsonObject:
    """ExtendSessionDuration of 1.1.0."""
    if isinstance(requested_additional_duration, bool) or requested_additional_duration < 1:
        raise InvalidInputError("requested_additional_duration", "whole seconds, at least 1")
    return {"requestedAdditionalDuration": requested_additional_duration}


def _present(**fields: Any) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _flow(request: CreateSession) -> JsonObject:
    server = request.application_server
    return _present(
        device=_device(request.device) if request.device else None,
        applicationServer=_present(ipv4Address=server.ipv4_address, ipv6Address=server.ipv6_address)
        if server
        else None,
        devicePorts=_ports(request.device_ports) if request.device_ports else None,
        applicationServerPorts=_ports(request.application_server_ports)
        if request.application_server_ports
        else None,
        qosProfile=request.qos_profile,
    )


def _device(device: Device) -> JsonObject:
    address = device.ipv4_address
    return _present(
        phoneNumber=device.phone_number,
        networkAccessIdentifier=device.network_access_identifier,
        ipv4Address=_present(
            publicAddress=address.public_address,
            privateAddress=address.private_address,
            publicPort=address.public_port,
        )
        if address
        else None,
        ipv6Address=device.ipv6_address,
    )


def _ports(spec: PortsSpec) -> JsonObject:
    return _present(
        ranges=[{"from": each.from_, "to": each.to} for each in spec.ranges] if spec.ranges else None,
        ports=list(spec.ports) if spec.ports else None,
    )


def sent_values(device: Device | None, webhook: Webhook | None = None) -> frozenset[str]:
    """What an operator may echo and no error may show."""
    values: set[str | None] = set()
    if device is not None:
        values |= {device.phone_number, device.network_access_identifier, device.ipv6_address}
        if (address := device.ipv4_address) is not None:
            values |= {address.public_address, address.private_address}
    if webhook is not None:
        values |= {webhook.notification_url, webhook.notification_auth_token}
    return frozenset(value for value in values if value)


# --- reader ---
# What an operator gives back is not held against what we may send: `model_construct` checks nothing.


def parse_json(body: bytes) -> Any:
    """The JSON value, or None for anything else: empty, cut short, HTML, or nested to break the parser."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def parse_session(value: object) -> SessionInfo | None:
    """The session that a JSON value tells of, or None if it names none."""
    if not isinstance(value, dict):
        return None
    session_id = value.get("sessionId")
    if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
        return None
    return SessionInfo.model_construct(
        session_id=session_id,
        qos_status=_text(value.get("qosStatus")) or QosStatus.UNKNOWN,
        duration=_whole(value.get("duration")),
        started_at_ms=parse_time_ms(value.get("startedAt")),
        expires_at_ms=parse_time_ms(value.get("expiresAt")),
        status_info=_text(value.get("statusInfo")),
        messages=tuple(_messages(value.get("messages"))),
        device=_read_device(value.get("device")),
        application_server=_read_server(value.get("applicationServer")),
        device_ports=_read_ports(value.get("devicePorts")),
        application_server_ports=_read_ports(value.get("applicationServerPorts")),
        qos_profile=_text(value.get("qosProfile")),
        webhook=_read_webhook(value),
        raw=value,
    )


def parse_time_ms(value: object) -> int | None:
    """Milliseconds since the epoch, from epoch seconds (0.10) or RFC 3339 (0.11 and later)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
            value = int(text)
        else:
            try:
                moment = datetime.fromisoformat(text.upper())
                # Without a zone it breaks the specification; UTC is what such servers mean.
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                return round(moment.timestamp() * 1000)
            except (ValueError, OverflowError):
                return None
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value < 1e14:
        return None
    # Some servers give milliseconds. As seconds, 1e11 would be the year 5138.
    return round(value) if value >= 1e11 else round(value * 1000)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return int(value)


def _messages(value: object) -> list[Message]:
    if not isinstance(value, list):
        return []
    return [
        Message(severity=_text(each.get("severity")) or "", description=_text(each.get("description")) or "")
        for each in value
        if isinstance(each, dict)
    ]


def _read_device(value: object) -> Device | None:
    if not isinstance(value, dict):
        return None
    ipv4 = value.get("ipv4Address")
    return Device.model_construct(
        phone_number=_text(value.get("phoneNumber")),
        network_access_identifier=_text(value.get("networkAccessIdentifier")),
        ipv4_address=DeviceIpv4Addr.model_construct(
            public_address=_text(ipv4.get("publicAddress")) or "",
            private_address=_text(ipv4.get("privateAddress")),
            public_port=_whole(ipv4.get("publicPort")),
        )
        if isinstance(ipv4, dict)
        else None,
        ipv6_address=_text(value.get("ipv6Address")),
    )


def _read_server(value: object) -> ApplicationServer | None:
    if not isinstance(value, dict):
        return None
    return ApplicationServer.model_construct(
        ipv4_address=_text(value.get("ipv4Address")), ipv6_address=_text(value.get("ipv6Address"))
    )


def _read_ports(value: object) -> PortsSpec | None:
    if not isinstance(value, dict):
        return None
    ranges, ports = value.get("ranges"), value.get("ports")
    return PortsSpec.model_construct(
        ranges=tuple(
            Ranges.model_construct(from_=low, to=high)
            for each in ranges
            if isinstance(each, dict)
            and (low := _whole(each.get("from"))) is not None
            and (high := _whole(each.get("to"))) is not None
        )
        if isinstance(ranges, list)
        else None,
        ports=tuple(port for each in ports if (port := _whole(each)) is not None)
        if isinstance(ports, list)
        else None,
    )


def _read_webhook(value: Mapping[str, object]) -> Webhook | None:
    hook = value.get("webhook")
    url = hook.get("notificationUrl") if isinstance(hook, dict) else value.get("sink")
    token = hook.get("notificationAuthToken") if isinstance(hook, dict) else None
    if not _text(url):
        return None
    return Webhook.model_construct(notification_url=_text(url) or "", notification_auth_token=_text(token))
