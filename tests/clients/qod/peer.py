"""A small operator of the tests' own: it records what arrives and answers what it was told to.

The same script is played by two fronts: a real HTTP server on loopback, and an `HttpTransport` in memory
for tests on virtual time. Without a script it is an operator whose sessions are AVAILABLE at once.
"""

import asyncio
import base64
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bayd.ports import HttpResponse, TransportError

SESSION_ID = "123e4567-e89b-42d3-a456-426614174000"
SESSION = {
    "sessionId": SESSION_ID,
    "duration": 3600,
    "startedAt": 1_700_000_000,
    "expiresAt": 1_700_003_600,
    "qosStatus": "AVAILABLE",
}


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def bearer(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ")


@dataclass(frozen=True)
class Answer:
    status: int = 200
    json: object = None
    text: str | None = None  # instead of json
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0

    @property
    def body(self) -> bytes:
        if self.text is not None:
            return self.text.encode()
        return b"" if self.json is None else json.dumps(self.json).encode()


class Reset:
    """The request is read; the connection ends without an answer."""


class Cut(Answer):
    """A longer body is announced than comes."""


class Hang:
    """The request is read; no answer ever comes."""


class Refuse:
    """No connection: nothing was read."""


Step = Answer | Reset | Hang | Refuse


class Peer:
    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.tokens_given = 0
        self._steps: dict[str, deque[Step]] = {}
        self._always: dict[str, Step] = {}

    def script(self, operation: str, *steps: Step) -> None:
        """What the next calls of `operation` get: token, create, get, delete, extend or retrieve."""
        self._steps.setdefault(operation, deque()).extend(steps)

    def always(self, operation: str, step: Step) -> None:
        self._always[operation] = step

    def calls(self, operation: str) -> list[Seen]:
        return [seen for seen in self.requests if operation_of(seen.method, seen.path) == operation]

    def next_step(self, seen: Seen) -> Step:
        self.requests.append(seen)
        operation = operation_of(seen.method, seen.path)
        if steps := self._steps.get(operation):
            return steps.popleft()
        if operation in self._always:
            return self._always[operation]
        match operation:
            case "token":
                self.tokens_given += 1
                return token_answer(f"token-{self.tokens_given}")
            case "create":
                return Answer(201, SESSION)
            case "delete":
                return Answer(204)
            case "retrieve":
                return Answer(200, [SESSION])
            case _:
                return Answer(200, SESSION)


def token_answer(value: str = "token-x", expires_in: object = 3600) -> Answer:
    return Answer(200, {"access_token": value, "token_type": "Bearer", "expires_in": expires_in})


def operation_of(method: str, path: str) -> str:
    if "/oauth2/" in path:
        return "token"
    if path.endswith("/retrieve-sessions"):
        return "retrieve"
    if path.endswith("/extend"):
        return "extend"
    return {"POST": "create", "GET": "get", "DELETE": "delete"}[method]


@asynccontextmanager
async def served(peer: Peer) -> AsyncIterator[str]:
    """The peer over HTTP on loopback; gives its origin."""

    async def handle(request: web.Request) -> web.StreamResponse:
        seen = Seen(
            request.method,
            request.raw_path,
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        step = peer.next_step(seen)
        assert request.transport is not None
        match step:
            case Reset() | Refuse():
                request.transport.abort()
                return web.Response()
            case Hang():
                await asyncio.Event().wait()
        assert isinstance(step, Answer)
        headers = {"Content-Type": "application/json", **step.headers}
        if isinstance(step, Cut):
            response = web.StreamResponse(status=step.status, headers=headers)
            response.content_length = len(step.body) + 10
            await response.prepare(request)
            await response.write(step.body)
            request.transport.close()
            return response
        return web.Response(status=step.status, body=step.body, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0)
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()


class MemoryTransport:
    """The peer as an `HttpTransport`; its time-outs run on the loop's clock."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.in_flight = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        path = "/" + url.split("/", 3)[3]
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        step = self._peer.next_step(Seen(method, path, lower, body or b""))
        self.in_flight += 1
        try:
            await asyncio.sleep(0)
            match step:
                case Reset():
                    raise TransportError("the connection broke: ServerDisconnectedError", sent=True)
                case Refuse():
                    raise TransportError("no connection: Connection refused", sent=False)
                case Hang():
                    await asyncio.sleep(timeout_s)
                    raise TransportError(f"no answer within {timeout_s:g} s", sent=True)
                case Cut():
                    raise TransportError("the connection broke: ClientPayloadError", sent=True)
                case Answer() if step.delay_s > timeout_s:
                    await asyncio.sleep(timeout_s)
                    raise TransportError(f"no answer within {timeout_s:g} s", sent=True)
            assert isinstance(step, Answer)
            await asyncio.sleep(step.delay_s)
            return HttpResponse(
                step.status, {name.lower(): value for name, value in step.headers.items()}, step.body
            )
        finally:
            self.in_flight -= 1


# --- the tests' own reading of a signed token: nothing of the client's ---


@dataclass(frozen=True)
class Jwt:
    header: dict[str, Any]
    claims: dict[str, Any]


def verified(token: str, public_key_pem: str) -> Jwt:
    head, payload, signature = token.split(".")
    key = serialization.load_pem_public_key(public_key_pem.encode())
    signed = f"{head}.{payload}".encode()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(_unbase64(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        raw = _unbase64(signature)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    return Jwt(json.loads(_unbase64(head)), json.loads(_unbase64(payload)))


def digest_of(seen: Seen, names: str) -> str:
    """What `edts` must be for the request that arrived."""
    values = {"uri": seen.path.encode(), "http-method": seen.method.encode(), "body": seen.body}
    signed = b"".join(
        values.get(name) or seen.headers.get(name.lower(), "").encode() for name in names.split(";")
    )
    return base64.urlsafe_b64encode(hashlib.sha256(signed).digest()).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
