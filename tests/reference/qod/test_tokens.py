"""The token endpoint of `camara-1.1`: client credentials, scopes, private_key_jwt."""

import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from joserfc.jwk import ECKey, RSAKey

from bayd.reference.qod import register_client
from tests.reference.qod.harness import (
    NOON,
    SCOPES,
    SECRET,
    CamaraCaller,
    Reply,
    Running,
    basic,
    running,
    sign,
)

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
READ = SCOPES["get"]


async def ask(operator: Running, form: dict[str, str], authorization: str | None = None) -> Reply:
    headers = {} if authorization is None else {"Authorization": authorization}
    data = aiohttp.FormData({"grant_type": "client_credentials", "scope": READ} | form)
    async with operator.http.post(f"{operator.url}/oauth2/token", data=data, headers=headers) as response:
        return Reply(response.status, response.headers, await response.read())


def assertion(operator: Running, key: RSAKey | ECKey, algorithm: str = "RS256", **changes: Any) -> str:
    now = int(operator.clock())
    claims = {
        "iss": "bayd",
        "sub": "bayd",
        "aud": f"{operator.url}/oauth2/token",
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
    } | changes
    said = {name: value for name, value in claims.items() if value is not None}
    return sign(said, key, algorithm=algorithm)


async def ask_with_assertion(operator: Running, token: str) -> Reply:
    return await ask(operator, {"client_assertion_type": BEARER, "client_assertion": token})


async def test_a_secret_is_good_in_the_header_or_in_the_form(camara_operator: Running) -> None:
    for reply in (
        await ask(camara_operator, {}, basic()),
        await ask(camara_operator, {"client_id": "bayd", "client_secret": SECRET}),
    ):
        assert reply.status == 200
        assert reply.body["token_type"] == "Bearer"
        assert reply.body["expires_in"] == 3600
        assert reply.body["scope"] == READ
        assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("form", "authorization", "status", "error"),
    [
        ({}, None, 401, "invalid_client"),
        ({}, basic(secret="wrong"), 401, "invalid_client"),
        ({"client_id": "bayd", "client_secret": "wrong"}, None, 401, "invalid_client"),
        ({"client_secret": SECRET}, None, 401, "invalid_client"),
        ({"grant_type": "password"}, basic(), 400, "unsupported_grant_type"),
        ({"scope": "quality-on-demand:sessions:everything"}, basic(), 400, "invalid_scope"),
        ({"scope": ""}, basic(), 400, "invalid_scope"),
        ({"client_assertion": "x"}, None, 400, "invalid_request"),
    ],
)
async def test_refusals_have_the_shape_of_oauth(
    camara_operator: Running, form: dict[str, str], authorization: str | None, status: int, error: str
) -> None:
    reply = await ask(camara_operator, form, authorization)
    assert (reply.status, reply.body["error"]) == (status, error)
    assert reply.body.keys() == {"error", "error_description"}


async def test_private_key_jwt(camara_operator: Running, key: RSAKey) -> None:
    reply = await ask_with_assertion(camara_operator, assertion(camara_operator, key))
    assert reply.status == 200
    caller = CamaraCaller(camara_operator, token=reply.body["access_token"])
    assert (await caller.get(str(uuid.uuid4()))).error == (404, "NOT_FOUND")


async def test_private_key_jwt_with_an_elliptic_key(camara_operator: Running, db: Path) -> None:
    key = ECKey.generate_key("P-256")
    register_client(db, "elliptic", public_key_pem=key.as_pem(private=False).decode())
    token = assertion(camara_operator, key, "ES256", iss="elliptic", sub="elliptic")
    assert (await ask_with_assertion(camara_operator, token)).status == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "https://example.com/oauth2/token"}, "aud"),
        ({"aud": None}, "aud"),
        ({"exp": int(NOON) + 301}, "must live 1..300 s"),
        ({"exp": int(NOON) - 1}, "must live 1..300 s"),
        ({"exp": None}, "iat and exp"),
        ({"iat": None}, "iat and exp"),
        ({"iat": int(NOON) + 11}, "iat lies in the future"),
        ({"iat": int(NOON) - 300, "exp": int(NOON) - 11}, "exp is over"),
        ({"iss": "rival"}, "iss and sub"),
        ({"sub": "rival", "iss": "bayd"}, "iss and sub"),
        ({"sub": "nobody", "iss": "nobody"}, "not registered"),
        ({"sub": 7}, "sub"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
    ],
)
async def test_an_assertion_must_hold_in_every_part(
    camara_operator: Running, key: RSAKey, changes: dict[str, Any], reason: str
) -> None:
    reply = await ask_with_assertion(camara_operator, assertion(camara_operator, key, **changes))
    assert (reply.status, reply.body["error"]) == (401, "invalid_client")
    assert reason in reply.body["error_description"]


async def test_an_assertion_may_name_several_audiences(camara_operator: Running, key: RSAKey) -> None:
    several = ["https://example.com", f"{camara_operator.url}/oauth2/token"]
    reply = await ask_with_assertion(camara_operator, assertion(camara_operator, key, aud=several))
    assert reply.status == 200


async def test_an_assertion_is_good_once_and_only_by_the_registered_key(
    camara_operator: Running, key: RSAKey
) -> None:
    token = assertion(camara_operator, key)
    assert (await ask_with_assertion(camara_operator, token)).status == 200
    again = await ask_with_assertion(camara_operator, token)
    assert "jti was used before" in again.body["error_description"]
    foreign = await ask_with_assertion(camara_operator, assertion(camara_operator, RSAKey.generate_key(2048)))
    assert "did not sign" in foreign.body["error_description"]
    for junk in ("", "a.b.c", "e30.e30.e30", "x"):
        assert (await ask_with_assertion(camara_operator, junk)).status == 401


async def test_a_public_url_is_what_assertions_are_for(db: Path, key: RSAKey) -> None:
    url = "https://operator.example.com"
    async with running(db, dialect="camara-1.1", public_url=url) as operator:
        assert (await ask_with_assertion(operator, assertion(operator, key))).status == 401
        good = assertion(operator, key, aud=f"{url}/oauth2/token")
        assert (await ask_with_assertion(operator, good)).status == 200
