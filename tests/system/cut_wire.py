"""The network between a daemon and its server, in the test's hand. It cuts the call that a kill meets.

Real HTTP on loopback. Every call passes as it is, but the one that is awaited: it is held until the daemon is
dead. Then it never arrives, or it was done and only its answer is lost, or it arrives late.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
from aiohttp import web

# The eight calls of the Session component (wire/central.md), and two of its siblings.
_CALLS = {
    "create": ("POST", r"/session"),
    "verify": ("POST", r"/session/verify"),
    "list": ("GET", r"/session"),
    "get": ("GET", r"/session/\d+"),
    "game": ("PATCH", r"/session"),
    "add_time": ("POST", r"/session/addSessionTime/\d+"),
    "end": ("POST", r"/session/\d+/end"),
    "history": ("GET", r"/session/history"),
    "pay": ("PATCH", r"/transaction"),
    "move": ("POST", r"/bay/sessionBayChange"),
}
EIGHT = frozenset(_CALLS) - {"pay", "move"} | {"guess"}
_PASSED = ("Content-Type", "Idempotency-Key", "Date")


class Stage(StrEnum):
    BEFORE = "before"  # the server never hears of it
    AFTER = "after"  # the server has done it, and nobody hears of it
    LATE = "late"  # the server does it when the daemon is dead, or starts again


@dataclass(frozen=True, slots=True)
class Cut:
    stage: Stage
    calls: Collection[str]
    late_s: float = 0.0  # after the death


class CutWire:
    """`eight_only`: all but the eight calls is 404, as at a server that has nothing else."""

    def __init__(self, server: str, http: aiohttp.ClientSession, *, eight_only: bool) -> None:
        self._server = server
        self._http = http
        self._eight_only = eight_only
        self._cut: Cut | None = None
        self._held = asyncio.Event()
        self._dead = asyncio.Event()
        self.cuts: Counter[tuple[str, Stage]] = Counter()
        self.calls: Counter[str] = Counter()  # that arrived at the server
        self.keys = 0
        self.guessed_bay = ""  # a PIN that is checked there is a "guess"

    @asynccontextmanager
    async def up(self, port: int) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield
        finally:
            self._dead.set()
            await runner.cleanup()

    def arm(self, cut: Cut) -> None:
        self._cut = cut
        self._held.clear()

    async def holds(self, within_s: float) -> bool:
        """The awaited call is held: now is the moment."""
        try:
            async with asyncio.timeout(within_s):
                await self._held.wait()
        except TimeoutError:
            return False
        return True

    def died(self) -> None:
        """What is held goes on as its cut says; the next life begins."""
        self._cut = None
        self._dead.set()
        self._dead = asyncio.Event()

    async def _pass(self, request: web.Request) -> web.Response:
        await request.read()
        name = _name_of(request.method, request.path)
        if name == "verify" and (await request.json())["bayNumber"] == self.guessed_bay:
            name = "guess"
        if self._eight_only and name not in EIGHT:
            return web.Response(status=404, text="no such call\n")
        cut, dead = self._cut, self._dead
        if cut is None or name not in cut.calls:
            return await self._forward(name, request)
        self._cut = None
        self.cuts[name, cut.stage] += 1
        if cut.stage is Stage.AFTER:
            await self._forward(name, request)
        self._held.set()
        await dead.wait()
        if cut.stage is Stage.LATE:
            await asyncio.sleep(cut.late_s)
            await self._forward(name, request)
        return web.Response(status=503)  # goes nowhere

    async def _forward(self, name: str, request: web.Request) -> web.Response:
        self.calls[name] += 1
        self.keys += "Idempotency-Key" in request.headers
        headers = {key: request.headers[key] for key in _PASSED if key in request.headers}
        url = self._server + request.path_qs
        async with self._http.request(
            request.method, url, data=await request.read(), headers=headers
        ) as answer:
            passed = {key: answer.headers[key] for key in _PASSED if key in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)


def _name_of(method: str, path: str) -> str:
    fits = (
        name for name, (wanted, pattern) in _CALLS.items() if method == wanted and re.fullmatch(pattern, path)
    )
    return next(fits, "other")
