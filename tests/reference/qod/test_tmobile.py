"""The dialect `tmobile-0.10`: create, get and delete by the user's document and CAMARA 0.10.1."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from bayd.reference.qod import register_client
from tests.reference.qod.harness import (
    NOON,
    PHONE,
    TmobileCaller,
    basic,
    pop_claims,
    running,
    sign,
    tmobile_request,
)
from tests.reference.qod.schemas import check_body

EVERYTHING: dict[str, Any] = {
    "device": {
        "phoneNumber": PHONE,
        "networkAccessIdentifier": "bay@example.com",
        "ipv4Address": {
            "publicAddress": "203.0.113.20",
            "privateAddress": "203.0.113.20",
            "publicPort": 47698,
        },
        "ipv6Address": "2001:db8:85a3:8d3:1319:8a2e:370:7344",
    },
    "applicationServer": {"ipv4Address": "203.0.113.1/24", "ipv6Address": "2001:db8:85a3:8d3::1"},
    "devicePorts": {"ranges": [{"from": 15584, "to": 21894}], "ports": [40225]},
    "applicationServerPorts": {"ranges": [{"from": 15584, "to": 21894}], "ports": [40225]},
    "qosProfile": "QOS_VC",
    "webhook": {
        "notificationUrl": "https://application-server.example.com",
        "notificationAuthToken": "a-token-of-twenty-or-more",
    },
    "duration": 86400,
}

SHORT_TOKEN = {"notificationUrl": "https://example.com", "notificationAuthToken": "too short"}


async def test_the_documented_example_is_created_and_read_back(tmobile: TmobileCaller) -> None:
    created = await tmobile.call("POST", "/sessions", EVERYTHING)
    assert created.status == 201
    check_body("0.10 SessionInfo", created.body)
    for name in EVERYTHING.keys() - {"webhook"}:
        assert created.body[name] == EVERYTHING[name]
    assert created.body["webhook"] == {"notificationUrl": "https://application-server.example.com"}
    assert (await tmobile.get(created.body["sessionId"])).body == created.body


async def test_times_are_whole_seconds_and_expiry_follows_from_them(db: Path, key: RSAKey) -> None:
    async with running(db, requested_delay_s=2.5) as operator:
        caller = TmobileCaller(operator, key)
        await caller.login()
        created = (await caller.create(duration=600)).body
        assert (created["qosStatus"], created["startedAt"]) == ("REQUESTED", NOON)
        assert created["expiresAt"] == NOON + 600
        check_body("0.10 SessionInfo", created)

        operator.clock.advance(2.4)
        assert (await caller.get(created["sessionId"])).body["qosStatus"] == "REQUESTED"
        operator.clock.advance(0.1)
        available = (await caller.get(created["sessionId"])).body
        assert available["qosStatus"] == "AVAILABLE"
        assert (available["startedAt"], available["expiresAt"]) == (NOON + 2, NOON + 602)

        operator.clock.advance(599.9)
        assert (await caller.get(created["sessionId"])).body["qosStatus"] == "AVAILABLE"
        operator.clock.advance(0.1)
        expired = (await caller.get(created["sessionId"])).body
        assert expired["qosStatus"] == "UNAVAILABLE"
        assert expired["messages"] == [{"severity": "WARNING", "description": "DURATION_EXPIRED"}]
        check_body("0.10 SessionInfo", expired)


@pytest.mark.parametrize(
    ("duration", "expected"), [(59, 400), (60, 201), (86400, 201), (86401, 400), (2**40, 400), (0, 400)]
)
async def test_durations_are_a_minute_to_a_day(tmobile: TmobileCaller, duration: int, expected: int) -> None:
    reply = await tmobile.create(duration=duration)
    assert reply.status == expected
    if expected == 400:
        assert reply.error == (400, "OUT_OF_RANGE")
    else:
        assert reply.body["expiresAt"] - reply.body["startedAt"] == duration


async def test_no_duration_means_a_day_and_the_minimum_can_be_scaled(db: Path, key: RSAKey) -> None:
    async with running(db, min_duration_s=3) as operator:
        caller = TmobileCaller(operator, key)
        await caller.login()
        assert (await caller.create(duration=2)).status == 400
        assert (await caller.create(duration=3)).status == 201
        operator.clock.advance(10)
        assert (await caller.create(duration=None)).body["duration"] == 86400


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"device": None}, "INVALID_ARGUMENT", "device"),
        ({"device": {}}, "INVALID_ARGUMENT", "device"),
        ({"device": {"ipv6Address": "2001:db8::1"}}, "INVALID_ARGUMENT", "device.phoneNumber"),
        ({"device": {"phoneNumber": "1234"}}, "INVALID_ARGUMENT", "device.phoneNumber"),
        ({"device": {"phoneNumber": "1" * 16}}, "INVALID_ARGUMENT", "device.phoneNumber"),
        ({"device": {"phoneNumber": f"{PHONE}\n"}}, "INVALID_ARGUMENT", "device.phoneNumber"),
        ({"device": {"phoneNumber": 1555010001}}, "INVALID_ARGUMENT", "device.phoneNumber"),
        ({"device": {"phoneNumber": "1555010404"}}, "INVALID_ARGUMENT", "device"),
        ({"applicationServer": None}, "INVALID_ARGUMENT", "applicationServer"),
        ({"applicationServer": {"ipv4Address": "203.0.113.1/33"}}, "INVALID_ARGUMENT", "ipv4Address"),
        ({"applicationServer": {"ipv6Address": "203.0.113.1"}}, "INVALID_ARGUMENT", "ipv6Address"),
        ({"qosProfile": None}, "INVALID_ARGUMENT", "qosProfile"),
        ({"qosProfile": "QOS_E"}, "INVALID_ARGUMENT", "qosProfile"),
        ({"qosProfile": "QOS VC"}, "INVALID_ARGUMENT", "qosProfile"),
        ({"duration": "3600"}, "INVALID_ARGUMENT", "duration"),
        ({"duration": True}, "INVALID_ARGUMENT", "duration"),
        ({"devicePorts": {}}, "INVALID_ARGUMENT", "devicePorts"),
        ({"devicePorts": {"ports": []}}, "INVALID_ARGUMENT", "devicePorts.ports"),
        ({"devicePorts": {"ports": [65536]}}, "OUT_OF_RANGE", "devicePorts.ports[0]"),
        ({"devicePorts": {"ranges": [{"from": 2, "to": 1}]}}, "OUT_OF_RANGE", "devicePorts"),
        ({"webhook": {}}, "INVALID_ARGUMENT", "webhook.notificationUrl"),
        ({"webhook": SHORT_TOKEN}, "INVALID_ARGUMENT", "webhook.notificationAuthToken"),
    ],
)
async def test_a_bad_request_is_told_which_property_is_wrong(
    tmobile: TmobileCaller, changes: dict[str, Any], code: str, named: str
) -> None:
    reply = await tmobile.create(**changes)
    assert reply.error == (400, code)
    assert named in reply.body["message"]
    assert PHONE not in reply.body["message"]
    check_body("ErrorInfo", reply.body)
    assert await tmobile.operator.ledger() == []


@pytest.mark.parametrize(
    "path", [("duration",), ("device", "ipv6Address"), ("webhook",), ("devicePorts", "ports")]
)
async def test_null_is_never_a_value(tmobile: TmobileCaller, path: tuple[str, ...]) -> None:
    request = tmobile_request()
    inner = request
    for name in path[:-1]:
        inner = inner.setdefault(name, {"ports": [1]} if name == "devicePorts" else {})
    inner[path[-1]] = None
    reply = await tmobile.call("POST", "/sessions", request)
    assert reply.error == (400, "INVALID_ARGUMENT")
    assert "null is no value" in reply.body["message"]


async def test_unknown_properties_are_ignored(tmobile: TmobileCaller) -> None:
    created = await tmobile.create(somethingNew={"a": 1})
    assert created.status == 201
    assert "somethingNew" not in created.body


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'"text"', b"\xff\xfe", b"[" * 5000, b'{"duration": NaN}']
)
async def test_a_body_that_is_no_object_is_refused(tmobile: TmobileCaller, body: bytes) -> None:
    path = "/qod/v0/sessions"
    headers = tmobile.headers("POST", path, body)
    reply = await tmobile.operator.send("POST", path, body=body or None, headers=headers)
    assert reply.error == (400, "INVALID_ARGUMENT")


async def test_a_huge_body_is_refused(tmobile: TmobileCaller) -> None:
    reply = await tmobile.create(padding="x" * 70_000)
    assert reply.error == (400, "INVALID_ARGUMENT")


# Conflicts


async def test_sessions_of_one_device_are_legal_while_their_flows_do_not_overlap(
    tmobile: TmobileCaller,
) -> None:
    https = {"applicationServerPorts": {"ports": [443]}}
    assert (await tmobile.create(**https)).status == 201
    assert (await tmobile.create(**https)).error == (409, "CONFLICT")
    assert (await tmobile.create(device={"phoneNumber": f"+{PHONE}"}, **https)).status == 409
    assert (await tmobile.create()).status == 409  # all ports, these among them
    assert (await tmobile.create(applicationServer={"ipv4Address": "203.0.113.0/24"})).status == 409
    assert (await tmobile.create(applicationServerPorts={"ports": [80]})).status == 201
    assert (await tmobile.create(applicationServer={"ipv4Address": "203.0.113.11"})).status == 201
    assert (await tmobile.create(device={"phoneNumber": "1555010002"}, **https)).status == 201


async def test_a_flow_of_another_client_is_a_conflict_too(tmobile: TmobileCaller, key: RSAKey) -> None:
    rival = TmobileCaller(tmobile.operator, key, client_id="rival")
    await rival.login()
    session_id = (await rival.create()).body["sessionId"]
    assert (await tmobile.create()).error == (409, "CONFLICT")
    assert "sessionId" not in (await tmobile.create()).body
    for attempt in (tmobile.get, tmobile.delete):
        assert (await attempt(session_id)).error == (403, "PERMISSION_DENIED")
    assert (await rival.get(session_id)).body["qosStatus"] == "AVAILABLE"


async def test_a_deleted_or_expired_session_frees_its_flow(tmobile: TmobileCaller) -> None:
    first = (await tmobile.create(duration=60)).body["sessionId"]
    assert (await tmobile.delete(first)).status == 204
    assert (await tmobile.delete(first)).error == (404, "NOT_FOUND")
    assert (await tmobile.create(duration=60)).status == 201
    tmobile.operator.clock.advance(60)
    assert (await tmobile.create(duration=60)).status == 201


async def test_a_session_that_the_network_ended_blocks_its_flow_for_360_s(tmobile: TmobileCaller) -> None:
    session_id = (await tmobile.create()).body["sessionId"]
    tmobile.operator.clock.advance(100)
    await tmobile.operator.order("terminate_now", session_id=session_id)
    seen = (await tmobile.get(session_id)).body
    assert seen["qosStatus"] == "UNAVAILABLE"
    assert seen["expiresAt"] == NOON + 3600  # 0.10.1: the plan, "if the session was not deleted"
    assert seen["messages"][0]["description"] == "NETWORK_TERMINATED"

    tmobile.operator.clock.advance(359.9)
    assert (await tmobile.create()).status == 409
    assert (await tmobile.get(session_id)).status == 200
    tmobile.operator.clock.advance(0.1)
    assert (await tmobile.get(session_id)).status == 404
    assert (await tmobile.create()).status == 201


async def test_deleting_a_session_that_the_network_ended_frees_its_flow_at_once(
    tmobile: TmobileCaller,
) -> None:
    session_id = (await tmobile.create()).body["sessionId"]
    await tmobile.operator.order("terminate_now")
    assert (await tmobile.create()).status == 409
    assert (await tmobile.delete(session_id)).status == 204
    assert (await tmobile.create()).status == 201
    assert [row["cause"] for row in await tmobile.operator.ledger()] == ["NETWORK_TERMINATED", None]


# Access


async def test_the_service_is_not_offered_to_every_device(tmobile: TmobileCaller) -> None:
    reply = await tmobile.create(device={"phoneNumber": "1555010422"})
    assert reply.error == (501, "NOT_IMPLEMENTED")


async def test_a_token_comes_for_basic_credentials_and_a_proof(tmobile: TmobileCaller) -> None:
    reply = await tmobile.login()
    assert reply.status == 200
    assert reply.body.keys() == {"access_token", "token_type", "expires_in"}
    assert (reply.body["token_type"], reply.body["expires_in"]) == ("Bearer", 3600)
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        basic(secret="wrong"),
        basic(client_id="nobody"),
        "Bearer abc",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Basic /w==",
    ],
)
async def test_wrong_credentials_get_no_token(tmobile: TmobileCaller, authorization: str | None) -> None:
    path = "/oauth2/v2/tokens"
    proof = sign(pop_claims({"uri": path, "http-method": "POST"}, NOON), tmobile.key)
    headers = {"X-Authorization": proof}
    if authorization is not None:
        headers["Authorization"] = authorization
    reply = await tmobile.operator.send("POST", path, headers=headers)
    assert reply.status == 401
    assert reply.body["error"] == "invalid_client"
    assert reply.body["error_description"]
    assert reply.headers["WWW-Authenticate"] == "Basic"


async def test_a_token_needs_a_proof_by_the_registered_key(tmobile: TmobileCaller) -> None:
    path = "/oauth2/v2/tokens"
    parts = {"uri": path, "http-method": "POST"}
    headers = {"Authorization": basic()}
    assert (await tmobile.operator.send("POST", path, headers=headers)).status == 401
    headers["X-Authorization"] = sign(pop_claims(parts, NOON), RSAKey.generate_key(2048))
    reply = await tmobile.operator.send("POST", path, headers=headers)
    assert (reply.status, reply.body["error"]) == (401, "invalid_client")


async def test_a_proof_is_good_for_one_call_only(tmobile: TmobileCaller) -> None:
    path = f"/qod/v0/sessions/{uuid.uuid4()}"
    headers = tmobile.headers("GET", path)
    assert (await tmobile.operator.send("GET", path, headers=headers)).status == 404
    again = await tmobile.operator.send("GET", path, headers=headers)
    assert again.error == (401, "UNAUTHENTICATED")
    assert "jti was used before" in again.body["message"]


async def test_a_stale_proof_is_refused_after_a_spoiled_call(tmobile: TmobileCaller) -> None:
    """A gateway that answered 503 has seen the proof all the same."""
    await tmobile.operator.order("refuse", status=503)
    path = f"/qod/v0/sessions/{uuid.uuid4()}"
    headers = tmobile.headers("GET", path)
    assert (await tmobile.operator.send("GET", path, headers=headers)).status == 503
    assert (await tmobile.operator.send("GET", path, headers=headers)).status == 401


async def test_a_delete_with_a_body_that_was_not_signed_is_refused(tmobile: TmobileCaller) -> None:
    session_id = (await tmobile.create()).body["sessionId"]
    path = f"/qod/v0/sessions/{session_id}"
    headers = tmobile.headers("DELETE", path)
    reply = await tmobile.operator.send("DELETE", path, body=b"{}", headers=headers)
    assert reply.error == (401, "UNAUTHENTICATED")
    assert (await tmobile.get(session_id)).status == 200


@pytest.mark.parametrize("missing", ["Authorization", "X-Authorization"])
async def test_every_call_needs_token_and_proof(tmobile: TmobileCaller, missing: str) -> None:
    path = f"/qod/v0/sessions/{uuid.uuid4()}"
    headers = tmobile.headers("GET", path)
    del headers[missing]
    reply = await tmobile.operator.send("GET", path, headers=headers)
    assert reply.error == (401, "UNAUTHENTICATED")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_lives_for_an_hour(tmobile: TmobileCaller) -> None:
    session_id = (await tmobile.create(duration=7200)).body["sessionId"]
    tmobile.operator.clock.advance(3599)
    assert (await tmobile.get(session_id)).status == 200
    tmobile.operator.clock.advance(1)
    assert (await tmobile.get(session_id)).status == 401
    await tmobile.login()
    assert (await tmobile.get(session_id)).status == 200


async def test_a_client_without_a_key_cannot_prove_anything(tmobile: TmobileCaller, db: Path) -> None:
    register_client(db, "keyless", "a-secret")
    caller = TmobileCaller(tmobile.operator, tmobile.key, client_id="keyless")
    path = "/oauth2/v2/tokens"
    proof = sign(pop_claims({"uri": path, "http-method": "POST"}, NOON), tmobile.key)
    headers = {"Authorization": basic("keyless", "a-secret"), "X-Authorization": proof}
    reply = await caller.operator.send("POST", path, headers=headers)
    assert reply.body == {
        "error": "invalid_client",
        "error_description": "X-Authorization: no RSA key is registered for this client",
    }


# What every answer carries


async def test_answers_carry_the_operators_date(tmobile: TmobileCaller) -> None:
    reply = await tmobile.create()
    assert reply.headers["Date"] == "Sun, 15 Jun 2025 15:06:40 GMT"


@pytest.mark.parametrize("correlator", ["", "a", "A-b_c:d;e./<f>{g}", "x" * 256])
async def test_x_correlator_is_echoed(tmobile: TmobileCaller, correlator: str) -> None:
    path = f"/qod/v0/sessions/{uuid.uuid4()}"
    headers = tmobile.headers("GET", path) | {"x-correlator": correlator}
    reply = await tmobile.operator.send("GET", path, headers=headers)
    assert reply.status == 404
    assert reply.headers["x-correlator"] == correlator


@pytest.mark.parametrize("correlator", ["a b", "x" * 257, "ä", "a,b"])
async def test_a_bad_x_correlator_is_refused(tmobile: TmobileCaller, correlator: str) -> None:
    path = f"/qod/v0/sessions/{uuid.uuid4()}"
    headers = tmobile.headers("GET", path) | {"x-correlator": correlator}
    reply = await tmobile.operator.send("GET", path, headers=headers)
    assert reply.error == (400, "INVALID_ARGUMENT")
    assert "x-correlator" not in reply.headers


@pytest.mark.parametrize("session_id", ["1", "not-a-uuid", "0d9b6a0b1c9a4b0c9d0c8f6f1c1a2b3c"])
async def test_a_session_id_must_be_a_uuid(tmobile: TmobileCaller, session_id: str) -> None:
    reply = await tmobile.get(session_id)
    assert reply.error == (400, "INVALID_ARGUMENT")


async def test_what_this_operator_does_not_offer_is_not_there(tmobile: TmobileCaller) -> None:
    session_id = (await tmobile.create()).body["sessionId"]
    extend = await tmobile.call("POST", f"/sessions/{session_id}/extend", {"requestedAdditionalDuration": 60})
    assert extend.error == (404, "NOT_FOUND")
    retrieve = await tmobile.call("POST", "/retrieve-sessions", {"device": {"phoneNumber": PHONE}})
    assert retrieve.error == (404, "NOT_FOUND")
    listing = await tmobile.call("GET", "/sessions")
    assert listing.error == (405, "METHOD_NOT_ALLOWED")
