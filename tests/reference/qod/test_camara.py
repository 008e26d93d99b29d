"""The dialect `camara-1.1`, scenario by scenario of CAMARA's test definitions (see `scenarios`)."""

import os
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from bayd.reference.qod import issue_device_token
from tests.reference.qod.harness import (
    PHONE,
    SCOPES,
    CamaraCaller,
    Reply,
    Running,
    camara_request,
    receiving_events,
    running,
)
from tests.reference.qod.scenarios import AS_IN_1_1, NOT_OURS, SCENARIOS, per_operation, shown_by
from tests.reference.qod.schemas import check_body

DEVICE = {"phoneNumber": f"+{PHONE}"}
DELAY_S = 2.0  # of the fixture: REQUESTED for so long

OPERATIONS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "createSession": ("POST", "/sessions", camara_request(applicationServer={"ipv4Address": "203.0.113.99"})),
    "getSession": ("GET", "/sessions/{id}", None),
    "deleteSession": ("DELETE", "/sessions/{id}", None),
    "extendQosSessionDuration": ("POST", "/sessions/{id}/extend", {"requestedAdditionalDuration": 60}),
    "retrieveSessionsByDevice": ("POST", "/retrieve-sessions", {"device": DEVICE}),
}
CALL_OF = dict(zip(OPERATIONS, ("create", "get", "delete", "extend", "retrieve"), strict=True))
ECHOED = ("device", "applicationServer", "qosProfile", "devicePorts", "applicationServerPorts", "sink")
WITH_SESSION = ("getSession", "deleteSession", "extendQosSessionDuration")
WITH_DEVICE = ("createSession", "retrieveSessionsByDevice")


async def perform(caller: CamaraCaller, operation: str, session_id: str = "", **headers: str | None) -> Reply:
    """A request that would succeed."""
    method, path, body = OPERATIONS[operation]
    return await caller.call(method, path.replace("{id}", session_id), body, **headers)


async def available(caller: CamaraCaller, **changes: Any) -> str:
    """The id of a new session that has become AVAILABLE."""
    created = await caller.create(**changes)
    assert created.status == 201
    caller.operator.clock.advance(DELAY_S)
    session_id: str = created.body["sessionId"]
    return session_id


def check_refusal(reply: Reply, caller: CamaraCaller, status: int, code: str) -> None:
    assert reply.error == (status, code)
    check_body("ErrorInfo", reply.body)
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["x-correlator"] == caller.correlator


def check_success(reply: Reply, caller: CamaraCaller, status: int) -> None:
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["x-correlator"] == caller.correlator


def check_session_rules(info: dict[str, Any], request: dict[str, Any]) -> None:
    """What the definitions want of every session, beyond its schema."""
    check_body("1.1 SessionInfo", info)
    for name in (
        "device",
        "applicationServer",
        "qosProfile",
        "devicePorts",
        "applicationServerPorts",
        "sink",
    ):
        assert info.get(name) == request.get(name)
    status = info["qosStatus"]
    assert ("startedAt" in info) == (status != "REQUESTED")
    assert ("expiresAt" in info) == (status != "REQUESTED")
    assert ("statusInfo" in info) == (status == "UNAVAILABLE")
    if "expiresAt" in info:
        assert info["expiresAt"] > info["startedAt"]


# createSession


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"devicePorts": {"ports": [5060]}, "applicationServerPorts": {"ranges": [{"from": 1, "to": 2}]}},
        {"sink": "https://endpoint.example.com/sink"},
        {"device": {"ipv4Address": {"publicAddress": "203.0.113.7", "publicPort": 59765}}},
        {"device": {"ipv6Address": "2001:db8:85a3:8d3:1319:8a2e:370:7344"}},
    ],
)
async def test_create(camara: CamaraCaller, changes: dict[str, Any]) -> None:
    """quality_on_demand_createSession_01_generic_success_scenario"""
    created = await camara.create(**changes)
    check_success(created, camara, 201)
    assert created.body["qosStatus"] == "REQUESTED"
    check_session_rules(created.body, camara_request(**changes))


async def test_create_that_is_available_at_once(db: Path) -> None:
    """quality_on_demand_createSession_01_generic_success_scenario"""
    async with running(db, dialect="camara-1.1", requested_delay_s=0.0) as operator:
        caller = CamaraCaller(operator)
        await caller.login()
        created = await caller.create()
        assert created.body["qosStatus"] == "AVAILABLE"
        assert created.body["startedAt"] == "2025-06-15T15:06:40.000Z"
        assert created.body["expiresAt"] == "2025-06-15T16:06:40.000Z"
        check_session_rules(created.body, camara_request())


def sink_credential(**changes: Any) -> dict[str, Any]:
    return {
        "credentialType": "ACCESSTOKEN",
        "accessToken": "a-token-for-the-sink",
        "accessTokenExpiresUtc": "2030-01-01T00:00:00Z",
        "accessTokenType": "bearer",
    } | changes


async def test_create_with_a_sink_and_its_credential(camara: CamaraCaller) -> None:
    """quality_on_demand_createSession_02_1_sinkcredential_provided"""
    changes = {"sink": "https://endpoint.example.com/sink", "sinkCredential": sink_credential()}
    created = await camara.create(**changes)
    assert created.status == 201
    assert created.body["sink"] == changes["sink"]
    assert b"a-token-for-the-sink" not in created.raw


async def test_an_event_tells_of_the_new_status(camara: CamaraCaller) -> None:
    """quality_on_demand_createSession_02_2_event_received"""
    async with receiving_events() as receiver:
        session_id = await available(camara, sink=receiver.url, sinkCredential=sink_credential(), duration=60)
        await camara.get(session_id)
        headers, first = await receiver.next()
        assert headers["Authorization"] == "Bearer a-token-for-the-sink"
        assert headers["Content-Type"] == "application/cloudevents+json"
        check_body("1.1 EventQosStatusChanged", first)
        assert first["data"] == {"sessionId": session_id, "qosStatus": "AVAILABLE"}

        camara.operator.clock.advance(60)
        await camara.get(session_id)
        _, second = await receiver.next()
        check_body("1.1 EventQosStatusChanged", second)
        assert second["id"] != first["id"]
        assert second["data"] == {
            "sessionId": session_id,
            "qosStatus": "UNAVAILABLE",
            "statusInfo": "DURATION_EXPIRED",
        }


def with_device_token(caller: CamaraCaller, db: Path, phone_number: str = PHONE) -> CamaraCaller:
    """The same client with a 3-legged token: the owner of that device has consented."""
    scope = " ".join(SCOPES.values())
    clock = caller.operator.clock
    token = issue_device_token(db, caller.client_id, phone_number, scope, clock=clock)
    return CamaraCaller(caller.operator, caller.client_id, token)


async def test_the_device_of_a_3_legged_token_is_not_returned(camara: CamaraCaller, db: Path) -> None:
    """quality_on_demand_createSession_03_3_legged_missing_device"""
    owner = with_device_token(camara, db)
    created = await owner.create(device=None)
    check_success(created, owner, 201)
    check_body("1.1 SessionInfo", created.body)
    assert "device" not in created.body
    # It is the token's device all the same: its flow is taken.
    assert (await camara.create()).status == 409
    assert [info["sessionId"] for info in (await camara.retrieve(DEVICE)).body] == [created.body["sessionId"]]


async def test_a_3_legged_token_is_for_its_own_device_only(camara: CamaraCaller, db: Path) -> None:
    session_id = (await camara.create()).body["sessionId"]
    other = with_device_token(camara, db, "1555010002")
    for operation in WITH_SESSION:
        assert (await perform(other, operation, session_id)).error == (403, "PERMISSION_DENIED")
    own = with_device_token(camara, db)
    assert (await own.get(session_id)).status == 200


@pytest.mark.parametrize(
    "server",
    [
        {"ipv4Address": "198.51.100.0/24"},
        {"ipv6Address": "2001:db8:85a3:8d3::/64"},
        {"ipv4Address": "198.51.100.7/24", "ipv6Address": "2001:db8:85a3:8d3::0/64"},
    ],
)
async def test_application_server_subnets(camara: CamaraCaller, server: dict[str, str]) -> None:
    """quality_on_demand_createSession_04_1_application_server_subnets_provided"""
    created = await camara.create(applicationServer=server)
    assert created.status == 201
    assert created.body["applicationServer"] == server


@pytest.mark.parametrize(
    "body",
    [
        {"duration": "3600"},
        {"qosProfile": 7},
        {"qosProfile": "QO"},
        {"applicationServer": "203.0.113.10"},
        {"applicationServer": {"ipv4Address": "not an address"}},
        {"sink": 5},
        {"devicePorts": {"ranges": [{"from": 1}]}},
        {"duration": None},
        {"qosProfile": None},
        {"applicationServer": None},
    ],
)
async def test_create_schema(camara: CamaraCaller, body: dict[str, Any]) -> None:
    """quality_on_demand_createSession_400.1_schema_not_compliant"""
    check_refusal(await camara.create(**body), camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "name", ["applicationServer", "devicePorts", "applicationServerPorts", "sinkCredential"]
)
async def test_create_with_an_empty_property(camara: CamaraCaller, name: str) -> None:
    """quality_on_demand_createSession_400.4_empty_property"""
    check_refusal(await camara.create(**{name: {}}), camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("port", [-1, 65536])
@pytest.mark.parametrize(
    "place",
    [
        "device.ipv4Address.publicPort",
        "devicePorts.ranges.from",
        "devicePorts.ranges.to",
        "devicePorts.ports",
        "applicationServerPorts.ranges.from",
        "applicationServerPorts.ranges.to",
        "applicationServerPorts.ports",
    ],
)
async def test_create_with_a_port_out_of_range(camara: CamaraCaller, place: str, port: int) -> None:
    """quality_on_demand_createSession_400.5_out_of_range_port"""
    top, *_, last = place.split(".")
    value: dict[str, Any]
    if top == "device":
        value = {"ipv4Address": {"publicAddress": "203.0.113.7", "publicPort": port}}
    elif last == "ports":
        value = {"ports": [443, port]}
    else:
        value = {"ranges": [{"from": 5, "to": 5} | {last: port}]}
    check_refusal(await camara.create(**{top: value}), camara, 400, "OUT_OF_RANGE")


@pytest.mark.parametrize("kind", ["PLAIN", "REFRESHTOKEN"])
async def test_only_access_tokens_open_a_sink(camara: CamaraCaller, kind: str) -> None:
    """quality_on_demand_createSession_400.6_unsupported_sink_credential_type"""
    reply = await camara.create(sinkCredential=sink_credential(credentialType=kind))
    check_refusal(reply, camara, 400, "INVALID_CREDENTIAL")


async def test_only_bearer_tokens_open_a_sink(camara: CamaraCaller) -> None:
    """quality_on_demand_createSession_400.7_sink_credential_invalid_token"""
    reply = await camara.create(sinkCredential=sink_credential(accessTokenType="mac"))
    check_refusal(reply, camara, 400, "INVALID_TOKEN")


@pytest.mark.parametrize(
    "change",
    [
        {"credentialType": "PRIVATE_KEY_JWT"},
        {"accessToken": None},
        {"accessTokenExpiresUtc": "tomorrow"},
        {"accessTokenExpiresUtc": "2030-01-01T00:00:00"},
        {"accessTokenExpiresUtc": "2030-02-31T00:00:00Z"},
    ],
)
async def test_a_sink_credential_is_whole(camara: CamaraCaller, change: dict[str, Any]) -> None:
    credential = {name: value for name, value in sink_credential(**change).items() if value is not None}
    reply = await camara.create(sinkCredential=credential)
    check_refusal(reply, camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "sink", ["http://endpoint.example.com/sink", "http://127.0.0.1.example.com/", "ftp://127.0.0.1/", "sink"]
)
async def test_a_sink_is_https(camara: CamaraCaller, sink: str) -> None:
    check_refusal(await camara.create(sink=sink), camara, 400, "INVALID_SINK")


async def test_a_profile_that_is_not_offered(camara: CamaraCaller) -> None:
    """quality_on_demand_createSession_400.8_non_existent_qos_profile"""
    check_refusal(await camara.create(qosProfile="QOS_NONE"), camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(("profile", "duration"), [("QOS_E", 59), ("QOS_E", 86_401), ("QOS_L", 50_001)])
async def test_a_duration_that_the_profile_does_not_allow(
    camara: CamaraCaller, profile: str, duration: int
) -> None:
    """quality_on_demand_createSession_400.9_invalid_duration"""
    reply = await camara.create(qosProfile=profile, duration=duration)
    check_refusal(reply, camara, 400, "QUALITY_ON_DEMAND.DURATION_OUT_OF_RANGE")


async def test_a_flow_is_given_once(camara: CamaraCaller) -> None:
    """quality_on_demand_createSession_409.1_session_conflict"""
    await camara.create()
    check_refusal(await camara.create(), camara, 409, "CONFLICT")


async def test_a_profile_that_is_no_longer_given_out(camara: CamaraCaller) -> None:
    """quality_on_demand_createSession_422.1_session_qos_profile_not_applicable"""
    reply = await camara.create(qosProfile="QOS_OLD")
    check_refusal(reply, camara, 422, "QUALITY_ON_DEMAND.QOS_PROFILE_NOT_APPLICABLE")


# getSession


async def test_get(camara: CamaraCaller) -> None:
    """quality_on_demand_getSession_01_get_existing_session"""
    request = camara_request(devicePorts={"ports": [5060]}, sink="https://endpoint.example.com/sink")
    session_id = (await camara.call("POST", "/sessions", request)).body["sessionId"]
    requested = await camara.get(session_id)
    check_success(requested, camara, 200)
    check_session_rules(requested.body, request)

    camara.operator.clock.advance(DELAY_S)
    info = (await camara.get(session_id)).body
    check_session_rules(info, request)
    assert (info["qosStatus"], info["duration"]) == ("AVAILABLE", 3600)
    assert info["startedAt"] == "2025-06-15T15:06:42.000Z"

    camara.operator.clock.advance(1000)
    await camara.operator.order("terminate_now", session_id=session_id)
    info = (await camara.get(session_id)).body
    check_session_rules(info, request)
    assert (info["qosStatus"], info["statusInfo"]) == ("UNAVAILABLE", "NETWORK_TERMINATED")
    # The overall effective duration, and the time of the end.
    assert (info["duration"], info["expiresAt"]) == (1000, "2025-06-15T15:23:22.000Z")


async def test_a_session_that_failed_can_be_read_for_360_s(camara: CamaraCaller) -> None:
    """quality_on_demand_getSession_02_get_recent_unavailable"""
    session_id = (await camara.create()).body["sessionId"]
    await camara.operator.order("terminate_now", session_id=session_id)
    camara.operator.clock.advance(359)
    seen = await camara.get(session_id)
    check_success(seen, camara, 200)
    check_body("1.1 SessionInfo", seen.body)
    assert seen.body["qosStatus"] == "UNAVAILABLE"
    assert "startedAt" not in seen.body  # it never was AVAILABLE
    camara.operator.clock.advance(1)
    assert (await camara.get(session_id)).status == 404


# deleteSession


async def test_delete(camara: CamaraCaller) -> None:
    """quality_on_demand_deleteSession_01_delete_existing_qod_session"""
    session_id = await available(camara)
    deleted = await camara.delete(session_id)
    check_success(deleted, camara, 204)
    assert deleted.raw == b""
    assert (await camara.get(session_id)).status == 404


async def test_a_deletion_of_an_available_session_is_told(camara: CamaraCaller) -> None:
    """quality_on_demand_deleteSession_02_event_notification"""
    async with receiving_events() as receiver:
        session_id = await available(camara, sink=receiver.url, sinkCredential=sink_credential())
        assert (await camara.delete(session_id)).status == 204
        _, first = await receiver.next()
        assert first["data"]["qosStatus"] == "AVAILABLE"
        headers, event = await receiver.next()
        assert headers["Authorization"] == "Bearer a-token-for-the-sink"
        assert headers["Content-Type"] == "application/cloudevents+json"
        check_body("1.1 EventQosStatusChanged", event)
        assert event["id"] != first["id"]
        assert event["data"] == {
            "sessionId": session_id,
            "qosStatus": "UNAVAILABLE",
            "statusInfo": "DELETE_REQUESTED",
        }


# extendQosSessionDuration


async def test_extend(camara: CamaraCaller) -> None:
    """quality_on_demand_extendQosSessionDuration_01_generic_success_scenario"""
    session_id = await available(camara)
    reply = await camara.extend(session_id, 1800)
    check_success(reply, camara, 200)
    check_session_rules(reply.body, camara_request())
    assert reply.body["duration"] == 5400
    assert reply.body["expiresAt"] == "2025-06-15T16:36:42.000Z"
    camara.operator.clock.advance(5399)
    await camara.login()
    assert (await camara.get(session_id)).body["qosStatus"] == "AVAILABLE"
    camara.operator.clock.advance(1)
    assert (await camara.get(session_id)).body["statusInfo"] == "DURATION_EXPIRED"


async def test_extend_is_capped_silently(camara: CamaraCaller) -> None:
    """quality_on_demand_extendQosSessionDuration_02_exceed_max_duration"""
    session_id = await available(camara, qosProfile="QOS_L", duration=30_000)
    reply = await camara.extend(session_id, 30_000)
    check_success(reply, camara, 200)
    check_body("1.1 SessionInfo", reply.body)
    assert reply.body["duration"] == 50_000
    assert (await camara.extend(session_id, 1)).body["duration"] == 50_000


async def test_extend_twice_adds_twice(camara: CamaraCaller) -> None:
    session_id = await available(camara)
    await camara.extend(session_id, 60)
    assert (await camara.extend(session_id, 60)).body["duration"] == 3720


@pytest.mark.parametrize("status", ["REQUESTED", "UNAVAILABLE"])
async def test_extend_needs_an_available_session(camara: CamaraCaller, status: str) -> None:
    """quality_on_demand_extendQosSessionDuration_409.1_session_not_available"""
    session_id = (await camara.create()).body["sessionId"]
    if status == "UNAVAILABLE":
        await camara.operator.order("terminate_now")
    reply = await camara.extend(session_id, 60)
    check_refusal(reply, camara, 409, "QUALITY_ON_DEMAND.SESSION_EXTENSION_NOT_ALLOWED")


# retrieveSessionsByDevice


async def test_retrieve(camara: CamaraCaller) -> None:
    """quality_on_demand_retrieveSessionsByDevice_01_get_existing_session_by_device"""
    https = camara_request(applicationServerPorts={"ports": [443]}, sink="https://endpoint.example.com/")
    plain = camara_request(applicationServerPorts={"ports": [80]})
    for request in (https, plain):
        assert (await camara.call("POST", "/sessions", request)).status == 201
    camara.operator.clock.advance(DELAY_S)
    await camara.create(device={"phoneNumber": "+1555010002"})
    reply = await camara.retrieve(DEVICE)
    check_success(reply, camara, 200)
    assert len(reply.body) == 2
    for info, request in zip(reply.body, (https, plain), strict=True):
        check_session_rules(info, request)


async def test_retrieve_nothing(camara: CamaraCaller) -> None:
    """quality_on_demand_retrieveSessionsByDevice_02_sessions_not_found"""
    reply = await camara.retrieve(DEVICE)
    check_success(reply, camara, 200)
    assert reply.body == []
    session_id = await available(camara)
    await camara.delete(session_id)
    assert (await camara.retrieve(DEVICE)).body == []


async def test_retrieve_shows_a_client_its_own_sessions_only(camara: CamaraCaller) -> None:
    rival = CamaraCaller(camara.operator, "rival")
    await rival.login()
    assert (await rival.create()).status == 201
    assert (await camara.retrieve(DEVICE)).body == []
    assert len((await rival.retrieve(DEVICE)).body) == 1


# Device identifiers: the same rules wherever a device may be given


async def with_device(caller: CamaraCaller, operation: str, device: Any) -> Reply:
    method, path, body = OPERATIONS[operation]
    assert body is not None
    changed = {name: value for name, value in (body | {"device": device}).items() if value is not None}
    return await caller.call(method, path, changed)


@pytest.mark.parametrize("operation", per_operation("C01.01_device_empty", WITH_DEVICE))
async def test_an_empty_device(camara: CamaraCaller, operation: str) -> None:
    check_refusal(await with_device(camara, operation, {}), camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "device",
    [
        {"phoneNumber": PHONE},
        {"phoneNumber": "+0555010001"},
        {"phoneNumber": "+1555"},
        {"ipv4Address": {"publicAddress": "203.0.113.7"}},
        {"ipv4Address": {"publicAddress": "203.0.113.7/32", "publicPort": 1}},
        {"ipv4Address": {"publicPort": 1}},
        {"ipv6Address": "2001:db8::/64"},
        {"networkAccessIdentifier": 7},
    ],
)
@pytest.mark.parametrize(
    "operation", per_operation("C01.02_device_identifiers_not_schema_compliant", WITH_DEVICE)
)
async def test_a_malformed_device(camara: CamaraCaller, operation: str, device: dict[str, Any]) -> None:
    check_refusal(await with_device(camara, operation, device), camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("operation", per_operation("C01.03_device_not_found", WITH_DEVICE))
async def test_a_device_that_nobody_knows(camara: CamaraCaller, operation: str) -> None:
    reply = await with_device(camara, operation, {"phoneNumber": "+1555010404"})
    check_refusal(reply, camara, 404, "IDENTIFIER_NOT_FOUND")


@pytest.mark.parametrize("operation", per_operation("C01.04_unnecessary_device", WITH_DEVICE))
async def test_a_device_beside_a_token_that_names_one(camara: CamaraCaller, db: Path, operation: str) -> None:
    owner = with_device_token(camara, db)
    reply = await with_device(owner, operation, DEVICE)
    check_refusal(reply, owner, 422, "UNNECESSARY_IDENTIFIER")


@pytest.mark.parametrize("operation", per_operation("C01.05_missing_device", WITH_DEVICE))
async def test_no_device_at_all(camara: CamaraCaller, operation: str) -> None:
    check_refusal(await with_device(camara, operation, None), camara, 422, "MISSING_IDENTIFIER")


@pytest.mark.parametrize("operation", per_operation("C01.06_unsupported_device", WITH_DEVICE))
async def test_an_identifier_that_is_not_supported(camara: CamaraCaller, operation: str) -> None:
    reply = await with_device(camara, operation, {"networkAccessIdentifier": "bay@example.com"})
    check_refusal(reply, camara, 422, "UNSUPPORTED_IDENTIFIER")


@pytest.mark.parametrize("operation", per_operation("C01.07_device_not_supported", WITH_DEVICE))
async def test_a_device_that_is_not_served(camara: CamaraCaller, operation: str) -> None:
    reply = await with_device(camara, operation, {"phoneNumber": "+1555010422"})
    check_refusal(reply, camara, 422, "SERVICE_NOT_APPLICABLE")


async def test_of_several_identifiers_one_is_named_in_the_answer(camara: CamaraCaller) -> None:
    several = {
        "ipv6Address": "2001:db8:85a3:8d3::1",
        "networkAccessIdentifier": "bay@example.com",
        **DEVICE,
    }
    created = await camara.create(device=several)
    assert created.body["device"] == DEVICE
    check_body("1.1 SessionInfo", created.body)
    # The others still name the same device.
    found = await camara.retrieve({"ipv6Address": "2001:db8:85a3:8d3::2"})
    assert [info["sessionId"] for info in found.body] == [created.body["sessionId"]]


# Bodies


@pytest.mark.parametrize(
    "operation",
    [
        *per_operation("400.2_no_request_body", ("createSession", "retrieveSessionsByDevice")),
        *per_operation("400.3_no_request_body", ("extendQosSessionDuration",)),
    ],
)
async def test_no_body(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    method, path, _ = OPERATIONS[operation]
    reply = await camara.send(method, path.replace("{id}", session_id), Content_Type="application/json")
    check_refusal(reply, camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "operation",
    [
        *per_operation("400.3_empty_request_body", ("createSession",)),
        *per_operation("400.4_empty_request_body", ("extendQosSessionDuration",)),
    ],
)
async def test_an_empty_object_for_a_body(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    method, path, _ = OPERATIONS[operation]
    reply = await camara.call(method, path.replace("{id}", session_id), {})
    check_refusal(reply, camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("body", [[], "text", {"device": "a device"}, {"requestedAdditionalDuration": "60"}])
async def test_extend_schema(camara: CamaraCaller, body: Any) -> None:
    """quality_on_demand_extendQosSessionDuration_400.1_schema_not_compliant"""
    session_id = await available(camara)
    reply = await camara.call("POST", f"/sessions/{session_id}/extend", body)
    check_refusal(reply, camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("body", [[], "text", {"device": "a device"}, {"device": {"phoneNumber": []}}])
async def test_retrieve_schema(camara: CamaraCaller, body: Any) -> None:
    """quality_on_demand_retrieveSessionsByDevice_400.1_schema_not_compliant"""
    reply = await camara.call("POST", "/retrieve-sessions", body)
    check_refusal(reply, camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("seconds", [0, -5])
async def test_extend_by_nothing(camara: CamaraCaller, seconds: int) -> None:
    session_id = await available(camara)
    check_refusal(await camara.extend(session_id, seconds), camara, 400, "OUT_OF_RANGE")


# Paths and headers


@pytest.mark.parametrize(
    "operation",
    [
        *per_operation("400.1_invalid_session_id", ("getSession", "deleteSession")),
        *per_operation("400.2_invalid_session_id", ("extendQosSessionDuration",)),
    ],
)
async def test_a_session_id_that_is_none(camara: CamaraCaller, operation: str) -> None:
    check_refusal(await perform(camara, operation, "4711"), camara, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "operation",
    [
        *per_operation("400.10_invalid_x-correlator", ("createSession",)),
        *per_operation("400.2_invalid_x-correlator", ("getSession", "deleteSession")),
        *per_operation("400.5_invalid_x-correlator", ("extendQosSessionDuration",)),
        *per_operation("400.3_invalid_x-correlator", ("retrieveSessionsByDevice",)),
    ],
)
async def test_a_bad_correlator(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    reply = await perform(camara, operation, session_id, x_correlator="no spaces, please")
    assert reply.error == (400, "INVALID_ARGUMENT")
    assert "x-correlator" not in reply.headers


@pytest.mark.parametrize("operation", per_operation("404.1_not_found", WITH_SESSION))
async def test_a_session_that_never_was(camara: CamaraCaller, operation: str) -> None:
    check_refusal(await perform(camara, operation, str(uuid.uuid4())), camara, 404, "NOT_FOUND")


# Access


@pytest.mark.parametrize("operation", per_operation("401.1_no_authorization_header", OPERATIONS))
async def test_no_token(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    reply = await perform(camara, operation, session_id, Authorization=None)
    check_refusal(reply, camara, 401, "UNAUTHENTICATED")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("operation", per_operation("401.2_expired_access_token", OPERATIONS))
async def test_an_expired_token(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    camara.operator.clock.advance(3600)
    check_refusal(await perform(camara, operation, session_id), camara, 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("operation", per_operation("401.3_invalid_access_token", OPERATIONS))
async def test_a_token_that_never_was(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    reply = await perform(camara, operation, session_id, Authorization="Bearer made-up")
    check_refusal(reply, camara, 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("operation", per_operation("403.1_missing_access_token_scope", OPERATIONS))
async def test_a_token_without_the_scope(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    narrow = CamaraCaller(camara.operator)
    await narrow.login(" ".join(scope for name, scope in SCOPES.items() if name != CALL_OF[operation]))
    check_refusal(await perform(narrow, operation, session_id), narrow, 403, "PERMISSION_DENIED")
    exact = CamaraCaller(camara.operator)
    await exact.login(SCOPES[CALL_OF[operation]])
    assert (await perform(exact, operation, session_id)).status < 300


@pytest.mark.parametrize("operation", per_operation("403.2_session_token_mismatch", WITH_SESSION))
async def test_a_session_of_another_client(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    rival = CamaraCaller(camara.operator, "rival")
    await rival.login()
    check_refusal(await perform(rival, operation, session_id), rival, 403, "PERMISSION_DENIED")
    assert (await camara.get(session_id)).body["duration"] == 3600


@pytest.mark.parametrize("operation", per_operation("429.1_too_many_requests", OPERATIONS))
async def test_too_many_requests(camara: CamaraCaller, operation: str) -> None:
    session_id = await available(camara)
    await camara.operator.order("refuse", status=429, operation=CALL_OF[operation])
    check_refusal(await perform(camara, operation, session_id), camara, 429, "TOO_MANY_REQUESTS")
    assert (await perform(camara, operation, session_id)).status < 300


# The list itself


def test_every_scenario_is_shown_or_explained() -> None:
    shown = shown_by(globals())
    assert shown | NOT_OURS.keys() == SCENARIOS
    assert not shown & NOT_OURS.keys()
    assert AS_IN_1_1.keys() <= shown


def test_the_list_is_that_of_the_published_definitions() -> None:
    directory = os.environ.get("BAYD_CAMARA_DIR")
    if directory is None:
        assert len(SCENARIOS) == 91
        return
    texts = [path.read_text() for path in Path(directory).glob("*.feature")]
    assert {found for text in texts for found in re.findall(r"^  @(\S+)$", text, re.M)} == SCENARIOS


async def test_the_token_endpoint_can_be_discovered(camara_operator: Running) -> None:
    found = (await camara_operator.send("GET", "/.well-known/openid-configuration")).body
    assert found["token_endpoint"] == f"{camara_operator.url}/oauth2/token"
    assert set(found["scopes_supported"]) == set(SCOPES.values())
