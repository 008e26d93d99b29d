"""The tolerant reader: what operators write, and what none should."""

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayd.clients.qod import QosStatus, SessionInfo
from bayd.clients.qod.wire import parse_json, parse_session, parse_time_ms

from .peer import SESSION, SESSION_ID

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
# The machine's load is no property of the reader.
unhurried = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FIELDS = [
    "duration",
    "startedAt",
    "expiresAt",
    "qosStatus",
    "statusInfo",
    "messages",
    "device",
    "applicationServer",
    "devicePorts",
    "applicationServerPorts",
    "qosProfile",
    "webhook",
    "sink",
    "somethingNew",
]


def session(**fields: Any) -> SessionInfo:
    info = parse_session(SESSION | fields)
    assert info is not None
    return info


def test_a_whole_answer_is_read() -> None:
    info = session(
        device={
            "phoneNumber": "1555010001",
            "networkAccessIdentifier": "bay7@example.com",
            "ipv4Address": {"publicAddress": "203.0.113.7", "publicPort": 4711},
            "ipv6Address": "2001:db8::7",
        },
        applicationServer={"ipv4Address": "203.0.113.0/24", "ipv6Address": "2001:db8::/64"},
        devicePorts={"ranges": [{"from": 1, "to": 9}], "ports": [80]},
        applicationServerPorts={"ports": [443, 8443]},
        qosProfile="QOS_E",
        webhook={"notificationUrl": "https://bay.example.com", "notificationAuthToken": "t" * 20},
        messages=[{"severity": "WARNING", "description": "capped"}],
        statusInfo="DURATION_EXPIRED",
    )
    assert info.session_id == SESSION_ID
    assert (info.duration, info.started_at_ms, info.expires_at_ms) == (
        3600,
        1_700_000_000_000,
        1_700_003_600_000,
    )
    assert (info.started_at, info.expires_at) == (1_700_000_000, 1_700_003_600)
    assert info.device is not None and info.device.ipv4_address is not None
    assert info.device.phone_number == "1555010001"
    assert info.device.network_access_identifier == "bay7@example.com"
    assert (info.device.ipv4_address.public_address, info.device.ipv4_address.public_port) == (
        "203.0.113.7",
        4711,
    )
    assert info.device.ipv6_address == "2001:db8::7"
    assert info.application_server is not None
    assert info.application_server.ipv4_address == "203.0.113.0/24"
    assert info.device_ports is not None and info.device_ports.ranges is not None
    assert [(each.from_, each.to) for each in info.device_ports.ranges] == [(1, 9)]
    assert info.application_server_ports is not None
    assert info.application_server_ports.ports == (443, 8443)
    assert (info.qos_profile, info.status_info) == ("QOS_E", "DURATION_EXPIRED")
    assert info.webhook is not None and info.webhook.notification_url == "https://bay.example.com"
    assert [(each.severity, each.description) for each in info.messages] == [("WARNING", "capped")]
    shown = repr(info) + str(info)
    assert not [
        secret for secret in ("1555", "bay7", "203.0", "2001:db8", "ttt", "bay.example") if secret in shown
    ]


@pytest.mark.parametrize("status", ["REQUESTED", "AVAILABLE", "UNAVAILABLE", "SUSPENDED"])
def test_a_status_stays_as_it_came(status: str) -> None:
    assert session(qosStatus=status).qos_status == status


@pytest.mark.parametrize("status", [None, 7, "", []])
def test_no_status_is_unknown(status: object) -> None:
    assert session(qosStatus=status).qos_status == QosStatus.UNKNOWN


def test_unknown_fields_are_kept_raw() -> None:
    info = session(somethingNew={"a": 1}, statusInfo="SOLAR_FLARE")
    assert info.raw["somethingNew"] == {"a": 1}
    assert info.status_info == "SOLAR_FLARE"


def test_an_empty_object_in_an_answer_is_no_fault() -> None:
    """What a request may not hold, an answer may: the operator's echo is not judged."""
    info = session(device={}, applicationServer={}, devicePorts={}, device_ports=None)
    assert info.device is not None and info.device.phone_number is None
    assert info.device_ports is not None and info.device_ports.ports is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_639_479_600, 1_639_479_600_000),
        (1_639_479_600.25, 1_639_479_600_250),
        ("1639479600", 1_639_479_600_000),
        (1_639_479_600_123, 1_639_479_600_123),
        ("2024-06-01T12:00:00Z", 1_717_243_200_000),
        ("2024-06-01t12:00:00z", 1_717_243_200_000),
        ("2024-06-01T14:00:00+02:00", 1_717_243_200_000),
        ("2024-06-01T12:00:00.123456789Z", 1_717_243_200_123),
        ("2024-06-01T12:00:00", 1_717_243_200_000),
        (None, None),
        (True, None),
        (-1, None),
        ("", None),
        ("soon", None),
        (math.nan, None),
        (math.inf, None),
        (10**40, None),
        ("9" * 40, None),
        ({}, None),
    ],
)
def test_both_kinds_of_time_become_milliseconds(value: object, expected: int | None) -> None:
    assert parse_time_ms(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "session",
        {},
        {"sessionId": None},
        {"sessionId": ""},
        {"sessionId": ".."},
        {"sessionId": "a/b"},
        {"sessionId": "a?b"},
        {"sessionId": "x" * 129},
        {"id": SESSION_ID},
    ],
)
def test_without_a_usable_id_there_is_no_session(value: object) -> None:
    assert parse_session(value) is None


@unhurried
@given(fields=st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_field_can_make_a_session_unreadable(fields: dict[str, Any]) -> None:
    info = session(**{name: value for name, value in fields.items() if name != "sessionId"})
    assert info.session_id == SESSION_ID


@unhurried
@given(value=JSON, cut=st.integers(0, 200))
def test_no_body_breaks_the_reader(value: object, cut: int) -> None:
    body = json.dumps(value).encode()
    found = parse_session(parse_json(body[:cut]))
    assert found is None or isinstance(found, SessionInfo)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 200_000, b"1" * 10_000, b"<html>"])
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert parse_json(body) is None
