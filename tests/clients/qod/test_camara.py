"""The standard's dialect: its own body, scopes, client authentication, extend and retrieve."""

from base64 import b64decode
from urllib.parse import parse_qs

import pytest

from bayd.clients.qod import (
    CreateSession,
    Device,
    InvalidInputError,
    QodClient,
    RefusedError,
    RetryLaterError,
    UnsupportedError,
)

from .conftest import NOW_S, PHONE, KeyPair, MakeClient
from .peer import SESSION, SESSION_ID, Answer, Peer, verified

pytestmark = pytest.mark.virtual_time

CAMARA = {"dialect": "camara-1.1", "base_url": "http://127.0.0.1:1/quality-on-demand/v1"}
TIMES = {"startedAt": "2025-06-15T15:06:40Z", "expiresAt": "2025-06-15T18:06:40.5+02:00"}


async def run_every_call(client: QodClient, booking: CreateSession) -> None:
    await client.session.create_session(booking)
    await client.session.get_session(SESSION_ID)
    await client.session.extend_session(SESSION_ID, 600)
    await client.session.retrieve_sessions(Device(phone_number=PHONE))
    await client.session.delete_session(SESSION_ID)


async def test_every_call_has_its_path_and_the_token_of_its_scope(
    make_client: MakeClient, booking: CreateSession
) -> None:
    peer = Peer()
    client = make_client(peer, **CAMARA)
    await run_every_call(client, booking)
    await run_every_call(client, booking)
    calls = [(seen.method, seen.path) for seen in peer.requests if "/oauth2/" not in seen.path]
    base = "/quality-on-demand/v1"
    assert calls == 2 * [
        ("POST", f"{base}/sessions"),
        ("GET", f"{base}/sessions/{SESSION_ID}"),
        ("POST", f"{base}/sessions/{SESSION_ID}/extend"),
        ("POST", f"{base}/retrieve-sessions"),
        ("DELETE", f"{base}/sessions/{SESSION_ID}"),
    ]
    forms = [parse_qs(seen.body.decode()) for seen in peer.calls("token")]
    assert [form["scope"] for form in forms] == [
        [f"quality-on-demand:sessions:{scope}"]
        for scope in ("create", "read", "update", "retrieve-by-device", "delete")
    ]
    assert all(form["grant_type"] == ["client_credentials"] for form in forms)
    assert not [seen for seen in peer.requests if "x-authorization" in seen.headers]
    assert all(seen.bearer.startswith("token-") for seen in peer.requests if "/oauth2/" not in seen.path)
    assert peer.calls("create")[0].bearer == "token-1"
    assert peer.calls("get")[1].bearer == "token-2"


async def test_a_secret_authenticates_by_basic(make_client: MakeClient, booking: CreateSession) -> None:
    """RFC 6749, 2.3.1: both halves form-encoded first."""
    peer = Peer()
    client = make_client(peer, **CAMARA, client_id="bay client", client_secret="a:b%/ü")
    await client.session.create_session(booking)
    (token,) = peer.calls("token")
    scheme, _, pair = token.headers["authorization"].partition(" ")
    assert (scheme, b64decode(pair).decode()) == ("Basic", "bay+client:a%3Ab%25%2F%C3%BC")
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("kind", ["rsa", "ec"])
async def test_a_key_authenticates_by_a_short_assertion(
    make_client: MakeClient, booking: CreateSession, rsa_pair: KeyPair, ec_pair: KeyPair, kind: str
) -> None:
    """RFC 7523; at most 300 s, for the token endpoint, used once."""
    pair = {"rsa": rsa_pair, "ec": ec_pair}[kind]
    peer = Peer()
    client = make_client(peer, **CAMARA, private_key=pair.private_pem)
    await client.session.create_session(booking)
    await client.session.get_session(SESSION_ID)
    forms = [parse_qs(seen.body.decode()) for seen in peer.calls("token")]
    assertions = [verified(form["client_assertion"][0], pair.public_pem) for form in forms]
    for form, assertion in zip(forms, assertions, strict=True):
        assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
        claims = assertion.claims
        assert (claims["iss"], claims["sub"]) == ("bay-client", "bay-client")
        assert claims["aud"] == "http://127.0.0.1:1/oauth2/token"
        assert claims["iat"] == NOW_S
        assert 0 < claims["exp"] - claims["iat"] <= 300
    assert assertions[0].claims["jti"] != assertions[1].claims["jti"]
    assert not [seen for seen in peer.calls("token") if "authorization" in seen.headers]


async def test_a_given_token_url_is_asked_and_named_in_the_assertion(
    make_client: MakeClient, booking: CreateSession, rsa_pair: KeyPair
) -> None:
    peer = Peer()
    url = "https://auth.example.com/oauth2/realms/a/token"
    client = make_client(peer, **CAMARA, private_key=rsa_pair.private_pem, token_url=url)
    await client.session.create_session(booking)
    (token,) = peer.calls("token")
    assert token.path == "/oauth2/realms/a/token"
    form = parse_qs(token.body.decode())
    assert verified(form["client_assertion"][0], rsa_pair.public_pem).claims["aud"] == url


async def test_the_webhook_goes_as_sink_and_credential(
    make_client: MakeClient, booking: CreateSession
) -> None:
    peer = Peer()
    hooked = CreateSession.model_validate(
        booking.model_dump()
        | {
            "webhook": {
                "notification_url": "https://bay.example.com/qod",
                "notification_auth_token": "x" * 32,
            }
        }
    )
    await make_client(peer, **CAMARA).session.create_session(hooked)
    (create,) = peer.calls("create")
    assert create.json == {
        "device": {"phoneNumber": PHONE},
        "applicationServer": {"ipv4Address": "203.0.113.10"},
        "qosProfile": "QOS_E",
        "sink": "https://bay.example.com/qod",
        "sinkCredential": {
            "credentialType": "ACCESSTOKEN",
            "accessToken": "x" * 32,
            "accessTokenExpiresUtc": "2025-06-15T17:06:40Z",  # the hour asked for, and one to spare
            "accessTokenType": "bearer",
        },
        "duration": 3600,
    }


async def test_rfc_3339_times_are_normalised(make_client: MakeClient) -> None:
    peer = Peer()
    peer.script("get", Answer(200, SESSION | TIMES))
    info = await make_client(peer, **CAMARA).session.get_session(SESSION_ID)
    assert info.started_at_ms == NOW_S * 1000
    assert info.expires_at_ms == (NOW_S + 3600) * 1000 + 500
    assert (info.started_at, info.expires_at) == (NOW_S, NOW_S + 3600)


async def test_a_requested_session_has_no_times_yet(make_client: MakeClient, booking: CreateSession) -> None:
    peer = Peer()
    peer.script("create", Answer(201, {"sessionId": SESSION_ID, "duration": 3600, "qosStatus": "REQUESTED"}))
    info = await make_client(peer, **CAMARA).session.create_session(booking)
    assert (info.qos_status, info.started_at_ms, info.expires_at_ms) == ("REQUESTED", None, None)


async def test_extend_gives_what_was_granted(make_client: MakeClient) -> None:
    peer = Peer()
    peer.script("extend", Answer(200, SESSION | {"duration": 50_000}))
    info = await make_client(peer, **CAMARA).session.extend_session(SESSION_ID, 80_000)
    (extend,) = peer.calls("extend")
    assert extend.json == {"requestedAdditionalDuration": 80_000}
    assert info.duration == 50_000


@pytest.mark.parametrize("seconds", [0, -1, True])
async def test_extend_wants_whole_seconds(make_client: MakeClient, seconds: int) -> None:
    peer = Peer()
    with pytest.raises(InvalidInputError, match="requested_additional_duration"):
        await make_client(peer, **CAMARA).session.extend_session(SESSION_ID, seconds)
    assert not peer.requests


async def test_retrieve_gives_all_of_them_or_none(make_client: MakeClient) -> None:
    peer = Peer()
    other = SESSION | {"sessionId": SESSION_ID.replace("1", "2")}
    peer.script("retrieve", Answer(200, [SESSION, other]), Answer(200, []))
    client = make_client(peer, **CAMARA)
    found = await client.session.retrieve_sessions(Device(phone_number=PHONE))
    assert [info.session_id for info in found] == [SESSION_ID, other["sessionId"]]
    assert peer.calls("retrieve")[0].json == {"device": {"phoneNumber": PHONE}}
    assert await client.session.retrieve_sessions(Device(phone_number=PHONE)) == ()


@pytest.mark.parametrize("phone", ["1555010001", "+0155501", "+1555"])
async def test_retrieve_wants_a_number_of_its_dialect(make_client: MakeClient, phone: str) -> None:
    peer = Peer()
    with pytest.raises(InvalidInputError) as caught:
        await make_client(peer, **CAMARA).session.retrieve_sessions(Device(phone_number=phone))
    assert caught.value.field == "device.phone_number"
    assert phone not in str(caught.value)
    assert not peer.requests


@pytest.mark.parametrize("body", [[SESSION, {"qosStatus": "AVAILABLE"}], SESSION, None, [None]])
async def test_a_half_readable_list_is_no_list(make_client: MakeClient, body: object) -> None:
    """ "None found" must not come from an entry that could not be read: a session would be made twice."""
    peer = Peer()
    peer.always("retrieve", Answer(200, body))
    with pytest.raises(RetryLaterError):
        await make_client(peer, **CAMARA).session.retrieve_sessions(Device(phone_number=PHONE))
    assert len(peer.calls("retrieve")) == 1


async def test_an_unknown_device_is_final(make_client: MakeClient) -> None:
    peer = Peer()
    peer.script("retrieve", Answer(404, {"status": 404, "code": "IDENTIFIER_NOT_FOUND", "message": "none"}))
    with pytest.raises(RefusedError) as caught:
        await make_client(peer, **CAMARA).session.retrieve_sessions(Device(phone_number=PHONE))
    assert caught.value.code == "IDENTIFIER_NOT_FOUND"


async def test_the_older_dialect_says_that_it_cannot(make_client: MakeClient) -> None:
    peer = Peer()
    client = make_client(peer)
    with pytest.raises(UnsupportedError):
        await client.session.extend_session(SESSION_ID, 600)
    with pytest.raises(UnsupportedError):
        await client.session.retrieve_sessions(Device(phone_number=PHONE))
    assert not peer.requests
    flags = (client.dialect.can_extend, client.dialect.can_retrieve, client.dialect.can_notify)
    assert flags == (False, False, False)
