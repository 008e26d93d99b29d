"""The proof-of-possession token of `tmobile-0.10`: what the operator's gateway checks on every call.

A JWS (RS256, type JWT) whose claims are exactly iat, exp, ehts, edts, jti and v. `ehts` names what was
signed, joined by `;`; `edts` is base64url(SHA-256(the values, concatenated)) without padding. Both are
computed anew here over the very bytes that arrived, so a client that signs one serialisation and sends
another is refused. A token lives 60 s and is good for one request.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

LIFE_S = 60
LEEWAY_S = 10  # between the caller's clock and ours
SIGNABLE = ("Content-Type", "Authorization", "uri", "http-method", "body")  # in this order

_CLAIMS = frozenset({"iat", "exp", "ehts", "edts", "jti", "v"})
_VERSION = "1"


class ProofError(Exception):
    """The proof does not hold; the text says which part, never its value."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a proof may cover, as they were on the wire."""

    method: str
    uri: str  # path, and the query if there is one
    headers: Mapping[str, str]
    body: bytes

    def value(self, name: str) -> bytes | None:
        match name:
            case "uri":
                return self.uri.encode()
            case "http-method":
                return self.method.encode()
            case "body":
                return self.body
            case _:
                found = self.headers.get(name)
                return None if found is None else found.encode()


@dataclass(frozen=True, slots=True)
class Proof:
    jti: str
    good_until_s: float  # until then a second use must be refused


def digest(values: Sequence[bytes]) -> str:
    """`edts` of these values."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"".join(values)).digest()).rstrip(b"=").decode()


def check_proof(
    token: str, key: RSAKey, request: SignedRequest, *, now_s: float, token_call: bool = False
) -> Proof:
    """`token_call`: the request for an access token, whose proof need not cover Authorization.

    Raises ProofError.
    """
    claims = _verified_claims(token, key)
    if frozenset(claims) != _CLAIMS:
        raise ProofError("the claims are not exactly iat, exp, ehts, edts, jti, v")
    if claims["v"] != _VERSION:
        raise ProofError('v is not "1"')
    issued_s, expires_s = claims["iat"], claims["exp"]
    if not (type(issued_s) is int and type(expires_s) is int):
        raise ProofError("iat and exp must be whole seconds")
    if not 0 < expires_s - issued_s <= LIFE_S:
        raise ProofError(f"the life from iat to exp is not 1..{LIFE_S} s")
    if issued_s > now_s + LEEWAY_S:
        raise ProofError("iat lies in the future: correct the clock by the Date header")
    if expires_s + LEEWAY_S < now_s:
        raise ProofError("exp is over: make a new proof for each attempt")
    _check_digest(claims, request, token_call=token_call)
    return Proof(jti=_uuid4(claims["jti"]), good_until_s=expires_s + LEEWAY_S)


def _verified_claims(token: str, key: RSAKey) -> dict[str, Any]:
    try:
        signature = jws.deserialize_compact(token, key, algorithms=["RS256"])
        claims = json.loads(signature.payload)
    except (JoseError, ValueError) as error:
        raise ProofError("it is no JWS that the registered key signed with RS256") from error
    if signature.headers() != {"alg": "RS256", "typ": "JWT"}:
        raise ProofError("its header is not alg RS256, typ JWT")
    if not isinstance(claims, dict):
        raise ProofError("its payload is no object")
    return claims


def _check_digest(claims: dict[str, Any], request: SignedRequest, *, token_call: bool) -> None:
    if not isinstance(claims["ehts"], str) or not isinstance(claims["edts"], str):
        raise ProofError("ehts and edts must be strings")
    names = claims["ehts"].split(";")
    if names != [name for name in SIGNABLE if name in names]:
        raise ProofError(f"ehts must name some of {';'.join(SIGNABLE)}, in this order")
    missing = [name for name in _must_be_signed(request, token_call=token_call) if name not in names]
    if missing:
        raise ProofError(f"ehts leaves out {', '.join(missing)}")
    values = [request.value(name) for name in names]
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        raise ProofError("ehts names a header that the request does not carry")
    if not hmac.compare_digest(digest(present), claims["edts"]):
        raise ProofError("edts does not match the request: sign the very bytes that are sent")


def _must_be_signed(request: SignedRequest, *, token_call: bool) -> list[str]:
    names = ["uri", "http-method"]
    if "Content-Type" in request.headers:
        names.append("Content-Type")
    if not token_call:
        names.append("Authorization")
    if request.body:
        names.append("body")
    return names


def _uuid4(value: object) -> str:
    try:
        parsed = uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != 4 or str(parsed) != str(value).lower():
        raise ProofError("jti is no random UUID")
    return str(parsed)
