"""Construction: wrong settings are told by name, at once, without a word of the secret."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bayd.clients.qod import CreateSession, Device, InvalidInputError, QodClient, get_dialect

from .conftest import PHONE, KeyPair, MakeClient
from .peer import SESSION_ID, MemoryTransport, Peer


def build(rsa_pair: KeyPair, **overrides: Any) -> QodClient:
    settings = {
        "client_id": "bay-client",
        "client_secret": "correct-horse",
        "private_key": rsa_pair.private_pem,
        "base_url": "https://operator.example.com/qod/v0",
    }
    return QodClient(**(settings | overrides))


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"dialect": "camara-2.0"}, "dialect"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "bay:client"}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": "", "private_key": "", "dialect": "camara-1.1"}, "client_secret"),
        ({"private_key": ""}, "private_key"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"}, "private_key"),
        ({"private_key": "correct-horse", "dialect": "camara-1.1"}, "private_key"),
        ({"base_url": "http://operator.example.com/qod/v0"}, "base_url"),
        ({"base_url": "http://192.0.2.1/qod/v0"}, "base_url"),
        ({"base_url": "ftp://127.0.0.1/qod/v0"}, "base_url"),
        ({"base_url": "https://user:correct-horse@operator.example.com"}, "base_url"),
        ({"base_url": "https://operator.example.com/qod?key=correct-horse"}, "base_url"),
        ({"base_url": "https://operator.example.com:port/"}, "base_url"),
        ({"base_url": "/qod/v0"}, "base_url"),
        ({"token_url": "http://auth.example.com/token"}, "token_url"),
    ],
)
def test_a_wrong_setting_is_named(rsa_pair: KeyPair, overrides: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build(rsa_pair, **overrides)
    assert caught.value.field == field
    shown = str(caught.value) + str(caught.value.__cause__)
    assert not [secret for secret in ("horse", "c2Vj") if secret in shown]


def test_a_key_must_be_private_rsa_and_long_enough(rsa_pair: KeyPair, ec_pair: KeyPair) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pem, told in (
        (rsa_pair.public_pem, "public half"),
        (ec_pair.private_pem, "RSA"),
        (short.decode(), "2048"),
    ):
        with pytest.raises(InvalidInputError, match=told) as caught:
            build(rsa_pair, private_key=pem)
        assert caught.value.field == "private_key"


def test_of_the_elliptic_curves_only_p_256_signs(rsa_pair: KeyPair) -> None:
    pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(InvalidInputError, match=r"private_key: .*P-256"):
        build(rsa_pair, dialect="camara-1.1", private_key=pem.decode())


def test_the_older_pem_form_is_read_as_well(rsa_pair: KeyPair) -> None:
    key = serialization.load_pem_private_key(rsa_pair.private_pem.encode(), None)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    assert "BEGIN RSA PRIVATE KEY" in pem
    assert build(rsa_pair, private_key=pem).dialect is get_dialect("tmobile-0.10")


@pytest.mark.virtual_time
@pytest.mark.parametrize("base_url", ["https://operator.example.com/qod/v0/", "https://[2001:db8::1]:8443"])
async def test_paths_are_put_together_from_the_base_url(make_client: MakeClient, base_url: str) -> None:
    peer = Peer()
    await make_client(peer, base_url=base_url).session.get_session(SESSION_ID)
    path = base_url.split("/", 3)[3].rstrip("/") if base_url.count("/") > 2 else ""
    assert [seen.path for seen in peer.requests] == [
        "/oauth2/v2/tokens",
        f"{'/' if path else ''}{path}/sessions/{SESSION_ID}",
    ]


@pytest.mark.virtual_time
@pytest.mark.parametrize("session_id", ["", "..", "a/b", "a?b", "a b", "%2e%2e", "x" * 200, "ä"])
async def test_no_session_id_can_leave_its_place_in_the_path(
    make_client: MakeClient, session_id: str
) -> None:
    peer = Peer()
    session = make_client(peer, dialect="camara-1.1").session
    for call in (
        session.get_session(session_id),
        session.delete_session(session_id),
        session.extend_session(session_id, 60),
    ):
        with pytest.raises(InvalidInputError, match="session_id"):
            await call
    assert not peer.requests


@pytest.mark.virtual_time
@pytest.mark.parametrize("x_correlator", ["line\r\nbreak: 1", "a b", "x" * 257, "ä"])
async def test_a_correlator_cannot_leave_its_header(
    make_client: MakeClient, booking: CreateSession, x_correlator: str
) -> None:
    peer = Peer()
    session = make_client(peer, dialect="camara-1.1").session
    for call in (
        session.create_session(booking, x_correlator),
        session.get_session(SESSION_ID, x_correlator),
        session.delete_session(SESSION_ID, x_correlator),
        session.extend_session(SESSION_ID, 60, x_correlator),
        session.retrieve_sessions(Device(phone_number=PHONE), x_correlator),
    ):
        with pytest.raises(InvalidInputError, match="x_correlator"):
            await call
    assert not peer.requests


async def test_a_given_transport_stays_open_and_an_own_one_is_closed(rsa_pair: KeyPair) -> None:
    given = MemoryTransport(Peer())
    async with build(rsa_pair, transport=given) as client:
        await client.session.get_session(SESSION_ID)
    assert (await client.session.get_session(SESSION_ID)).session_id == SESSION_ID
    own = build(rsa_pair)
    await own.aclose()
    await own.aclose()
    assert own.dialect.name == "tmobile-0.10"


@pytest.mark.virtual_time
async def test_an_operator_with_limits_of_its_own_is_a_dialect_replaced(
    make_client: MakeClient, booking: CreateSession, rsa_pair: KeyPair
) -> None:
    peer = Peer()
    short = booking.model_copy(update={"duration": 5})
    with pytest.raises(InvalidInputError, match=r"duration: must be 60 to 86400 s in tmobile-0\.10"):
        await make_client(peer).session.create_session(short)
    operator = replace(get_dialect("tmobile-0.10"), min_duration_s=1)
    await make_client(peer, private_key=rsa_pair.private_pem, dialect=operator).session.create_session(short)
    assert peer.calls("create")[0].json["duration"] == 5
