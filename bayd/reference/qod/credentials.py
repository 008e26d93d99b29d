"""Who is calling: registered clients, and how each proves itself at the token endpoint.

A client has a secret, a public key, or both. Secrets are random and long, so a plain SHA-256 of one is
enough to recognise it; the secret itself is never stored.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from bayd.reference.qod.errors import TokenError, invalid_client

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_MAX_LIFE_S = 300  # CAMARA Security and Interoperability Profile, client authentication
LEEWAY_S = 10

_ASSERTION_ALGORITHMS = ["RS256", "PS256", "ES256"]


class ClientsFileError(ValueError):
    """The file of clients does not say what it should."""


@dataclass(frozen=True, slots=True)
class ClientRegistration:
    """What a client hands over when it signs up."""

    secret: str | None = field(default=None, repr=False)
    public_key_pem: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Client:
    """What the operator keeps of it."""

    client_id: str
    secret_sha256: str | None = field(default=None, repr=False)
    public_key_pem: str | None = field(default=None, repr=False)

    def knows_secret(self, secret: str) -> bool:
        return self.secret_sha256 is not None and hmac.compare_digest(sha256(secret), self.secret_sha256)


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified private_key_jwt, good for one use."""

    jti: str
    good_until_s: float


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def new_client(client_id: str, registration: ClientRegistration) -> Client:
    """Raises ValueError."""
    if not client_id or ":" in client_id:
        raise ValueError("client_id: must not be empty or hold a colon (HTTP Basic could not carry it)")
    if not registration.secret and not registration.public_key_pem:
        raise ValueError(f"client {client_id}: needs a secret, a public_key_pem, or both")
    if registration.public_key_pem:
        load_public_key(registration.public_key_pem)
    return Client(
        client_id=client_id,
        secret_sha256=sha256(registration.secret) if registration.secret else None,
        public_key_pem=registration.public_key_pem or None,
    )


@lru_cache(maxsize=256)
def load_public_key(pem: str) -> RSAKey | ECKey:
    """Raises ValueError."""
    kinds: tuple[type[RSAKey | ECKey], ...] = (RSAKey, ECKey)
    for kind in kinds:
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError):
            continue
        if key.is_private:
            raise ValueError("public_key_pem: is a private key; register its public half")
        return key
    raise ValueError("public_key_pem: must be the PEM of an RSA or EC public key")


def load_clients(path: Path) -> dict[str, ClientRegistration]:
    """`{"CLIENT_ID": {"secret": "…", "public_key_pem": "…"}}`; either of the two may be missing.

    Raises ClientsFileError.
    """
    try:
        entries = json.loads(path.read_text())
    except OSError as error:
        raise ClientsFileError(f"clients file: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ClientsFileError("clients file: is no JSON document") from error
    if not isinstance(entries, dict):
        raise ClientsFileError("clients file: must be an object of client ids")
    return {client_id: _registration(client_id, entry) for client_id, entry in entries.items()}


def _registration(client_id: str, entry: Any) -> ClientRegistration:
    known = ("secret", "public_key_pem")
    if not isinstance(entry, dict) or not set(entry) <= set(known):
        raise ClientsFileError(f"clients file: {client_id}: must be an object of {', '.join(known)}")
    for name, value in entry.items():
        if not isinstance(value, str):
            raise ClientsFileError(f"clients file: {client_id}.{name}: must be a string")
    return ClientRegistration(**entry)


def parse_basic(header: str | None) -> tuple[str, str]:
    """(client_id, secret) of `Authorization: Basic …`. Raises TokenError."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        raise invalid_client("Authorization: Basic with client_id and client_secret is missing")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_client("Authorization: not Base64 of client_id:client_secret") from None
    if not colon:
        raise invalid_client("Authorization: not Base64 of client_id:client_secret")
    return client_id, secret


def assertion_subject(assertion: str) -> str:
    """Whom an assertion claims to be, unverified: to find the key that verifies it. Raises TokenError."""
    try:
        payload = assertion.split(".")[1]
        subject = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]
    except (IndexError, KeyError, TypeError, ValueError):
        raise invalid_client("client_assertion: no JWT with a sub claim") from None
    if not isinstance(subject, str):
        raise invalid_client("client_assertion: sub must be the client_id")
    return subject


def check_assertion(assertion: str, client: Client, *, audience: str, now_s: float) -> Assertion:
    """private_key_jwt (RFC 7523 section 3, CAMARA Security and Interoperability Profile).

    Raises TokenError.
    """
    claims = _verified_claims(assertion, client)
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise invalid_client("client_assertion: iss and sub must both be the client_id")
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise invalid_client("client_assertion: aud must be the token endpoint")
    issued_s, expires_s = claims.get("iat"), claims.get("exp")
    if not (type(issued_s) is int and type(expires_s) is int):
        raise invalid_client("client_assertion: iat and exp must be whole seconds")
    if not 0 < expires_s - issued_s <= ASSERTION_MAX_LIFE_S:
        raise invalid_client(f"client_assertion: must live 1..{ASSERTION_MAX_LIFE_S} s")
    if issued_s > now_s + LEEWAY_S:
        raise invalid_client("client_assertion: iat lies in the future")
    if expires_s + LEEWAY_S < now_s:
        raise invalid_client("client_assertion: exp is over")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 256:
        raise invalid_client("client_assertion: jti is missing")
    return Assertion(jti=jti, good_until_s=expires_s + LEEWAY_S)


def _verified_claims(assertion: str, client: Client) -> dict[str, Any]:
    if client.public_key_pem is None:
        raise invalid_client("client_assertion: no key is registered for this client")
    key = load_public_key(client.public_key_pem)
    try:
        claims = json.loads(jws.deserialize_compact(assertion, key, algorithms=_ASSERTION_ALGORITHMS).payload)
    except (JoseError, ValueError) as error:
        raise invalid_client("client_assertion: the registered key did not sign it") from error
    if not isinstance(claims, dict):
        raise invalid_client("client_assertion: its payload is no object")
    return claims


def granted_scope(asked: str | None, known: tuple[str, ...]) -> str:
    """The scopes that a token gets: those asked for. Raises TokenError."""
    scopes = (asked or "").split()
    if not scopes or not set(scopes) <= set(known):
        raise TokenError(400, "invalid_scope", f"scope: name some of {' '.join(known)}")
    return " ".join(dict.fromkeys(scopes))
