"""The documented example, field for field, through a real connection."""

import json
from pathlib import Path
from typing import Any

import pytest

from bayd.clients.qod import CreateSession, QodClient
from bayd.clients.qod.authorisation import pop_digest

from .conftest import KeyPair
from .peer import SESSION_ID, Peer, digest_of, served, verified

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "qod_example.json").read_text())


async def test_the_documented_example_goes_out_field_for_field(rsa_pair: KeyPair) -> None:
    peer = Peer()
    async with (
        served(peer) as origin,
        QodClient(
            client_id="bay-client",
            client_secret="correct-horse",
            private_key=rsa_pair.private_pem,
            base_url=f"{origin}/qod/v0",
            timeout=10000,
        ) as sdk,
    ):
        info = await sdk.session.create_session(
            request_body=CreateSession(**GOLDEN["python"]), x_correlator=GOLDEN["x_correlator"]
        )
    assert info.session_id == SESSION_ID
    token, create = peer.requests
    assert (token.method, token.path, token.body) == ("POST", "/oauth2/v2/tokens", b"")
    assert (create.method, create.path) == ("POST", "/qod/v0/sessions")
    assert create.json == GOLDEN["json"]
    assert json.dumps(create.json) == json.dumps(GOLDEN["json"])  # in this order, too
    assert create.headers["content-type"] == "application/json"
    assert create.headers["authorization"] == "Bearer token-1"
    assert create.headers["x-correlator"] == GOLDEN["x_correlator"]


async def test_both_requests_carry_a_proof_over_exactly_what_arrived(rsa_pair: KeyPair) -> None:
    peer = Peer()
    async with (
        served(peer) as origin,
        QodClient("bay-client", "correct-horse", rsa_pair.private_pem, f"{origin}/qod/v0") as sdk,
    ):
        await sdk.session.create_session(CreateSession(**GOLDEN["python"]))
        await sdk.session.get_session(SESSION_ID)
        await sdk.session.delete_session(SESSION_ID)
    assert [seen.method for seen in peer.requests] == ["POST", "POST", "GET", "DELETE"]
    for seen in peer.requests:
        proof = verified(seen.headers["x-authorization"], rsa_pair.public_pem)
        assert proof.header == {"alg": "RS256", "typ": "JWT"}
        assert sorted(proof.claims) == ["edts", "ehts", "exp", "iat", "jti", "v"]
        assert proof.claims["ehts"] == "Content-Type;Authorization;uri;http-method;body"
        assert proof.claims["edts"] == digest_of(seen, proof.claims["ehts"])
        assert proof.claims["exp"] - proof.claims["iat"] == 60
        assert proof.claims["v"] == "1"
    assert peer.requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("vector", GOLDEN["pop_vectors"], ids=lambda vector: vector["parts"]["uri"])
def test_the_published_digests_hold(vector: dict[str, Any]) -> None:
    assert pop_digest(vector["parts"]) == (vector["ehts"], vector["edts"])
