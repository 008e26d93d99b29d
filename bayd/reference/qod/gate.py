"""Who may pass: the token endpoint, and the recognition of its tokens on every later call.

`tmobile-0.10`: HTTP Basic and a proof of possession for the token, the token and a fresh proof for each
call. `camara-1.1`: client credentials (secret or private_key_jwt) with scopes, a bearer token afterwards.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web
from joserfc.jwk import RSAKey

from bayd.reference.qod.answers import Answer, json_answer
from bayd.reference.qod.credentials import (
    ASSERTION_TYPE,
    Client,
    assertion_subject,
    check_assertion,
    granted_scope,
    load_public_key,
    parse_basic,
    sha256,
)
from bayd.reference.qod.database import AccessToken, OperatorDatabase
from bayd.reference.qod.errors import TokenError, invalid_client, permission_denied, unauthenticated
from bayd.reference.qod.faults import Operation
from bayd.reference.qod.pop import ProofError, SignedRequest, check_proof
from bayd.reference.qod.service import Service, sole_header

TOKEN_LIFE_S = 3_600


@dataclass(frozen=True, slots=True)
class TokenGrant:
    client: Client
    scope: str


class Gate:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def admit(self, request: web.Request, body: bytes, operation: Operation) -> AccessToken:
        """Whose call it is. Raises ApiError."""
        scheme, _, secret = sole_header(request, hdrs.AUTHORIZATION).partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise unauthenticated("Authorization: Bearer with an access token is missing")
        service = self._service
        token = await service.store.run(OperatorDatabase.find_token, sha256(secret), service.clock())
        if token is None:
            raise unauthenticated("The access token is not known here, or its life is over")
        if service.dialect.proof_of_possession:
            try:
                await self._check_proof(request, body, token.client)
            except ProofError as error:
                raise unauthenticated(f"X-Authorization: {error}") from error
        scopes = service.dialect.scopes
        if scopes is not None and scopes.of(operation) not in token.scope:
            raise permission_denied("Client does not have sufficient permissions to perform this action.")
        return token

    async def recognise_client(self, request: web.Request, body: bytes) -> TokenGrant:
        """Who asks for a token, and for what. Raises TokenError."""
        if self._service.dialect.proof_of_possession:
            return TokenGrant(await self._proven_client(request, body), "")
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        if form.get("grant_type") != "client_credentials":
            raise TokenError(400, "unsupported_grant_type", "grant_type: must be client_credentials")
        client = await self._form_client(request, form)
        scopes = self._service.dialect.scopes
        return TokenGrant(client, granted_scope(form.get("scope"), scopes.all() if scopes else ()))

    async def issue(self, grant: TokenGrant) -> Answer:
        token = secrets.token_urlsafe(32)
        now = self._service.clock()
        await self._service.store.run(
            OperatorDatabase.put_token,
            AccessToken(sha256(token), grant.client, frozenset(grant.scope.split()), None),
            expires_at=now + TOKEN_LIFE_S,
            now=now,
        )
        body = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE_S}
        if grant.scope:
            body["scope"] = grant.scope
        return json_answer(200, body, {hdrs.CACHE_CONTROL: "no-store"})

    async def _check_proof(
        self, request: web.Request, body: bytes, client: Client, *, token_call: bool = False
    ) -> None:
        """Raises ProofError."""
        key = None if client.public_key_pem is None else load_public_key(client.public_key_pem)
        if not isinstance(key, RSAKey):
            raise ProofError("no RSA key is registered for this client")
        signed = SignedRequest(request.method, request.raw_path, request.headers, body)
        now_s = self._service.wire_now()
        token = sole_header(request, "X-Authorization")
        proof = check_proof(token, key, signed, now_s=now_s, token_call=token_call)
        await self._use_once(client, proof.jti, proof.good_until_s)

    async def _use_once(self, client: Client, jti: str, good_until_s: float) -> None:
        """Raises ProofError."""
        service = self._service
        # By the clock of the wire and by our own: a skew that ends must not bring used proofs back to life.
        good_until = max(good_until_s, good_until_s - service.faults.skew_s)
        if not await service.store.run(
            OperatorDatabase.use_proof, client.client_id, jti, good_until, service.clock()
        ):
            raise ProofError("its jti was used before: make a new one for each attempt")

    async def _proven_client(self, request: web.Request, body: bytes) -> Client:
        """Raises TokenError."""
        client = await self._client_with_secret(*parse_basic(sole_header(request, hdrs.AUTHORIZATION)))
        try:
            await self._check_proof(request, body, client, token_call=True)
        except ProofError as error:
            raise invalid_client(f"X-Authorization: {error}") from error
        return client

    async def _form_client(self, request: web.Request, form: Mapping[str, str]) -> Client:
        """One of three ways (RFC 6749 section 2.3.1, RFC 7523 section 2.2). Raises TokenError."""
        if "client_assertion" in form:
            return await self._asserted_client(request, form)
        if "client_secret" in form:
            return await self._client_with_secret(form.get("client_id", ""), form["client_secret"])
        return await self._client_with_secret(*parse_basic(sole_header(request, hdrs.AUTHORIZATION)))

    async def _asserted_client(self, request: web.Request, form: Mapping[str, str]) -> Client:
        """Raises TokenError."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenError(400, "invalid_request", f"client_assertion_type: must be {ASSERTION_TYPE}")
        service = self._service
        client = await self._known_client(assertion_subject(form["client_assertion"]))
        assertion = check_assertion(
            form["client_assertion"],
            client,
            audience=f"{service.url(request)}{service.dialect.token_path}",
            now_s=service.wire_now(),
        )
        try:
            await self._use_once(client, assertion.jti, assertion.good_until_s)
        except ProofError as error:
            raise invalid_client(f"client_assertion: {error}") from error
        return client

    async def _client_with_secret(self, client_id: str, secret: str) -> Client:
        """Raises TokenError."""
        client = await self._known_client(client_id)
        if not client.knows_secret(secret):
            raise invalid_client("the client is not registered, or its secret is wrong")
        return client

    async def _known_client(self, client_id: str) -> Client:
        """Raises TokenError."""
        client = await self._service.store.run(OperatorDatabase.find_client, client_id)
        if client is None:
            raise invalid_client("the client is not registered, or its secret is wrong")
        return client
