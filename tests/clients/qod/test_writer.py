"""The strict writer: what may go on the wire in each dialect, and errors that name the field only."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bayd.clients.qod import CAMARA_1_1, TMOBILE_0_10, CreateSession, Dialect, InvalidInputError
from bayd.clients.qod.wire import encode_body

NOW_S = 1_750_000_000
VALID: dict[str, Any] = {
    "device": {"phone_number": "+15550100"},
    "application_server": {"ipv4_address": "203.0.113.10"},
    "qos_profile": "QOS_E",
    "duration": 3600,
}
BOTH = (TMOBILE_0_10, CAMARA_1_1)


def written(dialect: Dialect, **fields: Any) -> dict[str, Any]:
    return dialect.create_body(CreateSession(**(VALID | fields)), NOW_S)


def has_null(value: object) -> bool:
    match value:
        case dict():
            return any(has_null(each) for each in value.values())
        case list():
            return any(has_null(each) for each in value)
        case _:
            return value is None


@pytest.mark.parametrize("dialect", BOTH, ids=lambda dialect: dialect.name)
def test_what_is_not_given_is_not_written(dialect: Dialect) -> None:
    body = written(dialect, device_ports=None, webhook=None)
    assert body == {
        "device": {"phoneNumber": "+15550100"},
        "applicationServer": {"ipv4Address": "203.0.113.10"},
        "qosProfile": "QOS_E",
        "duration": 3600,
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "device": st.fixed_dictionaries(
                {"phone_number": st.just("+15550100")},
                optional={
                    "ipv4_address": st.sampled_from(
                        [None, {"public_address": "203.0.113.7", "public_port": 1, "private_address": None}]
                    ),
                    "ipv6_address": st.sampled_from([None, "2001:db8::7"]),
                },
            ),
            "device_ports": st.sampled_from(
                [None, {"ports": [0, 65535]}, {"ranges": [{"from_": 1, "to": 1}]}]
            ),
            "webhook": st.sampled_from([None, {"notification_url": "https://bay.example.com"}]),
        },
    ),
    dialect=st.sampled_from(BOTH),
)
def test_no_null_is_ever_written(fields: dict[str, Any], dialect: Dialect) -> None:
    body = written(dialect, **fields)
    assert not has_null(body)
    assert json.loads(encode_body(body)) == body


# field, value → the name in the error. Refused by the models, whatever the dialect.
MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"device": {}}, "device"),
    ({"device": {"phone_number": None}}, "device"),
    ({"device": {"phoneNumber": "+15550100"}}, "device.phoneNumber"),
    ({"device": {"phone_number": 15550100}}, "device.phone_number"),
    ({"device": {"ipv4_address": {"public_address": "203.0.113.7"}}}, "device.ipv4_address"),
    (
        {"device": {"ipv4_address": {"public_address": "203.0.113.7/24", "public_port": 1}}},
        "device.ipv4_address.public_address",
    ),
    (
        {"device": {"ipv4_address": {"public_address": "203.0.113.7", "private_address": "10.0.0"}}},
        "device.ipv4_address.private_address",
    ),
    (
        {"device": {"ipv4_address": {"public_address": "203.0.113.7", "public_port": 65536}}},
        "device.ipv4_address.public_port",
    ),
    ({"device": {"ipv6_address": "2001:db8::g"}}, "device.ipv6_address"),
    ({"device": {"network_access_identifier": ""}}, "device.network_access_identifier"),
    ({"application_server": {}}, "application_server"),
    ({"application_server": {"ipv4_address": "203.0.113.10/33"}}, "application_server.ipv4_address"),
    ({"application_server": {"ipv6_address": "203.0.113.10"}}, "application_server.ipv6_address"),
    ({"device_ports": {}}, "device_ports"),
    ({"device_ports": {"ports": []}}, "device_ports.ports"),
    ({"device_ports": {"ports": [-1]}}, "device_ports.ports.0"),
    ({"device_ports": {"ports": ["80"]}}, "device_ports.ports.0"),
    ({"device_ports": {"ports": [True]}}, "device_ports.ports.0"),
    ({"device_ports": {"ranges": [{"from_": 9, "to": 1}]}}, "device_ports.ranges.0"),
    ({"application_server_ports": {"ranges": [{"from_": 1}]}}, "application_server_ports.ranges.0.to"),
    ({"qos_profile": "Q"}, "qos_profile"),
    ({"qos_profile": "best please"}, "qos_profile"),
    ({"webhook": {"notification_url": "ftp://bay.example.com"}}, "webhook.notification_url"),
    (
        {"webhook": {"notification_url": "https://bay.example.com", "notification_auth_token": "S3" * 9}},
        "webhook.notification_auth_token",
    ),
    ({"duration": "3600"}, "duration"),
    ({"duration": True}, "duration"),
    ({"phone_number": "+15550100"}, "phone_number"),
]


@pytest.mark.parametrize(
    ("fields", "name"), MALFORMED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_malformed_request_names_the_field_and_no_value(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CreateSession(**(VALID | fields))
    text = str(caught.value)
    assert name in text.splitlines()
    assert not [secret for secret in ("5550100", "203.0.113.7", "S3S3", "10.0.0") if secret in text]


# What only one of the dialects refuses: field in the error, or None when it is fine.
@pytest.mark.parametrize(
    ("fields", "tmobile", "camara"),
    [
        ({}, None, None),
        ({"device": {"phone_number": "1555010001"}}, None, "device.phone_number"),
        ({"device": {"phone_number": "+0155501"}}, None, "device.phone_number"),
        ({"device": {"phone_number": "+1555"}}, "device.phone_number", "device.phone_number"),
        ({"device": {"phone_number": "+1234567890123456"}}, "device.phone_number", "device.phone_number"),
        ({"device": {"phone_number": "+15550100\n"}}, "device.phone_number", "device.phone_number"),
        ({"device": {"phone_number": "+１５５５０１００"}}, "device.phone_number", "device.phone_number"),
        ({"device": {"ipv6_address": "2001:db8::7"}}, "device.phone_number", None),
        ({"device": None}, "device.phone_number", None),
        ({"application_server": None}, None, "application_server"),
        ({"duration": None}, None, "duration"),
        ({"duration": 59}, "duration", None),
        ({"duration": 60}, None, None),
        ({"duration": 0}, "duration", "duration"),
        ({"duration": 86_400}, None, None),
        ({"duration": 86_401}, "duration", "duration"),
        ({"webhook": {"notification_url": "http://bay.example.com"}}, None, "webhook.notification_url"),
    ],
)
def test_each_dialect_refuses_what_its_operator_would(
    fields: dict[str, Any], tmobile: str | None, camara: str | None
) -> None:
    for dialect, name in ((TMOBILE_0_10, tmobile), (CAMARA_1_1, camara)):
        try:
            written(dialect, **fields)
        except InvalidInputError as error:
            assert error.field == name
            assert "555" not in str(error)
        else:
            assert name is None, dialect.name


def test_the_capabilities_are_facts_of_the_dialect() -> None:
    facts = [
        (
            each.name,
            each.can_extend,
            each.can_retrieve,
            each.can_notify,
            each.min_duration_s,
            each.max_duration_s,
        )
        for each in BOTH
    ]
    assert facts == [
        ("tmobile-0.10", False, False, False, 60, 86_400),
        ("camara-1.1", True, True, True, 1, 86_400),
    ]
