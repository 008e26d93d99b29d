"""A house whose PINs are checked as in the daemon: the real desk, vault and client, and a central server.

The network to the server is in the test's hand: `house.line`.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from bayd.clients.transport import AiohttpTransport
from bayd.core.rules import Rules
from bayd.credentials import Credentials
from bayd.ports import HttpResponse, TransportError
from bayd.reference.central import make_app
from bayd.runtime.bay import AnswerMaker
from bayd.settings import Central
from bayd.wiring.central import CentralParts
from tests.let_out import keep_secret
from tests.simulation.world import WALL_MS
from tests.web.house import House

BAYS = ("109", "110")


class Line:
    """To the server. `away`: nobody is reached. `deaf`: what is asked arrives, no answer comes back."""

    def __init__(self) -> None:
        self.state = "up"
        self._real = AiohttpTransport()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        if self.state == "away":
            raise TransportError("no connection: Connection refused", sent=False)
        answer = await self._real.request(method, url, headers=headers, body=body, timeout_s=timeout_s)
        if self.state == "deaf":
            raise TransportError("the connection broke: reset", sent=True)
        return answer

    async def aclose(self) -> None:
        await self._real.aclose()


class CentralHouse(House):
    """`async with central_house(path) as house`, then `async with house.open()` for each life."""

    line: Line
    parts: CentralParts
    server: str

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.rules = {number: Rules(booking_horizon_minutes=24 * 60) for number in BAYS}

    async def attach_pin_desk(self) -> dict[str, Coroutine[Any, Any, None]]:
        self.parts = CentralParts(
            Central(url=self.server, auth="none", poll_s=3600),
            Credentials(site_key=self.site_key),
            self.journal,
            self.bays,
            transport=self.line,
            horizon_ms=self.rules["109"].booking_horizon_minutes * 60_000,
            clock=self.clock,
            randomness=self.randomness,
            log=self.log,
        )
        await self.parts.load()
        self.bays.observe(self.parts.vault)
        self.enter_pin = self.parts.desk.enter
        return {
            "pin-vault": self.parts.vault.run(),
            "pin-desk": self.parts.desk.run(self._recovered_answer),
        }

    def _recovered_answer(self, number: str, key: str | None) -> AnswerMaker | None:
        return self.api.recovered_answer(number, key)  # which is made after the desk

    async def book_there(self, bay: str = "109", minutes: int = 60) -> str:
        """Reception books, and the bay learns it; the PIN on the slip."""
        body = {
            "billingUser": {"name": "Example Customer", "phoneNumber": "1555010002"},
            "bayNumber": bay,
            "duration": minutes,
            "amount": 500,
            "paymentType": {"type": "CASH"},
            "isDiscounted": False,
        }
        async with self.http.post(f"{self.server}/session", json=body) as answer:
            document = await answer.json()
        pin = str(document["data"]["pin"])
        keep_secret(pin, "1555010002")
        await self.parts.poller.poll()
        return pin

    def pass_by(self, seconds: int) -> None:
        self.clock.go_on(seconds * 1000)


@asynccontextmanager
async def central_house(directory: Path) -> AsyncIterator[CentralHouse]:
    house = CentralHouse(directory / "journal.db")
    drawn, loop = itertools.count(970_001), asyncio.get_running_loop()
    app = make_app(
        directory / "central.db",
        clock=lambda: WALL_MS + round(loop.time() * 1000) + house.clock.wall_step_ms,
        bays=BAYS,
        draw_pin=lambda: f"{next(drawn):06d}",
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    house.line = Line()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        house.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield house
    finally:
        await house.line.aclose()
        await runner.cleanup()
