"""Keys made for the run, and clients wired to a peer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bayd.clients.qod import CreateSession, QodClient
from tests.let_out import keep_secret

from .peer import MemoryTransport, Peer

PHONE = "+15550100"
NOW_S = 1_750_000_000


@dataclass(frozen=True)
class KeyPair:
    private_pem: str
    public_pem: str


def _pair(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> KeyPair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return KeyPair(private.decode(), public.decode())


@pytest.fixture(scope="session")
def rsa_pair() -> KeyPair:
    return _pair(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(scope="session")
def ec_pair() -> KeyPair:
    return _pair(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def booking() -> CreateSession:
    return CreateSession.model_validate(
        {
            "device": {"phone_number": PHONE},
            "application_server": {"ipv4_address": "203.0.113.10"},
            "qos_profile": "QOS_E",
            "duration": 3600,
        }
    )


MakeClient = Callable[..., QodClient]


@pytest.fixture
def make_client(rsa_pair: KeyPair) -> MakeClient:
    """A client over a peer in memory, its monotonic clock the loop's; keywords override."""

    keep_secret(PHONE, "correct-horse", *rsa_pair.private_pem.splitlines()[1:3])

    def make(peer: Peer, **overrides: Any) -> QodClient:
        dialect = overrides.pop("dialect", "tmobile-0.10")
        settings: dict[str, Any] = {
            "client_id": "bay-client",
            "client_secret": "correct-horse",
            "private_key": rsa_pair.private_pem if dialect == "tmobile-0.10" else "",
            "base_url": "http://127.0.0.1:1/qod/v0",
            "dialect": dialect,
            "transport": MemoryTransport(peer),
            "wall_clock": lambda: NOW_S + asyncio.get_running_loop().time(),
            "monotonic": lambda: asyncio.get_running_loop().time(),
            "jitter": lambda: 0.5,
        }
        return QodClient(**(settings | overrides))

    return make
