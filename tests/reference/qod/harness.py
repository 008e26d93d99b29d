"""The operator under test, and callers written by hand from the documents: no code of the operator's."""

import asyncio
import base64
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from bayd.reference.qod import make_app

NOON = 1_750_000_000.0  # some instant; the clock of the tests stands until it is moved
SECRET = "a-client-secret-of-the-tests"
PHONE = "1555010001"
SCOPES = {
    "create": "quality-on-demand:sessions:create",
    "get": "quality-on-demand:sessions:read",
    "extend": "quality-on-demand:sessions:update",
    "delete": "quality-on-demand:sessions:delete",
    "retrieve": "quality-on-demand:sessions:retrieve-by-device",
}


class ManualClock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> tuple[int, str]:
        """(status, code), as the body of a refusal repeats them."""
        assert self.body["status"] == self.status
        assert self.body["message"]
        return self.status, self.body["code"]


@dataclass(slots=True)
class Running:
    url: str
    clock: ManualClock
    http: aiohttp.ClientSession

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Exactly these headers: aiohttp adds no Content-Type of its own."""
        async with self.http.request(
            method,
            self.url + path,
            data=body,
            headers=headers,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept"),
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def order(self, kind: str, **fault: Any) -> Reply:
        return await self.send(
            "POST",
            "/_faults",
            body=json.dumps({"kind": kind, **fault}).encode(),
            headers={"Content-Type": "application/json"},
        )

    async def ledger(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.send("GET", "/_ledger")).body["sessions"]
        return rows


@asynccontextmanager
async def running(db: Path, *, clock: ManualClock | None = None, **options: Any) -> AsyncIterator[Running]:
    clock = clock or ManualClock()
    app = make_app(db, clock=clock, **options)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as http:
            # As aiohttp's own TestClient does: else a GET or DELETE whose connection broke is sent again.
            http._retry_connection = False
            yield Running(f"http://{host}:{port}", clock, http)
    finally:
        await runner.cleanup()


def sign(claims: Mapping[str, Any], key: RSAKey | ECKey, *, algorithm: str = "RS256", **header: str) -> str:
    payload = json.dumps(claims, separators=(",", ":"))
    return jws.serialize_compact(
        {"alg": algorithm, "typ": "JWT"} | header, payload, key, algorithms=[algorithm]
    )


def pop_claims(parts: Mapping[str, str | bytes], now: float, **other: Any) -> dict[str, Any]:
    """`parts`: what is signed, by its name, in order. A claim that is None is left out."""
    signed = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts.values())
    digest = hashlib.sha256(signed).digest()
    claims = {
        "iat": int(now),
        "exp": int(now) + 60,
        "ehts": ";".join(parts),
        "edts": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "jti": str(uuid.uuid4()),
        "v": "1",
    } | other
    return {name: value for name, value in claims.items() if value is not None}


def basic(client_id: str = "bayd", secret: str = SECRET) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@dataclass(slots=True)
class TmobileCaller:
    """As wire/qod describes `tmobile-0.10`: a fresh proof for every call."""

    operator: Running
    key: RSAKey
    client_id: str = "bayd"
    token: str = ""

    async def login(self) -> Reply:
        path = "/oauth2/v2/tokens"
        authorization = basic(self.client_id)
        parts: dict[str, str | bytes] = {
            "Authorization": authorization,
            "uri": path,
            "http-method": "POST",
        }
        proof = sign(pop_claims(parts, self.operator.clock()), self.key)
        headers = {"Authorization": authorization, "X-Authorization": proof}
        reply = await self.operator.send("POST", path, headers=headers)
        if reply.status == 200:
            self.token = reply.body["access_token"]
        return reply

    def headers(self, method: str, path: str, body: bytes = b"", **claims: Any) -> dict[str, str]:
        parts: dict[str, str | bytes] = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token}",
            "uri": path,
            "http-method": method,
            "body": body,
        }
        return {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token}",
            "X-Authorization": sign(pop_claims(parts, self.operator.clock(), **claims), self.key),
            "x-correlator": str(uuid.uuid4()),
        }

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        raw = b"" if body is None else json.dumps(body).encode()
        headers = self.headers(method, f"/qod/v0{path}", raw)
        return await self.operator.send(method, f"/qod/v0{path}", body=raw or None, headers=headers)

    async def create(self, **changes: Any) -> Reply:
        return await self.call("POST", "/sessions", tmobile_request(**changes))

    async def get(self, session_id: str) -> Reply:
        return await self.call("GET", f"/sessions/{session_id}")

    async def delete(self, session_id: str) -> Reply:
        return await self.call("DELETE", f"/sessions/{session_id}")


def changed(request: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A change to None takes the property away."""
    return {name: value for name, value in (request | dict(changes)).items() if value is not None}


def tmobile_request(**changes: Any) -> dict[str, Any]:
    request = {
        "device": {"phoneNumber": PHONE},
        "applicationServer": {"ipv4Address": "203.0.113.10"},
        "qosProfile": "QOS_VC",
        "duration": 3600,
    }
    return changed(request, changes)


def camara_request(**changes: Any) -> dict[str, Any]:
    return tmobile_request(**{"device": {"phoneNumber": f"+{PHONE}"}, "qosProfile": "QOS_E"} | changes)


@dataclass(slots=True)
class CamaraCaller:
    operator: Running
    client_id: str = "bayd"
    token: str = ""
    correlator: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def login(self, scope: str = " ".join(SCOPES.values())) -> Reply:
        form = aiohttp.FormData({"grant_type": "client_credentials", "scope": scope})
        async with self.operator.http.post(
            f"{self.operator.url}/oauth2/token", data=form, headers={"Authorization": basic(self.client_id)}
        ) as response:
            reply = Reply(response.status, response.headers, await response.read())
        if reply.status == 200:
            self.token = reply.body["access_token"]
        return reply

    async def send(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Reply:
        """A header named `x_correlator`, say, replaces the usual one; None takes it away."""
        usual: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token}",
            "x-correlator": self.correlator,
            "Content-Type": None if body is None else "application/json",
        }
        usual |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in usual.items() if value is not None}
        return await self.operator.send(method, f"/quality-on-demand/v1{path}", body=body, headers=sent)

    async def call(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        raw = None if body is None else json.dumps(body).encode()
        return await self.send(method, path, raw, **headers)

    async def create(self, **changes: Any) -> Reply:
        return await self.call("POST", "/sessions", camara_request(**changes))

    async def get(self, session_id: str) -> Reply:
        return await self.call("GET", f"/sessions/{session_id}")

    async def delete(self, session_id: str) -> Reply:
        return await self.call("DELETE", f"/sessions/{session_id}")

    async def extend(self, session_id: str, seconds: int) -> Reply:
        body = {"requestedAdditionalDuration": seconds}
        return await self.call("POST", f"/sessions/{session_id}/extend", body)

    async def retrieve(self, device: Mapping[str, Any]) -> Reply:
        return await self.call("POST", "/retrieve-sessions", {"device": device})


@dataclass(slots=True)
class EventReceiver:
    """A sink on loopback: keeps what comes, answers what it is told."""

    url: str
    received: "asyncio.Queue[tuple[Mapping[str, str], dict[str, Any]]]" = field(default_factory=asyncio.Queue)
    answers: list[int] = field(default_factory=list)  # then 204

    async def next(self) -> tuple[Mapping[str, str], dict[str, Any]]:
        async with asyncio.timeout(10):
            return await self.received.get()


@asynccontextmanager
async def receiving_events() -> AsyncIterator[EventReceiver]:
    receiver = EventReceiver("")

    async def receive(request: web.Request) -> web.Response:
        await receiver.received.put((dict(request.headers), json.loads(await request.read())))
        return web.Response(status=receiver.answers.pop(0) if receiver.answers else 204)

    app = web.Application()
    app.router.add_post("/events", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        yield receiver
    finally:
        await runner.cleanup()
