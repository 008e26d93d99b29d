"""A running reference server on loopback, its clock in the test's hand."""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bayd.reference.central import CentralSettings, make_app

START_MS = 1_780_000_000_123
MINUTE_MS = 60_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def pass_minutes(self, minutes: float) -> None:
        self.now_ms += int(minutes * MINUTE_MS)


class Answer:
    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def document(self) -> Any:
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        assert self.status == 200, self.text
        assert self.document["success"] is True
        return self.document["data"]

    def refusal(self, status: int) -> Any:
        """The refusal's document, after the checks that hold for every refusal."""
        assert self.status == status, self.text
        document = self.document
        assert document["success"] is False
        assert document["message"]
        return document


class Central:
    """One server on one file; `restart` ends it and starts it again on the same file."""

    def __init__(self, db: Path, **options: Any) -> None:
        self.db = db
        self.clock: Clock = options.setdefault("clock", Clock())
        self._options = options
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        # Not aiohttp's TestServer: that one cancels the work of a caller who leaves, `serve` does not.
        self._runner = web.AppRunner(make_app(self.db, **self._options), access_log=None, shutdown_timeout=3)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._http = aiohttp.ClientSession(base_url=self.url)

    async def stop(self) -> None:
        await self.http.close()
        await self.end_server()

    async def end_server(self) -> None:
        """The server stops while its callers are still there."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def restart(self, **changed: Any) -> None:
        await self.stop()
        self._options |= changed
        await self.start()

    @property
    def http(self) -> aiohttp.ClientSession:
        assert self._http is not None
        return self._http

    @property
    def url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if key is not None:
            sent["Idempotency-Key"] = key
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.http.request(
            method, path, data=content, headers=sent, allow_redirects=False
        ) as response:
            return Answer(response.status, dict(response.headers), await response.text())

    async def book(
        self, bay: str = "104", minutes: int = 60, *, key: str | None = None, **changed: Any
    ) -> Any:
        return (await self.call("POST", "/session", booking(bay, minutes, **changed), key=key)).data

    async def verify(self, bay: str, pin: str) -> Answer:
        return await self.call("POST", "/session/verify", {"bayNumber": bay, "pin": pin})

    async def play(self, bay: str = "104", minutes: int = 60, **changed: Any) -> Any:
        """A session that has started."""
        session = await self.book(bay, minutes, **changed)
        return (await self.verify(bay, session["pin"])).data

    async def history(self, session_id: int) -> Any:
        page = (await self.call("GET", "/session/history?page=1&per_page=500")).data
        return next(item for item in page if item["id"] == session_id)

    def contents(self) -> str:
        """Everything in the file, as SQL."""
        connection = sqlite3.connect(self.db)
        try:
            return "\n".join(connection.iterdump())
        finally:
            connection.close()


def booking(bay: str = "104", minutes: int = 60, **changed: Any) -> dict[str, Any]:
    return {
        "billingUser": {"name": "Example Customer", "phoneNumber": "1555010002"},
        "bayNumber": bay,
        "duration": minutes,
        "amount": 500,
        "paymentType": {"type": "CASH"},
        "isDiscounted": False,
        **changed,
    }


def discount(password: str = "demo-discount", value: int = 200) -> dict[str, Any]:
    return {"password": password, "type": "fixed", "value": value, "reason": "a regular"}


Launch = Callable[..., Awaitable[Central]]


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Launch]:
    """Starts a server with the options of `make_app`; all are stopped at the end."""
    started: list[Central] = []

    async def start(**options: Any) -> Central:
        central = Central(tmp_path / f"central-{len(started)}.db", **options)
        await central.start()
        started.append(central)
        return central

    yield start
    for central in started:
        await central.stop()


@pytest.fixture
async def central(launch: Launch) -> Central:
    return await launch()


@pytest.fixture
async def strict_central(launch: Launch) -> Central:
    """One that wants a token."""
    return await launch(settings=CentralSettings(auth="bearer", bearer_tokens=frozenset({"fixed-token"})))
