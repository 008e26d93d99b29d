"""The proof of possession: the published vectors hold, and every single departure is refused."""

import base64
import hmac
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from bayd.reference.qod.pop import ProofError, SignedRequest, check_proof, digest
from tests.reference.qod.harness import NOON, pop_claims, sign

REQUEST = SignedRequest(
    method="POST",
    uri="/qod/v0/sessions",
    headers={"Content-Type": "application/json", "Authorization": "Bearer some-token"},
    body=b'{"qosProfile": "QOS_VC"}',
)
PARTS = {
    "Content-Type": "application/json",
    "Authorization": "Bearer some-token",
    "uri": "/qod/v0/sessions",
    "http-method": "POST",
    "body": '{"qosProfile": "QOS_VC"}',
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in PARTS.items() if name not in names}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            [b"application/json", b"/oauth2/v2/tokens", b"POST"],
            "tpAdmPMl2Q_2fRUR4OEflknZQtyTYh_rKqV3yqbDZA0",
        ),
        (
            [
                b"application/json",
                b"Bearer UtKV75JJbVAewOrkHMXhLbiQ11SS",
                b"/commerce/v1/orders",
                b"POST",
                b'{"orderId": 100, "product": "Mobile Phone"}',
            ],
            "afqGWAbSevTP2m38quBjC8pA2HcxZXG4zpFCPShTtSo",
        ),
    ],
    ids=["token call", "order call"],
)
def test_the_published_vectors_hold(values: list[bytes], expected: str) -> None:
    assert digest(values) == expected


def test_the_published_token_call_is_accepted(key: RSAKey) -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Basic eA=="}
    request = SignedRequest("POST", "/oauth2/v2/tokens", headers, b"")
    claims = pop_claims({}, NOON) | {
        "ehts": "Content-Type;uri;http-method",
        "edts": "tpAdmPMl2Q_2fRUR4OEflknZQtyTYh_rKqV3yqbDZA0",
    }
    proof = check_proof(sign(claims, key), key, request, now_s=NOON, token_call=True)
    assert proof.jti == claims["jti"]
    with pytest.raises(ProofError, match="leaves out Authorization"):
        check_proof(sign(claims, key), key, request, now_s=NOON)


def test_a_good_proof_may_be_used_until_its_leeway_is_over(key: RSAKey) -> None:
    token = sign(pop_claims(PARTS, NOON), key)
    assert check_proof(token, key, REQUEST, now_s=NOON).good_until_s == NOON + 70
    check_proof(token, key, REQUEST, now_s=NOON + 70)
    with pytest.raises(ProofError, match="exp is over"):
        check_proof(token, key, REQUEST, now_s=NOON + 71)
    check_proof(token, key, REQUEST, now_s=NOON - 10)
    with pytest.raises(ProofError, match="iat lies in the future"):
        check_proof(token, key, REQUEST, now_s=NOON - 11)


@pytest.mark.parametrize("body", [{"body": ""}, {}], ids=["signed", "left out"])
def test_an_empty_body_may_be_signed_or_left_out(key: RSAKey, body: dict[str, str]) -> None:
    request = replace(REQUEST, method="DELETE", body=b"")
    parts = without("body") | {"http-method": "DELETE"} | body
    claims = pop_claims(parts, NOON)
    assert check_proof(sign(claims, key), key, request, now_s=NOON).jti == claims["jti"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        pytest.param(replace(REQUEST, body=b'{"qosProfile":"QOS_VC"}'), "edts", id="body serialised anew"),
        pytest.param(replace(REQUEST, uri="/qod/v0/sessions/"), "edts", id="another path"),
        pytest.param(replace(REQUEST, method="PUT"), "edts", id="another method"),
        pytest.param(
            replace(REQUEST, headers=dict(REQUEST.headers) | {"Authorization": "Bearer other"}),
            "edts",
            id="another token",
        ),
        pytest.param(
            replace(REQUEST, headers={"Authorization": "Bearer some-token"}),
            "a header that the request does not carry",
            id="a header that was not sent",
        ),
    ],
)
def test_the_proof_covers_the_very_bytes(key: RSAKey, request_: SignedRequest, reason: str) -> None:
    with pytest.raises(ProofError, match=reason):
        check_proof(sign(pop_claims(PARTS, NOON), key), key, request_, now_s=NOON)


@pytest.mark.parametrize("left_out", ["Content-Type", "Authorization", "uri", "http-method", "body"])
def test_nothing_that_was_sent_may_go_unsigned(key: RSAKey, left_out: str) -> None:
    with pytest.raises(ProofError, match=f"ehts leaves out {left_out}"):
        check_proof(sign(pop_claims(without(left_out), NOON), key), key, REQUEST, now_s=NOON)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(dict(reversed(PARTS.items())), id="another order"),
        pytest.param(PARTS | {"Host": "example.com"}, id="an unknown name"),
    ],
)
def test_ehts_keeps_to_the_documented_names_and_order(key: RSAKey, parts: dict[str, str]) -> None:
    with pytest.raises(ProofError, match="ehts must name some of"):
        check_proof(sign(pop_claims(parts, NOON), key), key, REQUEST, now_s=NOON)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": "2"}, 'v is not "1"'),
        ({"v": 1}, 'v is not "1"'),
        ({"v": None}, "not exactly"),
        ({"sub": "bayd"}, "not exactly"),
        ({"exp": int(NOON) + 61}, "not 1..60 s"),
        ({"exp": int(NOON)}, "not 1..60 s"),
        ({"exp": NOON + 60.5}, "whole seconds"),
        ({"iat": True}, "whole seconds"),
        ({"jti": "1"}, "jti is no random UUID"),
        ({"jti": str(uuid.uuid1())}, "jti is no random UUID"),
        ({"jti": 5}, "jti is no random UUID"),
        ({"ehts": ["uri"]}, "must be strings"),
        ({"ehts": ""}, "ehts must name some of"),
        ({"edts": ""}, "edts does not match"),
    ],
)
def test_the_claims_are_exactly_the_documented_ones(key: RSAKey, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProofError, match=reason):
        check_proof(sign(pop_claims(PARTS, NOON, **change), key), key, REQUEST, now_s=NOON)


def test_only_the_registered_key_and_rs256_count(key: RSAKey) -> None:
    claims = pop_claims(PARTS, NOON)
    forged = [
        sign(claims, RSAKey.generate_key(2048)),
        sign(claims, key, algorithm="PS256"),
        unsigned({"alg": "none", "typ": "JWT"}, claims) + ".",
        hmac_signed(claims, key.as_pem(private=False)),  # the public key taken for a shared secret
        "",
        "a.b.c",
        "not a token",
    ]
    for token in forged:
        with pytest.raises(ProofError, match="no JWS that the registered key signed"):
            check_proof(token, key, REQUEST, now_s=NOON)


def test_the_header_says_jwt(key: RSAKey) -> None:
    with pytest.raises(ProofError, match="typ JWT"):
        check_proof(sign(pop_claims(PARTS, NOON), key, typ="JOSE"), key, REQUEST, now_s=NOON)


@pytest.mark.parametrize("payload", [b"[]", b"7", b"no json"])
def test_a_payload_that_is_no_object_is_refused(key: RSAKey, payload: bytes) -> None:
    token = jws.serialize_compact({"alg": "RS256", "typ": "JWT"}, payload, key, algorithms=["RS256"])
    with pytest.raises(ProofError):
        check_proof(token, key, REQUEST, now_s=NOON)


def unsigned(header: dict[str, str], claims: dict[str, Any]) -> str:
    return ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))


def hmac_signed(claims: dict[str, Any], secret: bytes) -> str:
    text = unsigned({"alg": "HS256", "typ": "JWT"}, claims)
    return f"{text}.{_base64url(hmac.digest(secret, text.encode(), 'sha256'))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
