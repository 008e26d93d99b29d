"""How a request proves who sends it: the two schemes, as pure builders of requests and headers.

`tmobile-0.10`: the token request and every call carry a proof of possession (PoP) in `X-Authorization`: a
JWT, signed with the client's key, over a digest of exactly what is sent. It lives 60 s and is made anew for
each attempt. `camara-1.1`: OAuth client credentials with a scope, by secret or by a signed assertion.

Sources: T-Mobile API Access Protocol, PoP token (claims iat, exp, ehts, edts, jti, v); RFC 6749, 2.3.1 and
4.4; RFC 7523, 2.2 and 3.
"""

import hashlib
import warnings
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_plus, urlencode

from joserfc import jwk, jwt
from joserfc.errors import JoseError, SecurityWarning

from bayd.clients.qod.errors import InvalidInputError

SigningKey = jwk.RSAKey | jwk.ECKey

_POP_LIFE_S = 60  # T-Mobile refuses more
_ASSERTION_LIFE_S = 120  # CAMARA allows up to 300
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Signed:
    """Headers and body that belong together."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


class Authorisation(Protocol):
    """The scheme of one operator for one client."""

    @property
    def token_url(self) -> str: ...

    @property
    def signs_with_clock(self) -> bool:
        """A call can be refused because our clock is wrong."""
        ...

    def token_scope(self, scope: str) -> str:
        """The scope to ask a token for; calls with the same one share it."""
        ...

    def token_request(self, scope: str, now_s: float, jti: str) -> Signed: ...

    def call(
        self, token: str, method: str, path: str, body: bytes | None, now_s: float, jti: str
    ) -> Signed: ...


def load_key(private_key: str) -> SigningKey:
    """The key of a PEM text. Raises InvalidInputError, which never holds any of it."""
    for key_type in (jwk.RSAKey, jwk.ECKey):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)
                key = key_type.import_key(private_key)
        except SecurityWarning:
            raise InvalidInputError("private_key", "too short: RSA of at least 2048 bits") from None
        except (ValueError, TypeError, JoseError):
            continue
        if not key.is_private:
            raise InvalidInputError(
                "private_key", "this is the public half: the PEM must hold the private key"
            )
        if isinstance(key, jwk.ECKey) and key.curve_name != "P-256":
            raise InvalidInputError("private_key", "of the elliptic curves only P-256 can sign ES256")
        return key
    raise InvalidInputError("private_key", "not a private key in PEM form without a passphrase")


def pop_digest(parts: Mapping[str, str]) -> tuple[str, str]:
    """`ehts` and `edts`: the names of what is signed, and the digest over its values, in the same order."""
    digest = hashlib.sha256("".join(parts.values()).encode()).digest()
    return ";".join(parts), urlsafe_b64encode(digest).rstrip(b"=").decode()


def pop_claims(parts: Mapping[str, str], now_s: float, jti: str) -> dict[str, str | int]:
    ehts, edts = pop_digest(parts)
    issued_at = int(now_s)
    return {
        "iat": issued_at,
        "exp": issued_at + _POP_LIFE_S,
        "ehts": ehts,
        "edts": edts,
        "jti": jti,
        "v": "1",
    }


@dataclass(frozen=True, slots=True)
class ProofOfPossession:
    """`tmobile-0.10`."""

    client_id: str
    client_secret: str = field(repr=False)
    key: jwk.RSAKey = field(repr=False)
    token_url: str
    token_path: str
    signs_with_clock: bool = True

    def token_scope(self, scope: str) -> str:
        del scope
        return ""  # one token serves every call

    def token_request(self, scope: str, now_s: float, jti: str) -> Signed:
        del scope
        secret = b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        return self._signed(f"Basic {secret}", "POST", self.token_path, None, now_s, jti)

    def call(self, token: str, method: str, path: str, body: bytes | None, now_s: float, jti: str) -> Signed:
        return self._signed(f"Bearer {token}", method, path, body, now_s, jti)

    def _signed(
        self, authorization: str, method: str, path: str, body: bytes | None, now_s: float, jti: str
    ) -> Signed:
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        parts = {**headers, "uri": path, "http-method": method, "body": (body or b"").decode()}
        pop = jwt.encode({"alg": "RS256", "typ": "JWT"}, pop_claims(parts, now_s, jti), self.key)
        return Signed({**headers, "X-Authorization": pop, "Accept": "application/json"}, body)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """`camara-1.1`; with a key by assertion (private_key_jwt), else by secret (client_secret_basic)."""

    client_id: str
    client_secret: str = field(repr=False)
    key: SigningKey | None = field(repr=False)
    token_url: str
    signs_with_clock: bool = False

    def token_scope(self, scope: str) -> str:
        return scope

    def token_request(self, scope: str, now_s: float, jti: str) -> Signed:
        form = {"grant_type": "client_credentials", "scope": scope}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self.key is not None:
            form |= {
                "client_id": self.client_id,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._assertion(self.key, int(now_s), jti),
            }
        else:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return Signed(headers, urlencode(form).encode())

    def _assertion(self, key: SigningKey, now_s: int, jti: str) -> str:
        algorithm = "RS256" if isinstance(key, jwk.RSAKey) else "ES256"
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.token_url,
            "jti": jti,
            "iat": now_s,
            "exp": now_s + _ASSERTION_LIFE_S,
        }
        return jwt.encode({"alg": algorithm, "typ": "JWT"}, claims, key)

    def call(self, token: str, method: str, path: str, body: bytes | None, now_s: float, jti: str) -> Signed:
        del method, path, now_s, jti
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return Signed(headers, body)
